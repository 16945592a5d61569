"""What waits, what leaves, what is held free: counted once, and of whom."""

from dataclasses import replace
from typing import Any

import pytest

from bulwark.core.cluster import CapacityProvider, Cluster, ContainerInstance, Definition, Demand, Service, Task
from bulwark.core.demand import definitions_needed, headroom, highest, lacking, largest_need, ours, waiting, work
from bulwark.core.policies import CapacityPolicy
from tests.builders import NOW, OTHER, SPOT, a_cluster, a_draining, a_mark, a_service, a_task, an_instance

WEB = Definition("web", 256, 512)
LOGS = Definition("logs", 64, 128)


def needing(*services: Service, instances: tuple[ContainerInstance, ...] = (), **changes: Any) -> Cluster:
    """Cluster orders with these services, each with its own task definition of the same name."""
    values: dict[str, Any] = {"services": services, "definitions": {"web": WEB, "logs": LOGS}}
    return a_cluster(*instances, **(values | changes))


def web(desired: int, running: int = 0, **changes: Any) -> Service:
    """Service web."""
    return a_service(desired=desired, running=running, **({"definition": "web"} | changes))


def a_provisioning(name: str = "p", **changes: Any) -> Task:
    """A task that ECS has accepted and placed nowhere."""
    task = a_task(name, **({"last_status": "PROVISIONING", "definition": "web"} | changes))
    return replace(task, instance_arn="")


@pytest.mark.parametrize(
    ("service", "moving", "provisioning", "expected"),
    [
        (web(3, 3), 0, 0, 0),
        (web(3, 1), 0, 0, 2),
        (web(3, 1, pending=1), 0, 0, 1),
        (web(3, 1, pending=2), 0, 2, 2),
        (web(3, 3), 2, 0, 2),
        (web(3, 4), 1, 0, 0),
        (web(3, 2), 1, 0, 2),
        (web(0, 3), 3, 0, 0),
        (web(2, 5), 3, 0, 0),
        (web(4, 4, rolling=True, missing=4), 0, 0, 4),
        (web(4, 4, rolling=True, missing=4, max_percent=100), 0, 0, 0),
        (web(4, 4, rolling=True, missing=4, max_percent=150), 0, 0, 2),
        (web(3, 3, rolling=True, missing=3, max_percent=150), 0, 0, 1),
        (web(4, 6, rolling=True, missing=2), 0, 0, 2),
        (web(4, 4, rolling=False, missing=4), 0, 0, 0),
        (web(4, 4, rolling=True, missing=None), 0, 0, 0),
        (web(4, 4, pending=2, rolling=True, missing=2), 0, 2, 4),
    ],
)
def test_how_many_need_a_place(service: Service, moving: int, provisioning: int, expected: int) -> None:
    """Missing, moving and PROVISIONING ones once each; a rollout's beside the old ones as far as maximumPercent goes, rounded down."""
    assert expected == lacking(service, moving, provisioning)


def test_a_task_that_leaves_is_counted_once_and_told_apart() -> None:
    """Three wanted, two run, of which one leaves: one moves and one is missing."""
    cluster = needing(web(3, 2), instances=(a_draining(running=1), an_instance(OTHER)), tasks=(a_task(), a_task("web-2", on=OTHER)))

    assert [f"moving:{SPOT}", "web"] == [n.key for n in waiting(cluster).needs]


@pytest.mark.parametrize(
    "changes", [{"desired_status": "STOPPED"}, {"last_status": "STOPPED"}, {"group": "family:nightly"}, {"group": "service:logs"}]
)
def test_what_does_not_move_asks_for_no_place(changes: dict[str, str]) -> None:
    """Told to stop, stopped, standalone, a daemon's."""
    services = (web(1, 1), a_service("logs", desired=1, daemon=True, definition="logs"))

    assert () == waiting(needing(*services, instances=(a_draining(running=1),), tasks=(a_task(**changes),))).needs


def test_daemons_and_fargate_never_wait() -> None:
    """A daemon comes with its instance; Fargate brings its own."""
    services = (web(3, daemon=True), web(3, name="api", fargate=True))

    assert () == waiting(needing(*services)).needs


SIZED = CapacityProvider("spot", "orders-spot", managed_scaling=False, managed_draining=True)
MANAGED = CapacityProvider("managed", "orders", managed_scaling=True, managed_draining=True)


@pytest.mark.parametrize(
    ("providers", "expected"),
    [((), True), (("spot",), True), (("managed",), False), (("managed", "spot"), True), (("FARGATE", "spot"), True), (("gone",), False)],
)
def test_whose_work_is_sized_for(providers: tuple[str, ...], expected: bool) -> None:
    """Services for which ECS itself brings the instances are left to ECS."""
    assert expected is ours(web(1, providers=providers), needing(capacity_providers=(SIZED, MANAGED)))


def test_a_services_provider_is_a_constraint() -> None:
    """Its tasks go to no instance that came up otherwise."""
    (need,) = waiting(needing(web(1, providers=("spot",)), capacity_providers=(SIZED,))).needs

    assert ("attribute:bulwark.capacity-provider in [spot]",) == need.expressions


