"""The comparison with the tables of other decoders: what its parsers find in made sources, and what it prints."""

import pytest
from compare_tables import differences, main, ours, shown
from support import peer_tables
from support.peer_reasons import REASONS
from support.peer_tables import Tables

DEVICES = """
DEVICE_TYPES: dict[int, DeviceEntry] = {
    0x055B: DeviceEntry(name="Sensor", model="LYWSD03MMC"),
    0xFFF0: DeviceEntry("New Thing", "NEW1"),
}
"""
PARSER = "xiaomi_dataobject_dict = {0x1004: obj1004, 0x7FFF: obj7fff, **more}"

BLE_MONITOR = """
XIAOMI_TYPE_DICT = {
    0x055B: "LYWSD03MMC",
    0x1790: "T700i",
}
xiaomi_dataobject_dict = {0x100a: obj100a}
"""
QINGPING = """
def parse(data):
    if device_id == 0x01:
        device_type = "CGG1"
    elif device_id in [0x0E, 0x7E]:
        device_type = "CGDN1"
    if xdata_id == 0x01 and xdata_size == 4:
        pass
    elif xdata_id == 0x7F and xdata_size == 1:
        pass
    if other == 0x55:
        pass
"""
BTHOME = "MEAS_TYPES: dict[int, MeasTypes] = {0x01: MeasTypes(a), 0xEE: MeasTypes(b)}"
BTHOME_PARSER = """
if name.startswith(("ATC", "prst")):
    maker = "x"
elif name == "SBBT-002C":
    maker = "Shelly"
"""

GATEWAY = """
DEVICES = [{
    "lumi.plug": ["Xiaomi", "Plug", "ZNCZ02LM"],
    "spec": [BaseConv("plug", "switch", mi="4.1.85")],
}]

########################################################################################
# BLE
########################################################################################

DEVICES += [{
    1371: ["Xiaomi", "TH Sensor 2", "LYWSD03MMC", "miaomiaoce.sensor_ht.t2"],
    65001: [None, "New Thing", "new.thing"],
    "spec": [
        BLEByteConv("battery", "sensor", mi=4106),
        BaseConv("action", "sensor"),
        MapConv("action", mi="5.e.1012.p.1", map={1: "single"}),
        BaseConv("battery", mi="2.p.1003"),
        BaseConv("led", mi="3.p.1"),
    ],
}, {
    "default": "ble",
    982: ["Xiaomi", "Door Sensor", "CGH1"],
    "spec": [BLEByteConv("supply", mi=4115)],
}]

########################################################################################
# Mesh
########################################################################################

DEVICES += [{
    948: ["Yeelight", "Mesh Downlight", "YLSD01YL"],
    "spec": [BaseConv("light", "light", mi="2.p.1")],
}]
"""


def header(brand, model, condition):
    text = f'{{"brand":"{brand}","model":"x","model_id":"{model}","condition":{condition},"properties":{{}}}}'
    escaped = text.replace('"', '\\"')
    return f'const char* _X_json = "{escaped}";\n/*R"""({text})"""*/\nconst char* _X_json_props = "{{}}";'


def test_a_table_is_read_without_running_it():
    """The keys and values of a dict literal, annotated or not; anything else in the module is ignored."""
    found = peer_tables.table("raise SystemExit\nOTHER = {1: 2}\nT = {0x1001: f, 'x': g, **h}", "T")
    assert list(found) == [0x1001]


def test_a_table_that_is_gone_is_told_of():
    """A project that was changed so that its table is not found any more is no empty table."""
    with pytest.raises(LookupError, match="DEVICE_TYPES"):
        peer_tables.table("DEVICE_TYPES = load()", "DEVICE_TYPES")


def test_xiaomi_ble():
    """Models by keyword or position, and the ids of objects."""
    assert peer_tables.xiaomi_ble(DEVICES, PARSER) == {
        "Xiaomi": Tables(
            {0x055B: frozenset({"LYWSD03MMC"}), 0xFFF0: frozenset({"NEW1"})},
            {0x1004: frozenset(), 0x7FFF: frozenset()},
        )
    }


