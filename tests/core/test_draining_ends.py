"""How drains go on and end, by comparing plans."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bulwark.core.cluster import BY_INSTANCE, Cluster, GroupMember, Hook, Resources
from bulwark.core.draining_ends import decide_ends, emptiness
from bulwark.core.plan import (
    CompleteLifecycleAction,
    DrainInstance,
    Plan,
    ReactivateInstance,
    RecordHeartbeat,
    TerminateInstance,
    UnmarkInstance,
)
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

DEFAULTS = Policy()
HELD = Resources(1792, 7168)
HOOK = Hook("bulwark-drain", 300, default_result="CONTINUE")
LOGS = a_service("logs", daemon=True, min_healthy_percent=0, max_percent=100)


def at(cluster: Cluster, **later: float) -> Cluster:
    """The snapshot, taken later."""
    return replace(cluster, seen_at=NOW + timedelta(**later))


def codes(plan: Plan) -> list[tuple[str, str]]:
    """Findings by code and subject."""
    return [(f.code, f.subject) for f in plan.findings]


def busy(mark: Any = None, *tasks: Any, **changes: Any) -> Cluster:
    """A cluster of one instance that drains with a task of web on it, which was looked at."""
    work = tasks or (a_task(),)
    instance = a_draining(mark=mark, running=len(work), remaining=HELD)
    values: dict[str, Any] = {"tasks": work, "services": (a_service(), LOGS), "tasks_examined": frozenset({instance_arn(SPOT)})}
    return a_cluster(instance, **(values | changes))


def test_T9_an_instance_whose_only_tasks_are_standalone_is_not_empty() -> None:
    """Hazard T9: a task that belongs to no service is work."""
    cluster = busy(None, a_task("t", group="family:nightly"))

    assert "busy" == emptiness(cluster, cluster.instances)


def test_T10_an_instance_with_nothing_but_daemons_is_empty() -> None:
    """Hazard T10: a daemon's task belongs to its instance, and is not waited for."""
    cluster = busy(None, a_task("d", group="service:logs"))

    assert "empty" == emptiness(cluster, cluster.instances)
    assert [CompleteLifecycleAction] == [type(a) for a in decide_ends(cluster, DEFAULTS).actions]


@pytest.mark.parametrize("counts", [{"running": 0, "pending": 1}, {"running": 1, "pending": 0}])
def test_T11_a_pending_task_is_work_as_a_running_one_is(counts: dict[str, Any]) -> None:
    """Hazard T11: what has not started yet keeps the instance from being empty."""
    cluster = a_cluster(a_draining(**counts), daemons=frozenset())

    assert "busy" == emptiness(cluster, cluster.instances)


def test_T14b_a_task_that_is_stopping_is_work() -> None:
    """Hazard T14b: told to stop, no longer counted, still holding its memory: not empty until that is given back or looked at."""
    stopping = a_cluster(a_draining(remaining=HELD))
    looked = replace(
        stopping,
        tasks=(a_task(desired_status="STOPPED", last_status="DEACTIVATING"),),
        tasks_examined=frozenset({instance_arn(SPOT)}),
    )

    assert "unknown" == emptiness(stopping, stopping.instances)
    assert "busy" == emptiness(looked, looked.instances)
    assert () == decide_ends(stopping, DEFAULTS, beat=False).actions
    assert () == decide_ends(looked, DEFAULTS, beat=False).actions


def test_a_stopping_task_behind_a_daemon_is_not_overlooked() -> None:
    """The list of running tasks shows the daemon only; what is held is more than the daemon's: the stopping ones must be looked at."""
    daemon = a_task("d", group="service:logs", cpu=64, memory=128)
    cluster = busy(None, daemon)
    empty = replace(cluster, stopping_examined=frozenset({instance_arn(SPOT)}))

    assert "unknown" == emptiness(cluster, cluster.instances)
    assert "empty" == emptiness(empty, empty.instances)


def test_more_tasks_than_daemon_services_are_work_without_looking() -> None:
    """A daemon service has one task on an instance: two tasks and one daemon service are at least one task of work."""
    cluster = a_cluster(a_draining(running=2, remaining=HELD), daemons=frozenset({"logs"}))

    assert "busy" == emptiness(cluster, cluster.instances)
    assert "unknown" == emptiness(replace(cluster, daemons=frozenset({"logs", "metrics"})), cluster.instances)


