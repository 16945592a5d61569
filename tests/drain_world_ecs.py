"""What the draining tests' world answers as ECS: reads, with AWS's shapes and limits. The writes are in ``drain_world_ecs_writes``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bulwark.core import query
from tests.builders import CLUSTER_ARN
from tests.drain_world_model import CLUSTER
from tests.fakes import ClusterNotFoundError, an_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.drain_faults import Faults
    from tests.drain_world import World
    from tests.drain_world_model import Registration, Service, Task

ATTRIBUTES_PER_CALL = 10
FILTER_LENGTH = 2000
PAGE = 100
SERVICE_PAGE = 10
KEPT_SECONDS = 3600
"""How long ECS goes on describing a task that has stopped."""


class Ecs:
    """The reading half of an ECS client."""

    exceptions = SimpleNamespace(ClusterNotFoundException=ClusterNotFoundError)

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def get_paginator(self, operation: str) -> Any:
        """Follows ``nextToken`` as boto3's paginators do."""

        def paginate(**params: Any) -> Iterator[dict[str, Any]]:
            size = params.pop("PaginationConfig", {}).get("PageSize")
            more: dict[str, Any] = {"maxResults": size} if size else {}
            while True:
                page = getattr(self, operation)(**params, **more)
                yield page
                if "nextToken" not in page:
                    return
                more["nextToken"] = page["nextToken"]

        return SimpleNamespace(paginate=paginate)

    def _call(
        self,
        operation: str,
        params: dict[str, Any],
        call: Callable[[list[Any]], dict[str, Any]],
        ids: list[Any] | None = None,
        limit: int = 0,
    ) -> dict[str, Any]:
        """One call about ``ids``, of which there may be ``limit``."""

        def checked(some: list[Any]) -> dict[str, Any]:
            if params.get("cluster", CLUSTER) != CLUSTER:
                raise ClusterNotFoundError({"Error": {"Code": "ClusterNotFoundException", "Message": "Cluster not found."}}, operation)
            if ids is not None and not 0 < len(ids) <= limit:
                raise an_error("InvalidParameterException", operation, f"{len(ids)} ids, {limit} allowed")
            return call(some)

        return self._faults.perform(operation, ids, checked)

    def _registration(self, reference: str) -> Registration | None:
        """By ARN, or by its last part."""
        found = self._world.registrations.get(reference)
        if found is None:
            found = next((r for a, r in self._world.registrations.items() if a.rpartition("/")[2] == reference), None)
        return found

    def list_container_instances(self, **params: Any) -> dict[str, Any]:
        """All but INACTIVE ones unless a status is asked for; ``filter`` in the cluster query language."""

        def call(_: list[Any]) -> dict[str, Any]:
            expression = params.get("filter")
            if expression is not None and len(expression) > FILTER_LENGTH:
                raise an_error("InvalidParameterException", "ListContainerInstances", "filter too long")
            means = query.parse(expression) if expression else lambda _: True
            status = params.get("status")
            found = [
                r.arn for r in self._world.registrations.values() if (r.status == status if status else r.status != "INACTIVE") and means(r)
            ]
            return _page("containerInstanceArns", found, params)

        return self._call("ListContainerInstances", params, call)

    def describe_container_instances(self, **params: Any) -> dict[str, Any]:
        """At most 100; INACTIVE ones are still shown."""

        def call(ids: list[Any]) -> dict[str, Any]:
            found = {i: self._registration(i) for i in ids}
            return {
                "containerInstances": [container_instance(r) for r in found.values() if r is not None],
                "failures": [_missing(i) for i, r in found.items() if r is None],
            }

        return self._call("DescribeContainerInstances", params, call, params["containerInstances"], PAGE)

    def list_tasks(self, **params: Any) -> dict[str, Any]:
        """By container instance, service or family, and desired status: RUNNING unless asked, and never PENDING."""

        def call(_: list[Any]) -> dict[str, Any]:
            wanted = params.get("desiredStatus", "RUNNING")
            where = self._registration(params["containerInstance"]) if "containerInstance" in params else None
            found = [
                t.arn
                for t in self._world.tasks.values()
                if t.desired == wanted
                and not self._is_forgotten(t)
                and ("containerInstance" not in params or t.registration is where)
                and params.get("serviceName", t.service) == t.service
                and params.get("family", t.family) == t.family
            ]
            return _page("taskArns", found, params)

        return self._call("ListTasks", params, call)

    def _is_forgotten(self, task: Task) -> bool:
        return task.stopped_at is not None and (self._world.now - task.stopped_at).total_seconds() > KEPT_SECONDS

    def describe_tasks(self, **params: Any) -> dict[str, Any]:
        """At most 100. Tags only if asked for."""

        def call(ids: list[Any]) -> dict[str, Any]:
            known = {a: t for a in ids if (t := self._world.tasks.get(a)) is not None and not self._is_forgotten(t)}
            tags = "TAGS" in params.get("include", ())
            return {
                "tasks": [described_task(t, tags=tags) for t in known.values()],
                "failures": [_missing(i) for i in ids if i not in known],
            }

        return self._call("DescribeTasks", params, call, params["tasks"], PAGE)

    def describe_services(self, **params: Any) -> dict[str, Any]:
        """At most ten."""

        def call(ids: list[Any]) -> dict[str, Any]:
            known = {i: self._world.services.get(i.rpartition("/")[2]) for i in ids}
            return {
                "services": [described_service(s) for s in known.values() if s is not None],
                "failures": [_missing(i) for i, s in known.items() if s is None],
            }

        return self._call("DescribeServices", params, call, params["services"], SERVICE_PAGE)

    def list_services(self, **params: Any) -> dict[str, Any]:
        """Ten to a page unless asked."""

        def call(_: list[Any]) -> dict[str, Any]:
            wanted = params.get("schedulingStrategy")
            found = [service_arn(s) for s in self._world.services.values() if wanted in (None, "DAEMON" if s.daemon else "REPLICA")]
            return _page("serviceArns", found, params, SERVICE_PAGE)

        return self._call("ListServices", params, call)

    def describe_capacity_providers(self, **params: Any) -> dict[str, Any]:
        """By name, or all."""

        def call(ids: list[Any]) -> dict[str, Any]:
            names = ids or ([] if params.get("capacityProviders") else list(self._world.managed))
            known = [n for n in names if n in self._world.managed]
            return {
                "capacityProviders": [self._provider(n) for n in known],
                "failures": [_missing(n) for n in names if n not in self._world.managed],
            }

        return self._call("DescribeCapacityProviders", params, call, params.get("capacityProviders"), PAGE)

    def _provider(self, name: str) -> dict[str, Any]:
        scaling, draining = self._world.managed[name]
        group = next((g.name for g in self._world.groups.values() if g.provider == name), "none")
        return {
            "name": name,
            "autoScalingGroupProvider": {
                "autoScalingGroupArn": f"arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:x:autoScalingGroupName/{group}",
                "managedScaling": {"status": "ENABLED" if scaling else "DISABLED"},
                "managedDraining": "ENABLED" if draining else "DISABLED",
            },
        }

    def describe_task_definition(self, **params: Any) -> dict[str, Any]:
        """Any family, of which nothing is asked."""
        return self._call(
            "DescribeTaskDefinition",
            {},
            lambda _: {"taskDefinition": {"taskDefinitionArn": params["taskDefinition"], "requiresAttributes": []}},
        )

    def get_task_protection(self, **params: Any) -> dict[str, Any]:
        """At most 100. What belongs to no service is a failure."""

        def call(ids: list[Any]) -> dict[str, Any]:
            found = {i: self._world.tasks.get(i) for i in ids}
            protected = {i: t for i, t in found.items() if t is not None and t.service}
            return {
                "protectedTasks": [self._protection(t) for t in protected.values()],
                "failures": [{"arn": i, "reason": "TASK_NOT_VALID"} for i in ids if i not in protected],
            }

        return self._call("GetTaskProtection", params, call, params["tasks"], PAGE)

    def _protection(self, task: Task) -> dict[str, Any]:
        until = task.protected_until
        holds = until is not None and until > self._world.now
        return {"taskArn": task.arn, "protectionEnabled": holds} | ({"expirationDate": until} if holds else {})


