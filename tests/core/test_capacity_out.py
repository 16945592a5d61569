"""The way out: which group launches how many, exactly, and what cannot be launched for."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bulwark.core.capacity_rest import Rest
from bulwark.core.cluster import CapacityProvider, Cluster, ContainerInstance, Group, InstanceTypeOption, Resources
from bulwark.core.plan import SetDesiredCapacity
from tests.builders import NOW
from tests.sizing_world import GROUP, ZONES, Pool, Work, a_policy, a_shape, a_world, desired, plan_of, said

WHOLE = 7000
"""MiB: one such task fills an instance."""


def another(name: str = "orders", **changes: Any) -> Group:
    """A second group, On-Demand, that launches the same type."""
    values: dict[str, Any] = {"market": "on-demand", "types": (InstanceTypeOption("m5.large"),), "zones": ZONES}
    return Group(name, 0, 0, 10, "orders", **(values | changes))


def with_another(cluster: Cluster, **changes: Any) -> Cluster:
    """The cluster with a second group."""
    return replace(cluster, groups=(*cluster.groups, another(**changes)), shapes=(*cluster.shapes, a_shape("orders")))


def in_zones(cluster: Cluster, *zones: str) -> Cluster:
    """The cluster with the subnets of all services in these zones."""
    return replace(cluster, services=tuple(replace(s, zones=frozenset(zones)) for s in cluster.services))


def asking(cluster: Cluster, **changes: Any) -> Cluster:
    """The cluster with task definitions that ask for more."""
    return replace(cluster, definitions={k: replace(d, **changes) for k, d in cluster.definitions.items()})


def grouped(cluster: Cluster, **changes: Any) -> Cluster:
    """The cluster with its first group changed."""
    first, *rest = cluster.groups
    return replace(cluster, groups=(replace(first, **changes), *rest))


@pytest.mark.parametrize("zone", ZONES)
def test_one_zone_of_the_group_is_reached_whichever_it_is(zone: str) -> None:
    """The subnets of an awsvpc service are in one of the group's two zones, which take turns: from zero, one or two launches get there."""
    (count,) = desired(plan_of(in_zones(a_world(web=Work(desired=1)).snapshot(), zone))).values()

    assert 1 <= count <= 2


def test_work_for_one_zone_is_all_launched_for_though_zones_take_turns() -> None:
    """Four tasks that fill an instance each, in one of two zones: every second launch is of use."""
    (count,) = desired(plan_of(in_zones(a_world(web=Work(memory=WHOLE, desired=4)).snapshot(), ZONES[0]))).values()

    assert 7 <= count <= 8


def test_what_is_not_launched_for_its_zone_is_not_said_to_be_at_the_maximum() -> None:
    """The maximum is twenty, and nothing is there yet."""
    plan = plan_of(in_zones(a_world(web=Work(desired=1)).snapshot(), ZONES[0]))

    assert "maximum" not in " ".join(said(plan).values())


@pytest.mark.parametrize(("desired_tasks", "expected"), [(1, 1), (3, 1), (4, 2), (9, 3), (10, 4)])
def test_as_many_as_it_takes_and_not_one_more(desired_tasks: int, expected: int) -> None:
    """Three tasks to an instance, from zero."""
    assert {GROUP: expected} == desired(a_world(web=Work(memory=2400, desired=desired_tasks)).decide().plan)


def test_more_than_one_decision_asks_for_at_once_stays_with_the_cheaper_group() -> None:
    """Six hundred are missing and five hundred are asked for: the rest is asked of the same group next, and not of the dearer one now."""
    cluster = with_another(a_world(pool=Pool(a_shape(), max=2000), web=Work(memory=WHOLE, desired=600)).snapshot())

    assert {GROUP: 500} == desired(plan_of(cluster))


