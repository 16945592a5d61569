"""The way in: who goes, in which order, and who stays."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bulwark.core.capacity import decide_capacity, remembered, worth_a_look
from bulwark.core.cluster import Cluster, Demand, Group, Resources
from bulwark.core.plan import DrainInstance
from bulwark.core.policies import CapacityPolicy, DisruptionPolicy, Policy
from tests.builders import NOW, a_mark
from tests.sizing_world import GROUP, ZONES, Pool, SizingWorld, Work, a_policy, a_shape, a_world, drained, plan_of, said

WHOLE = 7000
"""MiB: one such task fills an instance."""


def victims(cluster: Cluster, policy: Policy | None = None) -> list[str]:
    """Who is drained, in order."""
    return [a.target for a in plan_of(cluster, policy).actions if isinstance(a, DrainInstance)]


def ids(cluster: Cluster) -> list[str]:
    """The instances, in order of launch."""
    return [i.ec2_id for i in cluster.instances]


def packed(cluster: Cluster) -> Cluster:
    """The cluster with services that do not mind in which zone they are."""
    return replace(cluster, services=tuple(replace(s, spreads=False) for s in cluster.services))


def zoned(cluster: Cluster, *zones: str) -> Cluster:
    """The cluster with its instances in these zones."""
    by_id = dict(zip(ids(cluster), zones, strict=True))
    members = tuple(replace(m, zone=by_id[m.id]) for m in cluster.groups[0].members)
    instances = tuple(replace(i, zone=by_id[i.ec2_id]) for i in cluster.instances)
    return replace(cluster, groups=(replace(cluster.groups[0], members=members),), instances=instances)


def test_those_that_go_leave_the_zones_balanced() -> None:
    """Two idle ones in each of two zones, and two have to stay: one of each goes, or Auto Scaling would launch again to rebalance."""
    cluster = zoned(a_world({}, {}, {}, {}, pool=Pool(a_shape(), min=2)).snapshot(), *[ZONES[0]] * 2, *[ZONES[1]] * 2)
    zones = {i.ec2_id: i.zone for i in cluster.instances}

    assert {ZONES[0]: 1, ZONES[1]: 1} == Counter(zones[v] for v in victims(cluster))


def test_the_crowded_zone_goes_first() -> None:
    """Two in the one, one in the other, and one may go."""
    cluster = zoned(a_world({}, {}, {}, pool=Pool(a_shape(), min=2)).snapshot(), ZONES[0], ZONES[1], ZONES[1])

    assert ids(cluster)[1:2] == victims(cluster)


def test_the_older_agent_goes_first() -> None:
    """By number: 1.9 is older than 1.10."""
    cluster = zoned(a_world({}, {}, {}, pool=Pool(a_shape(), min=2)).snapshot(), *[ZONES[0]] * 3)
    versions = ("1.100.0", "1.10.0", "1.9.0")
    aged = replace(cluster, instances=tuple(replace(i, agent_version=v) for i, v in zip(cluster.instances, versions, strict=True)))

    assert ids(cluster)[2:] == victims(aged)


def test_the_idle_one_goes_before_the_one_with_work() -> None:
    """Least disruption first."""
    world = a_world({"web": 1}, {}, policy=a_policy(), pool=Pool(a_shape(), min=1), web=Work(desired=1))

    assert ids(world.snapshot())[1:] == victims(world.snapshot())


def test_the_one_with_fewer_tasks_goes_first() -> None:
    """Of two with work."""
    world = a_world({"web": 2}, {"web": 1}, pool=Pool(a_shape(), min=1), web=Work(desired=3))

    assert ids(world.snapshot())[1:] == victims(packed(world.snapshot()))


def two_markets(spot: list[dict[str, int]], on_demand: list[dict[str, int]], **work: Work) -> SizingWorld:
    """A Spot group and an On-Demand group."""
    world = SizingWorld({GROUP: Pool(a_shape()), "orders": Pool(a_shape("orders"), market="on-demand")}, work, a_policy())
    world.start(GROUP, spot)
    world.start("orders", on_demand)
    return world


def test_of_two_that_are_alike_on_demand_goes() -> None:
    """Dear before cheap; the policy's order says what is dear."""
    cluster = packed(two_markets([{"web": 1}], [{"web": 1}], web=Work(desired=2)).snapshot())

    assert ids(cluster)[1:] == victims(cluster)
    assert ids(cluster)[:1] == victims(cluster, a_policy(order=("orders", GROUP)))


