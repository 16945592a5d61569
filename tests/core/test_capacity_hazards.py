"""What sizing must not get wrong, seen from where others went wrong: what is not known, what is on its way, what was to go."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bulwark.core.capacity import decide_capacity
from bulwark.core.cluster import CapacityProvider, Cluster, Demand, GroupMember, InstanceTypeOption
from bulwark.core.plan import DrainInstance, ReactivateInstance, SetDesiredCapacity, UnmarkInstance
from tests.builders import NOW, a_draining, a_host, a_mark, an_instance
from tests.sizing_world import GROUP, Pool, Work, a_policy, a_shape, a_world, desired, drained, plan_of, said

PROVIDER = CapacityProvider("spot", GROUP, managed_scaling=False, managed_draining=False)


def leaving(cluster: Cluster, number: int, cause: str = "scale-in") -> Cluster:
    """The cluster with one of its instances being drained by Bulwark."""
    one = cluster.instances[number]
    gone = replace(one, status="DRAINING", drain=a_mark(cause, minutes=30))
    return replace(cluster, instances=tuple(gone if i.arn == one.arn else i for i in cluster.instances))


def kinds(cluster: Cluster) -> list[type]:
    """What is decided, by kind of action."""
    return [type(a) for a in plan_of(cluster).actions]


def test_T7_a_gap_in_what_was_remembered_is_no_low_demand() -> None:
    """Hazard T7: looked at an hour ago and not since: what was needed in the window is not known, so nothing goes."""
    cluster = replace(a_world({}, {}).snapshot(), demands=(Demand(NOW - timedelta(hours=1), 0, 0),))

    assert 0 == drained(plan_of(cluster, a_policy(window_minutes=5)))


def test_T7_a_whole_window_of_low_demand_lets_go() -> None:
    """Hazard T7, the other side: looked at each minute of the window, and never more was asked for."""
    cluster = replace(a_world({}, {}).snapshot(), demands=tuple(Demand(NOW - timedelta(minutes=m), 0, 0) for m in range(6, 0, -1)))

    assert 2 == drained(plan_of(cluster, a_policy(window_minutes=5)))


def test_T7_while_something_waits_whose_need_is_not_known_nothing_goes() -> None:
    """Hazard T7: its task definition could not be read: the instance that is idle may be the one it needs."""
    cluster = replace(a_world({}, web=Work(desired=1)).snapshot(), definitions={}, unread={"task definitions": "throttled"})

    assert 0 == drained(plan_of(cluster))
    assert "not sized for" in said(plan_of(cluster))["need-unknown"]


def test_T7_while_the_zones_of_what_waits_are_not_known_nothing_goes() -> None:
    """Hazard T7: the subnets could not be read."""
    cluster = a_world({}, web=Work(desired=1)).snapshot()
    unread = replace(cluster, services=tuple(replace(s, zones=None, subnets=("subnet-1",)) for s in cluster.services))

    assert 0 == drained(plan_of(unread))


def test_T7_while_it_is_not_known_what_is_provisioning_nothing_goes() -> None:
    """Hazard T7: ECS counts a task as pending that it may have placed nowhere; which they are could not be read."""
    cluster = a_world({}, web=Work(desired=1)).snapshot()
    services = tuple(replace(s, pending=1, providers=("spot",)) for s in cluster.services)
    unread = replace(cluster, services=services, capacity_providers=(PROVIDER,), unread={"tasks that wait": "throttled"})

    assert 0 == drained(plan_of(unread))


def test_T7_while_the_work_of_an_instance_that_leaves_was_not_looked_at_nothing_goes() -> None:
    """Hazard T7: three tasks leave the one, and need the other; seen or not."""
    seen = leaving(a_world({"web": 3}, {}, web=Work(memory=2400, desired=3)).snapshot(), 0, "terminate-hook")

    assert 0 == drained(plan_of(seen))
    assert 0 == drained(plan_of(replace(seen, tasks=(), tasks_examined=frozenset())))


def test_T7_what_a_metric_does_not_know_it_leaves_out() -> None:
    """Hazard T7: without instances there is no reservation, and without services no largest task: absent, not zero."""
    figures = decide_capacity(replace(a_world().snapshot(), services=()), a_policy()).figures.measured()[""]

    assert {"ReservationWithWaiting", "LargestTaskFits", "Fragmentation"}.isdisjoint(figures)
    assert ("Count", 0) == figures["WaitingTasks"]


def test_T7_an_agent_that_is_away_says_nothing_about_its_instance() -> None:
    """Hazard T7: neither room for what waits, nor too many."""
    cluster = a_world({}, {}, web=Work(desired=1, memory=7000)).snapshot()
    away = replace(cluster, instances=tuple(replace(i, agent_connected=False) for i in cluster.instances))

    assert (0, {GROUP: 3}) == (drained(plan_of(away)), desired(plan_of(away)))


@pytest.mark.parametrize(("least", "most", "expected"), [(0, 20, 3), (3, 20, 0), (2, 20, 1)])
def test_T8_the_minimum_holds_whatever_is_idle(least: int, most: int, expected: int) -> None:
    """Hazard T8: of three idle ones all go, none, or one."""
    assert expected == drained(a_world({}, {}, {}, pool=Pool(a_shape(), min=least, max=most)).decide().plan)


def test_T8_the_minimum_counts_what_is_going_already() -> None:
    """Hazard T8: one of three drains already, so at a minimum of two no other follows it."""
    assert 0 == drained(plan_of(leaving(a_world({}, {}, {}, pool=Pool(a_shape(), min=2)).snapshot(), 0)))


def test_T8_the_minimum_counts_capacity_units() -> None:
    """Hazard T8: two instances of three units each and a minimum of four: without one, three are left."""
    cluster = a_world({}, {}, pool=Pool(a_shape(), min=4)).snapshot()
    members = tuple(replace(m, weight=3) for m in cluster.groups[0].members)
    heavy = replace(cluster, groups=(replace(cluster.groups[0], members=members, desired=6),))

    assert 0 == drained(plan_of(heavy))
    assert 1 == drained(plan_of(replace(heavy, groups=(replace(heavy.groups[0], min=3),))))


def test_T8_a_desired_capacity_above_what_is_there_is_not_lowered() -> None:
    """Hazard T8: somebody wants nine of the group, one is there, one is needed: nothing is asked for."""
    cluster = a_world({"web": 1}, web=Work(desired=1)).snapshot()

    assert () == plan_of(replace(cluster, groups=(replace(cluster.groups[0], desired=9),))).actions


def test_T9_a_standalone_task_stays_though_there_is_room_elsewhere() -> None:
    """Hazard T9: of two instances the one with the service's task goes, the other with the standalone one stays."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot()
    one, two = cluster.tasks
    mixed = replace(cluster, tasks=(replace(one, group="family:nightly"), two), services=(replace(cluster.services[0], spreads=False),))

    assert [two.instance_arn.rpartition("/")[2]] == [a.target for a in plan_of(mixed).actions if isinstance(a, DrainInstance)]


