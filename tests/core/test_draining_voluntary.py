"""Rebalance recommendations: marked, replaced first, drained within budget and room, and taken back."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.core.cluster import Cluster, ContainerInstance, Host
from bulwark.core.draining_voluntary import budget, decide_marks, decide_turns, marked, out_of_service, waiting
from bulwark.core.plan import DrainInstance, MarkInstance, Plan, ReactivateInstance, ReplaceInstance, UnmarkInstance
from bulwark.core.policies import DisruptionPolicy, DrainingPolicy, Policy
from tests.builders import (
    NOW,
    OTHER,
    SPOT,
    a_cluster,
    a_group,
    a_host,
    a_mark,
    a_provider,
    a_recommendation,
    a_service,
    a_task,
    an_instance,
    instance_arn,
)

DEFAULTS = Policy()
MARK = a_mark("rebalance-recommendation", minutes=30)


def codes(plan: Plan) -> list[str]:
    """The codes of the findings."""
    return [f.code for f in plan.findings]


def kinds(plan: Plan) -> list[tuple[str, str]]:
    """The actions by kind and target."""
    return [(type(a).__name__, a.target) for a in plan.actions]


def a_fleet(*recommended: ContainerInstance, room: int = 1, hosts: tuple[Host, ...] | None = None, **changes: Any) -> Cluster:
    """Instances that wait with a task of web each, and ``room`` empty ones."""
    others = tuple(an_instance(f"i-0bbb{n:013d}", running=0) for n in range(room))
    tasks = tuple(a_task(f"web-{i.ec2_id}", on=i.ec2_id, requires=()) for i in recommended)
    values: dict[str, Any] = {
        "hosts": hosts or tuple(a_host(i.ec2_id) for i in (*recommended, *others)),
        "tasks": tasks,
        "services": (a_service(desired=max(len(tasks), 2)),),
        "tasks_examined": frozenset(i.arn for i in recommended),
    }
    return a_cluster(*recommended, *others, **(values | changes))


def some(count: int) -> list[ContainerInstance]:
    """Marked instances that wait, full with their task but for a little."""
    return [an_instance(f"i-0aaa{n:013d}", drain=MARK, cpu=100, memory=100) for n in range(count)]


def test_a_recommendation_marks_its_instance_and_no_more() -> None:
    """ACTIVE and marked: an intention that nothing has to be kept for but the instance itself."""
    (action,) = decide_marks(a_fleet(an_instance()), [a_recommendation()], DEFAULTS).actions

    assert isinstance(action, MarkInstance)
    assert ((instance_arn(SPOT),), MARK) == (action.arns, action.mark)


@pytest.mark.parametrize(
    ("cluster", "policy", "code"),
    [
        (a_cluster(), Policy(draining=DrainingPolicy(rebalance="off")), "rebalance-off"),
        (a_cluster(), Policy(draining=DrainingPolicy(enabled=False)), "rebalance-off"),
        (a_cluster(hosts=[a_host(state="terminated")]), DEFAULTS, "instance-gone"),
        (a_cluster(hosts=[a_host(group=None)]), DEFAULTS, "not-in-group"),
        (a_cluster(an_instance(drain=MARK)), DEFAULTS, "already-draining"),
        (a_cluster(an_instance(status="DRAINING", drain=a_mark())), DEFAULTS, "already-draining"),
        (a_cluster(groups=(a_group(capacity_rebalance=True),)), DEFAULTS, "capacity-rebalancing"),
    ],
)
def test_what_is_not_to_be_moved_says_why(cluster: Cluster, policy: Policy, code: str) -> None:
    """Off by policy, gone, at it already, or the group's own affair."""
    plan = decide_marks(cluster, [a_recommendation(), a_recommendation()], policy)

    assert ((), [code]) == (plan.actions, codes(plan))


def test_replacement_comes_first_and_the_drain_as_its_work_fits_elsewhere() -> None:
    """Detached without decrement, and DRAINING, in that order, as there is room for its task."""
    plan = decide_turns(a_fleet(*some(1)), DEFAULTS)

    target = some(1)[0].ec2_id
    assert [("ReplaceInstance", target), ("DrainInstance", target)] == kinds(plan)
    assert all(a.mark_first for a in plan.actions if isinstance(a, DrainInstance))


def test_without_room_only_the_replacement_is_brought() -> None:
    """It stays ACTIVE, and serves, until the replacement can take its work."""
    plan = decide_turns(a_fleet(*some(1), room=0), DEFAULTS)

    assert [("ReplaceInstance", some(1)[0].ec2_id)] == kinds(plan)
    assert ["drain-waits"] == codes(plan)


def test_what_was_replaced_drains_when_there_is_room() -> None:
    """It has left its group already: nothing is brought twice."""
    one = some(1)[0]
    cluster = a_fleet(one, hosts=(a_host(one.ec2_id, group=None),))

    assert [("DrainInstance", one.ec2_id)] == kinds(decide_turns(cluster, DEFAULTS))


