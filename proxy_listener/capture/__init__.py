"""Captures: advertisements as JSON Lines, and the live stream of them."""