def test_T10_daemons_alone_keep_no_instance_even_if_they_want_one_more() -> None:
    """Hazard T10: a daemon service wants as many as there are instances: that is nothing that waits."""
    cluster = a_world({"logs": 1}, {}, web=Work(desired=0), logs=Work(64, 128, daemon=True)).snapshot()

    assert (2, {}) == (drained(plan_of(cluster)), desired(plan_of(cluster)))


def test_T16_what_is_launching_counts_at_its_full_size() -> None:
    """Hazard T16: six tasks wait, three fit on what is coming: one more, not two."""
    cluster = a_world(web=Work(memory=2400, desired=6)).snapshot()
    coming = GroupMember("i-0ccc0000000000003", "Pending", "us-east-1a", instance_type="m5.large")
    group = replace(cluster.groups[0], desired=1, members=(coming,))

    assert {GROUP: 2} == desired(plan_of(replace(cluster, groups=(group,))))


@pytest.mark.parametrize("lifecycle", ["Pending", "Pending:Wait", "Pending:Proceed", "InService"])
def test_T16_every_way_of_coming_counts(lifecycle: str) -> None:
    """Hazard T16: held by a launch hook, or in service and not registered yet."""
    cluster = a_world(web=Work(desired=1)).snapshot()
    member = GroupMember("i-0ccc0000000000003", lifecycle, "us-east-1a", instance_type="m5.large")

    assert {} == desired(plan_of(replace(cluster, groups=(replace(cluster.groups[0], desired=1, members=(member,)),))))


