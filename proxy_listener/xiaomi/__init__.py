"""Bytes of Xiaomi BLE devices -> measurements. Pure: no clock, no network, no log."""
