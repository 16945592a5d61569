"""The work of a cluster, put to ECS through its own calls: task definitions, services, standalone tasks, task protection."""

from collections.abc import Mapping
from typing import Any

from workbench.sandbox.machine import ACCOUNT_ID, REGION
from workbench.sandbox.scenario import ClusterSpec, ScenarioError, ServiceSpec

IMAGE = "public.ecr.aws/docker/library/busybox:stable"
CONTAINER_PORT = 80
MOST_PROTECTED = 10
"""Tasks to an UpdateTaskProtection call."""


def run_standalone(cluster: ClusterSpec, ecs: Any, arns: Mapping[str, str]) -> None:
    """Start the standalone tasks, on the instance each names (``arns``: container instances by instance id) or where ECS likes."""
    for index, task in enumerate(cluster.tasks):
        container = {"name": "main", "image": IMAGE, "cpu": task.cpu, "memory": task.memory, "essential": True}
        arn = ecs.register_task_definition(family=task.family, containerDefinitions=[container])["taskDefinition"]["taskDefinitionArn"]
        tags = [{"key": key, "value": value} for key, value in task.tags.items()]
        if task.on is None:
            through = _through(task.capacity_provider)
            answer = ecs.run_task(cluster=cluster.name, taskDefinition=arn, count=1, tags=tags, **through)
        else:
            answer = ecs.start_task(cluster=cluster.name, taskDefinition=arn, containerInstances=[arns[task.on]], tags=tags)
        if answer["failures"] or not answer["tasks"]:
            reason = answer["failures"][0]["reason"] if answer["failures"] else "no task started"
            raise ScenarioError(f"cluster {cluster.name}, tasks[{index}] ({task.family}): ECS refuses it ({reason}); make room for it")


def run_services(cluster: ClusterSpec, ecs: Any, subnets: list[str]) -> None:
    """Create the services; the scheduler starts their tasks as the account lives on. ``subnets`` are for awsvpc tasks."""
    for service in cluster.services:
        least, most = service.bounds
        details: dict[str, Any] = {"schedulingStrategy": "DAEMON"} if service.daemon else {"desiredCount": service.desired}
        if service.network == "awsvpc":
            details["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": subnets}}
        if service.constraints:
            details["placementConstraints"] = [_constraint(text) for text in service.constraints]
        ecs.create_service(
            cluster=cluster.name,
            serviceName=service.name,
            taskDefinition=_define(cluster, service, ecs),
            **_through(service.capacity_provider),
            deploymentConfiguration={"minimumHealthyPercent": least, "maximumPercent": most},
            **details,
        )


def protect(cluster: ClusterSpec, ecs: Any) -> None:
    """Protect the running tasks of the services that ask for it from scale-in, for ECS's longest time (48 hours)."""
    for service in (s for s in cluster.services if s.protected):
        pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster.name, serviceName=service.name)
        arns = [arn for page in pages for arn in page["taskArns"]]
        for start in range(0, len(arns), MOST_PROTECTED):
            batch = arns[start : start + MOST_PROTECTED]
            answer = ecs.update_task_protection(cluster=cluster.name, tasks=batch, protectionEnabled=True, expiresInMinutes=2880)
            if answer["failures"]:
                raise ScenarioError(f"cluster {cluster.name}, service {service.name}: not protected ({answer['failures'][0]['reason']})")


def _through(provider: str | None) -> dict[str, Any]:
    """Launch type EC2, or a strategy of one capacity provider: ECS takes one of the two."""
    return {"capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}]} if provider else {"launchType": "EC2"}


def _constraint(text: str) -> dict[str, str]:
    """A placement constraint as ECS takes it."""
    return {"type": "distinctInstance"} if text == "distinctInstance" else {"type": "memberOf", "expression": text}


def _define(cluster: ClusterSpec, service: ServiceSpec, ecs: Any) -> str:
    """Register the service's task definition, one container of the service's size; its ARN."""
    container: dict[str, Any] = {"name": "main", "image": IMAGE, "cpu": service.cpu, "memory": service.memory, "essential": True}
    if service.network in ("bridge", "host"):
        ports = [(port, port) for port in service.host_ports] or [(CONTAINER_PORT, 0)] * (service.network == "bridge")
        container["portMappings"] = [{"containerPort": port, "hostPort": host, "protocol": "tcp"} for port, host in ports]
    if service.secrets:
        kind = "parameter/" if service.secrets == "ssm" else "secret:"
        name = "ssm" if service.secrets == "ssm" else "secretsmanager"
        container["secrets"] = [{"name": "SECRET", "valueFrom": f"arn:aws:{name}:{REGION}:{ACCOUNT_ID}:{kind}{service.name}"}]
    if service.gpu:
        container["resourceRequirements"] = [{"type": "GPU", "value": str(service.gpu)}]
    family = f"{cluster.name}-{service.name}"
    answer = ecs.register_task_definition(family=family, networkMode=service.network, containerDefinitions=[container])
    arn: str = answer["taskDefinition"]["taskDefinitionArn"]
    return arn
