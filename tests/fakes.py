"""Fakes of the AWS clients: small, in memory, with AWS's page and batch limits, and errors on demand."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from bulwark.shell.aws import Aws
from tests.builders import SPOT, instance_arn


def an_error(code: str = "ThrottlingException", operation: str = "Operation", message: str = "Rate exceeded") -> ClientError:
    """What boto3 raises when AWS refuses."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class ClusterNotFoundError(ClientError):
    """ECS's modelled error for a cluster that is not there."""


def a_raw_instance(ec2_id: str = SPOT, **changes: Any) -> dict[str, Any]:
    """One container instance as DescribeContainerInstances shows it."""
    left = [{"name": "CPU", "type": "INTEGER", "integerValue": 2048}, {"name": "MEMORY", "type": "INTEGER", "integerValue": 7680}]
    return {
        "containerInstanceArn": instance_arn(ec2_id),
        "ec2InstanceId": ec2_id,
        "status": "ACTIVE",
        "agentConnected": True,
        "versionInfo": {"agentVersion": "1.106.1"},
        "registeredResources": left,
        "remainingResources": left,
        "runningTasksCount": 1,
        "pendingTasksCount": 0,
        "attributes": [{"name": "ecs.availability-zone", "value": "us-east-1a"}],
    } | changes


@dataclass
class FakeEcs:
    """One cluster, ``orders``. ``fail[operation]`` is raised by that operation's next calls, one each.

    ``tells`` False: UpdateContainerInstancesState does not answer how the instances are now.
    """

    instances: list[dict[str, Any]] = field(default_factory=lambda: [a_raw_instance()])
    tasks: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    providers: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    fail: dict[str, list[Exception]] = field(default_factory=dict)
    spoiled: set[str] = field(default_factory=set)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    page: int = 100
    tells: bool = True
    exceptions = SimpleNamespace(ClusterNotFoundException=ClusterNotFoundError)

    def counted(self) -> Counter[str]:
        """How often each operation was called."""
        return Counter(name for name, _ in self.calls)

    def _called(self, operation: str, params: dict[str, Any], ids: list[str] | None = None, limit: int = 0) -> None:
        self.calls.append((operation, params))
        if self.fail.get(operation):
            raise self.fail[operation].pop(0)
        if params.get("cluster", "orders") != "orders":
            raise ClusterNotFoundError({"Error": {"Code": "ClusterNotFoundException", "Message": "Cluster not found."}}, operation)
        if ids is not None and len(ids) > limit:
            raise an_error("InvalidParameterException", operation, f"{len(ids)} ids, {limit} allowed")

    def _answer(self, operation: str, **parts: Any) -> dict[str, Any]:
        return parts | {"failures": self.failures.get(operation, [])}

    def _paged(self, key: str, arns: list[str], token: str | None, size: int) -> dict[str, Any]:
        start = int(token or 0)
        more = {"nextToken": str(start + size)} if start + size < len(arns) else {}
        return {key: arns[start : start + size]} | more

    def list_container_instances(self, **params: Any) -> dict[str, Any]:
        """Filters by status, by ``ec2InstanceId in [...]`` and by ``agentConnected == true``."""
        self._called("list_container_instances", params)
        found = self.instances
        if "status" in params:
            found = [i for i in found if i["status"] == params["status"]]
        if params.get("filter", "").startswith("ec2InstanceId"):
            assert len(params["filter"]) <= 2000
            ids = set(re.findall(r"'([^']+)'", params["filter"]))
            found = [i for i in found if i["ec2InstanceId"] in ids]
        elif "filter" in params:
            found = [i for i in found if i["agentConnected"]]
        arns = [i["containerInstanceArn"] for i in found]
        return self._paged("containerInstanceArns", arns, params.get("nextToken"), min(self.page, params.get("maxResults", 100)))

    def describe_container_instances(self, **params: Any) -> dict[str, Any]:
        """At most 100."""
        self._called("describe_container_instances", params, params["containerInstances"], 100)
        found = [i for i in self.instances if i["containerInstanceArn"] in params["containerInstances"]]
        return self._answer("describe_container_instances", containerInstances=found)

    def update_container_instances_state(self, **params: Any) -> dict[str, Any]:
        """At most ten; one in ``spoiled`` refuses the whole call."""
        asked = params["containerInstances"]
        self._called("update_container_instances_state", params, asked, 10)
        if self.spoiled & set(asked):
            raise an_error("InvalidParameterException", "UpdateContainerInstancesState", "not ACTIVE")
        failed = {f["arn"] for f in self.failures.get("update_container_instances_state", [])}
        for instance in self.instances:
            if instance["containerInstanceArn"] in asked and instance["containerInstanceArn"] not in failed:
                instance["status"] = params["status"]
        found = [f for f in self.failures.get("update_container_instances_state", []) if f["arn"] in asked]
        changed = [i for i in self.instances if i["containerInstanceArn"] in asked and i["containerInstanceArn"] not in failed]
        return {"containerInstances": changed if self.tells else [], "failures": found}

    def put_attributes(self, **params: Any) -> dict[str, Any]:
        """At most ten, each onto its own target."""
        self._called("put_attributes", params, params["attributes"], 10)
        for attribute in params["attributes"]:
            target = next(i for i in self.instances if i["containerInstanceArn"] == attribute["targetId"])
            target["attributes"] = [*target["attributes"], {"name": attribute["name"], "value": attribute["value"]}]
        return {"attributes": params["attributes"]}

    def list_services(self, **params: Any) -> dict[str, Any]:
        """Daemon services only, as nothing asks for others."""
        self._called("list_services", params)
        return {"serviceArns": [f"arn/{s['serviceName']}" for s in self.services if s.get("schedulingStrategy") == "DAEMON"]}

    def list_tasks(self, **params: Any) -> dict[str, Any]:
        """By container instance and desired status."""
        self._called("list_tasks", params)
        wanted = params.get("desiredStatus", "RUNNING")
        there = [t for t in self.tasks if t["containerInstanceArn"] == params["containerInstance"]]
        arns = [t["taskArn"] for t in there if t.get("desiredStatus", "RUNNING") == wanted]
        return self._paged("taskArns", arns, params.get("nextToken"), self.page)

    def describe_tasks(self, **params: Any) -> dict[str, Any]:
        """At most 100."""
        self._called("describe_tasks", params, params["tasks"], 100)
        return self._answer("describe_tasks", tasks=[t for t in self.tasks if t["taskArn"] in params["tasks"]])

    def describe_services(self, **params: Any) -> dict[str, Any]:
        """At most ten."""
        self._called("describe_services", params, params["services"], 10)
        return self._answer("describe_services", services=[s for s in self.services if s["serviceName"] in params["services"]])

    def describe_capacity_providers(self, **params: Any) -> dict[str, Any]:
        """By name."""
        self._called("describe_capacity_providers", params)
        found = [p for p in self.providers if p["name"] in params["capacityProviders"]]
        return self._answer("describe_capacity_providers", capacityProviders=found)

    def get_paginator(self, operation: str) -> Any:
        """Follows ``nextToken`` as boto3's paginators do."""

        def paginate(**params: Any) -> Any:
            token: dict[str, str] = {}
            while True:
                page = getattr(self, operation)(**params, **token)
                yield page
                if "nextToken" not in page:
                    return
                token = {"nextToken": page["nextToken"]}

        return SimpleNamespace(paginate=paginate)