def test_T26_a_storm_over_half_the_fleet_is_bounded_by_the_budget() -> None:
    """Hazard T26: ten of twenty instances are recommended at once; 10 % of twenty are two, and the others wait."""
    plan = decide_turns(a_fleet(*some(10), room=10), DEFAULTS)

    assert 2 == sum(isinstance(a, DrainInstance) for a in plan.actions)
    assert 2 == sum(isinstance(a, ReplaceInstance) for a in plan.actions)
    assert 8 == codes(plan).count("drain-waits")


def test_T26_a_storm_is_bounded_by_room_too() -> None:
    """Hazard T26: the budget allows all, one instance has room for one task: room is not given out twice."""
    lots = Policy(disruption=DisruptionPolicy(budget_percent=100))
    filled = [replace(i, remaining=replace(i.remaining, cpu=0, memory=0)) for i in some(4)]
    cluster = a_fleet(*filled, room=0)
    cluster = replace(cluster, instances=(*cluster.instances, an_instance(OTHER, cpu=256, memory=512)))

    plan = decide_turns(cluster, lots)

    assert 1 == sum(isinstance(a, DrainInstance) for a in plan.actions)
    assert 4 == sum(isinstance(a, ReplaceInstance) for a in plan.actions)


def test_what_drains_already_counts_against_the_budget_whatever_its_cause() -> None:
    """A Spot storm is no time for voluntary disruption."""
    taken = an_instance(OTHER, status="DRAINING", drain=a_mark())
    cluster = a_fleet(*some(1), taken)

    assert {OTHER} == out_of_service(cluster)
    plan = decide_turns(cluster, DEFAULTS)
    assert ((), ["drain-waits"]) == (plan.actions, codes(plan))


def test_the_breaker_stops_everything_voluntary() -> None:
    """Rule 6: the agents of more than a fifth of the instances are away: something is wrong, and nothing is begun."""
    cluster = a_fleet(*some(1), room=3)
    away = tuple(replace(i, agent_connected=False) if i.ec2_id.startswith("i-0bbb") else i for i in cluster.instances)

    plan = decide_turns(replace(cluster, instances=away), DEFAULTS)

    assert ((), ["drain-waits"]) == (plan.actions, codes(plan))
    assert "away, above 20 %" in plan.findings[0].message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tasks": (a_task("t", on=some(1)[0].ec2_id, group="family:nightly"),)}, "is standalone"),
        ({"services": (a_service(min_healthy_percent=100, max_percent=100),)}, "may not move its tasks"),
        ({"services": (a_service(constrained=True),)}, "not judged here"),
        ({"services": ()}, "could not be read"),
        ({"tasks": (a_task("t", on=some(1)[0].ec2_id, requires=None),)}, "could not be read"),
        ({"tasks": (a_task("t", on=some(1)[0].ec2_id, requires=(), eni=True),)}, "not judged here"),
        ({"tasks": (a_task("t", on=some(1)[0].ec2_id, requires=(), protected_until=NOW + timedelta(hours=1)),)}, "is protected until"),
        ({"tasks_examined": frozenset()}, "were not looked at"),
        ({"unread": {"task protection": "Throttling"}}, "could not be read"),
    ],
)
def test_work_that_cannot_be_proven_to_move_is_not_drained_nor_replaced(changes: dict[str, Any], says: str) -> None:
    """Rule 5: missing facts mean no action; and what would not leave anyway is not worth another instance."""
    plan = decide_turns(a_fleet(*some(1), **changes), DEFAULTS)

    assert ((), ["drain-waits"]) == (plan.actions, codes(plan))
    assert says in plan.findings[0].message


def test_room_on_an_instance_that_lacks_a_required_attribute_is_no_room() -> None:
    """An old agent next door has memory and cannot run the task."""
    task = a_task("t", on=some(1)[0].ec2_id, requires=(("ecs.capability.secrets.ssm.environment-variables", None),))

    assert [] == [a for a in decide_turns(a_fleet(*some(1), tasks=(task,)), DEFAULTS).actions if isinstance(a, DrainInstance)]


def test_the_size_of_a_group_that_ECS_manages_is_left_to_it_and_the_drain_is_still_ours() -> None:
    """Rule 4: no detaching from a managed group; the work is moved all the same."""
    one = replace(some(1)[0], capacity_provider="spot-provider")
    plan = decide_turns(a_fleet(one, capacity_providers=(a_provider(),)), DEFAULTS)

    assert [("DrainInstance", one.ec2_id)] == kinds(plan)


def test_a_turn_that_did_not_come_in_time_is_over() -> None:
    """In its group: unmarked. Outside it: marked for another try, as it is not to be forgotten."""
    one = some(1)[0]
    late = replace(a_fleet(one), seen_at=NOW + timedelta(minutes=30))
    outside = replace(late, hosts=(a_host(one.ec2_id, group=None),))

    assert [UnmarkInstance] == [type(a) for a in decide_turns(late, DEFAULTS).actions]
    assert [MarkInstance] == [type(a) for a in decide_turns(outside, DEFAULTS).actions]


