"""ECS's operations on services, as AWS answers them. What the scheduler then does is in ``ecs_scheduler``."""

from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.responses import EC2ContainerServiceResponse

from bulwark.core.packing import Space, misfits
from bulwark.core.query import QueryError
from workbench.sandbox.ecs_answers import at_most, backend_of, cluster_of, invalid, missing, page, parameter, put_on_moto, refusal
from workbench.sandbox.ecs_model import state_of
from workbench.sandbox.ecs_tasks import need_of

DAEMON_DEPLOYMENT = {"minimumHealthyPercent": 0, "maximumPercent": 100}
REPLICA_DEPLOYMENT = {"minimumHealthyPercent": 100, "maximumPercent": 200}
"""Deployment bounds of a service that names none (API reference, DeploymentConfiguration)."""

_KEPT = {
    "placementConstraints": "placement_constraints",
    "placementStrategy": "placement_strategy",
    "capacityProviderStrategy": "capacity_provider_strategy",
    "serviceConnectConfiguration": "service_connect_configuration",
    "networkConfiguration": "network_configuration",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
    "enableExecuteCommand": "enable_execute_command",
}
"""Fields of CreateService and UpdateService that moto drops, and where its serialiser looks for them."""

_moto_create_service = EC2ContainerServiceResponse.create_service
_moto_delete_service = EC2ContainerServiceResponse.delete_service


def create_service(self: Any) -> ActionResult:
    """CreateService, with everything the scheduler goes by. A name in use is refused."""
    backend, cluster = backend_of(self), cluster_of(self)
    name, strategy = parameter(self, "serviceName", ""), parameter(self, "schedulingStrategy", "REPLICA")
    held = backend.services.get(f"{cluster}:{name}")
    if held is not None and held.status == "ACTIVE":
        raise invalid("Creation of service was not idempotent.")
    daemon = strategy == "DAEMON"
    if network := (parameter(self, "networkConfiguration") or {}).get("awsvpcConfiguration"):
        network.setdefault("securityGroups", [])  # moto takes them for given, AWS does not
    _check(self, daemon=daemon)
    through = _providers(self)
    result: Any = _moto_create_service(self).result
    service = result["service"]
    usual = DAEMON_DEPLOYMENT if daemon else REPLICA_DEPLOYMENT
    service.deployment_configuration = {**usual, **parameter(self, "deploymentConfiguration", {})}
    service.created_at = datetime.now(UTC)
    service.running_count, service.pending_count = 0, 0
    for asked, field in _KEPT.items():
        if (value := parameter(self, asked)) is not None:
            setattr(service, field, value)
    for deployment in service.deployments:
        deployment.update(runningCount=0, pendingCount=0, createdAt=service.created_at, updatedAt=service.created_at)
        deployment.pop("platformFamily", None)  # a Fargate matter
        if through:
            deployment.pop("launchType", None)
            deployment["capacityProviderStrategy"] = through
    if through:
        service.launch_type, service.capacity_provider_strategy = None, through
    # A service created again under the name of a deleted one begins anew.
    state_of(backend).services.pop(f"{cluster}:{name}", None)
    state_of(backend).changes += 1
    return ActionResult({"service": service})


