"""Tasks that wait: those of a capacity provider that fit nowhere are PROVISIONING until there is room."""

from datetime import datetime
from typing import Any

from moto.ecs.models import EC2ContainerServiceBackend

from bulwark.core.packing import Need
from bulwark.core.packing import place as choose
from workbench.sandbox.ecs_model import Task, active_spaces, instances_of, state_of
from workbench.sandbox.ecs_tasks import place, unplaced, wait

MOST_PROVISIONING = 500
"""PROVISIONING tasks that ECS lets a cluster have (service quotas)."""


def wait_for_room(
    backend: EC2ContainerServiceBackend,
    definition: Any,
    cluster: str,
    need: Need,
    now: datetime,
    count: int,
    provider: str,
    *,
    started_by: str = "",
) -> list[Task]:
    """Make ``count`` tasks of the capacity provider wait from ``now`` on (UTC), fewer where the cluster has as many as it may have."""
    room = max(0, min(count, MOST_PROVISIONING - len(unplaced(backend, cluster))))
    return [wait(backend, definition, cluster, need, now, started_by=started_by, provider=provider) for _ in range(room)]


def place_standalone(backend: EC2ContainerServiceBackend, now: datetime) -> None:
    """Give the standalone tasks that wait a place, the oldest first; what waits of a service is the scheduler's."""
    for task in [task for task in state_of(backend).waiting.values() if task.service is None]:
        instances = instances_of(backend, task.cluster_name)
        space = choose(task.need, active_spaces(instances.values(), [{"capacityProvider": task.capacity_provider_name}]))
        if space is not None:
            place(backend, task, instances[space.arn.rpartition("/")[2]], now)