def test_when_spot_is_back_the_extra_on_demand_goes_home() -> None:
    """Spot has launched again what it was asked for, and is idle; the work is on On-Demand: that goes, and Spot takes its work."""
    cluster = packed(two_markets([{}], [{"web": 3}], web=Work(memory=2400, desired=3)).snapshot())

    assert ids(cluster)[1:] == victims(cluster)


def test_on_demand_goes_home_in_the_end() -> None:
    """Lived through: an hour later the work is on Spot alone."""
    world = two_markets([{}, {}], [{"web": 3}, {"web": 3}], web=Work(memory=2400, desired=6))
    world.live(60)

    assert {GROUP} == {m.group for m in world.machines}


@pytest.mark.parametrize(("changes", "wanted"), [({"protected": True}, 2), ({"lifecycle": "Standby"}, 1)])
def test_members_that_somebody_keeps_or_takes_are_left_alone(changes: dict[str, Any], wanted: int) -> None:
    """Scale-in protection, and standby."""
    cluster = a_world({}, {}).snapshot()
    first, second = cluster.groups[0].members
    group = replace(cluster.groups[0], desired=wanted, members=(replace(first, **changes), second))

    assert [second.id] == victims(replace(cluster, groups=(group,)))


def test_while_auto_scaling_replaces_one_nothing_goes() -> None:
    """It is about to end the unhealthy one and launch another: that is on its way."""
    cluster = a_world({}, {}).snapshot()
    first, second = cluster.groups[0].members
    sick = replace(cluster, groups=(replace(cluster.groups[0], members=(replace(first, healthy=False), second)),))

    assert [] == victims(sick)


@pytest.mark.parametrize(
    "changes", [{"suspended": frozenset({"Terminate"})}, {"in_units": True}, {"ecs_managed": True}, {"cluster": "billing"}, {"min": 2}]
)
def test_groups_that_are_not_made_smaller(changes: dict[str, Any]) -> None:
    """Terminate suspended, counted in vCPUs, behind a provider that could not be read, another cluster's, at its minimum."""
    cluster = a_world({}, {}).snapshot()

    assert [] == victims(replace(cluster, groups=(replace(cluster.groups[0], **changes),)))


def test_a_task_that_is_protected_until_just_now_is_protected_no_more() -> None:
    """Protection expires."""
    cluster = packed(a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot())

    for until, expected in ((NOW, 1), (NOW + timedelta(minutes=1), 0)):
        assert expected == drained(plan_of(replace(cluster, tasks=tuple(replace(t, protected_until=until) for t in cluster.tasks))))


def test_whether_tasks_are_protected_could_not_be_read() -> None:
    """Then they may be."""
    cluster = packed(a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot())

    assert 0 == drained(plan_of(replace(cluster, unread={"task protection": "throttled"})))


@pytest.mark.parametrize(("least", "most", "expected"), [(100, 200, 1), (100, 100, 0), (50, 100, 1), (100, 150, 1), (100, 149, 0)])
def test_bounds_of_the_service_say_if_its_tasks_can_move(least: int, most: int, expected: int) -> None:
    """Of two tasks one more may be started, or one stopped first; or neither."""
    cluster = packed(a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot())
    bound = tuple(replace(s, min_healthy_percent=least, max_percent=most) for s in cluster.services)

    assert expected == drained(plan_of(replace(cluster, services=bound)))


