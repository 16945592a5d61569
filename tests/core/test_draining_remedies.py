"""Remedies: each asked for by policy, bounded, and undone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bulwark.core.cluster import Cluster, DrainMark, Hook, RaisedBound, Resources
from bulwark.core.draining_remedies import MOST, decide_remedies, decide_restores
from bulwark.core.plan import Plan, RaiseMaxPercent, RestoreMaxPercent, RunTask, StopTask
from bulwark.core.policies import DrainingPolicy, Policy
from tests.builders import (
    NOW,
    OTHER,
    SPOT,
    TOKEN,
    a_cluster,
    a_draining,
    a_group,
    a_host,
    a_mark,
    a_service,
    a_task,
    an_instance,
    instance_arn,
)

STOP = Policy(draining=DrainingPolicy(stop_locked=True))
RAISE = Policy(draining=DrainingPolicy(raise_max_percent=True))
STANDALONE = Policy(draining=DrainingPolicy(standalone=True))
LOCKED = a_service(min_healthy_percent=100, max_percent=100)
NOTE = RaisedBound("web", 100, 150, NOW)


def draining(*tasks: Any, mark: DrainMark | None = None, **changes: Any) -> Cluster:
    """One instance that a Spot interruption takes, with tasks of a locked service on it, and an empty one."""
    work = tasks or (a_task(),)
    gone = a_draining(mark=mark or a_mark(), running=len(work), remaining=Resources(100, 100))
    values: dict[str, Any] = {"tasks": work, "services": (LOCKED,), "tasks_examined": frozenset({gone.arn})}
    return a_cluster(gone, an_instance(OTHER, running=0), **(values | changes))


def later(cluster: Cluster, **by: float) -> Cluster:
    """The snapshot, taken later."""
    return replace(cluster, seen_at=NOW + timedelta(**by))


@pytest.mark.parametrize("cluster", [draining(), draining(a_task(group="family:nightly", tags=(("bulwark:on-drain", "rerun"),)))])
def test_without_a_policy_nothing_is_stopped_started_or_widened(cluster: Cluster) -> None:
    """Each remedy is opted in."""
    assert Plan() == decide_remedies(cluster, Policy())


def test_a_locked_service_s_task_is_stopped_at_once_when_Spot_takes_its_instance() -> None:
    """SIGTERM and deregistration now, rather than a power cut in two minutes."""
    (action,) = decide_remedies(draining(), STOP).actions

    assert isinstance(action, StopTask)
    assert ("web-1", "orders") == (action.target, action.cluster)


def test_with_days_to_go_a_locked_service_s_task_is_stopped_only_near_the_deadline() -> None:
    """Until then somebody may widen its bounds."""
    cluster = draining(mark=a_mark("scheduled-retirement", minutes=600))

    assert Plan() == decide_remedies(cluster, STOP)
    assert [StopTask] == [type(a) for a in decide_remedies(later(cluster, minutes=591), STOP).actions]


def test_a_task_without_room_elsewhere_is_stopped_in_the_last_moment() -> None:
    """A replacement may still come up in time: only what would lose power is stopped."""
    full = draining(services=(a_service(),))
    full = replace(full, instances=tuple(replace(i, remaining=Resources(0, 0)) for i in full.instances))

    assert Plan() == decide_remedies(full, STOP)
    assert [StopTask] == [type(a) for a in decide_remedies(later(full, seconds=60), STOP).actions]


@pytest.mark.parametrize(
    "cluster",
    [
        draining(services=(a_service(),)),
        draining(services=(a_service(desired=4, min_healthy_percent=50),)),
        draining(a_task(desired_status="STOPPED")),
        draining(a_task(last_status="PENDING")),
        draining(services=(a_service(daemon=True, min_healthy_percent=0, max_percent=100),)),
        draining(mark=a_mark("rebalance-recommendation")),
        draining(hosts=[a_host(state="terminated"), a_host(OTHER)]),
    ],
)
def test_what_leaves_by_itself_is_not_stopped(cluster: Cluster) -> None:
    """It has room, stops first, stops already, is a daemon's, leaves by our own choice, or is gone."""
    assert () == decide_remedies(later(cluster, seconds=100), STOP).actions


def test_only_so_many_tasks_are_stopped_in_one_decision() -> None:
    """Bounded."""
    cluster = draining(*(a_task(f"t{n}") for n in range(MOST + 5)), services=(replace(LOCKED, desired=20, running=20),))

    assert MOST == len(decide_remedies(cluster, STOP).actions)


def test_a_locked_service_is_widened_by_what_it_has_here() -> None:
    """Two of four tasks are here: room for two more is 150 %, and the usual bound is kept in the action."""
    service = replace(LOCKED, desired=4, running=4)

    (action,) = decide_remedies(draining(a_task("a"), a_task("b"), services=(service,)), RAISE).actions

    assert isinstance(action, RaiseMaxPercent)
    assert ("web", 100, 150) == (action.target, action.usual, action.raised)


def test_no_service_is_widened_twice_or_beyond_double() -> None:
    """Noted already: not again. And 200 % are the most."""
    assert Plan() == decide_remedies(draining(services=(replace(LOCKED, max_percent=150),), raised=(NOTE,)), RAISE)
    lone = replace(LOCKED, desired=1, running=1)
    assert [200] == [a.raised for a in decide_remedies(draining(services=(lone,)), RAISE).actions if isinstance(a, RaiseMaxPercent)]


