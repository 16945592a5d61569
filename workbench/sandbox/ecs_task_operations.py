"""ECS's operations on tasks, as AWS answers them: placement with failures[], stopping, listing, protection."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.responses import EC2ContainerServiceResponse

from bulwark.core.packing import DEFAULT_STRATEGY, Need, Space, fits, misfits, place_many
from bulwark.core.query import QueryError
from workbench.sandbox import ecs_service_operations
from workbench.sandbox.ecs_answers import at_most, backend_of, cluster_of, invalid, missing, page, parameter, put_on_moto, refusal
from workbench.sandbox.ecs_attributes import required_attributes
from workbench.sandbox.ecs_model import Instance, Task, instances_of, tasks_of
from workbench.sandbox.ecs_scheduler import active_spaces, strategies
from workbench.sandbox.ecs_tasks import need_of, start, stop

NO_INSTANCES = "No Container Instances were found in your cluster."
PROTECTION_MINUTES = 120
"""How long task protection lasts unless the call says otherwise (API reference, UpdateTaskProtection)."""

_moto_register_task_definition = EC2ContainerServiceResponse.register_task_definition
_moto_describe_task_definition = EC2ContainerServiceResponse.describe_task_definition


def register_task_definition(self: Any) -> ActionResult:
    """RegisterTaskDefinition, with what it requires of an instance."""
    return _with_requirements(_moto_register_task_definition(self))


def describe_task_definition(self: Any) -> ActionResult:
    """DescribeTaskDefinition, with what it requires of an instance."""
    return _with_requirements(_moto_describe_task_definition(self))


def _with_requirements(answer: ActionResult) -> ActionResult:
    """The answer, its task definition completed."""
    result: Any = answer.result
    definition = result["taskDefinition"]
    definition.requires_attributes = required_attributes(definition)
    definition.registered_at = getattr(definition, "registered_at", None) or datetime.now(UTC)
    return answer


def run_task(self: Any) -> ActionResult:
    """RunTask: at most ten, where the strategy puts them; one failure per instance examined for each kind of refusal.

    Raises InvalidParameterException if the cluster has no container instance at all.
    """
    count = int(parameter(self, "count", 1))
    if not 1 <= count <= 10:  # noqa: PLR2004  API reference, RunTask
        raise invalid("count must be between 1 and 10.")
    if parameter(self, "launchType") == "FARGATE":
        raise refusal("UnsupportedFeatureException", "This account has container instances on EC2 only.")
    need, definition = _asked(self)
    instances = instances_of(backend_of(self), cluster_of(self))
    if all(instance.status == "INACTIVE" for instance in instances.values()):
        raise invalid(NO_INSTANCES)
    spaces = active_spaces(instances.values(), parameter(self, "capacityProviderStrategy"))
    chosen = place_many(need, count, spaces, strategies(parameter(self, "placementStrategy")) or DEFAULT_STRATEGY)
    tasks = [_start(self, definition, instances[space.arn.rpartition("/")[2]], need) for space in chosen]
    failures = []
    if len(chosen) < count:
        left = active_spaces(instances.values(), parameter(self, "capacityProviderStrategy"))
        failures = [_failure(need, space) for space in left]
    return ActionResult({"tasks": tasks, "failures": failures})


def start_task(self: Any) -> ActionResult:
    """StartTask: on the instances named, at most ten; a failure for each that is unknown, gone or has no room."""
    asked = parameter(self, "containerInstances", [])
    at_most(asked, 10, "containerInstances")
    need, definition = _asked(self)
    instances = instances_of(backend_of(self), cluster_of(self))
    tasks, failures = [], []
    for name in asked:
        instance = instances.get(name.rpartition("/")[2])
        if instance is None:
            failures.append(missing(self, "container-instance", name))
        elif not fits(need, instance.space):
            failures.append(_failure(need, instance.space))
        else:
            tasks.append(_start(self, definition, instance, need))
    return ActionResult({"tasks": tasks, "failures": failures})


def _asked(response: Any) -> tuple[Need, Any]:
    """What a RunTask or StartTask request asks of an instance, and the task definition."""
    backend = backend_of(response)
    cluster_of(response)
    definition = backend.describe_task_definition(parameter(response, "taskDefinition"))
    if definition.network_mode == "awsvpc" and not parameter(response, "networkConfiguration"):
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    group = parameter(response, "group", f"family:{definition.family}")
    constraints = parameter(response, "placementConstraints", [])
    need = need_of(definition, backend, group=group, constraints=constraints, network=parameter(response, "networkConfiguration"))
    try:
        misfits(need, Space("", ""))
    except QueryError as wrong:
        raise invalid(f"Invalid placement constraint: {wrong}") from wrong
    return need, definition


def _start(response: Any, definition: Any, instance: Instance, need: Need) -> Task:
    """Start a standalone task as the request asks."""
    started_by = parameter(response, "startedBy", "")
    task = start(backend_of(response), definition, instance, need, datetime.now(UTC), started_by=started_by)
    task.tags = parameter(response, "tags", [])
    task.overrides = parameter(response, "overrides", task.overrides)
    return task


def _failure(need: Need, space: Space) -> dict[str, str]:
    """The failures[] entry of one instance: the first reason, the detail with all the numbers."""
    reasons = misfits(need, space)
    reason = reasons[0].reason
    return {"arn": space.arn, "reason": reason, "detail": "; ".join(one.detail for one in reasons)}


def stop_task(self: Any) -> ActionResult:
    """StopTask: SIGTERM now, STOPPED when the process has gone. Raises InvalidParameterException for an unknown task."""
    task = _task(self, parameter(self, "task", ""))
    if task is None:
        raise invalid("The referenced task was not found.")
    stop(backend_of(self), task, datetime.now(UTC), reason=parameter(self, "reason", "Task stopped by user"), code="UserInitiated")
    return ActionResult({"task": task})


def describe_tasks(self: Any) -> ActionResult:
    """DescribeTasks: at most 100, those unknown under failures."""
    asked = parameter(self, "tasks", [])
    at_most(asked, 100, "tasks")
    cluster_of(self)
    found = {name: _task(self, name) for name in asked}
    tasks = list({task.task_arn: task for task in found.values() if task is not None}.values())
    return ActionResult({"tasks": tasks, "failures": [missing(self, "task", name) for name, task in found.items() if task is None]})


def list_tasks(self: Any) -> ActionResult:
    """ListTasks, in pages. desiredStatus is RUNNING unless given, so a task told to stop is not listed; startedBy stands alone."""
    filters = {name: parameter(self, name) for name in ("containerInstance", "serviceName", "family", "startedBy", "launchType")}
    given = {name: value for name, value in filters.items() if value}
    if "startedBy" in given and len(given) > 1:
        raise invalid("startedBy must be the only filter.")
    wanted = parameter(self, "desiredStatus", "RUNNING")
    if wanted not in ("RUNNING", "PENDING", "STOPPED"):
        raise invalid("desiredStatus should be one of [RUNNING, PENDING, STOPPED]")
    backend, cluster = backend_of(self), cluster_of(self)
    if "containerInstance" in given:
        _known_instance(self, given["containerInstance"])
    if "serviceName" in given and f"{cluster}:{given['serviceName'].rpartition('/')[2]}" not in backend.services:
        raise refusal("ServiceNotFoundException", "Service not found.")
    tasks = [t for t in tasks_of(backend, cluster).values() if t.desired_status == wanted and _matches(t, given)]
    return page(self, "taskArns", sorted(t.task_arn for t in tasks))


def _known_instance(response: Any, name: str) -> None:
    """Refuse a containerInstance filter that names none."""
    if name.rpartition("/")[2] not in instances_of(backend_of(response), cluster_of(response)):
        raise invalid(f"The referenced container instance was not found: {name}")


def _matches(task: Task, given: Mapping[str, str]) -> bool:
    """Whether a task passes every filter given."""
    has = {
        "containerInstance": task.container_instance_arn.rpartition("/")[2],
        "serviceName": task.service,
        "family": task.task_definition_arn.rpartition("/")[2].partition(":")[0],
        "startedBy": task.started_by,
        "launchType": task.launch_type,
    }
    names = {"containerInstance", "serviceName"}
    return all(has[key] == (value.rpartition("/")[2] if key in names else value) for key, value in given.items())


def get_task_protection(self: Any) -> ActionResult:
    """GetTaskProtection: at most 100 tasks; failures MISSING and, for a standalone task, TASK_NOT_VALID."""
    cluster = cluster_of(self)
    asked = parameter(self, "tasks") or [t.task_arn for t in tasks_of(backend_of(self), cluster).values() if t.service]
    if not asked:
        return ActionResult({"protectedTasks": [], "failures": []})
    at_most(asked, 100, "tasks")
    tasks, failures = _protectable(self, asked)
    return ActionResult({"protectedTasks": [_protection(task) for task in tasks], "failures": failures})


def update_task_protection(self: Any) -> ActionResult:
    """UpdateTaskProtection: at most ten tasks, for 1 to 2,880 minutes."""
    asked = parameter(self, "tasks", [])
    at_most(asked, 10, "tasks")
    minutes = int(parameter(self, "expiresInMinutes", PROTECTION_MINUTES))
    if not 1 <= minutes <= 2880:  # noqa: PLR2004  API reference, UpdateTaskProtection
        raise invalid("expiresInMinutes must be between 1 and 2880.")
    tasks, failures = _protectable(self, asked)
    for task in tasks:
        enabled = parameter(self, "protectionEnabled", default=False)
        task.protected_until = datetime.now(UTC) + timedelta(minutes=minutes) if enabled else None
    return ActionResult({"protectedTasks": [_protection(task) for task in tasks], "failures": failures})


def _protectable(response: Any, asked: list[str]) -> tuple[list[Task], list[dict[str, str]]]:
    """Service tasks by id or ARN, and failures for the rest."""
    tasks, failures = [], []
    for name in asked:
        task = _task(response, name)
        if task is None or task.ended:
            failures.append(missing(response, "task", name))
        elif task.service is None:
            failures.append(missing(response, "task", task.task_arn, "TASK_NOT_VALID"))
        else:
            tasks.append(task)
    return tasks, failures


def _protection(task: Task) -> dict[str, Any]:
    """One entry of protectedTasks; protection that has run out is none."""
    until = task.protected_until
    enabled = until is not None and until > datetime.now(UTC)
    return {"taskArn": task.task_arn, "protectionEnabled": enabled, **({"expirationDate": until} if enabled else {})}


def _task(response: Any, name: str) -> Task | None:
    """A task of the cluster by id or ARN."""
    cluster = cluster_of(response)
    backend = backend_of(response)
    key = f"arn:aws:ecs:{backend.region_name}:{backend.account_id}:task/{cluster}/{name.rpartition('/')[2]}"
    return tasks_of(backend, cluster).get(key)


def install() -> None:
    """Put these operations, and those on services, onto moto's response class."""
    put_on_moto([
        register_task_definition, describe_task_definition, run_task, start_task, stop_task, describe_tasks, list_tasks,
        get_task_protection, update_task_protection,
    ])  # fmt: skip
    ecs_service_operations.install()
