"""Which group is asked: the cheapest whose instances can hold the work, in its own units, and none for nothing. Plans compared."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bulwark.core.capacity_rest import Rest
from bulwark.core.cluster import CapacityProvider, Cluster, Group, InstanceTypeOption
from tests.builders import NOW
from tests.sizing_world import GROUP, Work, a_policy, a_shape, a_world, desired, plan_of, said


def two_groups(cluster: Cluster, **changes: Any) -> Cluster:
    """The cluster with a second, On-Demand group that launches the same type."""
    other = Group("orders", 0, 0, 10, "orders", market="on-demand", types=(InstanceTypeOption("m5.large"),), zones=cluster.groups[0].zones)
    return replace(cluster, groups=(replace(cluster.groups[0], **changes), other), shapes=(*cluster.shapes, a_shape("orders")))


WAITING = Work(memory=2400, desired=4)


@pytest.mark.parametrize(
    ("changes", "policy", "expected"),
    [
        ({}, {}, {GROUP: 2}),
        ({}, {"order": ("orders",)}, {"orders": 2}),
        ({"max": 1}, {}, {GROUP: 1, "orders": 1}),
        ({"suspended": frozenset({"Launch"})}, {}, {"orders": 2}),
        ({"rest": Rest(NOW + timedelta(minutes=5), NOW)}, {}, {"orders": 2}),
        ({"in_units": True}, {}, {"orders": 2}),
    ],
)  # fmt: skip
def test_the_cheapest_group_that_can_is_asked(changes: dict[str, Any], policy: dict[str, Any], expected: dict[str, int]) -> None:
    """Spot first, or the policy's order; what it cannot bring goes to the next."""
    cluster = two_groups(a_world(web=WAITING).snapshot(), **changes)

    assert expected == desired(plan_of(cluster, a_policy(**policy)))


def test_a_group_that_ecs_scales_is_only_reported() -> None:
    """Rule 4: managed scaling: neither launched nor emptied, and said."""
    cluster = a_world({}, {}, web=replace(WAITING, desired=9)).snapshot()
    behind = replace(
        cluster,
        groups=tuple(replace(g, ecs_managed=True) for g in cluster.groups),
        capacity_providers=(CapacityProvider("spot", GROUP, managed_scaling=True, managed_draining=True),),
    )

    plan = plan_of(behind)
    assert () == plan.actions
    assert "ecs-scales" in said(plan)


def test_of_two_types_what_suffices_whichever_comes_is_asked_for() -> None:
    """Four tasks: two of the smaller type, or one of the larger; desired counts the larger for two, so two units do in either case."""
    cluster = a_world(web=WAITING).snapshot()
    large = a_shape(cpu=4096, memory=15700, instance_type="m5.xlarge")
    types = (InstanceTypeOption("m5.large", 1), InstanceTypeOption("m5.xlarge", 2))
    mixed = replace(cluster, groups=(replace(cluster.groups[0], types=types),), shapes=(*cluster.shapes, large))

    assert {GROUP: 2} == desired(plan_of(mixed))


def test_a_task_that_only_the_larger_type_holds_launches_nothing() -> None:
    """Nobody knows which will come, and the smaller may come for ever."""
    cluster = a_world(web=Work(memory=9216)).snapshot()
    large = a_shape(cpu=4096, memory=15700, instance_type="m5.xlarge")
    types = (InstanceTypeOption("m5.large"), InstanceTypeOption("m5.xlarge"))
    plan = plan_of(replace(cluster, groups=(replace(cluster.groups[0], types=types),), shapes=(*cluster.shapes, large)))

    assert {} == desired(plan)
    assert "m5.large of group" in said(plan)["fits-no-group"]


def test_gpus_come_from_the_group_that_has_them() -> None:
    """The cheaper group cannot hold it."""
    cluster = two_groups(a_world(web=Work()).snapshot())
    definitions = {k: replace(d, gpu=1) for k, d in cluster.definitions.items()}
    gpus = replace(cluster, definitions=definitions, shapes=(a_shape(), a_shape("orders", gpu=1)))

    assert {"orders": 1} == desired(plan_of(gpus))


def test_work_for_one_architecture_asks_the_group_that_has_it() -> None:
    """ARM beside x86."""
    cluster = two_groups(a_world(web=Work()).snapshot())
    definitions = {k: replace(d, requires=(("ecs.cpu-architecture", "arm64"),)) for k, d in cluster.definitions.items()}
    x86, arm = ({"ecs.cpu-architecture": name} for name in ("x86_64", "arm64"))
    shapes = (a_shape(attributes=x86), a_shape("orders", attributes=arm))

    assert {"orders": 1} == desired(plan_of(replace(cluster, definitions=definitions, shapes=shapes)))


def test_a_group_whose_launches_fail_for_another_reason_is_no_room() -> None:
    """What it was asked for does not come: the need goes to the next group, and it is said."""
    cluster = two_groups(a_world(web=WAITING).snapshot(), desired=2, trouble="Invalid launch template")

    plan = plan_of(cluster)
    assert {"orders": 2} == desired(plan)
    assert "Invalid launch template" in said(plan)["launches-fail"]
