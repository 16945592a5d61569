"""What others got wrong when they sized a cluster, each hazard a test, and the rules of sizing one by one: plans compared."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bulwark.core.capacity import decide_capacity, worth_a_look
from bulwark.core.cluster import Demand, GroupMember, Host, Resources
from bulwark.core.plan import DrainInstance, ReactivateInstance, UnmarkInstance
from tests.builders import NOW, a_host, a_mark, an_instance
from tests.sizing_world import GROUP, Pool, Work, a_policy, a_shape, a_world, desired, drained, plan_of, said


def test_T7_without_a_history_of_demand_nothing_goes() -> None:
    """Hazard T7: what is not known is not zero: before the window is full, what could go stays."""
    world = a_world({}, {}, policy=a_policy(window_minutes=5))

    plan = world.decide().plan
    assert (0, True) == (drained(plan), "scale-in-held" in said(plan))


def test_T7_an_instance_whose_tasks_were_not_looked_at_stays() -> None:
    """Hazard T7: not seen is not empty."""
    cluster = replace(a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot(), tasks=(), tasks_examined=frozenset())

    assert 0 == drained(plan_of(cluster))
    assert 2 == len(worth_a_look(cluster, a_policy()))


def test_T8_no_group_goes_below_its_minimum_or_above_its_maximum() -> None:
    """Hazard T8: three idle ones and a minimum of two; twelve tasks and a maximum of two."""
    assert 1 == drained(a_world({}, {}, {}, pool=Pool(a_shape(), min=2)).decide().plan)
    full = a_world(pool=Pool(a_shape(), max=2), web=Work(memory=3000, desired=12)).decide().plan
    assert {GROUP: 2} == desired(full)
    assert "at its maximum of 2" in said(full)["no-group-can-grow"]


def test_T8_a_service_that_may_not_move_its_tasks_keeps_its_instance() -> None:
    """Hazard T8: minimum healthy 100 % and maximum 100 %: nothing may be stopped first, nothing started first."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot()
    locked = tuple(replace(s, min_healthy_percent=100, max_percent=100) for s in cluster.services)

    assert 0 == drained(plan_of(replace(cluster, services=locked)))


def test_T9_an_instance_with_a_standalone_task_is_not_empty_and_stays() -> None:
    """Hazard T9: nobody would start it again elsewhere."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot()
    standalone = tuple(replace(t, group="family:nightly") for t in cluster.tasks)

    assert 0 == drained(plan_of(replace(cluster, tasks=standalone)))


def test_T10_an_instance_with_nothing_but_daemons_is_empty() -> None:
    """Hazard T10: to zero, where the minimum is."""
    world = a_world({"logs": 1}, {"logs": 1}, web=Work(desired=0), logs=Work(64, 128, daemon=True))

    assert 2 == drained(world.decide().plan)


def test_T16_one_computed_step_and_nothing_more_while_it_is_on_its_way() -> None:
    """Hazard T16: ten tasks, three to an instance: four at once, and then none though all still wait."""
    world = a_world(web=Work(memory=2400, desired=10))

    plan = world.decide().plan
    assert {GROUP: 4} == desired(plan)
    world.apply(plan)
    assert {} == desired(world.decide().plan)


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (Work(memory=9216), "needs 9216 MiB, 7680 left"),
        (Work(cpu=4096), "needs 4096 CPU units, 2048 left"),
        (Work(ports=frozenset({22})), "host port 22/tcp is taken"),
        (Work(expressions=("attribute:gpu exists",)), "attribute:gpu exists"),
    ],
)
def test_T17_what_capacity_cannot_cure_launches_nothing(work: Work, reason: str) -> None:
    """Hazard T17: too large, a port that every instance has in use, a constraint that none meets: a finding with the evidence."""
    world = a_world(pool=Pool(a_shape(ports=frozenset({22}))), web=work)

    plan = world.decide().plan

    assert () == plan.actions
    assert reason in said(plan)["fits-no-group"]


def test_T18_an_exact_fit_fits() -> None:
    """Hazard T18: two tasks of half an instance each need one."""
    assert {GROUP: 1} == desired(a_world(web=Work(1024, 3840, desired=2)).decide().plan)


def test_T19_room_in_sum_but_in_pieces_takes_nothing_away() -> None:
    """Hazard T19: three instances, each with room for half a task: by the sums two would do, and no task fits elsewhere."""
    world = a_world({"web": 1}, {"web": 1}, {"web": 1}, web=Work(memory=4700, desired=3))

    assert 0 == drained(world.decide().plan)


def test_T25_what_was_to_go_comes_back_before_anything_is_launched() -> None:
    """Hazard T25: the service grows while an instance drains: back to ACTIVE, and no launch."""
    world = a_world({"web": 3}, {"web": 0}, web=Work(memory=2400, desired=3))
    world.apply(world.decide().plan)
    world.work["web"] = replace(world.work["web"], desired=6)

    (action,) = world.decide().plan.actions

    assert isinstance(action, ReactivateInstance)


def test_T28_a_mark_that_was_left_behind_is_taken_off_or_drained_again() -> None:
    """Hazard T28: marked for a scale-in and still ACTIVE: it goes if it can, and else loses the mark."""
    cluster = a_world({"web": 3}, {"web": 3}, web=Work(memory=2400, desired=6)).snapshot()
    marked = replace(cluster, instances=tuple(replace(i, drain=a_mark("scale-in", minutes=30)) for i in cluster.instances))

    assert [UnmarkInstance] * 2 == [type(a) for a in plan_of(marked).actions]
    idle = a_world({}).snapshot()
    again = replace(idle, instances=tuple(replace(i, drain=a_mark("scale-in", minutes=30)) for i in idle.instances))
    assert [DrainInstance] == [type(a) for a in plan_of(again).actions]


def test_the_budget_bounds_what_holds_work_and_not_what_is_empty() -> None:
    """Rule 6: ten percent of four is none, but one may always go; empty ones disturb nobody."""
    world = a_world({"web": 1}, {"web": 1}, {"web": 1}, {"web": 1}, policy=a_policy(budget=10), web=Work(desired=4))
    plan = world.decide().plan
    assert (1, True) == (drained(plan), "scale-in-waits" in said(plan))
    assert 4 == drained(a_world({}, {}, {}, {}, policy=a_policy(budget=0)).decide().plan)


def test_too_many_agents_away_stop_everything_voluntary() -> None:
    """Rule 6: the breaker."""
    cluster = a_world({}, {}, {}).snapshot()
    away = replace(cluster, instances=(replace(cluster.instances[0], agent_connected=False), *cluster.instances[1:]))

    assert 0 == drained(plan_of(away))
    assert "are away" in said(plan_of(away))["scale-in-held"]


def test_the_window_keeps_what_was_needed_a_moment_ago() -> None:
    """The highest need of the last minutes still has to be met: one of two may go, not both."""
    cluster = a_world({}, {}, policy=a_policy(window_minutes=5)).snapshot()
    past = (Demand(NOW - timedelta(minutes=5), 0, 0), Demand(NOW - timedelta(minutes=4), 2048, 4000))

    assert 1 == drained(plan_of(replace(cluster, demands=past), a_policy(window_minutes=5)))


def test_a_service_that_spreads_over_zones_keeps_its_zones() -> None:
    """Two instances in two zones, a task on each: both would fit on one, and the zone would be lost."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot()

    assert 0 == drained(plan_of(cluster))
    packed = replace(cluster, services=tuple(replace(s, spreads=False) for s in cluster.services))
    assert 1 == drained(plan_of(packed))


