"""The tables of other public decoders, read from their source text; nothing of theirs is imported or run.

In: a folder with a checkout or an installed package. Out: for each family of formats (``Xiaomi``, ``Qingping``,
``BTHome``) the products with their names and the ids of objects. Python sources are read with ast, Theengs' as JSON.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import attrs

Key: TypeAlias = int | str
"""A product id; of products without one, the name by which they are told: of BTHome the local name."""


@attrs.frozen
class Tables:
    """``products``: id -> names. ``objects``: id -> the products that are known to send it; none: any may.

    ``meanings``: object and product -> the quantities in it, by the project's own names. ``mesh``: ids of mesh devices.
    """

    products: Mapping[Key, frozenset[str]] = attrs.field(factory=dict)
    objects: Mapping[int, frozenset[Key]] = attrs.field(factory=dict)
    meanings: Mapping[tuple[int, Key], frozenset[str]] = attrs.field(factory=dict)
    mesh: frozenset[int] = frozenset()


def table(text: str, name: str) -> dict[int, ast.expr]:
    """The dict literal that a module assigns to ``name``: key -> value, for keys that are numbers."""
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(value := getattr(node, "value", None), ast.Dict):
            return {key.value: item for key, item in zip(value.keys, value.values, strict=True) if _is_number(key)}
    raise LookupError(f"no dict literal is assigned to {name}: the project has changed, and this parser has to")


def compared(text: str, name: str) -> Iterator[tuple[Key, str]]:
    """Every constant that ``name`` is compared with (``==``, ``in [..]``, ``startswith``), and the first string that
    is assigned where it is equal, if there is one.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.If):
            for constant in _constants(node.test, name):
                yield constant, next(_assigned(node.body), "")


def called_with(value: ast.expr, keyword: str, position: int) -> str:
    """The string that is an argument of a call, by keyword or position."""
    if isinstance(value, ast.Call):
        for each in value.keywords:
            if each.arg == keyword and isinstance(each.value, ast.Constant):
                return str(each.value.value)
        if len(value.args) > position and isinstance(value.args[position], ast.Constant):
            return str(value.args[position].value)
    return str(value.value) if isinstance(value, ast.Constant) else ""


