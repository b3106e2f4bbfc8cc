"""The client side of ESPHome proxies: finds them, receives their advertisements, connects to devices through them."""
