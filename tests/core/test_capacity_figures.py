"""The figures: what they are exactly, and what is not known."""

from dataclasses import replace

import pytest

from bulwark.core.capacity import decide_capacity
from bulwark.core.capacity_figures import Figures
from bulwark.core.cluster import Cluster, InstanceTypeOption, Resources
from tests.sizing_world import GROUP, Pool, Work, a_policy, a_shape, a_world


def figures_of(cluster: Cluster) -> Figures:
    """Those of a decision on it."""
    return decide_capacity(cluster, a_policy()).figures


def test_what_waits_is_in_the_reservation() -> None:
    """Two instances of 7,680 MiB; 7,200 are reserved, 9,600 more wait: 109.4 %."""
    figures = figures_of(a_world({"web": 3}, {}, web=Work(memory=2400, desired=7)).snapshot())

    assert (4, 109.4) == (figures.waiting_tasks, figures.reservation_with_waiting)


def test_the_higher_of_cpu_and_memory_is_the_reservation() -> None:
    """Half of the CPU, a fifteenth of the memory."""
    assert 50.0 == figures_of(a_world({"web": 1}, web=Work(1024, 512)).snapshot()).reservation_with_waiting


def test_instances_whose_agent_is_away_are_not_in_the_reservation() -> None:
    """Without any other there is none."""
    cluster = a_world({"web": 1}, web=Work(1024, 512)).snapshot()
    away = replace(cluster, instances=tuple(replace(i, agent_connected=False) for i in cluster.instances))

    assert figures_of(away).reservation_with_waiting is None


@pytest.mark.parametrize(
    ("tasks", "expected"), [([{"web": 1}], 2), ([{"web": 3}], 0), ([{"web": 1}, {"web": 2}], 3), ([{"web": 2}, {"web": 2}], 2)]
)
def test_how_many_more_of_the_largest_task_there_is_room_for(tasks: list[dict[str, int]], expected: int) -> None:
    """By whole tasks, on each instance by itself."""
    count = sum(sum(t.values()) for t in tasks)

    assert expected == figures_of(a_world(*tasks, web=Work(memory=2400, desired=count)).snapshot()).largest_task_fits


@pytest.mark.parametrize(("desired", "expected"), [(1, 2), (2, 1), (3, 0)])
def test_room_that_what_waits_will_take_is_no_room(desired: int, expected: int) -> None:
    """Nothing runs yet; the instance takes three."""
    assert expected == figures_of(a_world({}, web=Work(memory=2400, desired=desired)).snapshot()).largest_task_fits


def test_a_host_port_allows_one_more_on_each_instance() -> None:
    """However much room there is."""
    assert 2 == figures_of(a_world({}, {}, {"web": 1}, web=Work(64, 64, ports=frozenset({80}))).snapshot()).largest_task_fits


def test_fragmentation_is_what_the_largest_task_cannot_use() -> None:
    """Each has 5,280 MiB left, of which two tasks of 2,400 use 4,800: nine percent cannot be used."""
    assert 9.1 == figures_of(a_world({"web": 1}, {"web": 1}, web=Work(memory=2400, desired=2)).snapshot()).fragmentation


def test_nothing_that_the_largest_could_use_is_wholly_fragmented() -> None:
    """Room for none, and memory is free."""
    assert 100.0 == figures_of(a_world({"web": 1}, web=Work(memory=5000)).snapshot()).fragmentation


def test_without_free_memory_there_is_no_fragmentation() -> None:
    """Nothing is left: not zero percent, but not known."""
    cluster = a_world({"web": 1}, web=Work(memory=7680)).snapshot()

    assert figures_of(cluster).fragmentation is None


@pytest.mark.parametrize(
    ("tasks", "wanted", "required", "removable"),
    [([{"web": 3}], 3, 1, 0), ([{"web": 3}], 4, 2, 0), ([{"web": 3}, {}], 3, 1, 1), ([], 0, 0, 0)],
)
def test_how_many_instances_are_required(tasks: list[dict[str, int]], wanted: int, required: int, removable: int) -> None:
    """What is there, and is missing, less what could go; of the group and of the cluster."""
    figures = figures_of(a_world(*tasks, web=Work(memory=2400, desired=wanted)).snapshot())

    (group,) = figures.groups
    assert (required, removable) == (group.required, group.removable)
    assert (required, removable) == (figures.required_instances, figures.removable_instances)


def test_required_are_instances_and_not_units() -> None:
    """Desired is four units, each instance is two of them, and none is there yet."""
    cluster = a_world().snapshot()
    heavy = replace(cluster, groups=(replace(cluster.groups[0], desired=4, types=(InstanceTypeOption("m5.large", 2),)),))

    assert 2 == figures_of(heavy).required_instances


def test_what_is_measured_has_its_unit_and_its_group() -> None:
    """Cluster figures under no name, a group's under its own."""
    measured = figures_of(a_world({"web": 3}, web=Work(memory=2400, desired=3), pool=Pool(a_shape())).snapshot()).measured()

    assert {"": "Percent", GROUP: "Count"} == {
        "": measured[""]["ReservationWithWaiting"][0],
        GROUP: measured[GROUP]["RequiredInstances"][0],
    }
    assert {"RequiredInstances", "RemovableInstances"} == set(measured[GROUP])
    assert {"RequiredInstances", "RemovableInstances", "WaitingTasks", "ReservationWithWaiting", "LargestTaskFits", "Fragmentation"} == set(
        measured[""]
    )


def test_gpus_bound_how_many_of_the_largest_fit() -> None:
    """Two GPUs are left, and CPU and memory for many."""
    cluster = a_world({}, web=Work(64, 64, desired=0), api=Work(64, 64)).snapshot()
    definitions = {k: replace(d, gpu=1) if k == "web" else d for k, d in cluster.definitions.items()}
    gpus = tuple(replace(i, registered=Resources(2048, 7680, 2), remaining=Resources(2048, 7680, 2)) for i in cluster.instances)

    assert 2 == figures_of(replace(cluster, definitions=definitions, instances=gpus)).largest_task_fits


def test_what_is_coming_is_no_room_yet() -> None:
    """Another instance is on its way."""
    cluster = a_world({}, web=Work(memory=2400, desired=1)).snapshot()
    coming = replace(cluster, groups=(replace(cluster.groups[0], desired=2),))

    assert (2, 2) == (figures_of(cluster).largest_task_fits, figures_of(coming).largest_task_fits)
