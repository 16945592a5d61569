"""RunTask and StartTask, as AWS answers them: placement with failures[], and once only for a client token."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult

from bulwark.core.packing import DEFAULT_STRATEGY, Need, Space, fits, misfits, place_many
from bulwark.core.query import QueryError
from workbench.sandbox.ecs_answers import at_most, backend_of, cluster_of, invalid, missing, parameter, put_on_moto, refusal
from workbench.sandbox.ecs_model import Answered, Instance, Task, active_spaces, instances_of, state_of, tasks_of
from workbench.sandbox.ecs_scheduler import strategies
from workbench.sandbox.ecs_tasks import need_of, start
from workbench.sandbox.ecs_waiting import wait_for_room

NO_INSTANCES = "No Container Instances were found in your cluster."

TOKEN_LIVES = timedelta(hours=24)
"""How long RunTask remembers a client token; not longer than its tasks are shown (API reference, "Ensuring idempotency")."""

TOKEN = re.compile(r"[!-~]{1,64}")
STARTER = re.compile(r"[A-Za-z0-9\-/_]{0,128}")
"""What a client token and ``startedBy`` may be (API reference, RunTask)."""

MOST_TAGS, LONGEST_KEY, LONGEST_VALUE = 50, 128, 256
"""Tags to a task, and characters of a tag's key and value (API reference, RunTask)."""

MOST_OVERRIDDEN = 8192
"""Characters of ``overrides`` as JSON (API reference, RunTask)."""


def run_task(self: Any) -> ActionResult:
    """RunTask: at most ten, where the strategy puts them; one failure per instance examined for each kind of refusal.

    The same request with the same client token is answered with the same tasks; a different one is a ConflictException.
    With a capacity provider what fits nowhere is no failure: it is PROVISIONING. Without one, InvalidParameterException if the
    cluster has no container instance at all.
    """
    count = int(parameter(self, "count", 1))
    if not 1 <= count <= 10:  # noqa: PLR2004  API reference, RunTask
        raise invalid("count must be between 1 and 10.")
    if parameter(self, "launchType") == "FARGATE":
        raise refusal("UnsupportedFeatureException", "This account has container instances on EC2 only.")
    before = _answered_before(self)
    if before is not None:
        return ActionResult({"tasks": before.tasks, "failures": before.failures})
    need, definition = _asked(self)
    instances = instances_of(backend_of(self), cluster_of(self))
    through = parameter(self, "capacityProviderStrategy")
    if not through and all(instance.status == "INACTIVE" for instance in instances.values()):
        raise invalid(NO_INSTANCES)
    spaces = active_spaces(instances.values(), through)
    chosen = place_many(need, count, spaces, strategies(parameter(self, "placementStrategy")) or DEFAULT_STRATEGY)
    tasks = [_start(self, definition, instances[space.arn.rpartition("/")[2]], need) for space in chosen]
    if through:
        tasks += _wait(self, definition, need, count - len(chosen))
    failures = []
    if len(tasks) < count:
        left = active_spaces(instances.values(), through)
        failures = [_failure(need, space) for space in left]
    _remember(self, tasks, failures)
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


def _answered_before(response: Any) -> Answered | None:
    """What this request was answered with when its client token was first used in the cluster. Raises ConflictException."""
    token = parameter(response, "clientToken")
    if token is None:
        return None
    if not TOKEN.fullmatch(token):
        raise invalid("clientToken must be 1 to 64 characters of ASCII 33 to 126.")
    backend, cluster = backend_of(response), cluster_of(response)
    before = state_of(backend).answered.get((cluster, token))
    if before is None or datetime.now(UTC) - before.at >= TOKEN_LIVES:
        return None
    if not any(task.task_arn in tasks_of(backend, cluster) for task in before.tasks):
        return None
    if before.asked != _request(response):
        conflict = refusal("ConflictException", "The provided clientToken is already in use with a different RunTask request.")
        conflict.resource_ids = [task.task_arn for task in before.tasks]  # type: ignore[attr-defined]
        raise conflict
    return before


def _remember(response: Any, tasks: list[Task], failures: list[dict[str, str]]) -> None:
    """Keep the answer for the client token. One that started nothing names no task that is there, and may be tried again."""
    token = parameter(response, "clientToken")
    if token is not None:
        answer = Answered(_request(response), tasks, failures, datetime.now(UTC))
        state_of(backend_of(response)).answered[cluster_of(response), token] = answer


