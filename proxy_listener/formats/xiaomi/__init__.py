"""The formats of Xiaomi devices: MiBeacon, the Mi scales, HHCCJCY10."""
