"""The edge towards the radio: finds ESPHome proxies, holds their advertisement streams, hands on what they hear."""
