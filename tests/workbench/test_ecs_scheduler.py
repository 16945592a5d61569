"""The service scheduler of the account in memory: strength, draining, deployments, and what it says."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.ecs_world import World, ecs_world

PRIVILEGED = "com.amazonaws.ecs.capability.privileged-container"
HEAD = "(service web) was unable to place a task because no container instance met all of its requirements."

PRIVILEGED = "com.amazonaws.ecs.capability.privileged-container"


@pytest.fixture
def world() -> Iterator[World]:
    """A cluster of its own."""
    with ecs_world() as one:
        yield one


def least_running(world: World, seconds: int, name: str = "web") -> tuple[int, int]:
    """Live through the seconds one by one: the fewest tasks that ran at any of them, and the most that ran or waited."""
    fewest, most = 10**6, 0
    for _ in range(seconds):
        world.settle(1)
        _, running, pending = world.counts(name)
        fewest, most = min(fewest, running), max(most, running + pending)
    return fewest, most


def test_a_service_reaches_its_desired_count_spread_over_zones(world: World) -> None:
    """Six tasks on three instances in three zones: two on each, and a steady state is announced."""
    arns = [world.machine() for _ in range(3)]
    world.define()
    world.service(desired=6)
    world.settle(1)
    assert world.counts() == (6, 0, 6)
    world.settle()
    assert (world.counts(), [world.load(arn) for arn in arns]) == ((6, 6, 0), [(2, 0)] * 3)
    assert world.messages()[0] == "(service web) has reached a steady state."
    assert world.messages()[-1].startswith("(service web) has started 6 tasks: (task ")


def test_scaling_out_and_in_follows_the_desired_count(world: World) -> None:
    """Up to five, down to one."""
    world.machine()
    world.define()
    world.service(desired=2)
    world.settle()
    for desired in (5, 1):
        world.ecs.update_service(cluster="orders", service="web", desiredCount=desired)
        world.settle()
        assert world.counts() == (desired, desired, 0)


def test_draining_at_100_to_200_percent_starts_the_replacement_before_it_stops_anything(world: World) -> None:
    """At no second do fewer than all tasks run; in the end the instance is empty and the rest runs elsewhere."""
    first, second = world.machine(), world.machine()
    world.define()
    world.service(desired=4, bounds=(100, 200))
    world.settle()
    world.drain(first)
    fewest, most = least_running(world, 40)
    assert (fewest, most) == (4, 6)
    assert (world.load(first), world.load(second), world.counts()) == ((0, 0), (4, 0), (4, 4, 0))


def test_draining_below_100_percent_may_stop_first(world: World) -> None:
    """Half may go at once, and max 100 lets nothing start before."""
    first, second = world.machine(), world.machine()
    world.define()
    world.service(desired=4, bounds=(50, 100))
    world.settle()
    world.drain(first)
    fewest, most = least_running(world, 40)
    assert (fewest, most) == (2, 4)
    assert (world.load(first), world.load(second)) == ((0, 0), (4, 0))


def test_min_healthy_is_rounded_up_and_maximum_down(world: World) -> None:
    """Desired 1 at 50 % keeps one: replacement first. Desired 3 at 50 to 150 % keeps two and has at most four."""
    first = world.machine()
    world.define()
    world.service(desired=1, bounds=(50, 200))
    world.define("api")
    world.service("api", desired=3, bounds=(50, 150))
    world.settle()
    world.machine()
    world.drain(first)
    fewest = {"web": 9, "api": 9}
    most = 0
    for _ in range(40):
        world.settle(1)
        fewest = {name: min(least, world.counts(name)[1]) for name, least in fewest.items()}
        most = max(most, sum(world.counts("api")[1:]))
    assert fewest == {"web": 1, "api": 2}
    assert most <= 4
    assert world.load(first) == (0, 0)


def test_a_service_at_min_and_max_100_percent_never_leaves(world: World) -> None:
    """Neither can one stop nor can one start: hours later it is still there."""
    first = world.machine()
    world.machine()
    world.define()
    world.service(desired=1, bounds=(100, 100))
    world.settle()
    assert world.load(first) == (1, 0)
    world.drain(first)
    world.settle(300)
    assert (world.load(first), world.counts()) == ((1, 0), (1, 1, 0))


def test_without_room_elsewhere_nothing_stops_and_the_service_says_why(world: World) -> None:
    """The task runs on; the event names the closest instance; once there is room it moves."""
    first, small = world.machine(), world.machine(memory=300)
    world.define()
    world.service()
    world.settle()
    world.drain(first)
    world.settle(60)
    assert world.load(first) == (1, 0)
    closest = small.rpartition("/")[2]
    assert world.messages()[0] == f"{HEAD} The closest matching (container-instance {closest}) has insufficient memory available."
    world.machine()
    world.settle()
    assert (world.load(first), world.counts()) == ((0, 0), (1, 1, 0))


def test_a_task_still_pending_on_a_draining_instance_is_stopped_at_once(world: World) -> None:
    """It never runs there."""
    first = world.machine()
    world.define()
    world.service()
    world.settle(2)
    assert world.load(first) == (0, 1)
    world.drain(first)
    world.machine()
    world.settle(2)
    assert world.load(first) == (0, 0)
    world.settle()
    assert world.counts() == (1, 1, 0)


def test_a_standalone_task_stays_on_a_draining_instance(world: World) -> None:
    """ECS leaves it alone."""
    first = world.machine()
    world.define()
    world.ecs.run_task(cluster="orders", taskDefinition="web")
    world.settle()
    world.machine()
    world.drain(first)
    world.settle(300)
    assert world.load(first) == (1, 0)


def test_a_daemon_runs_once_on_every_instance_and_leaves_a_draining_one_last(world: World) -> None:
    """It outlives the replica task there, is not replaced elsewhere, and comes to a new instance."""
    first, second = world.machine(), world.machine()
    world.define("logs")
    world.service("logs", schedulingStrategy="DAEMON")
    world.define()
    world.service(desired=2)
    world.settle()
    assert (world.counts("logs"), world.load(first), world.load(second)) == ((2, 2, 0), (2, 0), (2, 0))
    world.drain(first)
    while world.tasks(containerInstance=first, serviceName="web"):
        assert world.tasks(containerInstance=first, serviceName="logs")
        world.settle(1)
    world.settle()
    assert (world.load(first), world.load(second), world.counts("logs")) == ((0, 0), (3, 0), (1, 1, 0))
    third = world.machine()
    world.settle()
    assert (world.load(third), world.counts("logs")) == ((1, 0), (2, 2, 0))


@pytest.mark.parametrize(
    ("machine", "container", "tail"),
    [
        ({"cpu": 100}, {}, "has insufficient CPU units available."),
        ({}, {"portMappings": [{"containerPort": 22, "hostPort": 22}]}, "is already using a port required by your task."),
        ({"lacks": frozenset({PRIVILEGED})}, {"privileged": True}, "is missing an attribute required by your task."),
        ({"connected": False}, {}, 'encountered error "AGENT".'),
        ({}, {"resourceRequirements": [{"type": "GPU", "value": "1"}]}, 'encountered error "RESOURCE:GPU".'),
    ],
)  # fmt: skip
def test_a_service_that_fits_nowhere_says_which_instance_came_closest_and_what_it_lacked(
    world: World, machine: dict[str, Any], container: dict[str, Any], tail: str
) -> None:
    """ECS's own sentences."""
    arn = world.machine(**machine)
    world.define(**container)
    world.service()
    world.settle()
    assert world.messages()[0] == f"{HEAD} The closest matching (container-instance {arn.rpartition('/')[2]}) {tail}"
    assert world.counts() == (1, 0, 0)