def test_counts_that_the_tasks_do_not_explain_are_not_believed() -> None:
    """Rule 5: two tasks are counted and one daemon's was listed: contradictory data is no proof of emptiness."""
    cluster = busy(None, a_task("d", group="service:logs"))
    contradictory = replace(cluster, instances=(replace(cluster.instances[0], running=2),))

    assert "unknown" == emptiness(contradictory, contradictory.instances)


def test_T24_an_instance_is_empty_only_in_all_its_registrations() -> None:
    """Hazard T24: two registrations of one instance, work on the second: the hook is not continued."""
    cluster = a_cluster(a_draining(arn="one"), a_draining(arn="two", running=1, remaining=HELD), daemons=frozenset())

    assert () == decide_ends(cluster, DEFAULTS, beat=False).actions


def test_T12_an_empty_instance_lets_our_hook_go_on_with_its_own_token() -> None:
    """Hazard T12: the hook of that name in the instance's own group, by the token its event brought, and CONTINUE."""
    expected = CompleteLifecycleAction(SPOT, "orders-spot", "bulwark-drain", TOKEN, "its work has left")

    assert Plan((expected,)) == decide_ends(a_cluster(a_draining()), DEFAULTS)


def test_a_hook_found_without_its_token_is_completed_by_its_instance() -> None:
    """The event was lost: Auto Scaling finds the action by the instance."""
    cluster = a_cluster(a_draining(mark=a_mark("terminate-hook", minutes=60, hook=BY_INSTANCE)))

    assert [None] == [a.token for a in decide_ends(cluster, DEFAULTS).actions if isinstance(a, CompleteLifecycleAction)]


def test_a_busy_instance_s_hook_is_kept_alive_until_its_deadline() -> None:
    """A heartbeat while one more fits before the deadline, and none after: then the hook runs out by itself, and that is said."""
    cluster = busy(groups=(a_group(GroupMember(SPOT, "Terminating:Wait"), hooks=(HOOK,)),))

    assert [RecordHeartbeat] == [type(a) for a in decide_ends(at(cluster, minutes=55), DEFAULTS).actions]
    late = decide_ends(at(cluster, minutes=56), DEFAULTS)
    assert (() == late.actions, [("hook-running-out", SPOT)]) == (True, codes(late))


def test_T14_a_hook_that_is_to_go_on_gets_no_heartbeat_beside_it() -> None:
    """Hazard T14: completing and keeping alive exclude each other, however often the completion has failed."""
    kinds = [type(a) for a in decide_ends(a_cluster(a_draining()), DEFAULTS).actions]

    assert [CompleteLifecycleAction] == kinds


def test_between_two_sweeps_no_heartbeat_is_needed() -> None:
    """Progress events are many: only the sweep keeps hooks alive."""
    assert Plan() == decide_ends(busy(), DEFAULTS, beat=False)


def test_a_group_that_does_not_end_the_instance_after_all_gets_it_back() -> None:
    """Rule 3: the hook's reason is gone if Auto Scaling says, minutes later, that the instance serves."""
    cluster = a_cluster(a_draining(), groups=(a_group(GroupMember(SPOT, "InService"), hooks=(HOOK,)),))

    assert [CompleteLifecycleAction] == [type(a) for a in decide_ends(cluster, DEFAULTS).actions]
    stays = replace(cluster, instances=busy().instances, tasks=busy().tasks, services=busy().services, tasks_examined=busy().tasks_examined)
    assert [ReactivateInstance] == [type(a) for a in decide_ends(at(stays, minutes=3), DEFAULTS).actions]
    assert [RecordHeartbeat] == [type(a) for a in decide_ends(at(stays, minutes=1), DEFAULTS).actions]
    assert [ReactivateInstance] == [type(a) for a in decide_ends(at(cluster, minutes=3), DEFAULTS).actions]


@pytest.mark.parametrize("cause", ["spot-interruption", "scheduled-retirement"])
def test_what_EC2_takes_does_not_go_back_for_an_old_hook_event(cause: str) -> None:
    """Its group serves with it still, as it is EC2 that takes it: the drain stands, and the hook is not waited for."""
    serving = (a_group(GroupMember(SPOT, "InService"), hooks=(HOOK,)),)

    assert Plan() == decide_ends(at(busy(a_mark(cause, minutes=30, hook=TOKEN), groups=serving), minutes=3), DEFAULTS)


