"""Outputs for readings: one module each, with ``Settings`` (its table of ``devices.toml``) and ``run()``."""
