"""Prints what the tables of other public decoders have and ours have not, and where names differ.

    python tests/compare_tables.py CHECKOUT ...

A CHECKOUT is a folder with the source of ble_monitor, XiaomiGateway3, Theengs' decoder, xiaomi-ble, bthome-ble or
qingping-ble. The last three are also found where they are installed (the extra ``oracle``). Exit status 1: there is a
difference whose reason is not among ``REASONS``; 2: a folder holds none of them.
"""

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from support.peer_reasons import REASONS, SAME
from support.peer_tables import PEERS, Key, Tables

from proxy_listener.formats import qingping
from proxy_listener.formats.bthome.models import PRODUCTS as BTHOME_PRODUCTS
from proxy_listener.formats.bthome.objects import OBJECTS as BTHOME_OBJECTS
from proxy_listener.formats.xiaomi.models import MODELS, PRODUCTS
from proxy_listener.formats.xiaomi.objects import rows_of

INSTALLED = ("xiaomi_ble", "bthome_ble", "qingping_ble")


TITLES = {
    "product": "products we lack",
    "object": "objects we lack",
    "meaning": "objects with another meaning",
    "name": "products with another name",
}


class Difference(NamedTuple):
    """What a peer has: ``kind`` is ``product``, ``object``, ``meaning`` or ``name``; ``about`` is it in words."""

    family: str
    kind: str
    key: Key
    about: str


def ours() -> dict[str, Tables]:
    """The tables of this program, as those of its peers."""
    names = {name: frozenset({name}) for model in PRODUCTS for name in (model.name, model.variant_of) if name}
    xiaomi = {product: frozenset({model.name}) for product, model in MODELS.items()}
    sent: dict[int, frozenset[Key]] = {}
    meanings: dict[tuple[int, Key], frozenset[str]] = {}
    for product, model in MODELS.items():
        for object_id, row in rows_of(model).items():
            sent[object_id] = sent.get(object_id, frozenset()) | {product}
            found = {field.quantity.name for field in row.fields}
            found |= {name for code in row.codes.values() for name in code.values}
            if found:
                meanings[object_id, product] = frozenset(found)
    return {
        "Xiaomi": Tables({**xiaomi, **names}, sent, meanings),
        "Qingping": Tables(
            {device: frozenset({model.name}) for device, model in qingping.MODELS.items()},
            {object_id: frozenset() for object_id in (*qingping._ROWS, qingping.PACKET)},
        ),
        "BTHome": Tables(
            {model.name: frozenset({model.name}) for model in (*BTHOME_PRODUCTS, *PRODUCTS)},
            {object_id: frozenset() for object_id in BTHOME_OBJECTS},
        ),
    }


def differences(family: str, theirs: Tables, mine: Tables) -> Iterator[Difference]:
    """What they have and we lack, and names that differ: where none of theirs is ours, whatever the case."""
    for key, names in theirs.products.items():
        if _begins(key, mine):
            continue
        if key not in mine.products:
            yield Difference(family, "product", key, f"{shown(key, family)} {_list(names)}")
        elif not _same(names, mine.products[key]):
            about = f"{shown(key, family)} is {_list(mine.products[key])} here, {_list(names)} there"
            yield Difference(family, "name", key, about)
    for object_id, products in theirs.objects.items():
        without = products & mine.products.keys() - mine.objects.get(object_id, frozenset())
        if object_id not in mine.objects or without:
            of = f" of {_list(frozenset(map(shown, without)))}" if without else ""
            yield Difference(family, "object", object_id, f"{shown(object_id, family)}{of}")
    for (object_id, product), called in theirs.meanings.items():
        here = mine.meanings.get((object_id, product))
        if here and not here & {*called, *(SAME[name] for name in called & SAME.keys())}:
            about = f"{shown(object_id)} of {shown(product)} is {_list(here)} here, {_list(called)} there"
            yield Difference(family, "meaning", object_id, about)


def _begins(key: Key, mine: Tables) -> bool:
    """Some tell a product by how its local name begins; it is known where a whole name here begins so."""
    return isinstance(key, str) and any(str(name).startswith(key) for name in mine.products)


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _same(theirs: frozenset[str], mine: frozenset[str]) -> bool:
    return bool(_parts(theirs) & _parts(mine))


def _parts(names: frozenset[str]) -> set[str]:
    return {part.casefold() for name in names for part in (name, *name.split("/"))}


def shown(key: Key, family: str = "Xiaomi") -> str:
    """An id as documentation writes it, a name as it is."""
    return key if isinstance(key, str) else f"0x{key:0{4 if family == 'Xiaomi' else 2}X}"


def report(name: str, theirs: Mapping[str, Tables], used: set[tuple[str, str, Key]]) -> tuple[list[str], bool]:
    """The lines about one project, and whether all of its differences have a reason. Reasons go into ``used``."""
    lines, explained = [name], True
    for family, tables in theirs.items():
        found = sorted(differences(family, tables, ours()[family]), key=lambda each: (each.kind, each.about))
        lines.append(f"  {family}: {len(tables.products)} products, {len(tables.objects)} objects")
        for kind, title in TITLES.items():
            these = [each for each in found if each.kind == kind]
            lines.append(f"    {title}: {len(these) or 'none'}")
            for each in these:
                place = each.family, each.kind, each.key
                reason = REASONS.get(place)
                used.add(place)
                explained = explained and (reason is not None or kind == "name")
                lines.append(f"      {each.about}" + (f": {reason}" if reason else " (NEW)" if kind != "name" else ""))
        if tables.mesh:
            known = sorted(shown(key) for key in tables.mesh & ours()[family].products.keys())
            lines.append(
                f"    mesh only, not compared: {len(tables.mesh)} products; with a row here: {known or 'none'}"
            )
    return lines, explained


def installed() -> list[Path]:
    """The folders that hold the installed packages."""
    found = (importlib.util.find_spec(name) for name in INSTALLED)
    return sorted({Path(spec.origin).parents[1] for spec in found if spec and spec.origin})


def main(roots: Sequence[Path]) -> int:
    """Print the report about the projects in these folders; the exit status."""
    used: set[tuple[str, str, Key]] = set()
    status, read = 0, set()
    for root in roots:
        tables = {peer.name: found for peer in PEERS if (found := peer.tables(root))}
        if not tables:
            sys.stderr.write(f"{root}: no project that is known here; known are {', '.join(p.name for p in PEERS)}\n")
            return 2
        for name, theirs in tables.items():
            lines, explained = report(name, theirs, used)
            sys.stdout.write("\n".join(lines) + "\n")
            status = status if explained else 1
            read.add(name)
    if read == {peer.name for peer in PEERS}:
        needless = sorted(f"{family} {kind} {shown(key, family)}" for family, kind, key in REASONS.keys() - used)
        sys.stdout.write(f"reasons without a difference: {', '.join(needless) or 'none'}\n")
    else:
        missing = ", ".join(peer.name for peer in PEERS if peer.name not in read)
        sys.stdout.write(f"not compared: {missing}\n")
    return status


if __name__ == "__main__":
    sys.exit(main([*installed(), *map(Path, sys.argv[1:])]))
