"""How a decision is sorted by drains: on snapshots and plans, without an account."""

from datetime import timedelta
from typing import Any

import pytest

from bulwark.core.cluster import Cluster, Hook, RaisedBound
from bulwark.core.plan import (
    DrainInstance,
    Finding,
    Plan,
    RaiseMaxPercent,
    ReactivateInstance,
    ReplaceInstance,
    RestoreMaxPercent,
    StopTask,
    TerminateInstance,
)
from tests.builders import NOW, OTHER, SPOT, a_cluster, a_draining, a_group, a_host, a_mark, a_service, a_task, an_instance, instance_arn
from workbench.drains import WAIT, Drain, drains_in


def sort(cluster: Cluster, plan: Plan | None = None) -> tuple[Drain, ...]:
    """The drains of a snapshot with a plan."""
    return drains_in(cluster, plan or Plan())[0]


def busy(ec2_id: str = SPOT, *, cause: str = "spot-interruption", minutes: float = 2, hook: str | None = None, **changes: Any) -> Any:
    """An instance that drains with work on it."""
    return a_draining(ec2_id, a_mark(cause, minutes=minutes, hook=hook), running=1, cpu=1024, **changes)


def examined(*instances: Any, tasks: tuple[Any, ...], **changes: Any) -> Cluster:
    """A cluster whose instances' tasks were looked at."""
    return a_cluster(*instances, tasks=tasks, tasks_examined=frozenset(i.arn for i in instances), **changes)


def test_a_drain_with_nothing_to_do_waits_for_its_tasks() -> None:
    """Work is left and no action is due: the step counts it and says until when, daemons and ended tasks apart."""
    tasks = (
        a_task("web-1"),
        a_task("web-2", last_status="DEPROVISIONING"),
        a_task("web-3", last_status="STOPPED"),
        a_task("logs-1", group="service:logs"),
    )
    (drain,) = sort(examined(busy(), tasks=tasks, services=(a_service(), a_service("logs", daemon=True))))

    assert [s.reason for s in drain.steps] == ["waits for 2 tasks to leave until 03:02:00 UTC"]
    assert drain.left is not None
    assert [(left.task.id, left.daemon) for left in drain.left] == [("web-1", False), ("web-2", False), ("logs-1", True)]


def test_a_drain_beyond_its_deadline_says_so() -> None:
    """What should have been over is not shown as if there were time."""
    (drain,) = sort(examined(busy(minutes=-1), tasks=(a_task(),)))

    assert [s.reason for s in drain.steps] == ["waits for 1 task to leave, although its time was up at 02:59:00 UTC"]


def test_a_finding_that_explains_why_nothing_is_done_is_the_step() -> None:
    """An empty instance is left to EC2: that finding is what comes next, and blocks nothing."""
    drains, rest = drains_in(a_cluster(a_draining(mark=a_mark())), Plan(findings=(Finding("left-to-ec2", SPOT, "EC2 takes it"),)))

    assert [(s.kind, s.target, s.reason) for s in drains[0].steps] == [(WAIT, SPOT, "EC2 takes it")]
    assert (drains[0].blockers, drains[0].left, rest) == ((), (), Plan())


def test_beside_an_action_a_finding_about_the_instance_is_the_cluster_s() -> None:
    """What is said beside an action is no reason to wait."""
    said = Finding("managed-draining", SPOT, "twice has the effect of once")
    drains, rest = drains_in(a_cluster(a_draining()), Plan((TerminateInstance(SPOT, "orders-spot", "empty"),), (said,)))

    assert [s.kind for s in drains[0].steps] == ["TerminateInstance"]
    assert rest == Plan(findings=(said,))


def test_actions_on_tasks_stand_with_the_drain_that_has_them() -> None:
    """A task that is stopped, and a bound that is raised, belong to the instance that has the task, in the plan's order."""
    cluster = examined(
        busy(SPOT), busy(OTHER), tasks=(a_task("web-1"), a_task("web-2", on=OTHER), a_task("ledger-1", on=OTHER, group="service:ledger"))
    )
    actions = (RaiseMaxPercent("ledger", "orders", 100, 200, "r"), StopTask("web-1", "orders", "arn", "r"))
    first, second = sort(cluster, Plan(actions))

    assert [(s.kind, s.target) for s in first.steps] == [("StopTask", "web-1"), (WAIT, SPOT)]
    assert [(s.kind, s.target) for s in second.steps] == [("RaiseMaxPercent", "ledger"), (WAIT, OTHER)]


