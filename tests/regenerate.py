"""Writes the files that are made from the program's tables, for a person to read what changed: git diff."""

import sys

from support.generated import ROOT, stale, wanted

if __name__ == "__main__":
    texts = wanted()
    for path in stale():
        path.write_text(texts[path])
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