def test_what_was_tried_in_vain_is_not_tried_again_at_once() -> None:
    """Outside its group and given back: an hour's rest, so that a drain that cannot succeed is not DRAINING all the time."""
    rested = a_mark("rebalance-recommendation", minutes=90, since=NOW + timedelta(minutes=60))
    one = replace(some(1)[0], drain=rested)
    cluster = a_fleet(one, hosts=(a_host(one.ec2_id, group=None),))

    assert ((), ["drain-waits"]) == ((plan := decide_turns(cluster, DEFAULTS)).actions, codes(plan))
    later = decide_turns(replace(cluster, seen_at=NOW + timedelta(minutes=60)), DEFAULTS)
    assert [DrainInstance] == [type(a) for a in later.actions]


def test_T25_a_service_that_grows_during_the_drain_gets_the_instance_back() -> None:
    """Hazard T25: decided with room, then the room was taken: back to ACTIVE once the replacement has had its time."""
    going = replace(some(1)[0], status="DRAINING")
    cluster = a_fleet(going, room=0)

    assert Plan() == decide_turns(replace(cluster, seen_at=NOW + timedelta(minutes=4)), DEFAULTS)
    later = decide_turns(replace(cluster, seen_at=NOW + timedelta(minutes=5)), DEFAULTS)
    assert [ReactivateInstance] == [type(a) for a in later.actions]
    assert Plan() == decide_turns(replace(cluster, seen_at=NOW + timedelta(minutes=30)), DEFAULTS)  # given up elsewhere


def test_what_has_left_its_group_keeps_its_mark_whatever_the_policy_says() -> None:
    """Unmarked, it would run on outside its group and nobody would know."""
    one = some(1)[0]
    cluster = a_fleet(one, hosts=(a_host(one.ec2_id, group=None),))

    plan = decide_turns(cluster, Policy(draining=DrainingPolicy(rebalance="off")))

    assert ((), ["drain-waits"]) == (plan.actions, codes(plan))


def test_a_policy_that_no_longer_wants_it_takes_the_marks_off() -> None:
    """Nothing waits for ever for a turn that is not given any more."""
    plan = decide_turns(a_fleet(*some(2)), Policy(draining=DrainingPolicy(rebalance="off")))

    assert [UnmarkInstance, UnmarkInstance] == [type(a) for a in plan.actions]


@pytest.mark.parametrize(("instances", "percent", "expected"), [(5, 10, 1), (20, 10, 2), (29, 10, 2), (20, 0, 0), (3, 100, 3)])
def test_the_budget_is_a_share_and_at_least_one(instances: int, percent: int, expected: int) -> None:
    """Rounded down; 0 turns voluntary drains off."""
    cluster = a_cluster(*(an_instance(f"i-0aaa{n:013d}") for n in range(instances)))

    assert expected == budget(cluster, Policy(disruption=DisruptionPolicy(budget_percent=percent)))


FLEETS = st.builds(
    lambda states, room: a_fleet(
        *(an_instance(f"i-0aaa{n:013d}", status=s, drain=MARK if m else None) for n, (s, m) in enumerate(states)), room=room
    ),
    st.lists(st.tuples(st.sampled_from(["ACTIVE", "DRAINING"]), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 5),
)


@given(FLEETS, st.integers(0, 100))
def test_rule_6_never_more_than_the_budget_out_of_service(cluster: Cluster, percent: int) -> None:
    """Whatever waits and whatever drains: what is begun keeps within the budget, or nothing is begun."""
    policy = Policy(disruption=DisruptionPolicy(budget_percent=percent))
    plan = decide_turns(cluster, policy)
    begun = {a.target for a in plan.actions if isinstance(a, DrainInstance | ReplaceInstance)}

    assert not begun or len(out_of_service(cluster) | begun) <= budget(cluster, policy)
    assert begun <= set(waiting(cluster))


@given(FLEETS)
def test_rule_7_the_same_decision_again_begins_nothing_new(cluster: Cluster) -> None:
    """Once what was decided is done, deciding again drains nothing more for the same recommendations."""
    again = marked(cluster, decide_marks(cluster, [a_recommendation(h.id) for h in cluster.hosts], DEFAULTS))
    plan = decide_turns(again, DEFAULTS)
    drained = {arn for a in plan.actions if isinstance(a, DrainInstance) for arn in a.arns}
    gone = {a.target for a in plan.actions if isinstance(a, ReplaceInstance)}
    after = replace(
        again,
        instances=tuple(replace(i, status="DRAINING") if i.arn in drained else i for i in again.instances),
        hosts=tuple(replace(h, group=None) if h.id in gone else h for h in again.hosts),
    )
    twice = decide_turns(after, DEFAULTS)

    assert [] == [a for a in twice.actions if isinstance(a, ReplaceInstance)]
    assert not drained.intersection(arn for a in twice.actions if isinstance(a, DrainInstance) for arn in a.arns)
