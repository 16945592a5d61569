"""The container instances and tasks of the account in memory, as objects that moto serialises, and the state around them."""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from moto.ecs.models import EC2ContainerServiceBackend

from bulwark.core.packing import Need, Space
from workbench.sandbox.ecs_attributes import agent_attributes, built_in
from workbench.sandbox.ecs_shapes import RESERVED_PORTS, shape
from workbench.sandbox.machine import Machine

TRUNK = "ecs.awsvpc-trunk-id"
"""The attribute of an instance whose awsvpc tasks share a trunk interface."""

ENDED = frozenset({"STOPPED", "DELETED"})
ANY_ADDRESS = "0.0.0.0"  # noqa: S104  what ECS shows for a binding; nothing listens here
WAITING = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})


class Instance:
    """One container instance. Field names are AWS's in snake case: moto serialises them as DescribeContainerInstances' answer."""

    def __init__(self, machine: Machine, backend: EC2ContainerServiceBackend, now: datetime) -> None:
        offers = shape(machine.instance_type)
        gpu = offers.gpu if machine.gpu is None else machine.gpu
        self.id = uuid4().hex
        self.container_instance_arn = (
            f"arn:aws:ecs:{backend.region_name}:{backend.account_id}:container-instance/{machine.cluster}/{self.id}"
        )
        self.cluster_name = machine.cluster
        self.ec2_instance_id = machine.id
        self.capacity_provider_name = machine.capacity_provider
        self.status = machine.status
        self.agent_connected = machine.connected
        self.registered_at = now
        self.version = 1
        self.agent_update_status: str | None = None
        self.lacks = machine.lacks
        self.gpu = gpu
        self.set_agent(machine.agent)
        self.own_attributes: dict[str, str | None] = built_in(
            image_id=machine.image_id, zone=machine.zone, instance_type=machine.instance_type, architecture=offers.architecture,
            vpc_id=machine.vpc_id, subnet_id=machine.subnet_id,
        )  # fmt: skip
        self.custom: dict[str, str | None] = dict(machine.attributes)
        trunk = self.custom.pop(TRUNK, None)
        if offers.enis_trunked is not None and (machine.trunking or trunk):
            self.own_attributes[TRUNK] = trunk or f"eni-{machine.id.removeprefix('i-')}"
        self.tasks: dict[str, Task] = {}
        full = Space(
            arn=self.container_instance_arn,
            ec2_id=machine.id,
            cpu=offers.cpu if machine.cpu is None else machine.cpu,
            memory=offers.memory if machine.memory is None else machine.memory,
            gpu=gpu,
            ports=RESERVED_PORTS,
            enis=offers.enis_trunked if TRUNK in self.own_attributes else offers.enis,
            zone=machine.zone,
            registered_at=now,
        )
        self.full = full
        self._space: Space | None = None
        self._attributes: dict[str, str | None] | None = None

    def set_agent(self, agent: str) -> None:
        """Let an agent of that version run: its version and what it can do."""
        self.version_info = {"agentVersion": agent, "agentHash": uuid4().hex[:8], "dockerVersion": "DockerVersion: 25.0.16"}
        self.capabilities = agent_attributes(agent, gpu=self.gpu > 0)
        self._attributes = None

    def changed(self) -> None:
        """Something about the instance is different: its version rises, and what was worked out from it is forgotten."""
        self.version += 1
        self._space = None
        self._attributes = None

    @property
    def attributes(self) -> dict[str, str | None]:
        """Every attribute: ECS's own, the agent's less what this one lacks, and custom ones."""
        if self._attributes is None:
            everything = {**self.own_attributes, **self.capabilities, **self.custom}
            self._attributes = {name: value for name, value in everything.items() if name not in self.lacks}
        return self._attributes

    @property
    def space(self) -> Space:
        """What is left on it. A task holds what it reserves until it is STOPPED."""
        if self._space is None:
            self._space = _space(self)
        return self._space

    @property
    def running_tasks_count(self) -> int:
        """Tasks on their feet or shutting down: not waiting to start and not ended."""
        return len(self.tasks) - self.pending_tasks_count

    @property
    def pending_tasks_count(self) -> int:
        """Tasks waiting to start."""
        return sum(task.last_status in WAITING for task in self.tasks.values())

    @property
    def registered_resources(self) -> list[dict[str, Any]]:
        """What it registered, in AWS's shape."""
        return _resources(self.full)

    @property
    def remaining_resources(self) -> list[dict[str, Any]]:
        """What it has left, in AWS's shape: of ports, those taken."""
        return _resources(self.space)

    @property
    def attachments(self) -> list[Any]:
        """Network interfaces ECS attached for trunking: none, as trunking is an account setting that is off by default."""
        return []


