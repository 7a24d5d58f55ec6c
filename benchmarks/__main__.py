"""`python -m benchmarks [NAME …]`: run the benchmarks one after the other; without names all of them.

What begins with a dash is for the benchmark itself (`upstream --large`).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def names() -> list[str]:
    """Every module of this folder that has a `main`."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main(wanted: list[str]) -> None:
    for name in wanted or names():
        print(f"== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main([word for word in sys.argv[1:] if not word.startswith("-")])