def test_the_zone_is_kept_where_another_instance_of_it_has_room() -> None:
    """Two in the same zone: the one goes onto the other."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot()

    assert 1 == drained(plan_of(zoned(cluster, ZONES[0], ZONES[0])))
    assert 0 == drained(plan_of(zoned(cluster, ZONES[0], ZONES[1])))


def test_an_only_task_has_no_spread_to_keep() -> None:
    """One task of a service that spreads goes to another zone."""
    cluster = a_world({"web": 1}, {"api": 3}, web=Work(desired=1), api=Work(desired=3)).snapshot()

    assert ids(cluster)[:1] == victims(cluster)


def test_several_that_go_are_not_all_put_in_the_same_room() -> None:
    """One task on each of three, and room for one more on each: of the three one goes, not two."""
    cluster = packed(a_world({"web": 1}, {"web": 1}, {"web": 1}, web=Work(memory=3800, desired=3)).snapshot())

    assert 1 == drained(plan_of(cluster))


def test_what_waits_takes_its_room_first() -> None:
    """An idle one is where the task that waits will go."""
    assert 0 == drained(plan_of(packed(a_world({"web": 1}, {}, web=Work(memory=4000, desired=2)).snapshot())))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, 1),
        ({"headroom_tasks": {"web": 1}}, 0),
        ({"headroom_largest": 1}, 0),
        ({"headroom_percent": 6}, 1),
        ({"headroom_percent": 7}, 0),
        ({"reservation_memory": 93}, 0),
        ({"reservation_memory": 94}, 1),
        ({"reservation_cpu": 37}, 0),
        ({"reservation_cpu": 38}, 1),
        ({"scale_in": False}, 0),
    ],
)
def test_headroom_and_targets_keep_an_idle_instance(policy: dict[str, Any], expected: int) -> None:
    """Without it 768 of 2,048 CPU units and 7,200 of 7,680 MiB are reserved."""
    assert expected == drained(a_world({"web": 3}, {}, policy=a_policy(**policy), web=Work(memory=2400, desired=3)).decide().plan)


def test_headroom_has_to_be_in_one_piece() -> None:
    """Two idle ones: the room that is held free for the largest task is on one of them."""
    assert 1 == drained(a_world({}, {}, {"web": 1}, policy=a_policy(headroom_largest=1), web=Work(memory=WHOLE)).decide().plan)


def test_the_window_counts_each_dimension_by_its_highest() -> None:
    """CPU was high at one time, memory at another: both still have to fit; a shorter window knows of neither."""
    cluster = a_world({}, {}, {}).snapshot()
    high = {5: (4000, 0), 3: (0, 9000)}
    seen = replace(cluster, demands=tuple(Demand(NOW - timedelta(minutes=m), *high.get(m, (0, 0))) for m in range(6, 0, -1)))

    assert 1 == drained(plan_of(seen, a_policy(window_minutes=5)))
    assert 3 == drained(plan_of(seen, a_policy(window_minutes=2)))


@pytest.mark.parametrize(("percent", "expected"), [(0, 0), (1, 1), (20, 1), (40, 2), (100, 4)])
def test_the_budget_is_a_share_of_the_cluster_but_at_least_one(percent: int, expected: int) -> None:
    """Five with one small task each, of which four could go."""
    cluster = packed(a_world(*[{"web": 1}] * 5, web=Work(desired=5)).snapshot())

    assert expected == drained(plan_of(cluster, a_policy(budget=percent)))


@pytest.mark.parametrize("cause", ["scale-in", "spot-interruption", None])
def test_whatever_drains_already_counts_against_the_budget(cause: str | None) -> None:
    """One of five drains, by whomever: the budget of one is spent."""
    cluster = packed(a_world({}, *[{"web": 1}] * 4, web=Work(desired=4)).snapshot())
    first, *rest = cluster.instances
    leaving = replace(first, status="DRAINING", drain=a_mark(cause) if cause else None)
    plan = plan_of(replace(cluster, instances=(leaving, *rest)), a_policy(budget=20))

    assert 0 == drained(plan)
    assert "the budget is 1" in said(plan)["scale-in-waits"]


@pytest.mark.parametrize(("away", "expected"), [(0, 4), (1, 4), (2, 0)])
def test_the_breaker_opens_above_its_share(away: int, expected: int) -> None:
    """Twenty percent of five is one: with a second away nothing voluntary begins. The minimum of one stays, connected or not."""
    cluster = a_world({}, {}, {}, {}, {}, pool=Pool(a_shape(), min=1)).snapshot()
    instances = tuple(replace(i, agent_connected=n >= away) for n, i in enumerate(cluster.instances))

    assert expected == drained(plan_of(replace(cluster, instances=instances)))


def test_what_goes_is_marked_first_and_has_its_time() -> None:
    """A death between mark and drain leaves an intention; the deadline is the policy's."""
    (action,) = plan_of(a_world({}).snapshot(), a_policy(scale_in_minutes=7)).actions

    assert isinstance(action, DrainInstance)
    assert (True, "scale-in", NOW + timedelta(minutes=7)) == (action.mark_first, action.mark.cause, action.mark.deadline)