@pytest.mark.parametrize("lifecycle", ["Terminating:Wait", "Warmed:Stopped", "Standby", "Detaching"])
def test_T16_what_is_not_coming_does_not_count(lifecycle: str) -> None:
    """Hazard T16: going, in the warm pool or in standby: no room."""
    cluster = a_world(web=Work(desired=1)).snapshot()
    member = GroupMember("i-0ccc0000000000003", lifecycle, "us-east-1a", instance_type="m5.large")

    assert {GROUP: 1} == desired(plan_of(replace(cluster, groups=(replace(cluster.groups[0], members=(member,)),))))


def test_T16_what_auto_scaling_replaces_is_on_its_way() -> None:
    """Hazard T16: the only member is unhealthy, so another is launched for it, which suffices for the task that waits."""
    cluster = a_world(web=Work(desired=1)).snapshot()
    sick = GroupMember("i-0ccc0000000000003", "InService", "us-east-1a", healthy=False, instance_type="m5.large")

    assert {} == desired(plan_of(replace(cluster, groups=(replace(cluster.groups[0], desired=1, members=(sick,)),))))


def test_T16_instances_that_are_coming_hold_off_every_scale_in() -> None:
    """Hazard T16: nothing is judged while instances are on their way."""
    cluster = a_world({}, {}).snapshot()
    plan = plan_of(replace(cluster, groups=(replace(cluster.groups[0], desired=3),)))

    assert (0, True) == (drained(plan), "on their way" in said(plan)["scale-in-held"])


def test_T16_what_no_group_launches_is_not_on_its_way() -> None:
    """Hazard T16: desired above what is there, and Launch suspended: behind a capacity provider too that holds up nobody."""
    cluster = a_world(web=Work(desired=2)).snapshot()
    ours = replace(cluster.groups[0], name="orders", desired=0)
    theirs = replace(cluster.groups[0], ecs_managed=True, desired=3, suspended=frozenset({"Launch"}))
    provider = CapacityProvider("spot", GROUP, managed_scaling=True, managed_draining=True)
    both = replace(cluster, groups=(ours, theirs), shapes=(a_shape(), a_shape("orders")), capacity_providers=(provider,))

    assert {"orders": 1} == desired(plan_of(both))


def test_T17_a_missing_attribute_is_a_finding_that_names_it() -> None:
    """Hazard T17: an agent that has registered does not have it, so the next will not either."""
    cluster = a_world({}, web=Work(desired=1)).snapshot()
    asking = {k: replace(d, requires=(("ecs.capability.efs", None),)) for k, d in cluster.definitions.items()}
    plan = plan_of(replace(cluster, definitions=asking))

    assert {} == desired(plan)
    assert "lacks ecs.capability.efs" in said(plan)["fits-no-group"]


def test_T17_what_an_agent_can_do_is_taken_on_trust_where_none_was_seen() -> None:
    """Hazard T17: a kind that never registered may well have the capability, but no other attribute that EC2 does not promise."""
    cluster = replace(a_world(web=Work(desired=1)).snapshot(), shapes=(a_shape(learned=False),))

    for name, expected in (("ecs.capability.efs", {GROUP: 1}), ("stack", {})):
        asking = {k: replace(d, requires=((name, None),)) for k, d in cluster.definitions.items()}
        assert expected == desired(plan_of(replace(cluster, definitions=asking)))


def test_T17_gpus_that_nobody_has_launch_nothing() -> None:
    """Hazard T17: with the numbers."""
    cluster = a_world(web=Work(desired=3)).snapshot()
    plan = plan_of(replace(cluster, definitions={k: replace(d, gpu=1) for k, d in cluster.definitions.items()}))

    assert {} == desired(plan)
    assert "3 of web without a place" in said(plan)["fits-no-group"]
    assert "needs 1 GPUs, 0 left" in said(plan)["fits-no-group"]


def test_T17_subnets_in_a_zone_without_the_group_launch_nothing() -> None:
    """Hazard T17: the group has no zone of the service's subnets."""
    cluster = a_world(web=Work(desired=1)).snapshot()
    plan = plan_of(replace(cluster, services=tuple(replace(s, zones=frozenset({"us-east-1f"})) for s in cluster.services)))

    assert {} == desired(plan)
    assert "us-east-1f" in said(plan)["fits-no-group"]


def test_T17_a_task_that_fits_only_without_the_daemons_launches_nothing() -> None:
    """Hazard T17: as large as the whole instance, of which each carries a daemon."""
    plan = a_world(web=Work(2048, 7680), logs=Work(64, 128, daemon=True)).decide().plan

    assert {} == desired(plan)
    assert "needs 7680 MiB, 7552 left" in said(plan)["fits-no-group"]


