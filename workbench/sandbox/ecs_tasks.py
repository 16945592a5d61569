"""The life of a task: what it needs, starting, stopping, and the seconds each takes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ecs.models import EC2ContainerServiceBackend

from bulwark.core.packing import Need
from workbench.sandbox.ecs_attributes import required_attributes
from workbench.sandbox.ecs_model import WAITING, EcsState, Instance, Task, instances_of, state_of, tasks_of

START_SECONDS = 6
"""From PENDING to RUNNING: the image is on the host and the container starts."""

STOP_SECONDS = 10
"""From the order to stop to STOPPED: a process that takes its time over SIGTERM, and less than the 30 s after which it is killed."""

DEACTIVATE_SECONDS = 2
"""After so long a stopping task shows STOPPING rather than DEACTIVATING."""

SIZES = ("cpu", "memory", "memoryReservation", "resourceRequirements")
"""What a container override may say about the container's size."""

KEEP_STOPPED = timedelta(hours=1)
"""How long ECS still shows a task that ended."""


def need_of(
    definition: Any,
    backend: EC2ContainerServiceBackend,
    *,
    group: str,
    constraints: Iterable[Mapping[str, str]] = (),
    network: Any = None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> Need:
    """What a task of this definition (moto's object) asks of an instance.

    ``constraints`` are those of the service or RunTask, on top of the definition's own; ``network`` a networkConfiguration;
    ``overrides`` what RunTask puts in place of the definition's sizes.
    Size is the task's where it has one, otherwise the sum of its containers, memoryReservation before memory.
    """
    containers = _overridden(definition.container_definitions, overrides)
    rules = [*definition.placement_constraints, *constraints]
    tcp, udp = _host_ports(containers, definition.network_mode)
    awsvpc = definition.network_mode == "awsvpc"
    return Need(
        cpu=int(overrides.get("cpu") or definition.cpu or 0) or sum(int(c.get("cpu") or 0) for c in containers),
        memory=int(overrides.get("memory") or definition.memory or 0)
        or sum(int(c.get("memoryReservation") or c.get("memory") or 0) for c in containers),
        gpu=sum(int(r["value"]) for c in containers for r in c.get("resourceRequirements", ()) if r.get("type") == "GPU"),
        ports=tcp,
        ports_udp=udp,
        enis=int(awsvpc),
        attributes=tuple((a["name"], a.get("value")) for a in required_attributes(definition)),
        expressions=tuple(r["expression"] for r in rules if r.get("type") == "memberOf"),
        distinct=any(r.get("type") == "distinctInstance" for r in rules),
        zones=_zones(network, backend) if awsvpc else frozenset(),
        group=group,
    )


def _overridden(containers: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The containers of a definition, with the sizes that overrides put in place of theirs."""
    by_name = {o.get("name"): {k: v for k, v in o.items() if k in SIZES} for o in overrides.get("containerOverrides", ())}
    return [{**container, **by_name.get(container["name"], {})} for container in containers]


def _host_ports(containers: Sequence[Mapping[str, Any]], network_mode: str) -> tuple[frozenset[int], frozenset[int]]:
    """Fixed host ports, TCP and UDP. Dynamic ones (0) play no part in placement; awsvpc tasks have their own interface."""
    ports: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    if network_mode != "awsvpc":
        for mapping in (m for c in containers for m in c.get("portMappings", ())):
            port = mapping.get("hostPort") or (mapping.get("containerPort") if network_mode == "host" else 0)
            if port:
                ports[mapping.get("protocol", "tcp")].add(port)
    return frozenset(ports["tcp"]), frozenset(ports["udp"])


def _zones(network: Any, backend: EC2ContainerServiceBackend) -> frozenset[str]:
    """The zones of an awsvpc task's subnets; none, which is any, if the subnets are not known."""
    wanted = ((network or {}).get("awsvpcConfiguration") or {}).get("subnets") or []
    subnets = ec2_backends[backend.account_id][backend.region_name].describe_subnets()
    return frozenset(subnet.availability_zone for subnet in subnets if subnet.id in wanted)


def start(
    backend: EC2ContainerServiceBackend, definition: Any, instance: Instance, need: Need, now: datetime, *, started_by: str = ""
) -> Task:
    """Put a task on the instance: PENDING, and RUNNING after START_SECONDS."""
    task = wait(backend, definition, instance.cluster_name, need, now, started_by=started_by)
    place(backend, task, instance, now)
    return task


def wait(
    backend: EC2ContainerServiceBackend,
    definition: Any,
    cluster: str,
    need: Need,
    now: datetime,
    *,
    started_by: str = "",
    provider: str | None = None,
) -> Task:
    """Make a task that has no place yet, of a capacity provider if one is named: PROVISIONING, and holding nothing."""
    task = Task(definition, backend.clusters[cluster].arn, need, now, started_by=started_by)
    task.capacity_provider_name = provider
    state = state_of(backend)
    tasks_of(backend, cluster)[task.task_arn] = task
    state.waiting[task.task_arn] = task
    state.changes += 1
    return task


def place(backend: EC2ContainerServiceBackend, task: Task, instance: Instance, now: datetime) -> None:
    """Put a task that has no place on the instance: PENDING, and RUNNING after START_SECONDS."""
    state = state_of(backend)
    state.waiting.pop(task.task_arn, None)
    task.place(instance, now)
    task.version += 1
    instance.tasks[task.task_arn] = task
    state.moving[task.task_arn] = task
    _changed(state, instance)


def unplaced(backend: EC2ContainerServiceBackend, cluster: str) -> list[Task]:
    """The tasks of a cluster that have no place yet, the oldest first."""
    return [task for task in state_of(backend).waiting.values() if task.cluster_name == cluster]


def stop(backend: EC2ContainerServiceBackend, task: Task, now: datetime, *, reason: str, code: str) -> None:
    """Order the task to stop. It holds what it reserves until it is STOPPED; asking twice changes nothing."""
    if task.desired_status == "STOPPED":
        return
    state = state_of(backend)
    task.desired_status = "STOPPED"
    task.stopping_at, task.stopped_reason, task.stop_code = now, reason, code
    task.version += 1
    state.waiting.pop(task.task_arn, None)
    state.moving[task.task_arn] = task
    state.changes += 1


def end(backend: EC2ContainerServiceBackend, task: Task, now: datetime) -> None:
    """The task is STOPPED, and what it held is free."""
    state = state_of(backend)
    task.desired_status = task.last_status = "STOPPED"
    task.stopped_at = now
    task.stopping_at = task.stopping_at or now
    task.version += 1
    state.moving.pop(task.task_arn, None)
    instance = instance_of(backend, task)
    if instance is not None:
        instance.tasks.pop(task.task_arn, None)
        _changed(state, instance)
    if task.service is not None and (service := state.services.get(f"{task.cluster_name}:{task.service}")) is not None:
        service.tasks.pop(task.task_arn, None)


def instance_of(backend: EC2ContainerServiceBackend, task: Task) -> Instance | None:
    """The container instance a task is on; None if it is on none, or that one is gone."""
    return instances_of(backend, task.cluster_name).get((task.container_instance_arn or "").rpartition("/")[2])


def host_terminated(backend: EC2ContainerServiceBackend, instance: Instance, now: datetime) -> None:
    """Every task on the instance ends because EC2 took the host away."""
    for task in list(instance.tasks.values()):
        task.stopped_reason = f"Host EC2 (instance {instance.ec2_instance_id}) terminated."
        task.stop_code = "TerminationNotice"
        end(backend, task, now)


def move(backend: EC2ContainerServiceBackend, now: datetime) -> None:
    """Bring every task on its way up or down to where it is at ``now``. A disconnected agent neither starts nor stops any."""
    state = state_of(backend)
    for task in list(state.moving.values()):
        instance = instance_of(backend, task)
        if task.last_status == "PROVISIONING":
            end(backend, task, task.stopping_at or now)  # told to stop before it had a place
            continue
        if instance is None or not instance.agent_connected:
            continue
        begun = task.placed_at or task.created_at
        if task.desired_status == "STOPPED":
            _move_down(backend, task, now)
        elif now >= begun + timedelta(seconds=START_SECONDS):
            task.last_status, task.started_at = "RUNNING", begun + timedelta(seconds=START_SECONDS)
            task.version += 1
            del state.moving[task.task_arn]
            _changed(state, instance)


def _move_down(backend: EC2ContainerServiceBackend, task: Task, now: datetime) -> None:
    """One step of stopping: at once if it had not started, otherwise through DEACTIVATING and STOPPING."""
    asked = task.stopping_at or now
    if task.last_status in WAITING:
        end(backend, task, asked)
    elif now >= asked + timedelta(seconds=STOP_SECONDS):
        end(backend, task, asked + timedelta(seconds=STOP_SECONDS))
    elif now >= asked + timedelta(seconds=DEACTIVATE_SECONDS):
        task.last_status = "STOPPING"
    elif now > asked:
        task.last_status = "DEACTIVATING"


def forget(backend: EC2ContainerServiceBackend, now: datetime) -> None:
    """Drop tasks that ended more than an hour ago."""
    for tasks in list(backend.tasks.values()):
        for arn, task in list(tasks.items()):
            stopped = getattr(task, "stopped_at", None)
            if stopped is not None and now - stopped > KEEP_STOPPED:
                del tasks[arn]


def _changed(state: EcsState, instance: Instance) -> None:
    """The instance, and so the cluster, is different from before."""
    instance.changed()
    state.changes += 1
