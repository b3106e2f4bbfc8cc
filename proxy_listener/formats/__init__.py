"""Payload bytes of advertisements -> measurements. Pure: no clock, no network, no log."""