def test_T18_an_exact_fit_frees_an_instance() -> None:
    """Hazard T18: what is on the one has exactly the room that the other has left."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(1024, 3840, desired=2)).snapshot()

    assert 1 == drained(plan_of(replace(cluster, services=(replace(cluster.services[0], spreads=False),))))


def test_T19_ports_in_the_way_keep_an_instance_that_has_room_in_sum() -> None:
    """Hazard T19: by CPU and memory both tasks fit on one instance, but they want the same host port."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(desired=2, ports=frozenset({8080}))).snapshot()

    assert 0 == drained(plan_of(replace(cluster, services=(replace(cluster.services[0], spreads=False),))))


def test_T19_room_for_all_in_sum_is_not_room_for_each() -> None:
    """Hazard T19: the two instances that stay have 5,760 MiB left together, and the task that would move needs 4,000 in one."""
    world = a_world({"small": 1}, {"small": 1}, {"big": 1}, small=Work(memory=4800, desired=2), big=Work(cpu=1, memory=4000, desired=1))

    assert 0 == drained(world.decide().plan)


def test_T25_work_that_took_the_room_of_what_now_waits_stays_where_it_is() -> None:
    """Hazard T25: 5,000 MiB leave one instance for the other, and 3,000 come: if the first stays, nothing need be launched."""
    world = a_world({"small": 1}, {"big": 1}, small=Work(memory=2000), big=Work(memory=5000), late=Work(memory=3000))

    assert [ReactivateInstance] == kinds(leaving(world.snapshot(), 1))


def test_T25_what_came_up_through_a_capacity_provider_comes_back_too() -> None:
    """Hazard T25: a service of that provider grows while an instance of it drains."""
    cluster = leaving(a_world({"web": 3}, {}, web=Work(memory=2400, desired=6)).snapshot(), 1)
    services = tuple(replace(s, providers=("spot",)) for s in cluster.services)
    instances = tuple(replace(i, capacity_provider="spot") for i in cluster.instances)

    assert [ReactivateInstance] == kinds(replace(cluster, services=services, instances=instances, capacity_providers=(PROVIDER,)))


def test_T25_what_has_no_network_interface_left_is_no_room_for_what_waits() -> None:
    """Hazard T25: two awsvpc tasks are all that an m5.large takes: it stays for its own, and the third needs a launch."""
    cluster = a_world({"web": 2}, {"web": 2}, web=Work(64, 128, desired=5)).snapshot()
    definitions = {k: replace(d, enis=1) for k, d in cluster.definitions.items()}
    awsvpc = replace(cluster, definitions=definitions, tasks=tuple(replace(t, eni=True) for t in cluster.tasks), shapes=(a_shape(enis=2),))

    assert {GROUP: 3} == desired(plan_of(awsvpc))
    assert [SetDesiredCapacity, ReactivateInstance] == sorted(kinds(leaving(awsvpc, 0)), key=str, reverse=True)


def test_T25_what_has_a_task_of_the_service_is_no_room_for_a_distinct_one() -> None:
    """Hazard T25: three of a service that allows one to an instance, on two: the one that was to go stays, and one is launched."""
    cluster = leaving(a_world({"web": 1}, {"web": 1}, web=Work(distinct=True, desired=3)).snapshot(), 0)

    assert {GROUP: 3} == desired(plan_of(cluster))
    assert ReactivateInstance in kinds(cluster)


@pytest.mark.parametrize("cause", ["terminate-hook", "spot-interruption", "rebalance-recommendation"])
def test_T25_only_a_scale_in_is_taken_back(cause: str) -> None:
    """Hazard T25: what EC2 or a person takes is not ours to keep: another is launched."""
    cluster = leaving(a_world({"web": 3}, {}, web=Work(memory=2400, desired=6)).snapshot(), 1, cause)

    assert {GROUP: 3} == desired(plan_of(cluster))


def test_T25_what_somebody_else_drains_is_not_taken_back() -> None:
    """Hazard T25: DRAINING without our mark."""
    cluster = leaving(a_world({"web": 3}, {}, web=Work(memory=2400, desired=6)).snapshot(), 1)
    unmarked = replace(cluster, instances=tuple(replace(i, drain=None) for i in cluster.instances))

    assert [SetDesiredCapacity] == kinds(unmarked)