@pytest.mark.parametrize("cause", ["spot-interruption", "scheduled-retirement", "scheduled-stop"])
def test_what_EC2_takes_is_left_to_it(cause: str) -> None:
    """Empty, and EC2's deadline still to come: nothing is done, and that is said."""
    plan = decide_ends(a_cluster(a_draining(mark=a_mark(cause)), hosts=[a_host(group=None)]), DEFAULTS)

    assert (() == plan.actions, [("left-to-ec2", SPOT)]) == (True, codes(plan))


@pytest.mark.parametrize("cause", ["scheduled-retirement", "scheduled-stop"])
def test_a_retired_instance_can_be_ended_by_policy(cause: str) -> None:
    """Two weeks of an empty instance cost money: retired = terminate ends it."""
    cluster = a_cluster(a_draining(mark=a_mark(cause)), hosts=[a_host(group=None)])
    policy = Policy(draining=DrainingPolicy(retired="terminate"))

    assert [(SPOT, None)] == [(a.target, a.group) for a in decide_ends(cluster, policy).actions if isinstance(a, TerminateInstance)]


def test_what_was_never_in_a_group_is_not_ours_to_end() -> None:
    """Drained in time, and left to whoever runs it: back to ACTIVE when its time is over and it runs on."""
    cluster = a_cluster(a_draining(mark=replace(a_mark("scheduled-maintenance"), alone=True)), hosts=[a_host(group=None)])

    plan = decide_ends(cluster, DEFAULTS)
    assert ((), [("left-to-owner", SPOT)]) == (plan.actions, codes(plan))
    assert [ReactivateInstance] == [type(a) for a in decide_ends(at(cluster, minutes=13), DEFAULTS).actions]


def test_a_hook_with_a_long_heartbeat_is_not_said_to_run_out_from_the_first_minute() -> None:
    """The heartbeat of an hour that runs already lasts until the deadline: nothing to send, and nothing to say until that is near."""
    slow = (a_group(GroupMember(SPOT, "Terminating:Wait"), hooks=(replace(HOOK, heartbeat=3600),)),)

    assert Plan() == decide_ends(at(busy(groups=slow), minutes=5), DEFAULTS)
    assert [("hook-running-out", SPOT)] == codes(decide_ends(at(busy(groups=slow), minutes=51), DEFAULTS))


def test_T28_what_EC2_was_to_take_and_did_not_is_ended_when_empty() -> None:
    """Hazard T28: drained, detached and still running ten minutes after its deadline: no leftover is paid for for ever."""
    cluster = a_cluster(a_draining(mark=a_mark()), hosts=[a_host(group=None)])

    assert [] == [a for a in decide_ends(at(cluster, minutes=11), DEFAULTS).actions if not isinstance(a, TerminateInstance)]
    assert [TerminateInstance] == [type(a) for a in decide_ends(at(cluster, minutes=13), DEFAULTS).actions]


def test_T28_what_EC2_has_spared_with_work_on_it_is_given_back() -> None:
    """Hazard T28: an hour after the deadline it still runs and holds work: it is waited for, and then goes back to ACTIVE."""
    cluster = busy(a_mark())

    assert Plan() == decide_ends(at(cluster, minutes=5), DEFAULTS)
    assert [("overdue", SPOT)] == codes(decide_ends(at(cluster, minutes=30), DEFAULTS))
    assert [ReactivateInstance] == [type(a) for a in decide_ends(at(cluster, minutes=63), DEFAULTS).actions]


def test_an_involuntary_drain_is_never_cancelled_before_its_deadline() -> None:
    """A policy that turns things off while an instance is being taken takes nothing back."""
    policy = Policy(draining=DrainingPolicy(rebalance="off"))

    assert Plan() == decide_ends(busy(a_mark("scheduled-stop", minutes=90)), policy)


@pytest.mark.parametrize(
    ("policy", "minutes"),
    [(DrainingPolicy(rebalance="off"), 1), (DrainingPolicy(enabled=False), 1), (DrainingPolicy(), 31)],
)
def test_a_voluntary_drain_is_given_up_when_its_reason_or_its_time_is_gone(policy: DrainingPolicy, minutes: int) -> None:
    """Back to ACTIVE: the policy changed, or its work did not leave in time."""
    cluster = at(busy(a_mark("rebalance-recommendation", minutes=30)), minutes=minutes)

    (action,) = decide_ends(cluster, Policy(draining=policy)).actions

    assert isinstance(action, ReactivateInstance)
    assert (instance_arn(SPOT),) == action.arns
    assert action.keep is None