def test_an_action_that_two_ways_lead_to_is_one_step() -> None:
    """Given up for its deadline and taken back for want of room is back to ACTIVE once, for the first reason."""
    plan = Plan(tuple(ReactivateInstance(SPOT, "orders", (instance_arn(SPOT),), because) for because in ("too late", "no room")))
    drains, rest = drains_in(examined(busy(cause="rebalance-recommendation"), tasks=(a_task(),)), plan)

    assert [(s.kind, s.reason) for s in drains[0].steps] == [("ReactivateInstance", "too late")]
    assert rest == Plan()


def test_what_is_about_no_drain_stays() -> None:
    """A bound that is given back, and a ghost that was no drain, are the cluster's own."""
    plan = Plan((RestoreMaxPercent("web", "orders", 100, "r"),), (Finding("ghost-unknown", OTHER, "m"),))

    assert drains_in(a_cluster(raised=(RaisedBound("web", 100, 150, NOW),)), plan) == ((), plan)


def test_a_service_s_finding_does_not_block_a_drain_that_waits_for_its_turn() -> None:
    """Room is judged for the drains that have begun: the other one has a reason of its own."""
    waiting = an_instance(OTHER, drain=a_mark("rebalance-recommendation", minutes=30))
    tasks = (a_task("web-1"), a_task("web-2", on=OTHER))
    said = (Finding("no-room-elsewhere", "web", "m"), Finding("drain-waits", OTHER, "budget"))
    begun, turn = sort(examined(busy(), waiting, tasks=tasks, services=(a_service(),)), Plan(findings=said))

    assert [f.code for f in begun.blockers] == ["no-room-elsewhere"]
    assert [f.code for f in turn.blockers] == ["drain-waits"]


def test_a_turn_that_comes_is_no_wait() -> None:
    """A voluntary drain that is begun now has its actions, and waits for nothing."""
    mark = a_mark("rebalance-recommendation", minutes=30)
    drain = DrainInstance(SPOT, "orders", (instance_arn(SPOT),), mark, "it fits", mark_first=True)
    (one,) = sort(examined(an_instance(drain=mark), tasks=(a_task(),)), Plan((ReplaceInstance(SPOT, "orders-spot", "r"), drain)))

    assert [s.kind for s in one.steps] == ["ReplaceInstance", "DrainInstance"]


def test_a_replacement_does_not_end_the_waiting() -> None:
    """Replaced, but not drained yet: both are said."""
    mark = a_mark("rebalance-recommendation", minutes=30)
    (one,) = sort(examined(an_instance(drain=mark), tasks=(a_task(),)), Plan((ReplaceInstance(SPOT, "orders-spot", "r"),)))

    assert [s.kind for s in one.steps] == ["ReplaceInstance", WAIT]


def test_a_hook_s_deadline_is_what_it_can_hold() -> None:
    """A hundred heartbeats of 30 seconds are less than the mark's hour: that is when the instance goes."""
    group = a_group(hooks=(Hook("bulwark-drain", 30),))
    (drain,) = sort(examined(busy(cause="terminate-hook", minutes=60, hook="t"), tasks=(a_task(),), groups=(group,)))

    assert drain.deadline == NOW + timedelta(minutes=50)


@pytest.mark.parametrize(
    ("hosts", "says"), [((), "EC2 did not tell"), ((a_host(state="shutting-down"),), "EC2 says it is shutting-down: waits for EC2")]
)
def test_an_instance_whose_host_is_gone_says_so(hosts: tuple[Any, ...], says: str) -> None:
    """Nothing is decided about what EC2 does not know, or is ending: the step says that."""
    (drain,) = sort(examined(busy(), tasks=(a_task(),), hosts=hosts))

    assert drain.steps[0].reason.startswith(says)


def test_counts_that_contradict_each_other_are_said() -> None:
    """Something is held and no task of it is seen: it is not called empty."""
    (drain,) = sort(examined(busy(), tasks=()))

    assert drain.steps[0].reason == "what is still held on it is not clear: looked at again by the next sweep"
