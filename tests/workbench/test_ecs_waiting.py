"""Tasks that wait: PROVISIONING through a capacity provider, and no task at all with launch type EC2."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.ecs_world import World, ecs_world

THROUGH: dict[str, Any] = {"capacityProviderStrategy": [{"capacityProvider": "spot", "weight": 1}]}
BIG = 3000
"""MiB: an m5.large, with 7,680, holds two."""


@pytest.fixture(params=["ENABLED", "DISABLED"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A cluster with the capacity provider ``spot``, whose managed scaling is on or off."""
    with ecs_world() as one:
        scaling = {"status": request.param}
        group = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/orders-spot"
        one.ecs.create_capacity_provider(
            name="spot", autoScalingGroupProvider={"autoScalingGroupArn": group, "managedScaling": scaling, "managedDraining": "DISABLED"}
        )
        one.ecs.put_cluster_capacity_providers(cluster="orders", capacityProviders=["spot"], defaultCapacityProviderStrategy=[])
        yield one


def host(world: World) -> str:
    """A machine of the provider's group."""
    return world.machine(capacity_provider="spot")


def waiting(world: World) -> list[Any]:
    """The PROVISIONING tasks that ListTasks and DescribeTasks show."""
    return [task for task in world.tasks() if task["lastStatus"] == "PROVISIONING"]


def cluster(world: World) -> tuple[int, int]:
    """Running and pending tasks of the cluster, as DescribeClusters counts them."""
    seen = world.ecs.describe_clusters(clusters=["orders"])["clusters"][0]
    return seen["runningTasksCount"], seen["pendingTasksCount"]


def test_what_fits_nowhere_waits_in_provisioning(world: World) -> None:
    """Two run and three wait: listed by service, on no instance, counted as pending by service and cluster, and not called unplaceable."""
    arn = host(world)
    world.define(memory=BIG)
    world.service(desired=5, **THROUGH)
    world.settle()
    assert (world.counts(), cluster(world), world.load(arn)) == ((5, 2, 3), (2, 3), (2, 0))
    assert len(world.tasks(serviceName="web")) == 5
    assert world.tasks(containerInstance=arn) == [t for t in world.tasks() if t["lastStatus"] == "RUNNING"]
    for task in waiting(world):
        assert not {"containerInstanceArn", "availabilityZone", "startedAt"} & task.keys()
        assert (task["capacityProviderName"], task["launchType"], task["group"]) == ("spot", "EC2", "service:web")
        assert (task["desiredStatus"], task["cpu"], task["memory"]) == ("RUNNING", "256", str(BIG))
        assert task["attachments"] == []
        assert [container["lastStatus"] for container in task["containers"]] == ["PENDING"]
    service = world.seen()
    assert "launchType" not in service
    assert service["capacityProviderStrategy"] == service["deployments"][0]["capacityProviderStrategy"]
    assert [step["capacityProvider"] for step in service["capacityProviderStrategy"]] == ["spot"]
    assert "launchType" not in service["deployments"][0]
    assert service["deployments"][0]["pendingCount"] == 3
    assert not any("unable to place" in message for message in world.messages())


def test_what_waits_is_placed_when_room_comes(world: World) -> None:
    """The same tasks, not new ones, start on a new instance, six seconds after it came; then the service is steady."""
    host(world)
    world.define(memory=BIG)
    world.service(desired=4, **THROUGH)
    world.settle()
    before = {task["taskArn"] for task in waiting(world)}
    arn = host(world)
    world.settle(3)
    assert (world.counts(), world.load(arn)) == ((4, 2, 2), (0, 2))
    world.settle(10)
    assert (world.counts(), waiting(world)) == ((4, 4, 0), [])
    assert {task["taskArn"] for task in world.tasks(containerInstance=arn)} == before
    assert "has reached a steady state" in world.messages()[0]
    assert "has started 2 tasks" in world.messages()[1]


def test_an_instance_of_another_group_is_no_room(world: World) -> None:
    """Tasks wait for their own provider's instances."""
    world.machine()
    world.define()
    world.service(desired=1, **THROUGH)
    world.settle()
    assert world.counts() == (1, 0, 1)


def test_without_a_provider_there_is_no_task_to_see(world: World) -> None:
    """Launch type EC2: desired is above running and pending together, and the service says that it cannot place a task."""
    host(world)
    world.define(memory=BIG)
    world.service(desired=4, launchType="EC2")
    world.settle()
    assert (world.counts(), cluster(world), len(world.tasks())) == ((4, 2, 0), (2, 0), 2)
    head = "(service web) was unable to place a task because no container instance met all of its requirements."
    assert world.messages()[0].startswith(f"{head} The closest matching (container-instance ")
    assert world.messages()[0].endswith("has insufficient memory available.")
    assert world.seen()["launchType"] == "EC2"


