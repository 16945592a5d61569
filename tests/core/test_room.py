"""Where tasks can go: what is ready, what is coming, and what a group would launch."""

from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from bulwark.core.cluster import CapacityProvider, Definition, GroupMember, InstanceTypeOption, Resources
from bulwark.core.demand import PROVIDER
from bulwark.core.packing import Need, Space
from bulwark.core.policies import CapacityPolicy
from bulwark.core.room import Board, Slot, coming, fresh, ready, shape_of, shapes_of, trusting, units_of, zones_to_come
from tests.builders import NOW, OTHER, SPOT, a_cluster, a_group, a_host, a_service, a_task, an_instance
from tests.sizing_world import a_shape

LARGE = InstanceTypeOption("m5.large")
LOGS = a_service("logs", daemon=True, definition="logs")
DEFINITIONS = {"logs": Definition("logs", 64, 128)}


def a_member(name: str = OTHER, lifecycle: str = "Pending", **changes: Any) -> GroupMember:
    """An m5.large of the group, on its way."""
    values: dict[str, Any] = {"zone": "us-east-1a", "instance_type": "m5.large"}
    return GroupMember(name, lifecycle, **(values | changes))


def a_board(*sizes: int) -> Board:
    """Instances a, b, ... with so much memory."""
    board = Board()
    board.add(Slot(Space(name, name, 1024, size), Resources(1024, size)) for name, size in zip("abcdef", sizes, strict=False))
    return board


@pytest.mark.parametrize("changes", [{"status": "DRAINING"}, {"status": "REGISTERING"}, {"agent_connected": False}, {"described": False}])
def test_only_what_takes_tasks_and_is_known_is_ready(changes: dict[str, Any]) -> None:
    """ACTIVE, connected, described."""
    assert [SPOT] == [s.space.ec2_id for s in ready(a_cluster())]
    assert [] == ready(a_cluster(an_instance(**changes)))


@pytest.mark.parametrize(("running", "pending", "cpu"), [(0, 0, 1984), (1, 0, 2048), (0, 1, 2048)])
def test_daemons_that_are_about_to_start_have_their_share(running: int, pending: int, cpu: int) -> None:
    """Only on what has just registered and holds nothing yet."""
    cluster = a_cluster(an_instance(running=running, pending=pending), services=(LOGS,), definitions=DEFINITIONS)

    assert [cpu] == [s.space.cpu for s in ready(cluster)]


@pytest.mark.parametrize(("trunk", "looked_at", "enis"), [(False, True, 1), (True, True, 9), (False, False, 0), (True, False, 7)])
def test_network_interfaces_that_are_left(trunk: bool, looked_at: bool, enis: int) -> None:
    """One of three tasks was seen to have one; not looked at, all three may."""
    attributes: dict[str, str | None] = {"ecs.awsvpc-trunk-id": "t"} if trunk else {}
    one = an_instance(running=3, attributes=attributes)
    tasks = (a_task(eni=True), a_task("web-2"), a_task("web-3"), a_task("web-4", eni=True, last_status="STOPPED"))
    cluster = a_cluster(one, tasks=tasks if looked_at else (), tasks_examined=frozenset({one.arn} if looked_at else ()))

    assert [enis] == [s.space.enis for s in ready(cluster)]


def test_a_type_whose_interfaces_are_not_known_is_not_limited_by_them() -> None:
    """Then ECS will tell."""
    assert [None] == [s.space.enis for s in ready(a_cluster(an_instance(instance_type="x9.huge")))]