def test_an_instance_that_drains_has_its_work_counted_once() -> None:
    """Three tasks have to leave a drained instance and fit on no other: one instance for them, and no second for the missing desired."""
    cluster = a_world({"web": 3}, {"web": 3}, web=Work(memory=2400, desired=6)).snapshot()
    one, *rest = cluster.instances
    draining = replace(cluster, instances=(replace(one, status="DRAINING", drain=a_mark()), *rest))

    assert {GROUP: 3} == desired(plan_of(draining))


def test_a_rollout_waits_beside_what_still_runs_within_maximum_percent() -> None:
    """Three old tasks run, three new ones are missing: with 200 % they need an instance, with 100 % ECS stops old ones first."""
    cluster = a_world({"web": 3}, web=Work(memory=2400, desired=3)).snapshot()

    for most, expected in ((200, {GROUP: 2}), (100, {})):
        rolling = tuple(replace(s, rolling=True, missing=3, max_percent=most, min_healthy_percent=0) for s in cluster.services)
        assert expected == desired(plan_of(replace(cluster, services=rolling)))


def test_network_interfaces_are_counted_with_and_without_trunking() -> None:
    """An m5.large takes two awsvpc tasks, ten with trunking: ten of them need five instances, or one."""
    cluster = a_world(web=Work(64, 128, desired=10)).snapshot()
    awsvpc = replace(cluster, definitions={k: replace(d, enis=1) for k, d in cluster.definitions.items()})

    for enis, expected in ((2, 5), (10, 1)):
        assert {GROUP: expected} == desired(plan_of(replace(awsvpc, shapes=(a_shape(enis=enis),))))


def test_tcp_and_udp_ports_do_not_meet() -> None:
    """Two services with the same number, one of each protocol, share an instance; two of one protocol do not."""
    cluster = a_world(web=Work(ports=frozenset({53})), dns=Work()).snapshot()
    udp = {k: replace(d, ports_udp=frozenset({53})) if k == "dns" else d for k, d in cluster.definitions.items()}
    tcp = {k: replace(d, ports=frozenset({53})) for k, d in cluster.definitions.items()}

    assert {GROUP: 1} == desired(plan_of(replace(cluster, definitions=udp)))
    assert {GROUP: 2} == desired(plan_of(replace(cluster, definitions=tcp)))


def test_each_new_instance_carries_the_daemons() -> None:
    """Two tasks would fit on one instance but for its daemon."""
    world = a_world(web=Work(1024, 3840, desired=2), logs=Work(64, 128, daemon=True))

    assert {GROUP: 2} == desired(world.decide().plan)


