"""The rules of the house that no linter knows: no mocks, no hosts or paths of anybody's machine, docstrings everywhere."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("functions", "layers", "tests", "workbench")
MAX_MODULE_LINES = 400

# Put together here, so that this file does not find itself.
HOSTS = (
    "pypi" + ".org",
    "files.python" + "hosted",
    "artifact" + "ory",
    "registry" + ".npmjs",
    "--index" + "-url ",
    "--extra-index" + "-url",
)
MACHINE = re.compile("(?<![A-Za-z0-9_.>*/}])/(?:work" + "/|root" + "/|home" + "/[a-z])")
PATCHES = ("mock." + "patch", "unittest." + "mock", "mocker" + ".")


def files() -> list[Path]:
    """Every text file of the project: what git knows, and what it would add."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [p for line in listed.stdout.splitlines() if (p := ROOT / line).is_file()]
    # An unpacked archive rather than a clone.
    return [p for folder in (*CODE, "docs", "events") for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]


def modules() -> list[Path]:
    """Every Python module of the project."""
    return [p for p in files() if p.suffix == ".py"]


def text(path: Path) -> str:
    """A file's text; of what is none, nothing."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def undocumented(source: str) -> Iterator[str]:
    """Modules, public classes and functions, and tests, without a docstring."""
    tree = ast.parse(source)
    if source.strip() and not ast.get_docstring(tree):
        yield "the module"
    yield from _undocumented(tree)


def _undocumented(parent: ast.AST) -> Iterator[str]:
    """The same, of what is defined directly in ``parent`` and in its classes."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            overload = isinstance(node, ast.FunctionDef) and any(ast.unparse(d).endswith("overload") for d in node.decorator_list)
            if not node.name.startswith("_") and not ast.get_docstring(node) and not overload:
                yield f"{node.lineno}: {node.name}"
            if isinstance(node, ast.ClassDef):
                yield from _undocumented(node)
        elif isinstance(node, ast.If | ast.Try):
            yield from _undocumented(node)


def uses_patching(source: str) -> Iterator[str]:
    """Lines that put a mock in a client's place."""
    for number, line in enumerate(source.splitlines(), 1):
        if any(word in line for word in PATCHES) or ("monkeypatch.setattr" in line and re.search(r"client|boto", line)):
            yield f"{number}: {line.strip()}"


def betrayals(content: str) -> Iterator[str]:
    """Lines that name a package registry or a path of the machine they were written on."""
    for number, line in enumerate(content.splitlines(), 1):
        if any(host in line for host in HOSTS) or MACHINE.search(line):
            yield f"{number}: {line.strip()[:120]}"


def test_there_are_files_to_look_at() -> None:
    """The checks below are not about an empty list."""
    assert {"Makefile", "template.yaml", "pyproject.toml"} <= {p.name for p in files()}
    assert len(modules()) > 20


def test_nothing_is_patched() -> None:
    """AWS is a fake or the sandbox, never a patched client: a patch tests what was patched in."""
    assert {p.name: found for p in modules() if p != Path(__file__) and (found := list(uses_patching(text(p))))} == {}


def test_no_host_or_path_of_a_machine() -> None:
    """No file names a package registry, or a folder that only exists where it was written."""
    assert {str(p.relative_to(ROOT)): found for p in files() if p != Path(__file__) and (found := list(betrayals(text(p))))} == {}


def test_everything_public_is_explained() -> None:
    """Each module, public class and function, and each test, has a docstring."""
    assert {str(p.relative_to(ROOT)): found for p in modules() if (found := list(undocumented(text(p))))} == {}


def test_no_module_is_too_long() -> None:
    """A module that passes 400 lines holds more than one thought."""
    assert {p.name: n for p in modules() if (n := len(text(p).splitlines())) > MAX_MODULE_LINES} == {}


def test_code_stays_in_its_folders() -> None:
    """No stray module at the root."""
    assert [p.name for p in modules() if p.relative_to(ROOT).parts[0] not in CODE] == []


@pytest.mark.parametrize(
    "line", ["with mock." + "patch('x'):", "from unittest." + "mock import Mock", "monkeypatch.setattr(boto3, 'client', f)"]
)
def test_patching_is_found(line: str) -> None:
    """The check is able to fail."""
    assert list(uses_patching(line))


@pytest.mark.parametrize(
    "line", ["see /work" + "/main/x", "cd /root" + "/x", "--index" + "-url https://x", "https://files.python" + "hosted.org/a"]
)
def test_a_betrayal_is_found(line: str) -> None:
    """The check is able to fail."""
    assert list(betrayals(line))


@pytest.mark.parametrize(
    "source",
    ["x = 1", '"""M."""\ndef f(): pass', '"""M."""\nclass C:\n    """C."""\n    def m(self): pass', '"""M."""\nclass C: pass'],
)
def test_a_missing_docstring_is_found(source: str) -> None:
    """The check is able to fail."""
    assert list(undocumented(source))
