"""What goes on in a cluster, for people: each drain with what is left, what blocks it and what comes next, and how the cluster is sized."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bulwark.core.draining_marks import clock
from bulwark.core.plan import Finding
from bulwark.core.signals import HOOK_NAME
from workbench.drains import WAIT, Drain, Left, Step
from workbench.plan import Planned
from workbench.present import labelled, plain_table
from workbench.present_sizing import instance_table, sizing_tables

NAMED = 3
"""Tasks of one service or family whose ids are shown."""

NEAR = timedelta(hours=12)
"""Times further away than this are shown with their day."""


def present_plan(console: Console, planned: Planned) -> None:
    """Print what was seen and decided. Made for 80 columns and up."""
    if planned.drains:
        console.print(_title(planned))
        console.print(_table(planned))
    else:
        console.print(_nothing(planned))
    for drain in planned.drains:
        console.print(_drain(drain, planned.seen_at))
    for line in (*_steps("also", planned.steps), *_found("found", planned.findings)):
        console.print(line)
    for line in _sizing(planned):
        console.print(line)
    total = sum(planned.calls.values())
    console.print(labelled("called", Text(f"{total} AWS call{'' if total == 1 else 's'}, all of them reads", style="dim")))


def _sizing(planned: Planned) -> Iterator[RenderableType]:
    """How the cluster is sized; nothing where it is not, as the findings above say why."""
    if planned.sizing is None:
        return
    yield ""
    yield from sizing_tables(planned.cluster, planned.sizing)
    yield from _steps("next", planned.sizing.steps)
    yield from _found("found", planned.sizing.findings)
    yield from instance_table(planned.sizing)


def _title(planned: Planned) -> Text:
    """How many drains there are, as of when, and whether the stack carries them on."""
    count = len(planned.drains)
    title = Text.assemble("cluster ", (planned.cluster, "bold"))
    title.append(f": {count} drain{'' if count == 1 else 's'} in progress at {planned.seen_at:%H:%M:%S} UTC")
    return title.append("; observe: nothing is done", style="yellow") if planned.mode == "observe" else title


def _nothing(planned: Planned) -> Text:
    """One line: nothing drains, and where that was looked for."""
    if not planned.complete:
        return Text(f"cluster {planned.cluster}: no drain in what could be read", style="bold red")
    count = len(planned.groups)
    looked_at = f"marks of its instances, hooks of {count} group{'' if count == 1 else 's'}"
    return Text(f"cluster {planned.cluster}: no drain in progress ({looked_at})", style="dim")


def _table(planned: Planned) -> Table:
    """A row for each drain, the next to end first; what is left are its tasks, daemons apart."""
    table = plain_table("instance", "cause", "state", "since", "deadline", "left", right=("left",))
    for drain in planned.drains:
        tasks = "?" if drain.left is None else str(sum(not left.daemon for left in drain.left))
        since, deadline = (_short(at, planned.seen_at) for at in (drain.mark.since, drain.deadline))
        late = "bold red" if drain.deadline <= planned.seen_at else ""
        table.add_row(drain.instance, drain.mark.cause, _state(drain), since, Text(deadline, late), tasks)
    return table


def _short(at: datetime, seen_at: datetime) -> str:
    """A moment in a narrow cell, in UTC."""
    return f"{at:%H:%M}" if abs(at - seen_at) < NEAR else f"{at:%Y-%m-%d}\n{at:%H:%M}"


def _state(drain: Drain) -> Text:
    """Whether it has begun."""
    return Text("draining", "yellow") if drain.draining else Text("waiting", "cyan")


def _drain(drain: Drain, seen_at: datetime) -> Panel:
    """One drain: a panel with its times, what is left, what blocks it and what comes next."""
    times = f"{clock(drain.mark.since, seen_at)}, until {clock(drain.deadline, seen_at)}"
    held = f"; hook {HOOK_NAME} waits for it" if drain.mark.hook else ""
    where = f"in group {drain.group}" if drain.group else "in no group (any more)"
    parts: list[RenderableType] = [labelled("since", Group(Text(times + held), Text(where, "dim")))]
    parts += _left(drain.left)
    parts += _found("blocks", drain.blockers)
    parts += _steps("next", drain.steps)
    title = Text.assemble(" ", (drain.instance, "bold"), f"  {drain.mark.cause}  ", _state(drain), " ")
    return Panel(Group(*parts), title=title, title_align="left", border_style="yellow" if drain.blockers else "cyan")


def _left(left: tuple[Left, ...] | None) -> Iterator[RenderableType]:
    """What is left, a line for each service or family, daemons last."""
    if left is None:
        yield labelled("left", Text("not looked at", style="yellow"))
        return
    daemons = [one for one in left if one.daemon]
    lines = [_tasks(group, list(tasks)) for group, tasks in groupby((one for one in left if not one.daemon), lambda one: one.task.group)]
    yield labelled("left", Group(*lines) if lines else Text("no work: the instance is empty", style="green"))
    if daemons:
        names = ", ".join(sorted({one.task.group.removeprefix("service:") for one in daemons}))
        yield labelled("", Text(f"daemons, which do not count: {names}", style="dim"))


def _tasks(group: str, tasks: list[Left]) -> Text:
    """The tasks of one service or family in one line: how many in which state, and the ids of the first few."""
    states = ", ".join(f"{count} {status}" for status, count in Counter(one.task.last_status for one in tasks).items())
    ids = ", ".join(one.task.id for one in tasks[:NAMED]) + (", ..." if len(tasks) > NAMED else "")
    standalone = " standalone" if tasks[0].task.service is None else ""
    return Text.assemble((group or "no group", "cyan"), f"  {states}{standalone}  ", (ids, "dim"))


def _found(label: str, findings: Iterable[Finding]) -> Iterator[RenderableType]:
    """Findings, each with its code and subject over its message."""
    for finding in findings:
        subject = Text.assemble((finding.code, "magenta"), " ", (finding.subject, "cyan"))
        yield labelled(label, Group(subject, Text(finding.message, style="dim")))


def _steps(label: str, steps: Iterable[Step]) -> Iterator[RenderableType]:
    """What would be done, each action with its target over its reason; a wait has nothing over its reason."""
    for step in steps:
        if step.kind == WAIT:
            yield labelled(label, Text(step.reason))
        else:
            yield labelled(label, Group(Text.assemble((step.kind, "bold"), " ", (step.target, "cyan")), Text(step.reason, style="dim")))
