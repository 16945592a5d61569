"""The core is pure: what it may import, name and call, read from its syntax."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parents[2] / "layers" / "bulwark" / "bulwark" / "core"

PURE_MODULES = frozenset(
    {
        "__future__", "abc", "collections", "contextlib", "dataclasses", "datetime", "decimal", "difflib", "enum", "fnmatch", "fractions",
        "functools", "heapq", "itertools", "json", "math", "operator", "re", "statistics", "string", "types", "typing", "bisect",
    }
)  # fmt: skip
"""What the core may import besides itself: none of it reads a clock, the environment, a file, the network or chance."""

CLOCK_METHODS = frozenset({"now", "utcnow", "today", "fromtimestamp"})
"""Of datetime and date: they read the clock, or the machine's time zone."""

IMPURE_BUILTINS = frozenset({"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint", "globals", "id", "hash"})
"""Effects, and two whose result differs from run to run."""

DATE_NAMES = frozenset({"datetime", "date"})


def impurities(source: str) -> Iterator[str]:
    """What in ``source`` is not pure, each as line number and reason."""
    tree = ast.parse(source)
    shadowed = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        for reason in _reasons(node, shadowed):
            yield f"{getattr(node, 'lineno', '?')}: {reason}"


def _reasons(node: ast.AST, shadowed: set[str]) -> Iterator[str]:
    """Why one node is impure. ``shadowed``: names that are parameters somewhere, so no builtins when merely read."""
    match node:
        case ast.Import(names=names):
            yield from (f"imports {n.name}" for n in names if not _allowed(n.name))
        case ast.ImportFrom(module=module, level=level):
            if level or not _allowed(module or ""):
                yield f"imports from {'.' * level}{module or ''}"
        case ast.Attribute(value=ast.Name(id=base) | ast.Attribute(attr=base), attr=attr) if base in DATE_NAMES and attr in CLOCK_METHODS:
            yield f"reads the clock: {base}.{attr}"
        case ast.Call(func=ast.Name(id=name)) if name in IMPURE_BUILTINS and name not in shadowed:
            yield f"calls {name}"
        case ast.Attribute(value=ast.Name(id="os")):
            yield "uses os"
        case ast.Global() | ast.Nonlocal():
            yield "changes what is outside of a function"


def _allowed(module: str) -> bool:
    """Whether the core may import ``module``."""
    return module.partition(".")[0] in PURE_MODULES or module == "bulwark.core" or module.startswith("bulwark.core.")


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda p: p.name)
def test_a_core_module_is_pure(path: Path) -> None:
    """No module of the core reads a clock, the environment, chance or the world, or writes to it."""
    assert list(impurities(path.read_text(encoding="utf-8"))) == []


def test_the_core_is_where_this_test_looks() -> None:
    """The check above is not about an empty folder."""
    assert {"cluster.py", "plan.py", "draining.py"} <= {p.name for p in CORE.glob("*.py")}


@pytest.mark.parametrize(
    "snippet",
    [
        "import boto3",
        "import os.path",
        "import json, random",
        "from time import monotonic",
        "from logging import getLogger",
        "from bulwark.shell.aws import Aws",
        "from bulwark import shell",
        "from . import cluster",
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.utcnow()",
        "from datetime import date\nx = date.today()",
        "from datetime import datetime\nclock = datetime.now",
        "x = open('f')",
        "def f(x):\n    print(x)",
        "x = __import__('os')",
        "seen = {}\ndef f():\n    global seen\n    seen = {1: 2}",
    ],
)
def test_an_impurity_is_found(snippet: str) -> None:
    """The check is able to fail, for every kind of impurity."""
    assert list(impurities(snippet))


@pytest.mark.parametrize(
    "snippet",
    [
        "from datetime import UTC, datetime, timedelta\nx = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(1)",
        "def f(id: str) -> str:\n    return id",
        "x = d.now",
    ],
)
def test_what_is_pure_passes(snippet: str) -> None:
    """Types for time, and names that only look like builtins, are allowed."""
    assert list(impurities(snippet)) == []
