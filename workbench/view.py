"""An account's clusters as an operator would see them: what ``replay`` shows before and after. Reads only, through AWS's API.

Every list is paged, every batch within AWS's limits (100 container instances, 10 services, 50 group members a call), and ``failures`` in an
answer are raised: a picture with holes would be worse than none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

CLUSTER_TAG = "bulwark:cluster"
"""The tag by which an Auto Scaling group opts in."""

View = dict[str, Any]
"""``{"clusters": {name: {"instances": [...], "groups": [...], "services": [...]}}}``, as ``replay --json`` prints it."""


class ViewError(RuntimeError):
    """The account could not be read; one line."""


class Clients(Protocol):
    """Where AWS clients come from: the embedded account, or a session with ambient credentials."""

    def client(self, service_name: str) -> Any:
        """The boto3 client of a service."""
        ...


def view_clusters(clients: Clients, names: Iterable[str] | None = None) -> View:
    """The clusters of these names, or every cluster of the account if None. Raises ViewError."""
    from botocore.exceptions import BotoCoreError, ClientError

    ecs, autoscaling = clients.client("ecs"), clients.client("autoscaling")
    try:
        if names is None:
            arns = (arn for page in ecs.get_paginator("list_clusters").paginate() for arn in page["clusterArns"])
            names = [arn.rpartition("/")[2] for arn in arns]
        return {"clusters": {name: _cluster(ecs, autoscaling, name) for name in sorted(names)}}
    except (BotoCoreError, ClientError) as error:
        raise ViewError(f"the account could not be read: {error}") from error


def _cluster(ecs: Any, autoscaling: Any, name: str) -> View:
    """One cluster: its container instances, its groups, and its services, each sorted by name.

    Its groups are those that opted in for it, and whatever others hold instances of it.
    """
    instances = list(_instances(ecs, name))
    member_of = _member_of(autoscaling, {instance["ec2InstanceId"] for instance in instances})
    groups = list(_groups(autoscaling, Filters=[{"Name": f"tag:{CLUSTER_TAG}", "Values": [name]}]))
    others = set(member_of.values()) - {group["AutoScalingGroupName"] for group in groups}
    groups += [group for batch in _batches(sorted(others), 50) for group in _groups(autoscaling, AutoScalingGroupNames=batch)]
    return {
        "instances": sorted((_instance(i, member_of) for i in instances), key=lambda i: str(i["id"])),
        "groups": sorted((_group(group) for group in groups), key=lambda g: str(g["name"])),
        "services": sorted((_service(service) for service in _services(ecs, name)), key=lambda s: str(s["name"])),
    }


def _member_of(autoscaling: Any, instance_ids: Iterable[str]) -> dict[str, str]:
    """The Auto Scaling group of each instance that is in one. Auto Scaling describes 50 instances a call."""
    member_of: dict[str, str] = {}
    for batch in _batches(sorted(instance_ids), 50):
        for page in autoscaling.get_paginator("describe_auto_scaling_instances").paginate(InstanceIds=batch):
            member_of |= {member["InstanceId"]: member["AutoScalingGroupName"] for member in page["AutoScalingInstances"]}
    return member_of


def _groups(autoscaling: Any, **selection: Any) -> Iterator[Mapping[str, Any]]:
    """The Auto Scaling groups that the parameters of DescribeAutoScalingGroups select."""
    pages = autoscaling.get_paginator("describe_auto_scaling_groups").paginate(**selection)
    return (group for page in pages for group in page["AutoScalingGroups"])


def _instances(ecs: Any, cluster: str) -> Iterator[Mapping[str, Any]]:
    """The cluster's container instances, whatever their status. ECS describes 100 a call."""
    pages = ecs.get_paginator("list_container_instances").paginate(cluster=cluster)
    for arns in _batches((arn for page in pages for arn in page["containerInstanceArns"]), 100):
        answer = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)
        _complete(answer, cluster)
        yield from answer["containerInstances"]


def _services(ecs: Any, cluster: str) -> Iterator[Mapping[str, Any]]:
    """The cluster's services. ECS describes 10 a call."""
    pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
    for arns in _batches((arn for page in pages for arn in page["serviceArns"]), 10):
        answer = ecs.describe_services(cluster=cluster, services=arns)
        _complete(answer, cluster)
        yield from answer["services"]


def _complete(answer: Mapping[str, Any], cluster: str) -> None:
    """Raise ViewError if ECS answered for less than it was asked. What vanished between list and describe is no fault."""
    failures = [f for f in answer.get("failures", ()) if f.get("reason") != "MISSING"]
    if failures:
        raise ViewError(f"cluster {cluster}: {failures[0].get('arn')}: {failures[0].get('reason')}")


def _batches(items: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    """The items, ``size`` at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _instance(instance: Mapping[str, Any], member_of: Mapping[str, str]) -> View:
    """One container instance. ``group`` is null once the instance has left its Auto Scaling group."""
    attributes = {a["name"]: a.get("value") for a in instance.get("attributes", ())}
    return {
        "id": instance["ec2InstanceId"],
        "group": member_of.get(instance["ec2InstanceId"]),
        "zone": attributes.get("ecs.availability-zone"),
        "status": instance["status"],
        "running": instance["runningTasksCount"],
        "pending": instance["pendingTasksCount"],
        "agent": (instance.get("versionInfo") or {}).get("agentVersion"),
        "connected": instance["agentConnected"],
    }


def _group(group: Mapping[str, Any]) -> View:
    """One Auto Scaling group's bounds, in its own capacity units."""
    return {"name": group["AutoScalingGroupName"], "min": group["MinSize"], "desired": group["DesiredCapacity"], "max": group["MaxSize"]}


def _service(service: Mapping[str, Any]) -> View:
    """One service's task counts."""
    counts = {"desired": service["desiredCount"], "running": service["runningCount"], "pending": service["pendingCount"]}
    return {"name": service["serviceName"], **counts}