def _page(key: str, found: list[str], params: dict[str, Any], default: int = PAGE) -> dict[str, Any]:
    """One page of a list."""
    size = params.get("maxResults", default)
    if not 0 < size <= PAGE:
        raise an_error("InvalidParameterException", "List", f"maxResults {size}")
    start = int(params.get("nextToken") or 0)
    more = {"nextToken": str(start + size)} if start + size < len(found) else {}
    return {key: found[start : start + size]} | more


def _missing(name: str) -> dict[str, str]:
    return {"arn": name, "reason": "MISSING"}


def container_instance(one: Registration) -> dict[str, Any]:
    """A registration as ECS describes it."""
    cpu, memory = one.left
    described: dict[str, Any] = {
        "containerInstanceArn": one.arn,
        "ec2InstanceId": one.machine.id,
        "status": one.status,
        "agentConnected": one.connected,
        "versionInfo": {"agentVersion": one.agent_version},
        "registeredResources": _resources(one.cpu, one.memory),
        "remainingResources": _resources(cpu, memory),
        "runningTasksCount": one.running,
        "pendingTasksCount": one.pending,
        "attributes": [{"name": name, "value": value} for name, value in one.attributes.items()],
    }
    return described | ({"capacityProviderName": one.provider} if one.provider else {})


def _resources(cpu: int, memory: int) -> list[dict[str, Any]]:
    return [{"name": "CPU", "type": "INTEGER", "integerValue": cpu}, {"name": "MEMORY", "type": "INTEGER", "integerValue": memory}]


def described_task(task: Task, *, tags: bool) -> dict[str, Any]:
    """A task as DescribeTasks shows it."""
    described: dict[str, Any] = {
        "taskArn": task.arn,
        "containerInstanceArn": task.registration.arn,
        "taskDefinitionArn": f"{CLUSTER_ARN}:task-definition/{task.family}:1",
        "group": task.group,
        "cpu": str(task.cpu),
        "memory": str(task.memory),
        "desiredStatus": task.desired,
        "lastStatus": task.last,
        "startedAt": task.started_at,
        "containers": [],
        "attachments": [],
        "overrides": task.overrides,
        "launchType": "EC2",
    }
    return described | ({"tags": [{"key": k, "value": v} for k, v in task.tags.items()]} if tags else {})


def service_arn(service: Service) -> str:
    """In the long format."""
    return f"{CLUSTER_ARN}:service/{CLUSTER}/{service.name}"


def described_service(service: Service) -> dict[str, Any]:
    """A service as DescribeServices shows it."""
    running = sum(t.last == "RUNNING" and t.desired == "RUNNING" for t in service.tasks)
    return {
        "serviceName": service.name,
        "serviceArn": service_arn(service),
        "status": "ACTIVE",
        "schedulingStrategy": "DAEMON" if service.daemon else "REPLICA",
        "desiredCount": service.desired,
        "runningCount": running,
        "pendingCount": sum(t.alive and t.desired == "RUNNING" for t in service.tasks) - running,
        "deploymentConfiguration": {
            "minimumHealthyPercent": service.least,
            "maximumPercent": service.most,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        "placementConstraints": [],
    }