def test_bthome_ble():
    """Local names of products, whole or as prefixes, and the ids of objects."""
    found = peer_tables.bthome_ble(BTHOME, BTHOME_PARSER)["BTHome"]
    assert set(found.products) == {"ATC", "prst", "SBBT-002C"}
    assert set(found.objects) == {0x01, 0xEE}


def test_qingping_ble():
    """Its table of devices, and what the type of an object is compared with."""
    found = peer_tables.qingping_ble('DEVICE_TYPES = {0x01: QingpingDevice("CGG1", "")}\n' + QINGPING)["Qingping"]
    assert found.products == {0x01: {"CGG1"}}
    assert set(found.objects) == {0x01, 0x7F}


def test_ble_monitor():
    """All three families; a chain of comparisons is a table, too."""
    found = peer_tables.ble_monitor(BLE_MONITOR, QINGPING, BTHOME)
    assert found["Xiaomi"].products == {0x055B: {"LYWSD03MMC"}, 0x1790: {"T700i"}}
    assert set(found["Xiaomi"].objects) == {0x100A}
    assert found["Qingping"].products == {0x01: {"CGG1"}, 0x0E: {"CGDN1"}, 0x7E: {"CGDN1"}}
    assert set(found["BTHome"].objects) == {0x01, 0xEE}


@pytest.mark.parametrize(
    ("source", "object_id"),
    [
        (4106, 0x100A),
        ("2.p.1003", 0x4803),
        ("5.e.1012.p.1", 0x560C),
        ("11.e.1022.p.2", 0x6E16),
        ("3.p.1", None),
        ("4.1.85", None),
    ],
)
def test_where_an_attribute_comes_from(source, object_id):
    """Ids as numbers and by the MIoT rule; properties below 1000 and Zigbee's are never on the air."""
    assert peer_tables.on_air(source) == object_id


def test_xiaomi_gateway3():
    """Only its BLE part counts, mesh ids stand apart, and what stands for any device is no product's own."""
    found = peer_tables.xiaomi_gateway3(GATEWAY)["Xiaomi"]
    assert set(found.products) == {1371, 65001, 982}
    assert found.products[65001] == {"New Thing", "new.thing"}
    both = {1371, 65001}
    assert found.objects == {0x100A: both, 0x560C: both, 0x4803: both, 0x1013: frozenset()}
    assert found.meanings == {(id_, product): {"battery"} for id_ in (0x100A, 0x4803) for product in both}
    assert found.mesh == {948}


@pytest.mark.parametrize(
    ("brand", "condition", "family", "keys"),
    [
        ("Xiaomi", '["servicedata","index",2,"20aa01"]', "Xiaomi", {0x01AA}),
        ("Xiaomi", '["uuid","index",0,"fe95","&","servicedata","index",4,"5b04"]', "Xiaomi", {0x045B}),
        ("Xiaomi", '["servicedata","=",18,"&","uuid","index",0,"fd50"]', "Xiaomi", {"M1"}),
        ("Xiaomi", '["servicedata","=",30,"&","uuid","index",0,"181a"]', "Xiaomi", set()),
        ("Govee", '["manufacturerdata","index",0,"88ec"]', "Xiaomi", set()),
        (
            "Qingping",
            '["servicedata","=",34,"index",2,"0c","|","servicedata","=",34,"index",2,"1e","&","uuid","index",0,"fdcd"]',
            "Qingping",
            {0x0C, 0x1E},
        ),
        (
            "Shelly",
            '["servicedata","index",0,"45","&","uuid","index",0,"fcd2","&","name","index",0,"SBDW-002C"]',
            "BTHome",
            {"SBDW-002C"},
        ),
    ],
)
def test_theengs(brand, condition, family, keys):
    """A product is told by what its condition compares: the product id, the device's byte, the local name."""
    found = peer_tables.theengs({"M1_json.h": header(brand, "M1", condition)})
    assert set(found[family].products) == keys
    assert not any(tables.products for name, tables in found.items() if name != family)