def _space(instance: Instance) -> Space:
    """The instance's space, from what it registered and the tasks on it."""
    tasks = instance.tasks.values()
    needs = [task.need for task in tasks]
    groups: dict[str, int] = {}
    for task in tasks:
        groups[task.group] = groups.get(task.group, 0) + 1
    full = instance.full
    return Space(
        arn=full.arn,
        ec2_id=full.ec2_id,
        cpu=full.cpu - sum(need.cpu for need in needs),
        memory=full.memory - sum(need.memory for need in needs),
        gpu=full.gpu - sum(need.gpu for need in needs),
        ports=full.ports.union(*(need.ports for need in needs)),
        ports_udp=full.ports_udp.union(*(need.ports_udp for need in needs)),
        enis=None if full.enis is None else full.enis - sum(need.enis for need in needs),
        zone=full.zone,
        attributes=instance.attributes,
        status=instance.status,
        agent_connected=instance.agent_connected,
        agent_version=instance.version_info["agentVersion"],
        registered_at=full.registered_at,
        running=instance.running_tasks_count,
        groups=groups,
    )


def _resources(space: Space) -> list[dict[str, Any]]:
    """CPU, MEMORY, PORTS, PORTS_UDP and, where there are any, GPU, as ECS lists them. GPUs are a set of ids."""

    def number(name: str, value: int) -> dict[str, Any]:
        """An INTEGER resource."""
        return {"name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": value}

    def names(name: str, values: list[str]) -> dict[str, Any]:
        """A STRINGSET resource."""
        return {"name": name, "type": "STRINGSET", "doubleValue": 0.0, "longValue": 0, "integerValue": 0, "stringSetValue": values}

    resources = [
        number("CPU", space.cpu),
        number("MEMORY", space.memory),
        names("PORTS", [str(port) for port in sorted(space.ports)]),
        names("PORTS_UDP", [str(port) for port in sorted(space.ports_udp)]),
    ]
    if space.gpu:
        resources.append(names("GPU", [f"GPU-{space.ec2_id}-{index}" for index in range(space.gpu)]))
    return resources


