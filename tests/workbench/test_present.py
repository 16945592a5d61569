"""The picture for people says what the document says, and fits a terminal of 100 columns."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from workbench.patterns import compile_pattern
from workbench.present import present
from workbench.replay import Mode, Replay, Replayed
from workbench.template import Function, Rule
from workbench.view import View

RULE = Rule(
    "SpotInterruptionRule",
    compile_pattern({"source": ["aws.ec2"]}),
    {},
    Function("DrainingFunction", "draining", Path("functions/draining"), "app.lambda_handler", {}, 60, 256),
    "sqs",
    "DrainingQueue",
)

DECISION: dict[str, Any] = {
    "function": "draining",
    "cluster": "orders",
    "actions": [
        {"kind": "DrainInstance", "target": "i-0aaa0000000000001", "reason": "EC2 takes it back at 03:02:00 UTC"},
        {"kind": "ReplaceInstance", "target": "i-0aaa0000000000001", "reason": "another is launched at once"},
    ],
    "findings": [{"code": "cannot-leave", "subject": "nightly", "message": "a standalone task: nothing [red] starts it again"}],
    "outcomes": [
        {"kind": "DrainInstance", "target": "i-0aaa0000000000001", "status": "done", "error": None},
        {"kind": "ReplaceInstance", "target": "i-0aaa0000000000001", "status": "failed", "error": "Throttling"},
    ],
    "calls": {"ec2:DescribeInstances": 1, "ecs:ListContainerInstances": 2},
}


def row(instance_id: str, status: str = "ACTIVE", group: str | None = "orders-spot", running: int = 3, **more: Any) -> dict[str, Any]:
    """A container instance as the view has it."""
    rest = {"zone": "us-east-1a", "pending": 0, "agent": "1.106.1", "connected": True}
    return {"id": instance_id, "group": group, "status": status, "running": running, **rest, **more}


def view(*instances: dict[str, Any], running: int) -> View:
    """A view of one cluster with these instances and one service of four tasks."""
    group = {"name": "orders-spot", "min": 2, "desired": 2, "max": 12}
    service = {"name": "web", "desired": 4, "running": running, "pending": 0}
    return {"clusters": {"orders": {"instances": list(instances), "groups": [group], "services": [service]}}}


BEFORE = view(row("i-0aaa0000000000001"), row("i-0bbb0000000000002"), running=4)
AFTER = view(row("i-0aaa0000000000001", "DRAINING", None, 0), row("i-0bbb0000000000002"), row("i-0ccc0000000000003", pending=1), running=3)


def shown(mode: Mode = "act", before: View | None = BEFORE, *, width: int = 100) -> str:
    """What a terminal of this width would show of a replay with DECISION."""
    console = Console(file=StringIO(), width=width)
    event = Replayed("events/spot.json", "EC2 Spot Instance Interruption Warning", (RULE,), (DECISION,))
    present(console, Replay((event,), before, AFTER), mode)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "part",
    [
        "EC2 Spot Instance Interruption Warning  events/spot.json",
        "draining  by rule SpotInterruptionRule, through DrainingQueue",
        "cluster orders",
        "DrainInstance i-0aaa0000000000001  done",
        "EC2 takes it back at 03:02:00 UTC",
        "ReplaceInstance i-0aaa0000000000001  failed (Throttling)",
        "cannot-leave nightly",
        "nothing [red] starts it again",
        "3 AWS calls: ec2:DescribeInstances, ecs:ListContainerInstances x2",
    ],
)
def test_what_woke_was_decided_and_done_is_shown(part: str) -> None:
    """Rule, function, actions with reasons and outcomes, findings (brackets and all) and calls are on the page."""
    assert part in shown()


def test_before_and_after_stand_side_by_side() -> None:
    """An instance's line holds what it was and what it is; a new one was not there before."""
    lines = {line.split()[1]: " ".join(line.split()) for line in shown().splitlines() if "us-east-1a" in line}
    assert "ACTIVE 3 running DRAINING 0 running, detached" in lines["i-0aaa0000000000001"]
    assert "1.106.1 - ACTIVE 3 running 1 pending" in lines["i-0ccc0000000000003"]


def test_groups_and_services_are_compared() -> None:
    """A group's strength and a service's running tasks are shown before and after."""
    lines = [" ".join(line.split()) for line in shown().splitlines()]
    assert any("orders-spot 2 2 12 2 2 of 2" in line for line in lines)
    assert any("web 4 4 3" in line for line in lines)


def test_without_a_look_before_there_is_none_to_show() -> None:
    """Where the account was not looked at before, dashes stand in its place."""
    assert "1.106.1  -" in shown(before=None)


def test_observe_mode_says_that_nothing_was_written() -> None:
    """Observe mode is named on the event, act mode is not."""
    assert "observe: nothing was written" in shown("observe")
    assert "observe" not in shown("act")


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Tables and panels keep to the terminal's width."""
    assert max(len(line) for line in shown(width=width).splitlines()) <= width


def test_an_event_that_woke_nothing_says_so() -> None:
    """No rule, no function: the page says that nothing woke."""
    console = Console(file=StringIO(), width=100)
    present(console, Replay((Replayed("e.json", "Order Placed", ()),), None), "act")
    assert isinstance(console.file, StringIO)
    assert "no rule matches: nothing woke" in console.file.getvalue()