def test_differences():
    """What they have and we lack, an object that one of its products lacks, another meaning, another name."""
    theirs = Tables(
        {1: frozenset({"a", "B1"}), 2: frozenset({"C"}), 3: frozenset({"D/E"}), 9: frozenset({"F"})},
        {10: frozenset(), 11: frozenset({1, 2}), 12: frozenset({2})},
        {(11, 1): frozenset({"water_leak"}), (11, 2): frozenset({"status"})},
    )
    mine = Tables(
        {1: frozenset({"b1"}), 2: frozenset({"X"}), 3: frozenset({"E"})},
        {11: frozenset({1, 2}), 12: frozenset({1})},
        {(11, 1): frozenset({"moisture"}), (11, 2): frozenset({"opening"})},
    )
    found = [(each.kind, each.key, each.about) for each in differences("Xiaomi", theirs, mine)]
    assert found == [
        ("name", 2, "0x0002 is X here, C there"),
        ("product", 9, "0x0009 F"),
        ("object", 10, "0x000A"),
        ("object", 12, "0x000C of 0x0002"),
        ("meaning", 11, "0x000B of 0x0002 is opening here, status there"),
    ]


def test_the_beginning_of_a_name_is_known():
    """``SBBT-`` stands for products that have rows by their whole names; what no name begins with is lacking."""
    theirs = Tables({"SBBT-": frozenset({"x"}), "asensor_": frozenset({"y"}), "SBBT-002C": frozenset({"SBBT-002C"})})
    mine = Tables({"SBBT-002C": frozenset({"SBBT-002C"})})
    assert [each.key for each in differences("BTHome", theirs, mine)] == ["asensor_"]


def test_our_own_tables_do_not_differ_from_themselves():
    """Every product and object of ours is found under its own key, in every family."""
    for family, tables in ours().items():
        assert not list(differences(family, tables, tables))
        assert tables.products
        assert tables.objects


@pytest.fixture(name="checkout")
def checkout_fixture(tmp_path):
    """Makes a checkout of xiaomi-ble."""

    def make(devices, parser):
        folder = tmp_path / "src" / "xiaomi_ble"
        folder.mkdir(parents=True)
        (folder / "devices.py").write_text(devices)
        (folder / "parser.py").write_text(parser)
        return tmp_path

    return make


def test_a_new_difference_is_the_exit_status(checkout, capsys):
    """A product and an object that nobody has explained are marked, and the status is 1."""
    assert main([checkout(DEVICES, PARSER)]) == 1
    printed = capsys.readouterr().out
    assert "0xFFF0 NEW1 (NEW)" in printed
    assert "0x7FFF (NEW)" in printed
    assert "LYWSD03MMC" not in printed
    assert "not compared: bthome-ble, qingping-ble, ble_monitor, XiaomiGateway3, Theengs" in printed


def test_what_is_explained_is_no_fault(checkout, capsys):
    """A known difference is printed with its reason, a name never counts, and the status is 0."""
    devices = 'DEVICE_TYPES = {0x055B: DeviceEntry(name="x", model="Other")}'
    assert main([checkout(devices, "xiaomi_dataobject_dict = {0x4A09: obj4a09}")]) == 0
    printed = capsys.readouterr().out
    assert f"0x4A09: {REASONS['Xiaomi', 'object', 0x4A09]}" in printed
    assert "0x055B is LYWSD03MMC here, Other there" in printed


def test_a_folder_without_a_project(tmp_path, capsys):
    """It is said which folder, and what could be in it."""
    assert main([tmp_path]) == 2
    assert f"{tmp_path}: no project" in capsys.readouterr().err


def test_reasons_are_about_what_we_lack():
    """A reason for a product or an object that has a row by now is out of date."""
    tables = ours()
    for family, kind, key in REASONS:
        if kind == "product":
            assert key not in tables[family].products, shown(key)
        elif kind == "object" and key in tables[family].objects:
            assert len(tables[family].objects[key]) < len(tables[family].products), shown(key)