class Task:
    """One task. Field names are AWS's in snake case. ``need`` is what it reserves; ``service`` the service's name or None.

    It begins in PROVISIONING, on no instance; ``place`` gives it one.
    """

    def __init__(self, definition: Any, cluster_arn: str, need: Need, now: datetime, *, started_by: str = "") -> None:
        self.id = uuid4().hex
        self.cluster_arn = cluster_arn
        self.cluster_name = cluster_arn.rpartition("/")[2]
        self.task_arn = f"{cluster_arn.replace(':cluster/', ':task/')}/{self.id}"
        self.task_definition_arn = definition.arn
        self.container_instance_arn: str | None = None
        self.availability_zone: str | None = None
        self.capacity_provider_name: str | None = None
        self.group = need.group
        self.need = need
        self.cpu, self.memory = str(need.cpu), str(need.memory)
        self.launch_type = "EC2"
        self.started_by = started_by
        self.desired_status = "RUNNING"
        self.last_status = "PROVISIONING"
        self.connectivity = "CONNECTED"
        self.created_at = now
        self.placed_at: datetime | None = None
        self.started_at: datetime | None = None
        self.stopping_at: datetime | None = None
        self.stopped_at: datetime | None = None
        self.stop_code: str | None = None
        self.stopped_reason: str | None = None
        self.version = 1
        self.tags: list[dict[str, str]] = []
        self.overrides: dict[str, Any] = {"containerOverrides": [], "inferenceAcceleratorOverrides": []}
        self.enable_execute_command = False
        self.protected_until: datetime | None = None
        self.attributes: list[dict[str, str | None]] = []
        self.attachments: list[dict[str, Any]] = []
        self._definition = definition

    def place(self, instance: Instance, now: datetime) -> None:
        """Give the task a place at ``now`` (UTC): it is PENDING there."""
        self.container_instance_arn = instance.container_instance_arn
        self.availability_zone = instance.full.zone
        self.capacity_provider_name = instance.capacity_provider_name
        self.attributes = [{"name": "ecs.cpu-architecture", "value": instance.own_attributes["ecs.cpu-architecture"]}]
        self.attachments = [_network_interface(instance)] if self.need.enis else []
        self.placed_at = now
        self.last_status = "PENDING"

    @property
    def definition(self) -> Any:
        """Its task definition, moto's object."""
        return self._definition

    @property
    def service(self) -> str | None:
        """The name of its service; None for a standalone task."""
        kind, _, name = self.group.partition(":")
        return name if kind == "service" and self.started_by.startswith("ecs-svc/") else None

    @property
    def ended(self) -> bool:
        """Whether it is STOPPED: only then does it hold nothing any more."""
        return self.last_status in ENDED

    def untagged(self) -> "Task":
        """The task as it shows when nobody asks for its tags."""
        shown = copy(self)
        shown.tags = []
        return shown

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Its containers, with the host ports they have once they run."""
        state = {"RUNNING": "RUNNING", "STOPPED": "STOPPED"}.get(self.last_status, "PENDING" if self.last_status in WAITING else "RUNNING")
        return [
            {
                "containerArn": f"{self.task_arn.replace(':task/', ':container/')}/{index}",
                "taskArn": self.task_arn,
                "name": container["name"],
                "image": container.get("image"),
                "lastStatus": state,
                "networkBindings": [] if state == "PENDING" else _bindings(container, self._definition.network_mode),
                "networkInterfaces": [],
                "healthStatus": "UNKNOWN",
                "cpu": str(container.get("cpu", 0)),
                **({"memory": str(container["memory"])} if container.get("memory") else {}),
            }
            for index, container in enumerate(self._definition.container_definitions)
        ]


def _bindings(container: Mapping[str, Any], network_mode: str) -> list[dict[str, Any]]:
    """NetworkBindings of one container: host ports asked for. Dynamic ones (0) get a port of the ephemeral range; awsvpc has none."""
    if network_mode == "awsvpc":
        return []
    bindings = []
    for offset, mapping in enumerate(container.get("portMappings", ())):
        asked = mapping.get("hostPort") or (mapping.get("containerPort") if network_mode == "host" else None)
        port = asked or 32768 + offset
        bindings.append(
            {
                "bindIP": ANY_ADDRESS,
                "containerPort": mapping.get("containerPort", port),
                "hostPort": port,
                "protocol": mapping.get("protocol", "tcp"),
            }
        )
    return bindings


def _network_interface(instance: Instance) -> dict[str, Any]:
    """The attachment an awsvpc task shows."""
    details = {"subnetId": instance.own_attributes["ecs.subnet-id"], "networkInterfaceId": f"eni-{uuid4().hex[:17]}"}
    return {
        "id": str(uuid4()),
        "type": "ElasticNetworkInterface",
        "status": "ATTACHED",
        "details": [{"name": name, "value": value} for name, value in details.items()],
    }


@dataclass(slots=True)
class ServiceState:
    """What the scheduler keeps about one service.

    ``said`` is when each message was last put; ``seen`` how many changes ECS had known at the last pass, and ``at`` when that was.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    said: dict[str, datetime] = field(default_factory=dict)
    seen: int = -1
    at: datetime | None = None
    steady: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What RunTask answered to a client token: to which parameters, and when."""

    asked: Mapping[str, Any]
    tasks: list[Task]
    failures: list[dict[str, str]]
    at: datetime


@dataclass(slots=True)
class EcsState:
    """What ECS keeps beside moto's own records. It hangs on the backend, and so goes when moto is reset.

    ``now`` is until when ECS has lived; ``moving`` the tasks on their way up or down; ``waiting`` those that have no place yet, in the
    order of their creation; ``changes`` counts everything that the scheduler might want to look at; ``updating`` is when each agent
    update was asked for, by container instance id; ``answered`` what RunTask answered, by cluster and client token.
    """

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    moving: dict[str, Task] = field(default_factory=dict)
    waiting: dict[str, Task] = field(default_factory=dict)
    services: dict[str, ServiceState] = field(default_factory=dict)
    changes: int = 0
    updating: dict[str, datetime] = field(default_factory=dict)
    answered: dict[tuple[str, str], Answered] = field(default_factory=dict)


def state_of(backend: EC2ContainerServiceBackend) -> EcsState:
    """The state of one account and Region."""
    state: EcsState | None = getattr(backend, "bulwark_state", None)
    if state is None:
        state = EcsState()
        backend.bulwark_state = state  # type: ignore[attr-defined]
    return state


def instances_of(backend: EC2ContainerServiceBackend, cluster: str) -> dict[str, Instance]:
    """The container instances of a cluster by id, those INACTIVE included."""
    found: Any = backend.container_instances.setdefault(cluster, {})
    registered: dict[str, Instance] = found
    return registered


def active_spaces(instances: Iterable[Instance], provider_strategy: Any = None) -> list[Space]:
    """The ACTIVE instances as spaces; only those of the capacity providers named, if any are."""
    providers = {step["capacityProvider"] for step in provider_strategy or ()}
    return [i.space for i in instances if i.status == "ACTIVE" and (not providers or i.capacity_provider_name in providers)]


def tasks_of(backend: EC2ContainerServiceBackend, cluster: str) -> dict[str, Task]:
    """The tasks of a cluster by ARN, those that ended lately included."""
    found: Any = backend.tasks.setdefault(cluster, {})
    tasks: dict[str, Task] = found
    return tasks