def test_standalone_tasks_that_are_provisioning_wait() -> None:
    """With what their own size and their definition say, and for the provider they were given."""
    task = a_provisioning(group="family:nightly", cpu=999, capacity_provider="spot")
    definition = replace(WEB, gpu=1, enis=1, requires=(("a", None),))
    cluster = needing(waiting=(task,), capacity_providers=(SIZED,), definitions={"web": definition})

    (need,) = waiting(cluster).needs
    assert (999, 512, 1, 1, (("a", None),), "family:nightly") == (need.cpu, need.memory, need.gpu, need.enis, need.attributes, need.group)
    assert ("attribute:bulwark.capacity-provider in [spot]",) == need.expressions


@pytest.mark.parametrize("provider", ["managed", "gone"])
def test_standalone_tasks_of_a_provider_that_scales_itself_do_not(provider: str) -> None:
    """ECS brings what they need."""
    task = a_provisioning(group="family:nightly", capacity_provider=provider)

    assert () == waiting(needing(waiting=(task,), capacity_providers=(SIZED, MANAGED))).needs


def test_a_standalone_task_of_unknown_size_is_said() -> None:
    """It waits, and what for is not known."""
    tasks = (a_provisioning("p1", group="family:x", known_size=False), a_provisioning("p2", group="family:x", definition="unread"))

    assert {"p1", "p2"} == set(waiting(needing(waiting=tasks)).unknown)


@pytest.mark.parametrize(("changes", "why"), [({"zones": None}, "zones"), ({"definition": "unread"}, "task definition")])
def test_a_service_of_unknown_need_is_said_if_something_of_it_waits(changes: dict[str, Any], why: str) -> None:
    """And not if nothing does."""
    assert why in waiting(needing(web(1, **changes))).unknown["web"]
    assert {} == waiting(needing(web(1, 1, **changes))).unknown


def test_what_runs_and_waits_without_the_daemons_share() -> None:
    """512 of 2,048 units are held, 64 of them by the daemon; 256 wait."""
    services = (web(2, 1), a_service("logs", desired=1, daemon=True, definition="logs"))
    cluster = needing(*services, instances=(an_instance(cpu=1536, memory=7000),))

    assert Demand(NOW, 512 - 64 + 256, 680 - 128 + 512) == work(cluster, waiting(cluster).needs)


@pytest.mark.parametrize("changes", [{"status": "DRAINING"}, {"agent_connected": False}])
def test_what_runs_where_no_tasks_go_is_not_counted_with_its_daemon(changes: dict[str, Any]) -> None:
    """Two instances with a daemon each, and one of them takes no tasks."""
    logs = a_service("logs", desired=2, daemon=True, definition="logs")
    both = (an_instance(cpu=1024, memory=4096), an_instance(OTHER, cpu=1024, memory=4096, **changes))

    assert Demand(NOW, 1024 - 64, 3584 - 128) == work(needing(logs, instances=both), ())


def test_the_highest_is_of_each_dimension() -> None:
    """Not one of the demands as it was."""
    assert Demand(NOW, 3, 9, 1) == highest([Demand(NOW, 3, 1), Demand(NOW, 1, 9), Demand(NOW, 0, 0, 1)])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, []),
        ({"headroom_tasks": {"web": 2}}, ["headroom:web"] * 2),
        ({"headroom_largest": 2}, ["headroom:api"] * 2),
        ({"headroom_tasks": {"web": 1}, "headroom_largest": 1}, ["headroom:web", "headroom:api"]),
        ({"headroom_tasks": {"nobody": 3}}, []),
    ],
)
def test_headroom_is_in_tasks(policy: dict[str, Any], expected: list[str]) -> None:
    """So many more of a service, and of the largest."""
    services = (web(1, 1), a_service("api", desired=1, definition="api"))
    cluster = needing(*services, definitions={"web": WEB, "api": Definition("api", 128, 1024)})

    assert expected == [n.key for n in headroom(cluster, CapacityPolicy(**policy))]


def test_the_largest_is_so_even_while_it_is_not_wanted() -> None:
    """Gpus before memory before CPU; a service at zero plays its part, unless all are."""
    definitions = {"web": WEB, "api": Definition("api", 64, 64, 1), "big": Definition("big", 64, 9000)}
    services = (web(1), a_service("api", desired=0, definition="api"), a_service("big", desired=1, definition="big"))

    found = largest_need(needing(*services, definitions=definitions))
    assert found is not None
    assert "service:api" == found.group
    assert largest_need(needing(*(replace(s, desired=0) for s in services), definitions=definitions)) is None


def test_definitions_of_what_decides_come_first() -> None:
    """Waiting, daemons and headroom, then tasks that were seen, then what runs; none twice, and none of what is not wanted."""
    services = (
        web(1, 1, name="runs", definition="d-runs"),
        web(1, name="waits", definition="d-waits"),
        web(1, 1, name="room", definition="d-room"),
        web(1, 1, name="logs", daemon=True, definition="d-logs"),
        web(0, name="idle", definition="d-idle"),
    )
    cluster = needing(*services, tasks=(a_task(definition="d-old"), a_task("web-2", definition="d-runs")))
    found = definitions_needed(cluster, CapacityPolicy(headroom_tasks={"room": 1}))

    assert {"d-waits", "d-room", "d-logs"} == set(found[:3])
    assert ("d-old", "d-runs") == found[3:]


def test_an_instance_that_only_carries_a_mark_has_not_left() -> None:
    """Marked and ACTIVE: its tasks have their place."""
    cluster = needing(web(1, 1), instances=(an_instance(drain=a_mark("scale-in")),), tasks=(a_task(),))

    assert () == waiting(cluster).needs