def test_an_instance_that_does_not_register_stops_counting() -> None:
    """Launched longer ago than register_minutes: no room, another is asked for, and said."""
    cluster = a_world(web=Work()).snapshot()
    late = replace(cluster, groups=tuple(replace(g, desired=1, members=(_member(),)) for g in cluster.groups), hosts=(_host(minutes=11),))

    plan = plan_of(late)
    assert ({GROUP: 2}, True) == (desired(plan), "never-registered" in said(plan))
    early = replace(late, hosts=(_host(minutes=9),))
    assert {} == desired(plan_of(early))


def _member() -> GroupMember:
    return GroupMember("i-0ccc0000000000003", "InService", "us-east-1a", instance_type="m5.large")


def _host(minutes: float) -> Host:
    return a_host("i-0ccc0000000000003", launched=NOW - timedelta(minutes=minutes))


def test_protected_members_stay() -> None:
    """Scale-in protection is somebody's word."""
    cluster = a_world({}, {}).snapshot()
    guarded = tuple(replace(m, protected=True) for m in cluster.groups[0].members)

    assert 0 == drained(plan_of(replace(cluster, groups=(replace(cluster.groups[0], members=guarded),))))


def test_T24_an_instance_that_is_registered_twice_stays() -> None:
    """Hazard T24: its work may be in the other registration."""
    cluster = a_world({}).snapshot()
    (one,) = cluster.instances
    twice = replace(cluster, instances=(one, replace(one, arn=f"{one.arn}-2", running=1, remaining=Resources(1024, 4096))))

    assert 0 == drained(plan_of(twice))


def test_a_task_that_is_missed_again_is_not_moved_again() -> None:
    """At the same demand as when instances were taken out and missed again, nothing with work on it goes; with less it does."""
    cluster = a_world({"web": 1}, {"web": 1}, {"web": 1}, {"web": 1}, web=Work(desired=4)).snapshot()

    regretted = plan_of(replace(cluster, regret=Demand(NOW, 1024, 2048)))
    assert (0, True) == (drained(regretted), "scale-in-regretted" in said(regretted))
    assert 0 < drained(plan_of(replace(cluster, regret=Demand(NOW, 1024, 2049))))


def test_what_was_taken_out_and_missed_again_is_remembered() -> None:
    """Nothing more is asked for than when instances went, and they are missing: that is regretted."""
    cluster = a_world(web=Work(desired=1)).snapshot()

    missed = decide_capacity(replace(cluster, removed=Demand(NOW, 256, 512)), a_policy())
    assert missed.regret is not None
    grown = decide_capacity(replace(cluster, removed=Demand(NOW, 255, 512)), a_policy())
    assert grown.regret is None


def test_a_foreign_instance_gives_room_and_is_never_drained() -> None:
    """An instance in no group that opted in is where ECS places tasks too."""
    cluster = a_world(web=Work(desired=1)).snapshot()

    assert () == plan_of(replace(cluster, instances=(an_instance(running=0),))).actions


def test_a_service_that_allows_one_to_an_instance_moves_only_if_all_its_tasks_were_seen() -> None:
    """Where the others are is where it cannot go: what was not looked at is not free."""
    cluster = a_world({"web": 1}, {"api": 1}, {"api": 1}, web=Work(desired=1, distinct=True), api=Work(desired=2)).snapshot()
    one_zone = replace(cluster, services=tuple(replace(s, spreads=False) for s in cluster.services))
    assert 2 == drained(plan_of(one_zone))

    more = replace(one_zone, services=tuple(replace(s, running=s.running + s.distinct) for s in one_zone.services))
    kept = decide_capacity(more, a_policy()).kept
    assert any("allows one to an instance" in why for why in kept.values())


def test_a_protected_task_keeps_its_instance() -> None:
    """Until its protection is over."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot()
    packed = replace(cluster, services=tuple(replace(s, spreads=False) for s in cluster.services))
    until = tuple(replace(t, protected_until=NOW + timedelta(minutes=1)) for t in packed.tasks)

    assert 1 == drained(plan_of(packed))
    assert 0 == drained(plan_of(replace(packed, tasks=until)))
    assert 0 == drained(plan_of(replace(packed, unread={"task protection": "throttled"})))


def test_a_constraint_that_is_not_understood_holds_up_its_service_alone() -> None:
    """The other service is sized for; of this one it is said."""
    plan = a_world(web=Work(expressions=("attribute:a ~~ b",)), api=Work(memory=4000, desired=2)).decide().plan

    assert {GROUP: 2} == desired(plan)
    assert "not understood" in said(plan)["need-unknown"]


def test_what_its_group_is_ending_is_no_room_for_others_work() -> None:
    """ECS still has it ACTIVE: work that went there would go with it."""
    cluster = a_world({"web": 1}, {"web": 1}, web=Work(desired=2)).snapshot()
    first, second = cluster.groups[0].members
    packed = tuple(replace(s, spreads=False) for s in cluster.services)

    for changes in ({"lifecycle": "Terminating:Wait"}, {"healthy": False}):
        group = replace(cluster.groups[0], desired=1, members=(first, replace(second, **changes)))
        assert 0 == drained(plan_of(replace(cluster, services=packed, groups=(group,))))
