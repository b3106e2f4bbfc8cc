"""What is known about differences between the tables of other decoders and ours; tests/compare_tables.py prints it."""

from collections.abc import Mapping

from support.peer_tables import Key

_NOT_SEEN = "no bytes seen in public, and no source tells its size and unit"
_FOUNTAIN = f"pet fountain; {_NOT_SEEN}"
_AIR = f"air monitor; {_NOT_SEEN}"
_TUYA = "a prefix of Tuya's thermometers with pvvx firmware; decoded as any BTHome sensor"

REASONS: Mapping[tuple[str, str, Key], str] = {
    (
        "BTHome",
        "product",
        "ATC",
    ): "a prefix of the names of devices with pvvx firmware, whose hardware it does not tell",
    ("BTHome", "product", "BTH01"): _TUYA,
    ("BTHome", "product", "TH05F"): _TUYA,
    ("BTHome", "product", "THB1"): _TUYA,
    ("BTHome", "product", "asensor_"): "a prefix of April Brother's names; decoded as any BTHome sensor",
    ("Xiaomi", "product", "MB/SW"): "a format of Huami in manufacturer data 0x0157, not Xiaomi's",
    ("Xiaomi", "object", 0x03EB): "XiaomiGateway3 means the battery, 3.p.1003, which has a row",
    ("Xiaomi", "object", 0x4814): _FOUNTAIN,
    ("Xiaomi", "object", 0x4830): _FOUNTAIN,
    ("Xiaomi", "object", 0x4838): _FOUNTAIN,
    ("Xiaomi", "object", 0x4843): _FOUNTAIN,
    ("Xiaomi", "object", 0x4A09): "XiaomiGateway3 calls it unknown, too",
    ("Xiaomi", "object", 0x4C1C): _AIR,
    ("Xiaomi", "object", 0x4C1D): _AIR,
    ("Xiaomi", "object", 0x4C1E): _AIR,
    ("Xiaomi", "object", 0x4C1F): _AIR,
    ("Xiaomi", "object", 0x4C4C): _FOUNTAIN,
    ("Xiaomi", "object", 0x5616): "XiaomiGateway3 calls it unknown, too",
    ("Xiaomi", "object", 0x5A16): "known nowhere: a custom event of which XiaomiGateway3 names no argument",
    ("Xiaomi", "meaning", 0x4850): "the same minutes, under the name that ble_monitor has for them",
    ("Xiaomi", "meaning", 0x4A68): "its codes are said as two flags",
    ("Xiaomi", "meaning", 0x5661): "its codes are events, and a fault",
    ("Xiaomi", "name", 0x0098): "Theengs has one name for two products",
    ("Xiaomi", "name", 0x0113): "XiaomiGateway3 has one name for two products",
    ("Xiaomi", "name", 0x03BC): "Theengs has one name for two products",
    ("Xiaomi", "name", 0x045B): "XiaomiGateway3 has the name of the newer clock; Home Assistant's is used here",
    ("Xiaomi", "name", 0x0B48): "the encrypted variant of CGG1",
}
"""Family of formats, kind of difference and id -> why it stays. Names are those of Home Assistant's integrations."""

SAME: Mapping[str, str] = {
    "contact": "opening",
    "door_state": "door",
    "has_someone_duration": "duration_detected",
    "has-someone-duration": "motion_time",
    "lock": "door",
    "near_occupancy": "occupancy_close_range",
    "no_one_duration": "duration_cleared",
    "not_present_duration": "pressure_not_present_duration",
    "not_present_time_set": "pressure_not_present_time_set",
    "occupancy_status": "occupancy",
    "present_duration": "pressure_present_duration",
    "present_time_set": "pressure_present_time_set",
    "pressure": "occupancy",
    "supply": "consumable",
    "th": "temperature",
    "temp_humi": "temperature",
    "water_leak": "moisture",
    "water_leak_bottom": "bottom_submersion",
    "water_leak_top": "top_splash",
    "battery_level": "battery",
}
"""What XiaomiGateway3 calls a quantity -> our name for it."""