def test_a_voluntary_drain_outside_its_group_is_tried_again_later() -> None:
    """It has been replaced already, so it is not forgotten: ACTIVE, and marked anew."""
    cluster = at(busy(a_mark("rebalance-recommendation", minutes=30), hosts=[a_host(group=None)]), minutes=31)

    (action,) = decide_ends(cluster, DEFAULTS).actions

    assert isinstance(action, ReactivateInstance)
    assert action.keep is not None
    assert (NOW + timedelta(minutes=91), NOW + timedelta(minutes=121)) == (action.keep.since, action.keep.deadline)


@pytest.mark.parametrize("group", ["orders-spot", None])
def test_an_empty_instance_that_only_we_wanted_empty_is_ended(group: str | None) -> None:
    """In its group without decrement, or in EC2 if it has left it."""
    cluster = a_cluster(a_draining(mark=a_mark("rebalance-recommendation")), hosts=[a_host(group=group)])

    (action,) = decide_ends(cluster, DEFAULTS).actions

    assert isinstance(action, TerminateInstance)
    assert (SPOT, group) == (action.target, action.group)


@pytest.mark.parametrize("state", ["stopping", "stopped", "shutting-down", "terminated"])
def test_what_EC2_is_ending_is_not_ours_to_end(state: str) -> None:
    """Nothing is continued, terminated or beaten for on a host that goes down."""
    assert Plan() == decide_ends(a_cluster(a_draining(), hosts=[a_host(state=state)]), DEFAULTS)


def test_a_drain_that_died_between_mark_and_DRAINING_is_taken_up() -> None:
    """Marked first, then dead: the sweep drains what was to be drained."""
    cluster = a_cluster(an_instance(drain=a_mark("scheduled-stop", minutes=60)))

    assert [DrainInstance] == [type(a) for a in decide_ends(cluster, DEFAULTS).actions]


def test_nothing_is_taken_up_where_the_policy_turns_draining_off() -> None:
    """Marked and not drained: the mark comes off, so that it does not lie there for ever."""
    cluster = a_cluster(an_instance(drain=a_mark("scheduled-stop", minutes=60)))

    assert [UnmarkInstance] == [type(a) for a in decide_ends(cluster, Policy(draining=DrainingPolicy(enabled=False))).actions]


def test_between_two_sweeps_nothing_is_taken_up() -> None:
    """A sweep may be giving it back just now: ACTIVE already, and its mark not off yet."""
    assert Plan() == decide_ends(a_cluster(an_instance(drain=a_mark("scheduled-stop", minutes=60))), DEFAULTS, beat=False)


@pytest.mark.parametrize("lifecycle", ["Terminating", "Terminating:Wait", "Detaching"])
def test_what_its_group_ends_already_is_not_ended_again(lifecycle: str) -> None:
    """Rule 7: asked once, the group is at it."""
    cluster = a_cluster(a_draining(mark=a_mark("rebalance-recommendation")), groups=(a_group(GroupMember(SPOT, lifecycle)),))

    plan = decide_ends(cluster, DEFAULTS)

    assert ((), [("left-to-group", SPOT)]) == (plan.actions, codes(plan))


def test_a_mark_whose_deadline_is_long_over_is_taken_off() -> None:
    """Given back, and dead before the mark was off: the sweep takes it off rather than draining again."""
    cluster = at(a_cluster(an_instance(drain=a_mark())), minutes=63)

    assert [UnmarkInstance] == [type(a) for a in decide_ends(cluster, DEFAULTS).actions]


def test_T30_an_unstable_service_elsewhere_does_not_hold_a_drain() -> None:
    """Hazard T30: only what runs on the instance counts; a service that fails to start its tasks elsewhere is none of it."""
    cluster = a_cluster(
        a_draining(), an_instance(OTHER, running=3), services=(a_service("broken", desired=5, running=0, pending=5),), tasks=()
    )

    assert [CompleteLifecycleAction] == [type(a) for a in decide_ends(cluster, DEFAULTS).actions]
