"""The values that all rooms share: attrs classes, enumerations and type aliases, without behaviour of their own."""