@pytest.mark.parametrize("lifecycle", ["Terminating", "Terminating:Wait"])
def test_T25_what_its_group_ends_already_is_not_taken_back(lifecycle: str) -> None:
    """Hazard T25: too late."""
    cluster = leaving(a_world({"web": 3}, {}, web=Work(memory=2400, desired=6)).snapshot(), 1)
    stays, goes = cluster.groups[0].members
    group = replace(cluster.groups[0], desired=1, members=(stays, replace(goes, lifecycle=lifecycle)))

    assert [SetDesiredCapacity] == kinds(replace(cluster, groups=(group,)))


def test_T25_what_has_lost_its_agent_is_not_taken_back() -> None:
    """Hazard T25: it would take no task."""
    cluster = leaving(a_world({"web": 3}, {}, web=Work(memory=2400, desired=6)).snapshot(), 1)
    stays, goes = cluster.instances

    assert [SetDesiredCapacity] == kinds(replace(cluster, instances=(stays, replace(goes, agent_connected=False))))


def test_T25_no_more_comes_back_than_is_needed() -> None:
    """Hazard T25: two drain, and room for one task is missing."""
    cluster = a_world({"web": 3}, {}, {}, web=Work(memory=2400, desired=4)).snapshot()

    assert [ReactivateInstance] == kinds(leaving(leaving(cluster, 1), 2))


def test_T28_marks_of_other_causes_are_not_taken_off() -> None:
    """Hazard T28: an instance that waits for its turn to be drained for a rebalance recommendation is neither drained here nor unmarked."""
    cluster = a_world({}).snapshot()
    marked = replace(cluster, instances=tuple(replace(i, drain=a_mark("rebalance-recommendation")) for i in cluster.instances))

    assert () == plan_of(marked).actions


def test_T28_with_scale_in_turned_off_a_mark_that_was_left_behind_goes() -> None:
    """Hazard T28: marked, ACTIVE, and idle: it stays now."""
    cluster = a_world({}).snapshot()
    marked = replace(cluster, instances=tuple(replace(i, drain=a_mark("scale-in")) for i in cluster.instances))

    assert [UnmarkInstance] == [type(a) for a in plan_of(marked, a_policy(scale_in=False)).actions]


def test_T28_what_is_drained_again_is_not_unmarked_as_well() -> None:
    """Hazard T28: one action for it."""
    cluster = a_world({}).snapshot()
    marked = replace(cluster, instances=tuple(replace(i, drain=a_mark("scale-in")) for i in cluster.instances))

    assert [DrainInstance] == kinds(marked)


def test_T28_what_has_drained_empty_is_not_drained_again() -> None:
    """Hazard T28: its end is draining's; here it is only not counted as room."""
    cluster = replace(
        a_world({}).snapshot(), instances=(a_draining(mark=a_mark("scale-in")), an_instance("i-0ddd0000000000004", running=0))
    )

    assert () == plan_of(cluster).actions


def test_a_registration_in_another_status_is_no_room() -> None:
    """REGISTERING, while its trunk attaches: counted neither as room nor as idle."""
    cluster = a_world({}, web=Work(desired=1)).snapshot()
    registering = replace(cluster, instances=tuple(replace(i, status="REGISTERING") for i in cluster.instances))

    assert (0, {GROUP: 2}) == (drained(plan_of(registering)), desired(plan_of(registering)))


def test_what_never_registers_is_not_asked_for_again_and_again() -> None:
    """Three in a row launched and never registered: a fourth will not either, and the maximum is not reached for nothing."""
    cluster = a_world(web=Work(desired=1)).snapshot()
    ids = [f"i-0ccc000000000000{n}" for n in range(3)]
    members = tuple(GroupMember(i, "InService", "us-east-1a", instance_type="m5.large") for i in ids)
    hosts = tuple(a_host(i, launched=NOW - timedelta(minutes=11)) for i in ids)
    late = replace(cluster, groups=(replace(cluster.groups[0], desired=3, members=members),), hosts=hosts)

    assert {} == desired(plan_of(late))


def test_no_type_is_known_and_nothing_is_launched_by_a_guess() -> None:
    """What its instances register is not known: a finding."""
    cluster = a_world(web=Work(desired=1)).snapshot()
    plan = plan_of(replace(cluster, shapes=(), groups=(replace(cluster.groups[0], types=(InstanceTypeOption("x9.huge"),)),)))

    assert {} == desired(plan)
    assert "not known yet" in said(plan)["fits-no-group"]
