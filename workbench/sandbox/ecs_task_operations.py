"""ECS's operations on task definitions and tasks, as AWS answers them: stopping, listing, protection."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.responses import EC2ContainerServiceResponse

from workbench.sandbox import ecs_run_operations, ecs_service_operations
from workbench.sandbox.ecs_answers import at_most, backend_of, cluster_of, invalid, missing, page, parameter, put_on_moto, refusal
from workbench.sandbox.ecs_attributes import required_attributes
from workbench.sandbox.ecs_model import Task, instances_of, tasks_of
from workbench.sandbox.ecs_tasks import stop

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


def stop_task(self: Any) -> ActionResult:
    """StopTask: SIGTERM now, STOPPED when the process has gone. Raises InvalidParameterException for an unknown task."""
    task = _task(self, parameter(self, "task", ""))
    if task is None:
        raise invalid("The referenced task was not found.")
    stop(backend_of(self), task, datetime.now(UTC), reason=parameter(self, "reason", "Task stopped by user"), code="UserInitiated")
    return ActionResult({"task": task})


def describe_tasks(self: Any) -> ActionResult:
    """DescribeTasks: at most 100, those unknown under failures. Tags show only if they are asked for."""
    asked = parameter(self, "tasks", [])
    at_most(asked, 100, "tasks")
    cluster_of(self)
    found = {name: _task(self, name) for name in asked}
    tasks = list({task.task_arn: task for task in found.values() if task is not None}.values())
    if "TAGS" not in parameter(self, "include", []):
        tasks = [task.untagged() for task in tasks]
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
        "containerInstance": (task.container_instance_arn or "").rpartition("/")[2],
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
    """Put these operations, those that start tasks and those on services, onto moto's response class."""
    put_on_moto([
        register_task_definition, describe_task_definition, stop_task, describe_tasks, list_tasks, get_task_protection,
        update_task_protection,
    ])  # fmt: skip
    ecs_run_operations.install()
    ecs_service_operations.install()
