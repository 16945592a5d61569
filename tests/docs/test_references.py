"""What the pages point at is there: links, files, commands, notes, pictures."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import typer

from tests.docs.markdown import ROOT, Page, page, pages
from workbench.cli import app

PAGES = pages()
PACKAGE = ROOT / "layers" / "bulwark" / "bulwark"
FOLDERS = ("docs", "events", "functions", "layers", "tests", "workbench")
FILE = re.compile(r"[\w./-]+")
"""What a file name in backticks is made of; a placeholder such as <cluster> makes it none."""

by_page = pytest.mark.parametrize("page_", PAGES, ids=lambda p: p.name)


def commands(page_: Page) -> str:
    """All that a page tells people to type: blocks for the shell, and what stands in backticks."""
    return "\n".join([*page_.blocks("sh"), *page_.code()])


@by_page
def test_links_lead_somewhere(page_: Page) -> None:
    """Every link within the repository has a file, and a heading if it names one. Links outwards are not followed."""
    for link in page_.links():
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = (page_.path.parent / target).resolve() if target else page_.path
        assert path.exists(), link
        assert path.is_relative_to(ROOT), link
        assert not anchor or anchor in Page(path).anchors(), link


@by_page
def test_files_that_are_named_exist(page_: Page) -> None:
    """A path in backticks is a path in the repository, or in the package where it begins with core or shell."""
    for name in page_.code():
        first = name.split("/", maxsplit=1)[0]
        if "/" in name and FILE.fullmatch(name) and first in (*FOLDERS, "core", "shell"):
            assert ((ROOT if first in FOLDERS else PACKAGE) / name).exists(), name


@by_page
def test_targets_of_make_exist(page_: Page) -> None:
    """`make something` is something that the Makefile makes."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert set(re.findall(r"(?<![\w-])make ([a-z-]+)", commands(page_))) <= targets


@by_page
def test_bulwark_s_subcommands_and_options_exist(page_: Page) -> None:
    """What is to be typed after `bulwark` is understood by it. SCOPE.md may name what is not there yet."""
    if page_.name == "SCOPE.md":
        return
    bulwark = typer.main.get_command(app)
    for line in commands(page_).splitlines():
        for name, rest in re.findall(r"(?:^|/)bulwark ([a-z]+)\b([^|#;&]*)", line):
            found = getattr(bulwark, "commands", {}).get(name)
            assert found is not None, line
            options = {option for parameter in found.params for option in parameter.opts} | {"--help"}
            assert set(re.findall(r"--[a-z-]+", rest)) <= options, line


def test_the_readme_has_the_two_commands() -> None:
    """A newcomer sees at once what to type."""
    first = page("README.md").blocks("sh")[0]

    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]


def test_the_readme_has_marks_for_what_is_filled_in() -> None:
    """Measured figures and the demo's output are put between marks, so that they can be put there again."""
    for mark in ("demo", "bench"):
        assert len(re.findall(rf"^<!-- {mark} -->$.*?^<!-- /{mark} -->$", page("README.md").text, re.MULTILINE | re.DOTALL)) == 1


def test_design_notes_are_numbered_and_listed() -> None:
    """Notes count up from 0001 without a gap, each titled with its number, and the list names every one."""
    notes = sorted(path for path in (ROOT / "docs" / "designs").glob("*.md") if path.name != "README.md")

    assert [path.name[:4] for path in notes] == [f"{n:04}" for n in range(1, len(notes) + 1)]
    assert all(Page(path).text.startswith(f"# {path.name[:4]}: ") for path in notes)
    assert page("docs/designs/README.md").links() == [path.name for path in notes]


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "images").iterdir()), ids=lambda p: p.name)
def test_pictures_are_shown_and_say_what_they_show(picture: Path) -> None:
    """Each picture is on a page, names itself for those who cannot see it, and brings nothing along but shapes and text."""
    root = ET.parse(picture).getroot()
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}

    assert any(link.endswith(f"images/{picture.name}") for page_ in PAGES for link in page_.links())
    assert {"title", "desc"} <= kinds
    assert kinds <= {"svg", "title", "desc", "defs", "marker", "g", "rect", "path", "text"}
    # A background of its own: readable on a light and on a dark page.
    assert next(e for e in root.iter() if e.tag.endswith("}rect")).get("fill") == "#ffffff"
