"""What a replay came to, for people: what woke, what was decided and done, and the account before and after, side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from workbench.replay import Mode, Replay, Replayed
from workbench.view import View

STATUS_STYLE = {"ACTIVE": "green", "DRAINING": "yellow", "done": "green", "skipped": "yellow", "failed": "bold red"}
"""Colours of container-instance statuses and of outcomes."""

Row = Mapping[str, Any]


def present(console: Console, replayed: Replay, mode: Mode) -> None:
    """Print the whole run. Made for 80 columns and up; ``mode`` is named where nothing was written because of it."""
    for number, event in enumerate(replayed.events, 1):
        console.print(_event(number, event, mode))
    decided = {decision["cluster"] for event in replayed.events for decision in event.decisions}
    for cluster, after in replayed.after["clusters"].items():
        before = replayed.before["clusters"].get(cluster) if replayed.before else None
        if before == after and cluster not in decided:
            console.print(Text(f"cluster {cluster}: as before", style="dim"))
        else:
            console.print(_cluster(cluster, before, after))


def _event(number: int, event: Replayed, mode: Mode) -> RenderableType:
    """One event: a panel with what woke and, for each decision, its plan and what came of it."""
    parts: list[RenderableType] = []
    if not event.rules:
        parts.append(Text("no rule matches: nothing woke", style="dim"))
    for rule in event.rules:
        way = f"through {rule.queue}" if rule.queue else "directly"
        parts.append(labelled("woke", Text.assemble((rule.function.stem, "bold cyan"), f"  by rule {rule.name}, {way}")))
    for decision in event.decisions:
        parts.extend(_decision(decision))
    if event.error:
        parts.append(labelled("error", Text(event.error, style="bold red")))
    title = Text.assemble((f" {number}. ", "dim"), (event.detail_type, "bold"), (f"  {event.file} ", "dim"))
    colour = "red" if event.failed or event.problem else "cyan"
    subtitle = Text(" observe: nothing was written ", style="yellow") if mode == "observe" else None
    return Panel(Group(*parts), title=title, title_align="left", subtitle=subtitle, subtitle_align="right", border_style=colour)


def _decision(decision: Row) -> Iterator[RenderableType]:
    """One decision, a line for each thing decided, found, done and called."""
    yield labelled("saw", Text(f"cluster {decision['cluster']}" if decision["cluster"] else "nothing of one cluster alone"))
    outcomes = list(decision["outcomes"])
    for action in decision["actions"]:
        same = (o for o in outcomes if (o["kind"], o["target"]) == (action["kind"], action["target"]))
        outcome = next(same, None)
        line = Text.assemble((action["kind"], "bold"), " ", (action["target"], "cyan"))
        if outcome:
            outcomes.remove(outcome)
            line.append(f"  {outcome['status']}", style=STATUS_STYLE.get(outcome["status"], ""))
            line.append(f" ({outcome['error']})" if outcome["error"] else "", style="red" if outcome["status"] == "failed" else "dim")
        yield labelled("decided", Group(line, Text(action["reason"], style="dim")))
    if not decision["actions"]:
        yield labelled("decided", Text("no action", style="dim"))
    for finding in decision["findings"]:
        subject = Text.assemble((finding["code"], "magenta"), " ", (finding["subject"], "cyan"))
        yield labelled("found", Group(subject, Text(finding["message"], style="dim")))
    calls = decision["calls"]
    total = sum(calls.values())
    listed = ", ".join(f"{name} x{count}" if count > 1 else name for name, count in calls.items())
    yield labelled("called", Text.assemble(f"{total} AWS call{'' if total == 1 else 's'}: ", (listed, "dim")))


def labelled(label: str, what: RenderableType) -> Table:
    """A label in a narrow column of its own, and what it is about beside it."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=8, style="bold")
    grid.add_column(ratio=1)
    grid.add_row(label, what)
    return grid


def _cluster(name: str, before: View | None, after: View) -> RenderableType:
    """One cluster's instances, groups and services, before and after."""
    old = before or {"instances": [], "groups": [], "services": []}
    below = Padding(Group(_groups(old, after), "", _services(old["services"], after["services"])), (1, 0, 0, 0))
    body = Group(_instances(old["instances"], after["instances"]), below)
    return Panel(body, title=Text(f" cluster {name} ", "bold"), title_align="left", border_style="blue")


def plain_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A plain table with its headings; those in ``right`` hold numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        # The first column holds the id that is pasted elsewhere: it is never cut or broken.
        table.add_column(column, justify="right" if column in right else "left", no_wrap=number == 0)
    return table


def _instances(before: list[Row], after: list[Row]) -> Table:
    """A row for each container instance there was or is: what it was, and what it is."""
    table = plain_table("instance", "zone", "agent", "before", "after")
    old, new = ({(row["id"], n): row for n, row in _numbered(rows)} for rows in (before, after))
    for key in sorted(old.keys() | new.keys(), key=lambda k: (k not in old, k)):
        row = new.get(key) or old[key]
        agent = Text(str(row["agent"] or "-"))
        if not row["connected"]:
            agent.append(" disconnected", style="bold red")
        fresh = key not in old and bool(before)
        table.add_row(Text(row["id"], "bold" if fresh else ""), row["zone"] or "-", agent, _state(old.get(key)), _state(new.get(key)))
    return table


def _numbered(rows: list[Row]) -> Iterator[tuple[int, Row]]:
    """Each row with its number among those of the same instance: an instance can be registered more than once."""
    seen: dict[str, int] = {}
    for row in rows:
        seen[row["id"]] = seen.get(row["id"], -1) + 1
        yield seen[row["id"]], row


def _state(row: Row | None) -> Text:
    """A container instance in one cell: status, tasks, group. A dash: it is not there."""
    if row is None:
        return Text("-", style="dim")
    tasks = f" {row['running']} running" + (f" {row['pending']} pending" if row["pending"] else "")
    state = Text.assemble((row["status"], STATUS_STYLE.get(row["status"], "red")), tasks)
    return state.append("" if row["group"] else ", detached", style="dim")


def _groups(before: View, after: View) -> Table:
    """A row for each group: its bounds, and how many of its instances are ACTIVE in the cluster."""
    table = plain_table("group", "min", "desired", "max", "active before", "active after", right=("min", "desired", "max"))
    for group in after["groups"]:
        was, now = (
            sum(row["group"] == group["name"] and row["status"] == "ACTIVE" for row in view["instances"]) for view in (before, after)
        )
        strength = Text(f"{now} of {group['desired']}", style="green" if now >= group["desired"] else "yellow")
        bounds = (str(group[key]) for key in ("min", "desired", "max"))
        table.add_row(group["name"], *bounds, str(was) if before["instances"] else "-", strength)
    return table


def _services(before: list[Row], after: list[Row]) -> Table:
    """A row for each service: what it wants, and what it had and has."""
    table = plain_table("service", "desired", "running before", "running after", right=("desired",))
    old = {row["name"]: row for row in before}
    for row in after:
        table.add_row(row["name"], str(row["desired"]), _running(old.get(row["name"])), _running(row))
    return table


def _running(row: Row | None) -> Text:
    """A service's tasks in one cell, yellow if any is missing."""
    if row is None:
        return Text("-", style="dim")
    pending = f", {row['pending']} pending" if row["pending"] else ""
    return Text(f"{row['running']}{pending}", style="green" if row["running"] >= row["desired"] else "yellow")