def test_what_one_group_lacks_to_its_maximum_the_next_brings() -> None:
    """Room for one of three."""
    cluster = with_another(a_world({"web": 1}, pool=Pool(a_shape(), max=2), web=Work(memory=WHOLE, desired=4)).snapshot())

    assert {GROUP: 2, "orders": 2} == desired(plan_of(cluster))


def test_both_groups_at_their_maximum_are_named() -> None:
    """The finding says of each why it does not grow."""
    message = said(plan_of(grouped(with_another(a_world(web=Work(memory=WHOLE, desired=30)).snapshot()), max=1)))["no-group-can-grow"]

    assert "group orders-spot: it is at its maximum of 1" in message
    assert "group orders: it is at its maximum of 10" in message
    assert "19 of web" in message


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"suspended": frozenset({"Launch"})}, "its process Launch is suspended"),
        ({"rest": Rest(NOW + timedelta(minutes=5), NOW, because="no Spot")}, "it rests until 03:05 UTC: no Spot"),
        ({"in_units": True}, "vCPUs or MiB"),
        ({"max": 0}, "it is at its maximum of 0"),
    ],
)
def test_the_only_group_is_closed(changes: dict[str, Any], why: str) -> None:
    """Nothing is asked for, and the finding says why."""
    plan = plan_of(grouped(a_world(web=Work(desired=1)).snapshot(), **changes))

    assert {} == desired(plan)
    assert why in said(plan)["no-group-can-grow"]


@pytest.mark.parametrize("process", ["Terminate", "AZRebalance", "HealthCheck"])
def test_another_process_that_is_suspended_closes_nothing(process: str) -> None:
    """Only Launch launches."""
    assert {GROUP: 1} == desired(plan_of(grouped(a_world(web=Work(desired=1)).snapshot(), suspended=frozenset({process}))))


def test_a_rest_that_is_over_closes_nothing() -> None:
    """Until now, and no longer."""
    assert {GROUP: 1} == desired(plan_of(grouped(a_world(web=Work(desired=1)).snapshot(), rest=Rest(NOW, NOW))))


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        (None, {}),
        (CapacityProvider("p", GROUP, managed_scaling=True, managed_draining=False), {}),
        (CapacityProvider("p", GROUP, managed_scaling=False, managed_draining=True), {GROUP: 1}),
    ],
)
def test_a_group_behind_a_capacity_provider_is_sized_if_ecs_surely_does_not(
    provider: CapacityProvider | None, expected: dict[str, int]
) -> None:
    """What its provider does is not known, managed scaling is on, or off."""
    behind = grouped(a_world(web=Work(desired=1)).snapshot(), ecs_managed=True)

    assert expected == desired(plan_of(replace(behind, capacity_providers=(provider,) if provider else ())))


@pytest.mark.parametrize(
    ("order", "expected"), [((), GROUP), (("orders", GROUP), "orders"), (("orders",), "orders"), ((GROUP, "orders"), GROUP)]
)
def test_the_policys_order_comes_before_the_market(order: tuple[str, ...], expected: str) -> None:
    """Spot first where it says nothing."""
    assert [expected] == list(desired(plan_of(with_another(a_world(web=Work(desired=1)).snapshot()), a_policy(order=order))))


def test_a_group_that_the_order_names_and_that_is_not_there_is_said() -> None:
    """A misspelt name would else be silently last."""
    assert "no group of that name" in said(plan_of(a_world().snapshot(), a_policy(order=("oders",))))["no-such-group"]


@pytest.mark.parametrize(("first", "second"), [("spot", "mixed"), ("mixed", "on-demand"), ("spot", "unknown"), ("unknown", "on-demand")])
def test_the_market_says_what_is_cheap(first: str, second: str) -> None:
    """Spot, then what is part Spot or not known, then On-Demand."""
    cluster = with_another(a_world(web=Work(desired=1)).snapshot(), market=first)

    assert ["orders"] == list(desired(plan_of(grouped(cluster, market=second))))