def test_a_service_in_an_empty_cluster_says_so(world: World) -> None:
    """No instance to name."""
    world.define()
    world.service()
    world.settle(2)
    assert world.messages() == [f"{HEAD} Reason: No Container Instances were found in your cluster."]


def test_the_same_message_is_withheld_for_six_hours(world: World) -> None:
    """Once in five hours, though the cluster changes; twice in seven."""
    world.define()
    world.service()

    def live(hours: int) -> None:
        """Pass the hours in leaps of half an hour, with something happening in each."""
        for _ in range(hours * 2):
            world.ecs.update_service(cluster="orders", service="web", desiredCount=1)
            world.leap(1800)

    live(5)
    assert len(world.messages()) == 1
    live(2)
    assert len(world.messages()) == 2


def test_at_most_a_hundred_events_are_kept_newest_first(world: World) -> None:
    """Older ones fall off."""
    world.machine()
    world.define()
    world.service(desired=0)
    for desired in [1, 0] * 60:
        world.ecs.update_service(cluster="orders", service="web", desiredCount=desired)
        world.leap(20)
    events = world.seen()["events"]
    assert len(events) == 100
    assert events == sorted(events, key=lambda event: event["createdAt"], reverse=True)


def test_a_task_lost_with_its_host_is_replaced(world: World) -> None:
    """At once, as there is nothing to keep healthy by waiting, and also at max 100 %."""
    world.machine()
    world.machine()
    world.define()
    world.service(desired=2, bounds=(100, 100))
    world.settle()
    world.physics.host_gone("i-00000000000000000")
    assert [t["lastStatus"] for t in world.tasks(desiredStatus="STOPPED")] == ["STOPPED"]
    world.settle()
    assert world.counts() == (2, 2, 0)


def test_a_new_task_definition_replaces_the_tasks_within_the_bounds(world: World) -> None:
    """A rolling deployment: never fewer than all, and in the end every task is of the new revision."""
    world.machine()
    world.define()
    world.service(desired=3, bounds=(100, 200))
    world.settle()
    newer = world.define(cpu=128)
    world.ecs.update_service(cluster="orders", service="web", taskDefinition=newer)
    fewest, _ = least_running(world, 40)
    assert fewest == 3
    assert {t["taskDefinitionArn"] for t in world.tasks(serviceName="web")} == {newer}
    assert world.seen()["deployments"][0]["rolloutState"] == "COMPLETED"