def _request(response: Any) -> dict[str, Any]:
    """What makes one request different from another: every parameter but the token and how the cluster is called."""
    return {name: value for name, value in response.params.items() if name not in ("clientToken", "cluster")}


def _asked(response: Any) -> tuple[Need, Any]:
    """What a RunTask or StartTask request asks of an instance, and the task definition."""
    backend = backend_of(response)
    cluster_of(response)
    definition = backend.describe_task_definition(parameter(response, "taskDefinition"))
    if definition.network_mode == "awsvpc" and not parameter(response, "networkConfiguration"):
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    overrides = parameter(response, "overrides", {})
    _check_words(response)
    _check_overrides(response, definition, overrides)
    need = need_of(
        definition,
        backend,
        group=parameter(response, "group", f"family:{definition.family}"),
        constraints=parameter(response, "placementConstraints", []),
        network=parameter(response, "networkConfiguration"),
        overrides=overrides,
    )
    try:
        misfits(need, Space("", ""))
    except QueryError as wrong:
        raise invalid(f"Invalid placement constraint: {wrong}") from wrong
    return need, definition


def _check_words(response: Any) -> None:
    """Refuse a starter or tags that ECS would not take."""
    if not STARTER.fullmatch(parameter(response, "startedBy", "")):
        raise invalid("startedBy can have at most 128 letters, numbers, hyphens, forward slashes and underscores.")
    tags = parameter(response, "tags", [])
    if len(tags) > MOST_TAGS or len({tag.get("key") for tag in tags}) < len(tags):
        raise invalid(f"A task can have at most {MOST_TAGS} tags, each key once.")
    for tag in tags:
        key, value = tag.get("key") or "", tag.get("value") or ""
        if not 1 <= len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE or key.lower().startswith("aws:"):
            raise invalid(f"Tag {key!r}: a key has 1 to 128 characters and does not begin with aws:, a value has at most 256.")


def _check_overrides(response: Any, definition: Any, overrides: Mapping[str, Any]) -> None:
    """Refuse overrides of containers that are not there, ones that are too long, and ECS Exec for a task without a role."""
    names = {container["name"] for container in definition.container_definitions}
    for override in overrides.get("containerOverrides", []):
        if override.get("name") not in names:
            raise invalid(f"Override for container named {override.get('name')} is not a container in the TaskDefinition.")
    if len(json.dumps(overrides)) > MOST_OVERRIDDEN:
        raise invalid(f"Container Overrides length must be at most {MOST_OVERRIDDEN}.")
    role = overrides.get("taskRoleArn") or getattr(definition, "task_role_arn", None)
    if parameter(response, "enableExecuteCommand", default=False) and not role:
        raise invalid("enableExecuteCommand needs a task role, in the task definition or as an override.")


def _start(response: Any, definition: Any, instance: Instance, need: Need) -> Task:
    """Start a standalone task as the request asks."""
    started_by = parameter(response, "startedBy", "")
    task = start(backend_of(response), definition, instance, need, datetime.now(UTC), started_by=started_by)
    return _as_asked(response, task)


def _wait(response: Any, definition: Any, need: Need, count: int) -> list[Task]:
    """Make standalone tasks wait for their capacity provider to bring room, as the request asks."""
    backend, cluster, provider = backend_of(response), cluster_of(response), parameter(response, "capacityProviderStrategy")[0]
    started_by = parameter(response, "startedBy", "")
    name = provider["capacityProvider"]
    tasks = wait_for_room(backend, definition, cluster, need, datetime.now(UTC), count, name, started_by=started_by)
    return [_as_asked(response, task) for task in tasks]


def _as_asked(response: Any, task: Task) -> Task:
    """The task, with the tags and overrides of the request."""
    task.tags = parameter(response, "tags", [])
    task.overrides = {**task.overrides, **parameter(response, "overrides", {})}
    task.enable_execute_command = bool(parameter(response, "enableExecuteCommand", default=False))
    return task


def _failure(need: Need, space: Space) -> dict[str, str]:
    """The failures[] entry of one instance: the first reason, the detail with all the numbers."""
    reasons = misfits(need, space)
    reason = reasons[0].reason
    return {"arn": space.arn, "reason": reason, "detail": "; ".join(one.detail for one in reasons)}


def install() -> None:
    """Put these operations onto moto's response class."""
    put_on_moto([run_task, start_task])
