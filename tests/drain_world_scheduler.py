"""ECS's scheduler in the draining tests' world: tasks start, stop slowly, and leave DRAINING instances as their services allow."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.core.signals import DrainProgress
from tests.drain_world_model import CLUSTER, Registration, Service, Task, task_arn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.drain_world import World

STARTS = timedelta(seconds=20)
"""From placed to running."""

PROTECTED = timedelta(minutes=10)
"""How long the tasks of a protected service are protected."""


def live(world: World) -> None:
    """What is due about tasks, and one pass over every service."""
    for registration in world.registrations.values():
        for task in list(registration.tasks):
            _task(world, registration, task)
    for service in world.services.values():
        service.tasks = [t for t in service.tasks if t.desired == "RUNNING" and t.alive]
        if service.daemon:
            _daemon(world, service)
        else:
            _replica(world, service)


def _task(world: World, registration: Registration, task: Task) -> None:
    """One task. Where the agent is away, nothing changes."""
    if not registration.connected or not registration.machine.alive:
        return
    if task.ends_at is not None and world.now >= task.ends_at:
        _gone(world, registration, task)
    elif task.changes_at is not None and world.now >= task.changes_at:
        task.changes_at = None
        if task.desired == "STOPPED":
            _gone(world, registration, task)
        else:
            task.last, task.started_at = "RUNNING", world.now


def _gone(world: World, registration: Registration, task: Task) -> None:
    task.last, task.desired, task.stopped_at = "STOPPED", "STOPPED", world.now
    registration.tasks.remove(task)
    if registration.status == "DRAINING" and DRAIN_ATTRIBUTE in registration.custom:
        world.send(DrainProgress(CLUSTER, registration.machine.id))


def stop(world: World, tasks: Iterable[Task]) -> None:
    """Tell tasks to stop. They hold their place until they have."""
    for task in tasks:
        if task.desired == "RUNNING" and task.alive:
            task.desired = "STOPPED"
            task.changes_at = world.now + timedelta(seconds=task.stop_seconds if task.last == "RUNNING" else 1)
            if task.last == "RUNNING" and not task.counted:
                task.last = "DEACTIVATING"


def place(world: World, cpu: int, memory: int, *, without: Iterable[Registration] = ()) -> Registration | None:
    """The ACTIVE, connected registration with room and the fewest tasks."""
    away = set(without)
    best: Registration | None = None
    for one in world.registrations.values():
        if one.status != "ACTIVE" or not one.connected or one in away:
            continue
        left = one.left
        if left[0] >= cpu and left[1] >= memory and (best is None or len(one.tasks) < len(best.tasks)):
            best = one
    return best


def start(world: World, registration: Registration, family: str, service: Service | None = None, **changes: Any) -> Task:
    """Place one task."""
    task = Task(task_arn(f"{family}-{world.number()}"), registration, family, last="PENDING", changes_at=world.now + STARTS)
    if service is not None:
        task.service, task.daemon, task.cpu, task.memory = service.name, service.daemon, service.cpu, service.memory
        task.stop_seconds, task.counted = service.stop_seconds, service.counted
        task.protected_until = world.now + PROTECTED if service.protected else None
        service.tasks.append(task)
    for name, value in changes.items():
        setattr(task, name, value)
    world.tasks[task.arn] = task
    registration.tasks.append(task)
    return task


def bounds(service: Service) -> tuple[int, int]:
    """Fewest healthy and most live tasks: rounded up, and down."""
    return ceil(service.desired * service.least / 100), service.desired * service.most // 100


def _replica(world: World, service: Service) -> None:
    """Within its bounds: off what drains, up or down to desired."""
    live_tasks = service.tasks
    leaving = [t for t in live_tasks if t.registration.status != "ACTIVE"]
    staying = [t for t in live_tasks if t.registration.status == "ACTIVE"]
    least, most = bounds(service)
    waiting = [t for t in leaving if t.last != "RUNNING"]
    excess = sorted((t for t in staying if not _protected(world, t)), key=lambda t: (t.last == "RUNNING", t.arn))
    told = waiting + excess[: max(0, len(staying) - service.desired)]
    stop(world, told)
    live_tasks = [t for t in live_tasks if t not in told]
    staying = [t for t in staying if t not in told]
    for _ in range(min(service.desired - len(staying), most - len(live_tasks))):
        where = place(world, service.cpu, service.memory)
        if where is None:
            break
        live_tasks.append(start(world, where, service.name, service))
    healthy = sum(t.last == "RUNNING" for t in live_tasks)
    going = [t for t in leaving if t not in told]
    stop(world, going[: max(0, healthy - least)])
    service.tasks = [t for t in service.tasks if t.desired == "RUNNING"]


def _protected(world: World, task: Task) -> bool:
    return task.protected_until is not None and task.protected_until > world.now


def _daemon(world: World, service: Service) -> None:
    """One task on every ACTIVE machine; from a DRAINING one it leaves last."""
    covered = {t.registration.arn for t in service.tasks}
    for one in world.registrations.values():
        if one.status == "ACTIVE" and one.connected and one.arn not in covered:
            left = one.left
            if left[0] >= service.cpu and left[1] >= service.memory:
                start(world, one, service.name, service)
    stop(world, [t for t in service.tasks if t.registration.status == "DRAINING" and not t.registration.work])
