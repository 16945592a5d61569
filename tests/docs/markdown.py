"""The project's Markdown pages, as far as the tests of the documentation look into them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page, by its path."""

    path: Path

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return FENCE.sub("", self.text)

    @property
    def name(self) -> str:
        """The path as it is in the repository."""
        return self.path.relative_to(ROOT).as_posix()

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks in ``language``."""
        return [body for found, body in FENCE.findall(self.text) if found == language]

    def code(self) -> list[str]:
        """What stands in backticks in the prose."""
        return CODE.findall(self.prose)

    def links(self) -> list[str]:
        """The targets of all links and images."""
        return LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """What a link can point at: headings, as GitHub makes anchors of them."""
        titles = (title for _, title in HEADING.findall(self.prose))
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

    def section(self, title: str) -> str:
        """The prose under the heading ``title``, up to the next one of the same depth or less. LookupError if there is none."""
        headings = list(HEADING.finditer(self.prose))
        for number, heading in enumerate(headings):
            if heading[2] == title:
                later = (h.start() for h in headings[number + 1 :] if len(h[1]) <= len(heading[1]))
                return self.prose[heading.end() : next(later, len(self.prose))]
        raise LookupError(f"{self.name}: no heading {title!r}")


def pages() -> list[Page]:
    """Every page: those at the root, and those in docs."""
    return [Page(path) for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])]


def page(name: str) -> Page:
    """The page at ``name``, a path in the repository."""
    return Page(ROOT / name)


def rows(section: str, *, heading: str) -> Iterator[tuple[str, ...]]:
    """The cells of each row of the tables in ``section`` whose first column is called ``heading``."""
    inside = False
    for line in section.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if inside and not re.fullmatch(r":?-+:?", cells[0]):
            yield cells
        inside = inside or cells[0] == heading


def named(section: str, *, heading: str) -> set[str]:
    """What stands in backticks in the first column of the tables whose first column is called ``heading``."""
    return {name for cells in rows(section, heading=heading) for name in CODE.findall(cells[0])}