@pytest.mark.parametrize(
    ("changes", "minutes", "expected", "late"),
    [
        ({}, 9, [OTHER], ()),
        ({}, 11, [], (OTHER,)),
        ({"lifecycle": "InService"}, 9, [OTHER], ()),
        ({"lifecycle": "Terminating"}, 9, [], ()),
        ({"healthy": False}, 9, [], ()),
    ],
)
def test_members_that_have_not_registered_are_coming_for_a_while(
    changes: dict[str, Any], minutes: int, expected: list[str], late: tuple[str, ...]
) -> None:
    """At the size of their kind; after register_minutes they are late."""
    group = a_group(replace(a_member(), **changes), desired=1, types=(LARGE,))
    host = a_host(OTHER, launched=NOW - timedelta(minutes=minutes))
    arriving = coming(a_cluster(groups=(group,), hosts=(host,), shapes=(a_shape(),)), CapacityPolicy(register_minutes=10))

    assert expected == [s.space.ec2_id for s in arriving.slots if s.space.ec2_id.startswith("i-")]
    assert late == arriving.late


def test_when_it_was_launched_is_not_known() -> None:
    """Not seen by EC2 yet, or not read: it is coming, not late."""
    group = a_group(a_member(), desired=1, types=(LARGE,))

    assert 1 == len(coming(a_cluster(groups=(group,), shapes=(a_shape(),)), CapacityPolicy()).slots)


@pytest.mark.parametrize("status", ["ACTIVE", "DRAINING", "REGISTERING"])
def test_what_has_registered_is_not_coming_twice(status: str) -> None:
    """Whatever its status."""
    group = a_group(a_member(lifecycle="InService"), desired=1, types=(LARGE,))

    assert () == coming(a_cluster(an_instance(OTHER, status=status), groups=(group,), shapes=(a_shape(),)), CapacityPolicy()).slots


@pytest.mark.parametrize(("weights", "desired", "expected"), [((1,), 3, 3), ((2,), 3, 2), ((4,), 3, 1), ((1, 2), 4, 2), ((1,), 0, 0)])
def test_what_was_asked_for_and_is_not_there_is_coming(weights: tuple[int, ...], desired: int, expected: int) -> None:
    """Launched until desired is reached or passed, by the type of which that is least: so that it is not asked for twice."""
    names = ("m5.large", "m5.xlarge")[: len(weights)]
    group = a_group(desired=desired, types=tuple(InstanceTypeOption(n, w) for n, w in zip(names, weights, strict=True)))
    shapes = tuple(a_shape(instance_type=n, memory=7680 * (k + 1)) for k, n in enumerate(names))
    arriving = coming(a_cluster(groups=(group,), shapes=shapes), CapacityPolicy())

    assert [7680 * len(weights)] * expected == [s.space.memory for s in arriving.slots]


def test_of_several_types_only_what_all_have_counts() -> None:
    """The least of each figure, and attributes that are the same."""
    group = a_group(desired=1, types=(LARGE, InstanceTypeOption("c5.large")))
    shapes = (
        a_shape(cpu=100, memory=900, attributes={"a": "1", "b": "1"}, enis=9),
        a_shape(cpu=200, memory=800, attributes={"a": "1", "b": "2", "c": None}, enis=2, instance_type="c5.large"),
    )
    ((slot),) = coming(a_cluster(groups=(group,), shapes=shapes), CapacityPolicy()).slots

    space = slot.space
    assert (100, 800, 2) == (space.cpu, space.memory, space.enis)
    assert ("1", False, False) == (space.attributes["a"], "b" in space.attributes, "c" in space.attributes)


def test_of_several_types_every_port_that_one_has_taken_is_taken() -> None:
    """One of them has a port in use from the start: what is certain of all is that it may be taken."""
    group = a_group(desired=1, types=(InstanceTypeOption("c5.large"), LARGE))
    shapes = (a_shape(), a_shape(instance_type="c5.large"))
    with_port = (replace(shapes[0], ports=frozenset({22})), shapes[1])
    ((slot),) = coming(a_cluster(groups=(group,), shapes=with_port), CapacityPolicy()).slots

    assert frozenset({22}) == slot.space.ports


def test_zones_take_turns_from_the_emptiest() -> None:
    """Two in a, one in b, none in c; what goes does not count."""
    members = [a_member(f"i-{n}", "InService", zone=z) for n, z in enumerate("aab")] + [a_member("i-9", "Terminating", zone="c")]

    assert ["c", "c", "b", "c"] == list(islice(zones_to_come(a_group(*members, zones=("a", "b", "c"))), 4))


