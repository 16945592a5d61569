"""The picture of an account: complete, or an error."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from workbench.view import ViewError, view_clusters


def instance(number: int) -> dict[str, Any]:
    """A container instance as ECS describes it."""
    return {
        "ec2InstanceId": f"i-{number:017x}",
        "status": "ACTIVE",
        "runningTasksCount": 3,
        "pendingTasksCount": 1,
        "agentConnected": True,
        "versionInfo": {"agentVersion": "1.106.1"},
        "attributes": [{"name": "ecs.availability-zone", "value": "us-east-1a"}, {"name": "ecs.capability.x"}],
    }


class Pages:
    """A paginator over pages made beforehand; remembers what it was asked."""

    def __init__(self, key: str, items: list[Any], size: int) -> None:
        self.key, self.items, self.size = key, items, size
        self.asked: list[dict[str, Any]] = []

    def paginate(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The pages; of groups by name, and of instances by id, those that were asked for."""
        self.asked.append(parameters)
        names = parameters.get("AutoScalingGroupNames") or parameters.get("InstanceIds")
        items = [i for i in self.items if names is None or i.get("InstanceId", i["AutoScalingGroupName"]) in names]
        if "Filters" in parameters:
            items = [i for i in items if i["AutoScalingGroupName"] == "orders-spot"]
        return iter([{self.key: items[start : start + self.size]} for start in range(0, len(items), self.size)])


class Account:
    """An account of one cluster, ``orders``, with so many instances and services; both clients in one."""

    def __init__(self, instances: int = 1, services: int = 1, failures: list[dict[str, str]] | None = None) -> None:
        self.failures = failures or []
        self.batches: list[int] = []
        self.error: Exception | None = None
        bounds = {"MinSize": 1, "DesiredCapacity": 4, "MaxSize": 12}
        groups = [{"AutoScalingGroupName": name} | bounds for name in ("orders-spot", "stranger")]
        names = {1: "orders-spot", 2: "stranger"}
        members = [{"InstanceId": f"i-{n:017x}", "AutoScalingGroupName": names.get(n, "orders-spot")} for n in range(1, instances)]
        self.paginators = {
            "list_clusters": Pages("clusterArns", ["arn:aws:ecs:us-east-1:123456789012:cluster/orders"], 100),
            "list_container_instances": Pages("containerInstanceArns", [str(n) for n in range(instances)], 100),
            "list_services": Pages("serviceArns", [f"service-{n:03}" for n in range(services)], 10),
            "describe_auto_scaling_groups": Pages("AutoScalingGroups", groups, 50),
            "describe_auto_scaling_instances": Pages("AutoScalingInstances", members, 50),
        }

    def client(self, service_name: str) -> Any:
        """Itself, as every client."""
        return self

    def get_paginator(self, operation: str) -> Pages:
        """The paginator of an operation."""
        if self.error:
            raise self.error
        return self.paginators[operation]

    def describe_container_instances(self, *, cluster: str, containerInstances: list[str]) -> dict[str, Any]:  # noqa: N803
        """Describes them, and counts how many were asked for."""
        self.batches.append(len(containerInstances))
        return {"containerInstances": [instance(int(arn)) for arn in containerInstances], "failures": self.failures}

    def describe_services(self, *, cluster: str, services: list[str]) -> dict[str, Any]:
        """Describes them, and counts how many were asked for."""
        self.batches.append(len(services))
        counts = {"desiredCount": 4, "runningCount": 3, "pendingCount": 1}
        return {"services": [{"serviceName": arn, **counts} for arn in services]}


def test_a_cluster_is_shown_as_the_document_has_it() -> None:
    """Instances, groups and services carry exactly the fields of the JSON document; one outside every group has none."""
    account = Account(instances=2)
    (cluster,) = view_clusters(account)["clusters"].items()
    row = {"zone": "us-east-1a", "status": "ACTIVE", "running": 3, "pending": 1, "agent": "1.106.1", "connected": True}
    assert cluster == (
        "orders",
        {
            "instances": [
                {"id": "i-00000000000000000", "group": None, **row},
                {"id": "i-00000000000000001", "group": "orders-spot", **row},
            ],
            "groups": [{"name": "orders-spot", "min": 1, "desired": 4, "max": 12}],
            "services": [{"name": "service-000", "desired": 4, "running": 3, "pending": 1}],
        },
    )
    assert account.paginators["describe_auto_scaling_groups"].asked == [
        {"Filters": [{"Name": "tag:bulwark:cluster", "Values": ["orders"]}]}
    ]


def test_t3_pages_and_batches_of_aws_are_kept() -> None:
    """T3: 101 instances are described 100 a call, their groups asked for 50 a call, and 11 services 10 a call."""
    account = Account(instances=101, services=11)
    cluster = view_clusters(account)["clusters"]["orders"]
    assert (len(cluster["instances"]), len(cluster["services"])) == (101, 11)
    assert account.batches == [100, 1, 10, 1]
    assert [len(asked["InstanceIds"]) for asked in account.paginators["describe_auto_scaling_instances"].asked] == [50, 50, 1]


def test_only_the_named_clusters_are_read() -> None:
    """With names given, the account's list of clusters is not read, and no name means no cluster."""
    account = Account()
    assert list(view_clusters(account, ["orders"])["clusters"]) == ["orders"]
    assert view_clusters(account, [])["clusters"] == {}
    assert account.paginators["list_clusters"].asked == []


def test_t4_failures_in_an_answer_are_errors() -> None:
    """T4: a failure in a 200 answer makes the picture incomplete, which is an error."""
    with pytest.raises(ViewError, match="cluster orders: arn: ACCESS_DENIED"):
        view_clusters(Account(failures=[{"arn": "arn", "reason": "ACCESS_DENIED"}]))


def test_an_instance_that_went_meanwhile_is_no_error() -> None:
    """What was deregistered between list and describe is MISSING, and simply not there."""
    assert view_clusters(Account(failures=[{"arn": "arn", "reason": "MISSING"}]))["clusters"]["orders"]["services"]


def test_what_aws_refuses_is_an_error_in_one_line() -> None:
    """A refused call is reported with AWS's words."""
    account = Account()
    account.error = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListClusters")
    with pytest.raises(ViewError, match="AccessDenied") as caught:
        view_clusters(account)
    assert "\n" not in str(caught.value)