def test_to_zero_whatever_headroom_in_shares() -> None:
    """Nothing is wanted, the minimum is zero: a share of nothing is nothing, and there is no largest task."""
    policy = a_policy(headroom_percent=50, headroom_largest=2, reservation_cpu=50, reservation_memory=50)

    assert 2 == drained(a_world({}, {}, policy=policy).decide().plan)


def test_why_each_one_stays_is_known() -> None:
    """For whoever asks what the next look would do."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(memory=4700, desired=2)).snapshot()
    sizing = decide_capacity(cluster, a_policy())

    assert set(ids(cluster)) == set(sizing.kept)
    assert {"without it: memory: less than is asked for"} == set(sizing.kept.values())


def test_what_could_go_is_known_though_it_does_not_go_now() -> None:
    """Held off by the window, and still said."""
    sizing = decide_capacity(a_world({}, {}).snapshot(), a_policy(window_minutes=5))

    assert (2, 0) == (len(sizing.removable), drained(sizing.plan))


@pytest.mark.parametrize(
    ("change", "policy"),
    [
        ({}, CapacityPolicy(window_minutes=5)),
        ({}, CapacityPolicy(window_minutes=0, scale_in=False)),
        ({}, CapacityPolicy(window_minutes=0, enabled=False)),
        ({"groups": ()}, CapacityPolicy(window_minutes=0)),
    ],
)
def test_no_tasks_are_looked_at_where_nothing_can_go(change: dict[str, Any], policy: CapacityPolicy) -> None:
    """Each look costs a call."""
    cluster = packed(a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot())

    assert 2 == len(worth_a_look(cluster, a_policy()))
    assert () == worth_a_look(replace(cluster, **change), Policy(disruption=DisruptionPolicy(100), capacity=policy))


def test_an_empty_instance_is_not_worth_a_look() -> None:
    """Its counts say it all."""
    assert () == worth_a_look(a_world({}).snapshot(), a_policy())


def test_a_member_of_a_group_without_a_snapshot_of_it_stays() -> None:
    """An instance that no group of ours has as a member."""
    cluster = a_world({}).snapshot()
    group: Group = replace(cluster.groups[0], members=())

    assert [] == victims(replace(cluster, groups=(group,)))


def test_gpu_work_moves_only_to_gpus() -> None:
    """The other instance has CPU and memory, and no GPU."""
    cluster = packed(a_world({"web": 1}, {"api": 1}, web=Work(desired=1), api=Work(desired=1)).snapshot())
    definitions = {k: replace(d, gpu=1) if k == "web" else d for k, d in cluster.definitions.items()}
    first, second = cluster.instances
    gpu = replace(first, registered=Resources(2048, 7680, 1), remaining=Resources(1792, 7168, 0))

    assert [second.ec2_id] == victims(replace(cluster, definitions=definitions, instances=(gpu, second)))


def test_demands_of_the_last_hour_are_kept_in_order_and_no_older_ones() -> None:
    """What the longest window needs, and not more."""
    old, recent = Demand(NOW - timedelta(minutes=66), 1, 1), Demand(NOW - timedelta(minutes=64), 2, 2)
    cluster, now = replace(a_world().snapshot(), demands=(old, recent, Demand(NOW, 3, 3))), Demand(NOW, 4, 4)

    assert (recent, now) == remembered(cluster, now)


def test_an_instance_that_holds_only_what_stops_is_not_empty() -> None:
    """Counted as running no more, and its memory is still held."""
    cluster = a_world({}).snapshot()
    held = replace(cluster.instances[0], remaining=Resources(1792, 7168))

    assert 0 == drained(plan_of(replace(cluster, instances=(held,), tasks_examined=frozenset())))


def test_what_is_in_standby_is_not_ended() -> None:
    """It is still registered and idle; the other one, which serves, is protected."""
    cluster = a_world({}, {}).snapshot()
    first, second = cluster.groups[0].members
    members = (replace(first, lifecycle="Standby"), replace(second, protected=True))

    assert [] == victims(replace(cluster, groups=(replace(cluster.groups[0], desired=1, members=members),)))