def test_a_bound_that_was_noted_and_not_raised_is_raised_now() -> None:
    """The call failed, or the function died, after the note: to what the note says, without a second note."""
    (action,) = decide_remedies(draining(raised=(NOTE,)), RAISE).actions

    assert isinstance(action, RaiseMaxPercent)
    assert (100, 150, True) == (action.usual, action.raised, action.noted)


def test_a_hook_s_own_limit_is_the_deadline_that_counts() -> None:
    """Somebody's hook with heartbeats of 30 s runs out after 50 minutes, whatever the policy would allow."""
    hooked = draining(
        mark=a_mark("terminate-hook", minutes=600, hook=TOKEN),
        groups=(a_group(hooks=(Hook("bulwark-drain", 30),)),),
    )

    assert Plan() == decide_remedies(later(hooked, minutes=39), STOP)
    assert [StopTask] == [type(a) for a in decide_remedies(later(hooked, minutes=41), STOP).actions]


def test_what_was_widened_is_not_stopped_too() -> None:
    """With both remedies, the task gets the chance to move first."""
    both = Policy(draining=DrainingPolicy(stop_locked=True, raise_max_percent=True))

    assert [RaiseMaxPercent] == [type(a) for a in decide_remedies(draining(), both).actions]


def test_a_bound_comes_back_when_the_drain_is_over() -> None:
    """No instance that drains holds a task of the service any more."""
    cluster = a_cluster(an_instance(OTHER), services=(replace(LOCKED, max_percent=150),), raised=(NOTE,))

    assert [("web", 100, True)] == [
        (a.target, a.usual, a.write) for a in decide_restores(cluster).actions if isinstance(a, RestoreMaxPercent)
    ]


@pytest.mark.parametrize(
    "cluster",
    [
        draining(services=(replace(LOCKED, max_percent=150),), raised=(NOTE,)),
        draining(services=(replace(LOCKED, max_percent=150),), raised=(NOTE,), tasks_examined=frozenset()),
    ],
)
def test_a_bound_stays_raised_while_the_drain_may_need_it(cluster: Cluster) -> None:
    """A task of the service is still there, or nobody has looked."""
    assert Plan() == decide_restores(cluster)


def test_a_bound_comes_back_after_two_days_whatever_happens() -> None:
    """Bounded in time as well."""
    cluster = draining(services=(replace(LOCKED, max_percent=150),), raised=(NOTE,))

    assert [RestoreMaxPercent] == [type(a) for a in decide_restores(later(cluster, hours=48)).actions]


@pytest.mark.parametrize("services", [(), (replace(LOCKED, max_percent=120),), (LOCKED,)])
def test_what_somebody_else_has_set_meanwhile_is_left_alone(services: tuple[Any, ...]) -> None:
    """The service is gone, or its bound is not what we set: only the note goes."""
    (action,) = decide_restores(a_cluster(services=services, raised=(NOTE,))).actions

    assert isinstance(action, RestoreMaxPercent)
    assert not action.write


@pytest.mark.parametrize("part", ["services", "tasks and services"])
def test_a_service_that_could_not_be_read_is_not_gone(part: str) -> None:
    """Rule 5: the note stays until somebody has seen what became of the bound."""
    assert Plan() == decide_restores(a_cluster(raised=(NOTE,), unread={part: "Throttling"}))


def nightly(wish: str, **changes: Any) -> Any:
    """A standalone task with a wish on it."""
    values: dict[str, Any] = {"definition": "arn/nightly:3", "overrides": '{"cpu": "1"}', "tags": (("bulwark:on-drain", wish),)}
    return a_task("n", group="family:nightly", **(values | changes))


def test_a_standalone_task_is_started_again_as_it_was() -> None:
    """Same definition, overrides, group and tags; at once, as there is no telling how long it takes."""
    (action,) = decide_remedies(draining(nightly("rerun")), STANDALONE).actions

    assert isinstance(action, RunTask)
    assert ("arn/nightly:3", '{"cpu": "1"}', "family:nightly") == (action.definition, action.overrides, action.group)
    assert (("bulwark:on-drain", "rerun"),) == action.tags


def test_a_standalone_task_is_stopped_when_the_time_is_near() -> None:
    """It runs as long as it can."""
    cluster = draining(nightly("stop"))

    assert Plan() == decide_remedies(cluster, STANDALONE)
    assert [StopTask] == [type(a) for a in decide_remedies(later(cluster, seconds=60), STANDALONE).actions]


@pytest.mark.parametrize(("task", "code"), [(nightly("rerun", eni=True), "rerun-not-possible"), (nightly("restart"), "on-drain-unknown")])
def test_a_wish_that_cannot_be_met_is_said(task: Any, code: str) -> None:
    """No guess about security groups or spelling."""
    plan = decide_remedies(draining(task), STANDALONE)

    assert ((), [code]) == (plan.actions, [f.code for f in plan.findings])


def test_a_task_that_stops_already_is_not_started_again() -> None:
    """Never twice: the old one was told to stop when the new one had its place."""
    assert Plan() == decide_remedies(draining(nightly("rerun", desired_status="STOPPED")), STANDALONE)
    assert instance_arn(SPOT) == nightly("rerun").instance_arn