def test_new_bounds_alone_start_no_deployment(world: World) -> None:
    """UpdateService with only deploymentConfiguration changes what it names; tasks and deployment stay, and a drain then works."""
    first, _ = world.machine(), world.machine()
    world.define()
    world.service(desired=2, bounds=(100, 100))
    world.settle()
    before, tasks = world.seen(), {t["taskArn"] for t in world.tasks()}
    world.ecs.update_service(cluster="orders", service="web", deploymentConfiguration={"maximumPercent": 200})
    world.settle()
    after = world.seen()
    assert after["deploymentConfiguration"] == {**before["deploymentConfiguration"], "maximumPercent": 200}
    assert after["deployments"] == before["deployments"]
    assert {t["taskArn"] for t in world.tasks()} == tasks
    world.drain(first)
    world.settle(60)
    assert world.load(first) == (0, 0)


def test_services_are_listed_by_their_strategy(world: World) -> None:
    """DAEMON finds the daemons, REPLICA the others."""
    world.define()
    world.service(desired=0)
    world.service("logs", taskDefinition="web", schedulingStrategy="DAEMON")
    asked = [world.ecs.list_services(cluster="orders", schedulingStrategy=kind)["serviceArns"] for kind in ("DAEMON", "REPLICA")]
    assert [[arn.rpartition("/")[2] for arn in arns] for arns in asked] == [["logs"], ["web"]]


def test_a_protected_task_survives_scale_in_until_its_protection_runs_out(world: World) -> None:
    """Of two tasks the protected one stays; both protected, both stay until a minute has gone by."""
    world.machine()
    world.define()
    world.service(desired=2)
    world.settle()
    arns = [t["taskArn"] for t in world.tasks(serviceName="web")]
    world.ecs.update_task_protection(cluster="orders", tasks=arns, protectionEnabled=True, expiresInMinutes=1)
    world.ecs.update_service(cluster="orders", service="web", desiredCount=0)
    world.settle(50)
    assert world.counts() == (0, 2, 0)
    world.settle(30)
    assert world.counts() == (0, 0, 0)


def test_the_services_own_constraints_and_strategy_are_honoured(world: World) -> None:
    """distinctInstance: one on each of two instances and no third; binpack: all on one."""
    arns = [world.machine(), world.machine()]
    world.define()
    world.service(desired=3, placementConstraints=[{"type": "distinctInstance"}])
    world.define("packed")
    world.service("packed", desired=3, placementStrategy=[{"type": "binpack", "field": "cpu"}])
    world.settle()
    on = Counter(t["containerInstanceArn"] for t in world.tasks(serviceName="web"))
    assert on == dict.fromkeys(arns, 1)
    assert world.counts() == (3, 2, 0)
    assert len({t["containerInstanceArn"] for t in world.tasks(serviceName="packed")}) == 1


def test_a_deleted_service_stops_its_tasks_and_its_name_is_free_again(world: World) -> None:
    """By force while it has tasks; created again it starts anew; a second one of that name is refused."""
    world.machine()
    world.define()
    world.service()
    world.settle()
    with pytest.raises(ClientError) as refused:
        world.service()
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
    world.ecs.delete_service(cluster="orders", service="web", force=True)
    world.settle()
    assert world.tasks() == []
    world.service()
    world.settle()
    assert world.counts() == (1, 1, 0)


def test_services_are_listed_in_tens_and_described_ten_at_a_time(world: World) -> None:
    """Twelve services take two pages; eleven to describe are refused; an unknown one is a failure."""
    world.define()
    for index in range(12):
        world.service(f"s{index}", desired=0, taskDefinition="web")
    pages = list(world.ecs.get_paginator("list_services").paginate(cluster="orders"))
    arns = [arn for page in pages for arn in page["serviceArns"]]
    assert [len(page["serviceArns"]) for page in pages] == [10, 2]
    with pytest.raises(ClientError) as refused:
        world.ecs.describe_services(cluster="orders", services=arns[:11])
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
    answer = world.ecs.describe_services(cluster="orders", services=["s1", "gone"])
    assert [s["serviceName"] for s in answer["services"]] == ["s1"]
    assert answer["failures"] == [{"arn": "arn:aws:ecs:us-east-1:123456789012:service/orders/gone", "reason": "MISSING"}]


def test_services_are_listed_by_their_namespace(world: World) -> None:
    """Those whose Service Connect names it."""
    world.define()
    world.service(desired=0, serviceConnectConfiguration={"enabled": True, "namespace": "internal"})
    world.service("other", desired=0, taskDefinition="web")
    arns = world.ecs.list_services_by_namespace(namespace="internal")["serviceArns"]
    assert arns == ["arn:aws:ecs:us-east-1:123456789012:service/orders/web"]
