"""The page of a plan says what its document says, and fits the terminal."""

from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from bulwark.core.plan import Finding
from tests.builders import NOW, OTHER, SPOT, a_mark, a_task
from workbench.drains import WAIT, Drain, Left, Step
from workbench.plan import Planned
from workbench.present_plan import present_plan

IDS = tuple(f"{number:032x}" for number in range(6))
LEFT = (
    Left(a_task(IDS[0], group="family:nightly"), daemon=False),
    *(Left(a_task(i, last_status="PENDING" if i == IDS[1] else "RUNNING"), daemon=False) for i in IDS[1:5]),
    Left(a_task(IDS[5], group="service:logs"), daemon=True),
)
BEGUN = Drain(
    instance=SPOT,
    group="orders-spot",
    draining=True,
    mark=a_mark("terminate-hook", minutes=60, hook="token"),
    deadline=NOW + timedelta(minutes=60),
    left=LEFT,
    blockers=(Finding("standalone-task", IDS[0], "belongs to no [red] service"),),
    steps=(Step("RecordHeartbeat", SPOT, "work is still on it"), Step(WAIT, SPOT, "waits for 5 tasks to leave")),
)
TURN = Drain(
    instance=OTHER,
    group=None,
    draining=False,
    mark=a_mark("rebalance-recommendation", minutes=30),
    deadline=NOW + timedelta(days=14),
    left=(),
    blockers=(),
    steps=(Step(WAIT, OTHER, "waits for its turn"),),
)
PLANNED = Planned(
    cluster="orders",
    mode="act",
    seen_at=NOW,
    groups=("orders-spot",),
    drains=(BEGUN, TURN),
    steps=(Step("RestoreMaxPercent", "ledger", "the drain is over"),),
    findings=(Finding("policy-invalid", "orders", "draining.hook: write off or install"),),
    calls={"ecs:ListTasks": 2, "ssm:GetParametersByPath": 1},
)
REST = replace(PLANNED, drains=(), steps=(), findings=())


def shown(planned: Planned = PLANNED, *, width: int = 100) -> str:
    """What a terminal of this width would show."""
    console = Console(file=StringIO(), width=width)
    present_plan(console, planned)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "part",
    [
        "cluster orders: 2 drains in progress at 03:00:00 UTC",
        f"{SPOT}  terminate-hook            draining  03:00  04:00          5",
        f"{OTHER}  rebalance-recommendation  waiting   03:00  2026-12-08     0",
        f"{SPOT}  terminate-hook  draining",
        "03:00:00 UTC, until 04:00:00 UTC; hook bulwark-drain waits for it",
        "in group orders-spot",
        "in no group (any more)",
        f"family:nightly  1 RUNNING standalone  {IDS[0]}",
        "service:web  1 PENDING, 3 RUNNING",
        "daemons, which do not count: logs",
        "no work: the instance is empty",
        f"standalone-task {IDS[0]}",
        "belongs to no [red] service",
        f"RecordHeartbeat {SPOT}",
        "work is still on it",
        "next     waits for 5 tasks to leave",
        "also     RestoreMaxPercent ledger",
        "found    policy-invalid orders",
        "3 AWS calls, all of them reads",
    ],
)
def test_the_page_has_all_of_it(part: str) -> None:
    """Table, times, what is left by service, daemons apart, blockers (brackets and all), steps and what is the cluster's own."""
    assert part in shown()


def test_of_many_tasks_only_some_are_named() -> None:
    """A service with hundreds of tasks takes a line or two."""
    page = shown(width=200)
    assert f"{IDS[1]}, {IDS[2]}, {IDS[3]}, ..." in page
    assert IDS[4] not in page


def test_without_a_drain_there_is_one_line() -> None:
    """Nothing in progress, and what was looked at, in a line of 80 columns."""
    first, second, *rest = shown(REST, width=80).splitlines()
    assert first == "cluster orders: no drain in progress (marks of its instances, hooks of 1 group)"
    assert second.startswith("called")
    assert rest == []


def test_what_could_not_be_read_is_not_called_rest() -> None:
    """If the cluster could not be read, nobody is told that nothing drains."""
    page = shown(replace(REST, complete=False))
    assert "no drain in what could be read" in page
    assert "no drain in progress" not in page


def test_tasks_that_were_not_looked_at_are_not_called_none() -> None:
    """Not looked at is neither empty nor zero."""
    page = shown(replace(PLANNED, drains=(replace(TURN, left=None),)))
    assert "not looked at" in page
    assert "empty" not in page
    assert "?" in page


def test_observe_is_named() -> None:
    """A stack or policy that observes is said where the drains are counted, and an acting one is not."""
    assert "observe: nothing is done" in shown(replace(PLANNED, mode="observe"))
    assert "observe" not in shown()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal_and_no_id_is_broken(width: int) -> None:
    """Tables and panels keep to the width, and what is pasted elsewhere stays whole."""
    page = shown(width=width)
    assert max(len(line) for line in page.splitlines()) <= width
    for whole in (SPOT, OTHER, "rebalance-recommendation", *IDS[:4]):
        assert whole in page
