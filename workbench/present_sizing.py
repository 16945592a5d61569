"""How a cluster is sized, for people: the figures, the groups, what the next look would do, and a row for each instance."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from workbench.present import plain_table
from workbench.sizing import Sized

PERCENT = frozenset({"ReservationWithWaiting", "Fragmentation"})
"""The figures that are percentages."""

SHOWN = 50
"""Instances in the table: those that could go come first, and --json has them all."""


def sizing_tables(cluster: str, sized: Sized) -> Iterator[RenderableType]:
    """The figures and the groups."""
    yield Text.assemble("cluster ", (cluster, "bold"), f": sized by what is reserved and what waits{_outcome(sized)}")
    yield _spaced(_figures(sized))
    yield _spaced(_groups(sized))


def instance_table(sized: Sized) -> Iterator[RenderableType]:
    """Why each instance stays or could go; nothing if there is none."""
    if not sized.instances:
        return
    table = plain_table("instance", "group", "zone", "tasks", "why it stays or could go", right=("tasks",))
    for one in sized.instances[:SHOWN]:
        why = Text(one.why, "yellow" if one.removable else "")
        table.add_row(one.id, one.group or "-", one.zone or "-", str(one.running), why)
    yield Padding(table, (1, 0, 1, 0))
    more = len(sized.instances) - SHOWN
    if more > 0:
        yield Text(f"and {more} more: --json has them all", style="dim")


def _outcome(sized: Sized) -> str:
    """What it comes to in a word: nothing to do is an answer as well."""
    return "" if sized.steps else ", nothing to do"


def _spaced(what: RenderableType) -> RenderableType:
    return Padding(what, (0, 0, 1, 0))


def _figures(sized: Sized) -> Table:
    """A row for each figure, by its name in CloudWatch. A dash: there is nothing to tell it from."""
    table = plain_table("figure", "cluster", right=("cluster",))
    for name, value in sized.figures.items():
        table.add_row(name, "-" if value is None else f"{value:g}{' %' if name in PERCENT else ''}")
    return table


def _groups(sized: Sized) -> Table:
    """A row for each group: bounds in its own units, then instances."""
    numbers = ("min", "desired", "max", "now", "required", "removable")
    table = plain_table("group", *numbers, right=numbers)
    for group in sized.groups:
        bounds = (str(n) for n in (group.min, group.desired, group.max, group.now))
        required = "ECS's own" if group.required is None else str(group.required)
        removable = "-" if group.removable is None else str(group.removable)
        differs = group.required is not None and group.required != group.now
        table.add_row(group.name, *bounds, Text(required, "yellow" if differs else ""), removable)
    return table