def _is_number(node: object) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def _text(node: ast.expr | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _constants(test: ast.expr, name: str) -> Iterator[Key]:
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == name:
            found = node.comparators
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == f"{name}.startswith":
            found = node.args
        else:
            continue
        for each in (constant for part in found for constant in ast.walk(part)):
            if isinstance(each, ast.Constant) and isinstance(each.value, int | str):
                yield each.value


def _assigned(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def _objects(ids: object) -> dict[int, frozenset[Key]]:
    return {each: frozenset() for each in ids if isinstance(each, int)}  # type: ignore[attr-defined]


def xiaomi_ble(devices: str, parser: str) -> dict[str, Tables]:
    """``devices.py`` and ``parser.py`` of xiaomi-ble."""
    products = {
        key: frozenset({called_with(value, "model", 1)}) for key, value in table(devices, "DEVICE_TYPES").items()
    }
    return {"Xiaomi": Tables(products, _objects(table(parser, "xiaomi_dataobject_dict")))}


def qingping_ble(parser: str) -> dict[str, Tables]:
    """``parser.py`` of qingping-ble."""
    products = {
        key: frozenset({called_with(value, "model", 0)}) for key, value in table(parser, "DEVICE_TYPES").items()
    }
    return {"Qingping": Tables(products, _objects(key for key, _ in compared(parser, "xdata_id")))}


def bthome_ble(const: str, parser: str) -> dict[str, Tables]:
    """``const.py`` and ``parser.py`` of bthome-ble. Products are local names, or what they begin with."""
    products = {key: frozenset({str(key)}) for key, _ in compared(parser, "name") if isinstance(key, str) and key}
    return {"BTHome": Tables(products, _objects(table(const, "MEAS_TYPES")))}


def ble_monitor(xiaomi: str, qingping: str, bthome: str) -> dict[str, Tables]:
    """``xiaomi.py``, ``qingping.py`` and ``bthome_const.py`` of ble_monitor's ``ble_parser``."""
    products = {key: frozenset({called_with(value, "", 0)}) for key, value in table(xiaomi, "XIAOMI_TYPE_DICT").items()}
    qingping_products = {key: frozenset({name}) for key, name in compared(qingping, "device_id")}
    return {
        "Xiaomi": Tables(products, _objects(table(xiaomi, "xiaomi_dataobject_dict"))),
        "Qingping": Tables(qingping_products, _objects(key for key, _ in compared(qingping, "xdata_id"))),
        "BTHome": Tables({}, _objects(table(bthome, "MEAS_TYPES"))),
    }


_BANNER = re.compile(r"^#{20,}\n# (.+)\n#{20,}$", re.MULTILINE)
_MIOT = re.compile(r"(\d+)\.([pe])\.(\d{4})\b")


def on_air(source: object) -> int | None:
    """What XiaomiGateway3 reads an attribute from -> the id of its object; None where it never is one.

    A number is the id itself; ``3.e.1012.p.1`` follows Xiaomi's MIoT rule, for numbers from 1000.
    """
    if isinstance(source, int):
        return source
    if match := _MIOT.match(str(source)):
        service, kind, number = int(match[1]), match[2], int(match[3])
        return 0x4000 + service * 1024 + (512 if kind == "e" else 0) + number - 1000
    return None


def xiaomi_gateway3(devices: str) -> dict[str, Tables]:
    """``core/devices.py`` of XiaomiGateway3: its BLE part, and the ids of its mesh part."""
    sections = [(devices.count("\n", 0, match.start()) + 1, match[1]) for match in _BANNER.finditer(devices)]
    products: dict[Key, frozenset[str]] = {}
    objects: dict[int, frozenset[Key]] = {}
    meanings: dict[tuple[int, Key], frozenset[str]] = {}
    mesh: set[int] = set()
    for row in (each for each in ast.walk(ast.parse(devices)) if isinstance(each, ast.Dict)):
        section = next((name for line, name in reversed(sections) if line < row.lineno), "")
        named = {
            key.value: frozenset(text for text in ast.literal_eval(value)[1:] if text)
            for key, value in zip(row.keys, row.values, strict=True)
            if _is_number(key) and isinstance(value, ast.List)
        }
        if section == "BLE" and named:
            products |= named
            # One row stands for every product: what any of them may send.
            senders = frozenset() if "default" in map(_text, row.keys) else frozenset(named)
            for object_id, quantity in _sources(row):
                objects[object_id] = objects.get(object_id, frozenset()) | senders
                for product in senders if quantity not in _EVENTS else ():
                    key = object_id, product
                    meanings[key] = meanings.get(key, frozenset()) | {quantity}
        elif section == "Mesh":
            mesh |= named.keys()
    return {"Xiaomi": Tables(products, objects, meanings, frozenset(mesh))}


_EVENTS = {"", "action"}


def _sources(row: ast.Dict) -> Iterator[tuple[int, str]]:
    """The objects of a row of products, and what is read from them."""
    for call in (each for each in ast.walk(row) if isinstance(each, ast.Call)):
        quantity = _text(call.args[0]) if call.args else ""
        for keyword in call.keywords:
            if keyword.arg == "mi" and isinstance(keyword.value, ast.Constant):
                found = on_air(keyword.value.value)
                if found is not None:
                    yield found, quantity


_C_STRING = re.compile(r'const char\* \w+ = ("(?:\\.|[^"\\])*");')


def theengs(headers: Mapping[str, str]) -> dict[str, Tables]:
    """The headers of Theengs' ``src/devices``: it has no ids of objects, but bytes at fixed places."""
    families: dict[str, dict[Key, frozenset[str]]] = {"Xiaomi": {}, "Qingping": {}, "BTHome": {}}
    for text in headers.values():
        for match in _C_STRING.finditer(text):
            device = json.loads(json.loads(match[1]))
            if "condition" in device:
                for family, key in _told_by(device):
                    products = families[family]
                    products[key] = products.get(key, frozenset()) | {device["model_id"]}
    return {family: Tables(products) for family, products in families.items()}


_PRODUCT_AT = {2: 2, 4: 0}
"""Where in the hex text Theengs compares -> characters before the product id, which is the third and fourth byte."""


def _told_by(device: Mapping[str, Any]) -> Iterator[tuple[str, Key]]:
    condition = json.dumps(device["condition"])
    uuids = re.findall(r'"uuid", "\w+", (?:0, )?"(\w{4})"', condition)
    data = [
        (int(at), text) for at, text in re.findall(r'"servicedata", (?:">?=", \d+, )?"index", (\d), "(\w+)"', condition)
    ]
    if "fdcd" in uuids:
        yield from (("Qingping", int(text, 16)) for at, text in data if at == 2)
    elif "fcd2" in uuids:
        yield from (("BTHome", name) for name in re.findall(r'"name", "index", 0, "([^"]+)"', condition))
    elif "181a" not in uuids and "Xiaomi" in device["brand"]:
        ids = [text[_PRODUCT_AT[at] :] for at, text in data if at in _PRODUCT_AT and len(text) == 4 + _PRODUCT_AT[at]]
        if ids:
            yield from (("Xiaomi", int.from_bytes(bytes.fromhex(each), "little")) for each in ids)
        else:
            yield "Xiaomi", device["model_id"]


@attrs.frozen
class Peer:
    """A project: where its files are, in a checkout or as installed, and how they are read."""

    name: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    read: Callable[..., dict[str, Tables]]

    def tables(self, root: Path) -> dict[str, Tables] | None:
        """Its tables; None where the folder does not hold it."""
        for folder in (root / each for each in self.folders):
            if self.files and all((folder / file).is_file() for file in self.files):
                return self.read(*((folder / file).read_text() for file in self.files))
            headers = sorted(folder.glob("*_json.h")) if not self.files else []
            if headers:
                return self.read({path.name: path.read_text() for path in headers})
        return None


PEERS = (
    Peer("xiaomi-ble", ("xiaomi_ble", "src/xiaomi_ble"), ("devices.py", "parser.py"), xiaomi_ble),
    Peer("bthome-ble", ("bthome_ble", "src/bthome_ble"), ("const.py", "parser.py"), bthome_ble),
    Peer("qingping-ble", ("qingping_ble", "src/qingping_ble"), ("parser.py",), qingping_ble),
    Peer(
        "ble_monitor",
        ("custom_components/ble_monitor/ble_parser",),
        ("xiaomi.py", "qingping.py", "bthome_const.py"),
        ble_monitor,
    ),
    Peer("XiaomiGateway3", ("custom_components/xiaomi_gateway3/core",), ("devices.py",), xiaomi_gateway3),
    Peer("Theengs", ("src/devices",), (), theengs),
)