def test_what_only_the_dearer_group_holds_also_takes_what_others_need() -> None:
    """A task for the dear group's attribute, and a small one that fits beside it: one launch, not two."""
    cluster = with_another(a_world(web=Work(memory=512), gpu=Work(memory=512)).snapshot())
    definitions = {k: replace(d, requires=(("gpu", None),)) if k == "gpu" else d for k, d in cluster.definitions.items()}
    shapes = (a_shape(), a_shape("orders", attributes={"gpu": None}))

    assert {"orders": 1} == desired(plan_of(replace(cluster, definitions=definitions, shapes=shapes)))


def test_an_attribute_with_a_value_has_to_be_the_same() -> None:
    """arm64 is not x86_64."""
    cluster = with_another(a_world(web=Work(desired=1)).snapshot())
    shapes = (a_shape(attributes={"ecs.cpu-architecture": "x86_64"}), a_shape("orders", attributes={"ecs.cpu-architecture": "arm64"}))
    arm = asking(replace(cluster, shapes=shapes), requires=(("ecs.cpu-architecture", "arm64"),))

    assert {"orders": 1} == desired(plan_of(arm))


def test_a_member_of_constraint_chooses_the_group() -> None:
    """By instance type, which the cheaper group does not launch."""
    cluster = with_another(a_world(web=Work(expressions=("attribute:ecs.instance-type =~ c5.*",))).snapshot())
    types = {"ecs.instance-type": "m5.large"}, {"ecs.instance-type": "c5.large"}
    shapes = (a_shape(attributes=types[0]), a_shape("orders", attributes=types[1]))

    assert {"orders": 1} == desired(plan_of(replace(cluster, shapes=shapes)))


def test_one_to_an_instance_takes_as_many_instances_as_tasks() -> None:
    """However small they are; two services share them."""
    world = a_world(web=Work(64, 64, desired=4, distinct=True), api=Work(64, 64, desired=3, distinct=True))

    assert {GROUP: 4} == desired(world.decide().plan)


def test_what_a_distinct_service_has_already_counts() -> None:
    """Two instances hold one each; a third task needs a third instance."""
    world = a_world({"web": 1}, {"web": 1}, web=Work(64, 64, desired=3, distinct=True))

    assert {GROUP: 3} == desired(world.decide().plan)


@pytest.mark.parametrize(("daemon_ports", "expected"), [({"ports": frozenset({8080})}, {}), ({"ports_udp": frozenset({8080})}, {GROUP: 1})])
def test_a_daemon_has_its_port_on_every_new_instance(daemon_ports: dict[str, Any], expected: dict[str, int]) -> None:
    """A task on the same port, of the same protocol, has no instance to go to, ever."""
    cluster = a_world(web=Work(ports=frozenset({8080})), logs=Work(64, 128, daemon=True)).snapshot()
    definitions = {k: replace(d, **daemon_ports) if k == "logs" else d for k, d in cluster.definitions.items()}

    assert expected == desired(plan_of(replace(cluster, definitions=definitions)))


def test_a_daemon_for_other_instances_takes_nothing_of_these() -> None:
    """Its constraint leaves the group's instances out."""
    logs = Work(64, 128, daemon=True, expressions=("attribute:stack == other",))

    assert {GROUP: 1} == desired(a_world(web=Work(1024, 3840, desired=2), logs=logs).decide().plan)


def test_a_daemon_that_is_awsvpc_takes_an_interface_of_each() -> None:
    """Two interfaces for tasks, one the daemon's: one instance for each awsvpc task."""
    cluster = asking(a_world(web=Work(64, 128, desired=3), logs=Work(64, 128, daemon=True)).snapshot(), enis=1)

    assert {GROUP: 3} == desired(plan_of(replace(cluster, shapes=(a_shape(enis=2),))))