def test_500_tasks_of_a_cluster_wait_and_no_more(world: World) -> None:
    """The rest are not there, and the service says why."""
    world.define(cpu=10, memory=4)
    world.service(desired=600, **THROUGH)
    world.settle(2)
    assert (world.counts(), cluster(world)) == ((600, 0, 500), (0, 500))
    assert "could not launch 100 tasks for deployment ecs-svc/" in world.messages()[0]
    assert "because the tasks provisioning capacity limit was exceeded." in world.messages()[0]
    pages = world.ecs.get_paginator("list_tasks").paginate(cluster="orders")
    assert [len(page["taskArns"]) for page in pages] == [100] * 5


def test_scaling_in_stops_what_waits_first(world: World) -> None:
    """A task that waits holds nothing, and ends at once; so does one told to stop by name, and another takes its place."""
    host(world)
    world.define(memory=BIG)
    world.service(desired=5, **THROUGH)
    world.settle()
    stopped = waiting(world)[0]["taskArn"]
    world.ecs.stop_task(cluster="orders", task=stopped)
    world.settle(3)
    ended = world.ecs.describe_tasks(cluster="orders", tasks=[stopped])["tasks"][0]
    assert (ended["lastStatus"], ended["stopCode"]) == ("STOPPED", "UserInitiated")
    assert world.counts() == (5, 2, 3)
    world.ecs.update_service(cluster="orders", service="web", desiredCount=2)
    world.settle(3)
    assert (world.counts(), cluster(world), waiting(world)) == ((2, 2, 0), (2, 0), [])


def test_a_new_deployment_does_not_wait_for_the_old_one(world: World) -> None:
    """Tasks of the old definition that have no place yet go; those of the new one are small enough to run."""
    host(world)
    world.define(memory=9000)
    world.service(desired=2, **THROUGH)
    world.settle()
    assert world.counts() == (2, 0, 2)
    world.ecs.update_service(cluster="orders", service="web", taskDefinition=world.define(memory=512))
    world.settle()
    assert (world.counts(), waiting(world)) == ((2, 2, 0), [])


def test_draining_moves_tasks_to_provisioning(world: World) -> None:
    """What has to leave an instance waits for room, within maximumPercent, while the old tasks run on."""
    arn = host(world)
    world.define(memory=BIG)
    world.service(desired=2, **THROUGH)
    world.settle()
    world.drain(arn)
    world.settle()
    assert (world.counts(), len(waiting(world))) == ((2, 2, 2), 2)


def test_a_standalone_task_waits_too(world: World) -> None:
    """RunTask through a provider answers with PROVISIONING tasks, even in an empty cluster, and they run when there is room."""
    world.define(memory=BIG)
    answer = world.ecs.run_task(
        cluster="orders", taskDefinition="web", count=3, startedBy="night", tags=[{"key": "team", "value": "orders"}], **THROUGH
    )
    assert (answer["failures"], [task["lastStatus"] for task in answer["tasks"]]) == ([], ["PROVISIONING"] * 3)
    assert answer["tasks"][0]["tags"] == [{"key": "team", "value": "orders"}]
    world.settle()
    assert (cluster(world), len(waiting(world))) == ((0, 3), 3)
    host(world)
    world.settle()
    assert (cluster(world), len(waiting(world))) == ((2, 1), 1)


def test_past_500_a_standalone_task_fails(world: World) -> None:
    """RunTask then answers with failures, as it does without a provider."""
    arn = host(world)
    world.define(memory=9000)
    world.service(desired=499, **THROUGH)
    world.settle(2)
    answer = world.ecs.run_task(cluster="orders", taskDefinition="web", count=2, **THROUGH)
    assert (len(answer["tasks"]), [(f["arn"], f["reason"]) for f in answer["failures"]]) == (1, [(arn, "RESOURCE:MEMORY")])


def test_the_clusters_own_strategy_holds_for_a_service_that_names_nothing(world: World) -> None:
    """Neither launch type nor strategy: the default one. Both, or a provider that is not the cluster's, is refused."""
    world.ecs.put_cluster_capacity_providers(
        cluster="orders", capacityProviders=["spot"], defaultCapacityProviderStrategy=THROUGH["capacityProviderStrategy"]
    )
    world.define()
    world.service(desired=1)
    world.service("plain", desired=1, taskDefinition="web", launchType="EC2")
    world.settle(2)
    assert (world.counts(), world.counts("plain")) == ((1, 0, 1), (1, 0, 0))
    with pytest.raises(ClientError, match="both a launch type and capacity provider strategy"):
        world.service("both", taskDefinition="web", launchType="EC2", **THROUGH)
    with pytest.raises(ClientError, match="other is not associated"):
        world.service("other", taskDefinition="web", capacityProviderStrategy=[{"capacityProvider": "other"}])