@dataclass
class FakePages:
    """A client of which only paginators are used: ``pages[operation]`` is what they give; an exception is raised."""

    pages: dict[str, list[Any]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def get_paginator(self, operation: str) -> Any:
        """Gives the canned pages, whatever is asked; the parameters are kept in ``calls``."""

        def paginate(**params: Any) -> Any:
            self.calls.append((operation, params))
            for page in self.pages.get(operation, []):
                if isinstance(page, Exception):
                    raise page
                yield page

        return SimpleNamespace(paginate=paginate)


@dataclass
class FakeAutoScaling(FakePages):
    """Detaches anything but what is in ``refused``, which spoils the call it is in."""

    refused: set[str] = field(default_factory=set)
    fail: list[Exception] = field(default_factory=list)
    detached: list[list[str]] = field(default_factory=list)

    def detach_instances(self, **params: Any) -> dict[str, Any]:
        """At most twenty."""
        self.calls.append(("detach_instances", params))
        if self.fail:
            raise self.fail.pop(0)
        ids = params["InstanceIds"]
        if len(ids) > 20 or self.refused & set(ids):
            raise an_error("ValidationError", "DetachInstances", f"{sorted(self.refused & set(ids))} not InService")
        self.detached.append(ids)
        return {"Activities": []}


@dataclass
class FakeTable:
    """A DynamoDB client that keeps what is put, or raises ``fail``."""

    items: list[dict[str, Any]] = field(default_factory=list)
    fail: Exception | None = None

    def put_item(self, **params: Any) -> None:
        """Keep the item."""
        if self.fail:
            raise self.fail
        self.items.append(params)


@dataclass
class FakeCloudWatch(FakePages):
    """Deletes alarms, a hundred a call at most; ``fail`` is raised by the next calls, one each."""

    fail: list[Exception] = field(default_factory=list)
    deleted: list[list[str]] = field(default_factory=list)

    def delete_alarms(self, **params: Any) -> None:
        """By name."""
        if self.fail:
            raise self.fail.pop(0)
        if len(params["AlarmNames"]) > 100:
            raise an_error("ValidationError", "DeleteAlarms", "100 at most")
        self.deleted.append(params["AlarmNames"])


class FakeCalls:
    """A client that notes whatever is called. ``answers[operation]`` are given in turn, an exception raised; else an empty answer."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Any:
        """The operation of that name."""

        def call(**params: Any) -> Any:
            self.calls.append((operation, params))
            given = self.answers.get(operation)
            answer = given.pop(0) if given else {}
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def names(self) -> list[str]:
        """The operations called, in order."""
        return [name for name, _ in self.calls]


class FakeAws(Aws):
    """Stands for shell.aws.Aws: fakes by service, given or fresh; no session, no pace, and nothing is counted."""

    ecs: Any
    ec2: Any
    autoscaling: Any
    ssm: Any
    dynamodb: Any

    def __init__(
        self,
        ecs: FakeEcs | FakeCalls | None = None,
        ec2: FakePages | FakeCalls | None = None,
        autoscaling: FakeAutoScaling | FakeCalls | None = None,
        ssm: FakePages | None = None,
        dynamodb: FakeTable | FakeCalls | None = None,
    ) -> None:
        self.ecs = ecs or FakeEcs()
        self.ec2 = ec2 or FakePages()
        self.autoscaling = autoscaling or FakeAutoScaling()
        self.ssm = ssm or FakePages()
        self.dynamodb = dynamodb or FakeTable()

    def take_calls(self) -> dict[str, int]:
        """Nothing is counted here."""
        return {}