@pytest.mark.parametrize(("trunk", "expected"), [(False, {GROUP: 2}), (True, {})])
def test_interfaces_that_are_taken_count_on_what_is_there(trunk: bool, expected: dict[str, int]) -> None:
    """An m5.large with two awsvpc tasks takes no third, unless its interfaces come off a trunk."""
    cluster = asking(a_world({"web": 2}, web=Work(64, 128, desired=3)).snapshot(), enis=1)
    instances = tuple(replace(i, attributes={**i.attributes, "ecs.awsvpc-trunk-id": "t"}) if trunk else i for i in cluster.instances)
    tasks = tuple(replace(t, eni=True) for t in cluster.tasks)

    assert expected == desired(plan_of(replace(cluster, instances=instances, tasks=tasks)))


def test_tasks_that_were_not_looked_at_may_all_have_an_interface() -> None:
    """Not seen is not free."""
    cluster = asking(a_world({"web": 2}, web=Work(64, 128, desired=3)).snapshot(), enis=1)

    assert {GROUP: 2} == desired(plan_of(replace(cluster, tasks=(), tasks_examined=frozenset())))


def test_gpus_are_counted_one_by_one() -> None:
    """Three tasks of one GPU, two to an instance."""
    cluster = asking(a_world(web=Work(64, 128, desired=3)).snapshot(), gpu=1)

    assert {GROUP: 2} == desired(plan_of(replace(cluster, shapes=(a_shape(gpu=2),))))


def test_gpus_that_are_free_are_used_first() -> None:
    """Of two one is left."""
    cluster = asking(a_world({}, web=Work(64, 128, desired=1)).snapshot(), gpu=1)

    def has(one: ContainerInstance, left: int) -> ContainerInstance:
        """The instance with two GPUs, so many of them left."""
        return replace(one, registered=Resources(2048, 7680, 2), remaining=Resources(2048, 7680, left))

    for left, expected in ((1, {}), (0, {GROUP: 2})):
        instances = tuple(has(i, left) for i in cluster.instances)
        assert expected == desired(plan_of(replace(cluster, instances=instances, shapes=(a_shape(gpu=2),))))


def test_units_of_the_group_are_asked_for_and_not_instances() -> None:
    """A type that weighs four: two of them are more than four units and at most eight."""
    cluster = grouped(a_world(web=Work(memory=WHOLE, desired=2)).snapshot(), types=(InstanceTypeOption("m5.large", 4),))

    assert {GROUP: 5} == desired(plan_of(cluster))


def test_units_beyond_desired_are_there_already() -> None:
    """Desired is three, and two of weight two are there: for one more instance five has to be asked for."""
    cluster = a_world({"web": 3}, {"web": 3}, web=Work(memory=2400, desired=7)).snapshot()
    members = tuple(replace(m, weight=2) for m in cluster.groups[0].members)
    cluster = grouped(cluster, desired=3, members=members, types=(InstanceTypeOption("m5.large", 2),))

    assert {GROUP: 5} == desired(plan_of(cluster))


def test_of_several_types_the_worst_case_counts_for_each_dimension() -> None:
    """One has more memory, the other more CPU, and the task needs much of both: neither alone may be counted on."""
    shapes = (a_shape(cpu=1024), a_shape(memory=3000, instance_type="c5.large"))
    cluster = grouped(a_world(web=Work(2048, 7000)).snapshot(), types=(InstanceTypeOption("m5.large"), InstanceTypeOption("c5.large")))

    assert {} == desired(plan_of(replace(cluster, shapes=shapes)))


def test_a_type_that_nobody_knows_keeps_its_group_from_growing() -> None:
    """One of two types: it might be the one that comes."""
    cluster = grouped(a_world(web=Work()).snapshot(), types=(InstanceTypeOption("m5.large"), InstanceTypeOption("x9.huge")))

    assert {} == desired(plan_of(cluster))


