"""The hot path and its rules: which advertisement becomes a reading. Pure: time is an argument."""