def _providers(response: Any) -> list[dict[str, Any]]:
    """The capacity provider strategy of a CreateService request, or the cluster's own where it names no launch type either."""
    cluster = backend_of(response).clusters[cluster_of(response)]
    given, launch_type = parameter(response, "capacityProviderStrategy"), parameter(response, "launchType")
    if given and launch_type:
        raise invalid("Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
    strategy: list[dict[str, Any]] = given or ([] if launch_type else cluster.default_capacity_provider_strategy or [])
    for step in strategy:
        if step["capacityProvider"] not in (cluster.capacity_providers or ()):
            raise invalid(f"The capacity provider {step['capacityProvider']} is not associated with the cluster.")
    return strategy


def _check(response: Any, *, daemon: bool) -> None:
    """Refuse what the scheduler could not work with: strategies for a daemon, bad bounds, bad constraints."""
    if daemon and parameter(response, "placementStrategy"):
        raise invalid("Placement strategies are not supported when using the DAEMON scheduling strategy.")
    backend = backend_of(response)
    definition = backend.describe_task_definition(parameter(response, "taskDefinition", ""))
    if definition.network_mode == "awsvpc" and not parameter(response, "networkConfiguration"):
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    need = need_of(definition, backend, group="", constraints=parameter(response, "placementConstraints", []))
    try:
        misfits(need, Space("", ""))
    except QueryError as wrong:
        raise invalid(f"Invalid placement constraint: {wrong}") from wrong


def update_service(self: Any) -> ActionResult:
    """UpdateService: desired count, bounds, placement; a new task definition or a forced deployment replaces the tasks."""
    backend, cluster = backend_of(self), cluster_of(self)
    service = backend.services.get(f"{cluster}:{parameter(self, 'service', '').rpartition('/')[2]}")
    if service is None:
        raise refusal("ServiceNotFoundException", "Service not found.")
    if service.status != "ACTIVE":
        raise refusal("ServiceNotActiveException", "Service was not ACTIVE.")
    if (desired := parameter(self, "desiredCount")) is not None:
        if service.scheduling_strategy == "DAEMON":
            raise invalid("The desired count of a DAEMON service cannot be set.")
        service.desired_count = int(desired)
    service.deployment_configuration = {**service.deployment_configuration, **parameter(self, "deploymentConfiguration", {})}  # type: ignore[attr-defined]
    for asked, field in _KEPT.items():
        if (value := parameter(self, asked)) is not None:
            setattr(service, field, value)
    named = parameter(self, "taskDefinition")
    definition = backend.describe_task_definition(named).arn if named else service.task_definition
    if definition != service.task_definition or parameter(self, "forceNewDeployment", default=False):
        service.task_definition = definition
        _redeploy(service)
    state_of(backend).changes += 1
    return ActionResult({"service": service})


def _redeploy(service: Any) -> None:
    """A new deployment: every task of the one before has to go."""
    now = datetime.now(UTC)
    for deployment in service.deployments[:1]:
        number = int(deployment["id"].rpartition("/")[2]) + 1
        deployment.update(
            id=f"ecs-svc/{number}", createdAt=now, updatedAt=now, rolloutState="IN_PROGRESS",
            rolloutStateReason=f"ECS deployment ecs-svc/{number} in progress.",
        )  # fmt: skip


def delete_service(self: Any) -> ActionResult:
    """DeleteService: the scheduler stops its tasks."""
    answer = _moto_delete_service(self)
    state_of(backend_of(self)).changes += 1
    return answer


def describe_services(self: Any) -> ActionResult:
    """DescribeServices: at most ten, those unknown under failures."""
    asked = parameter(self, "services", [])
    at_most(asked, 10, "services")
    backend, cluster = backend_of(self), cluster_of(self)
    by_name = {name: backend.services.get(f"{cluster}:{name.rpartition('/')[2]}") for name in asked}
    found = [service for service in by_name.values() if service is not None]
    return ActionResult({"services": found, "failures": [missing(self, "service", n) for n, s in by_name.items() if s is None]})


def list_services(self: Any) -> ActionResult:
    """ListServices, in pages of ten unless maxResults says otherwise."""
    cluster = cluster_of(self)
    strategy, launch_type = parameter(self, "schedulingStrategy"), parameter(self, "launchType")
    arns = [
        service.arn
        for service in backend_of(self).services.values()
        if service.cluster_name == cluster
        and service.status == "ACTIVE"
        and strategy in (None, service.scheduling_strategy)
        and launch_type in (None, service.launch_type)
    ]
    return page(self, "serviceArns", sorted(arns), usual=10)


def list_services_by_namespace(self: Any) -> ActionResult:
    """ListServicesByNamespace: services whose Service Connect configuration names the namespace, in pages of ten."""
    namespace = parameter(self, "namespace", "")
    arns = []
    for service in backend_of(self).services.values():
        connect: Any = getattr(service, "service_connect_configuration", None) or {}
        held = connect.get("namespace", "")
        if connect.get("enabled") and held and namespace in (held, held.rpartition("/")[2]):
            arns.append(service.arn)
    return page(self, "serviceArns", sorted(arns), usual=10)


def install() -> None:
    """Put these operations onto moto's response class."""
    put_on_moto([create_service, update_service, delete_service, describe_services, list_services, list_services_by_namespace])
