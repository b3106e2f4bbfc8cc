"""What README says of the tables, made from the tables: ``python tests/readme.py`` prints it."""

import sys

from proxy_listener.formats.xiaomi.models import HHCCJCY10, MODELS, SCALE_V1, SCALE_V2, Model

STANDARD = "standard objects"
HEAD = "| model | what it is | product id | encryption | reports |\n| --- | --- | --- | --- | --- |"


def device_table() -> str:
    """A row a model, ids of one model together, those known by more than their name and kind."""
    rows: dict[tuple[str, str], list[Model]] = {}
    for model in (*MODELS.values(), SCALE_V1, SCALE_V2, HHCCJCY10):
        if model.reports != STANDARD:
            rows.setdefault((model.name, model.kind), []).append(model)
    lines = [HEAD]
    for (name, kind), models in sorted(rows.items(), key=lambda item: item[0][0].casefold()):
        ids = ", ".join(f"0x{model.product_id:04X}" for model in models if model.product_id is not None) or "-"
        lines.append(f"| {name} | {kind} | {ids} | {models[0].encryption} | {models[0].reports} |")
    return "\n".join(lines)


def further_models() -> str:
    """Models of which only the standard objects are known."""
    names = sorted({model.name for model in MODELS.values() if model.reports == STANDARD}, key=str.casefold)
    return ", ".join(names)


if __name__ == "__main__":
    sys.stdout.write(f"{device_table()}\n\n{further_models()}\n")