def test_zones_are_the_members_if_the_group_names_none() -> None:
    """And no zone is known where there is neither."""
    assert ["b"] == list(islice(zones_to_come(a_group(a_member(zone="b"))), 1))
    assert [""] == list(islice(zones_to_come(a_group()), 1))


def test_units_are_what_serves_and_comes() -> None:
    """By weight."""
    usable = [a_member("i-1", "InService", weight=2), a_member("i-2", "Pending:Wait", weight=3)]
    members = [*usable, a_member("i-3", "Standby"), a_member("i-4", "Warmed:Running")]

    assert 5 == units_of(a_group(*members))


def test_a_new_instance_carries_its_daemons_and_its_zone() -> None:
    """Those that accept it; the zone is an attribute too."""
    other = Need(512, 512, attributes=(("gpu", None),), group="service:gpu-logs")
    slot = fresh(a_shape(), "us-east-1b", "new", [Need(64, 128, group="service:logs"), other])

    assert (1984, 7552, 0) == (slot.space.cpu, slot.space.memory, slot.space.running)
    assert (Resources(2048, 7680), Resources(64, 128)) == (slot.registered, slot.daemons)
    assert ("us-east-1b", "us-east-1b") == (slot.space.zone, slot.space.attributes["ecs.availability-zone"])


def test_capabilities_are_trusted_of_an_estimate_alone() -> None:
    """Of what an agent can do, both prefixes; nothing else."""
    need = Need(attributes=(("ecs.capability.efs", None), ("com.amazonaws.ecs.capability.ecr-auth", None), ("stack", "a")))

    assert need == trusting(need, a_shape())
    assert (("stack", "a"),) == trusting(need, a_shape(learned=False)).attributes


def test_a_shape_comes_up_through_its_groups_provider() -> None:
    """So that a service of that provider can be placed on it."""
    cluster = a_cluster(shapes=(a_shape(),), capacity_providers=(CapacityProvider("spot", "orders-spot", False, False),))

    shape = shape_of(cluster, "orders-spot", "m5.large")
    assert shape is not None
    assert "spot" == shape.attributes[PROVIDER]
    assert shape_of(cluster, "orders", "m5.large") is None


def test_shapes_are_known_whole_or_not_at_all() -> None:
    """One type of two that is not known could be the one that comes."""
    cluster = a_cluster(shapes=(a_shape(),))

    assert 1 == len(shapes_of(cluster, a_group(types=(LARGE,))))
    assert () == shapes_of(cluster, a_group(types=(LARGE, InstanceTypeOption("c5.large"))))


def test_a_board_places_what_fits_and_remembers_where() -> None:
    """The big one first."""
    board = a_board(500, 1000)
    left = board.place([Need(memory=400, key="x"), Need(memory=900, key="y"), Need(memory=800, key="z")])

    assert ["z"] == [n.key for n in left]
    assert {"a": ["x"], "b": ["y"]} == {arn: [n.key for n in needs] for arn, needs in board.assigned.items()}
    assert {"a": 100, "b": 100} == {arn: s.space.memory for arn, s in board.slots.items()}


def test_a_board_without_an_instance_moves_what_was_put_there_too() -> None:
    """Its own and what was assigned; where most is free; the board itself is as it was."""
    board = a_board(1000, 700, 800)
    board.put(Need(memory=300, key="assigned"), "a")
    left = board.without("a", [Need(memory=600, key="own")])

    assert left is not None
    assert {"b": 400, "c": 200} == {arn: s.space.memory for arn, s in left.slots.items()}
    assert {"a": 700, "b": 700, "c": 800} == {arn: s.space.memory for arn, s in board.slots.items()}


def test_a_board_without_an_instance_that_is_needed_is_none() -> None:
    """One task fits nowhere else."""
    assert a_board(1000, 700).without("a", [Need(memory=701)]) is None
    assert a_board(1000, 700).without("a", [Need(memory=700)]) is not None