def test_before_is_what_the_decision_was_made_on() -> None:
    """What is written rests on it."""
    (action,) = a_world({"web": 3}, web=Work(memory=2400, desired=4)).decide().plan.actions

    assert isinstance(action, SetDesiredCapacity)
    assert (1, 2, "from 1: 1 more for 1 of web") == (action.before, action.desired, action.reason)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"headroom_tasks": {"web": 1}}, {GROUP: 2}),
        ({"headroom_largest": 1}, {GROUP: 2}),
        ({"headroom_percent": 20}, {GROUP: 2}),
        ({"reservation_memory": 93}, {GROUP: 2}),
        ({"reservation_memory": 94}, {}),
        ({"reservation_cpu": 37}, {GROUP: 2}),
        ({"reservation_cpu": 38}, {}),
        ({"headroom_tasks": {"nobody": 1}}, {}),
        ({"headroom_percent": 6}, {}),
        ({"reservation_gpu": 1}, {}),
    ],
)
def test_headroom_and_targets_on_one_full_instance(policy: dict[str, Any], expected: dict[str, int]) -> None:
    """768 of 2,048 CPU units (37.5 %) and 7,200 of 7,680 MiB (93.75 %) are reserved."""
    assert expected == desired(a_world({"web": 3}, policy=a_policy(**policy), web=Work(memory=2400, desired=3)).decide().plan)


def test_a_target_is_held_by_as_many_as_the_weights_let_through() -> None:
    """One unit short of the maximum: as in packing, an instance of weight two may go past it."""
    cluster = a_world({"web": 3}, web=Work(memory=2400, desired=3)).snapshot()
    members = tuple(replace(m, weight=2) for m in cluster.groups[0].members)
    heavy = grouped(cluster, desired=2, max=3, members=members, types=(InstanceTypeOption("m5.large", 2),))

    assert {GROUP: 3} == desired(plan_of(heavy, a_policy(reservation_memory=80)))


def test_a_target_that_no_group_can_hold_is_a_finding() -> None:
    """At its maximum, and above the target."""
    plan = (
        a_world({"web": 3}, policy=a_policy(reservation_memory=80), pool=Pool(a_shape(), max=1), web=Work(memory=2400, desired=3))
        .decide()
        .plan
    )

    assert {} == desired(plan)
    assert "memory reserved above 80 %, and no group can bring more" in said(plan)["below-target"]


def test_nothing_to_do_asks_for_nothing_and_says_nothing() -> None:
    """All runs, and nothing is too many."""
    plan = a_world({"web": 3}, web=Work(memory=2400, desired=3)).decide().plan

    assert ((), ()) == (plan.actions, plan.findings)


def test_units_beyond_desired_count_against_the_maximum() -> None:
    """Four units are there, five are allowed: one more unit, which one instance of weight two may be."""
    cluster = a_world({"web": 3}, {"web": 3}, web=Work(memory=2400, desired=12)).snapshot()
    members = tuple(replace(m, weight=2) for m in cluster.groups[0].members)

    heavy = grouped(cluster, desired=3, max=5, members=members, types=(InstanceTypeOption("m5.large", 2),))
    assert {GROUP: 5} == desired(plan_of(heavy))
    assert {} == desired(plan_of(grouped(heavy, max=4)))


def test_a_target_names_itself_as_the_reason() -> None:
    """An operator reads why an instance came."""
    (action,) = a_world({"web": 3}, policy=a_policy(reservation_memory=80), web=Work(memory=2400, desired=3)).decide().plan.actions

    assert action.reason == "from 1: 1 more for memory reserved above 80 %"


def test_a_gpu_target_launches_nothing_that_has_no_gpu() -> None:
    """The GPU that is there is in use, and the group's instances have none."""
    cluster = asking(a_world({"web": 1}, web=Work(64, 128)).snapshot(), gpu=1)
    instances = tuple(replace(i, registered=replace(i.registered, gpu=1)) for i in cluster.instances)
    plan = plan_of(replace(cluster, instances=instances), a_policy(reservation_gpu=50))

    assert {} == desired(plan)
    assert "GPU reserved above 50 %" in said(plan)["below-target"]
