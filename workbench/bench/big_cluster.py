"""A whole snapshot of a large cluster, as one look at AWS gives it: nothing in it depends on anything but the arguments."""

import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from bulwark.core.cluster import (
    Cluster,
    ContainerInstance,
    Definition,
    Demand,
    Group,
    GroupMember,
    InstanceTypeOption,
    Resources,
    Service,
    Shape,
    Task,
)
from workbench.bench.accounts import instance_id
from workbench.bench.packing_shapes import CPU, MEMORY
from workbench.sandbox.ecs_attributes import agent_attributes, built_in

NAME, AGENT, INSTANCE_TYPE = "bench", "1.106.1", "m5.2xlarge"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
GROUPS = ("bench-on-demand", "bench-spot")
PORTS = frozenset({22, 2375, 2376, 51678, 51679})
"""Host ports of Linux and of ECS itself (ECS agent configuration)."""

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ARN = "arn:aws:ecs:us-east-1:123456789012"
DAEMON = "logs"
DAEMON_DEFINITION = Definition(f"{ARN}:task-definition/{DAEMON}:1", 64, 128)
IDLE_EVERY = 100
"""One instance of so many holds nothing but the daemon: there is something to take out when nothing waits."""

LEAST = 128
"""CPU units of the smallest task."""


@dataclass(slots=True)
class _Machine:
    """One instance as it is filled: how many tasks of which service, by number."""

    zone: str
    cpu: int = CPU - DAEMON_DEFINITION.cpu
    memory: int = MEMORY - DAEMON_DEFINITION.memory
    held: Counter[int] = field(default_factory=Counter)


def container_instance_arn(number: int) -> str:
    """The ARN of the registration of the cluster's instance ``number``."""
    return f"{ARN}:container-instance/{NAME}/{number:032x}"


def big_cluster(instances: int, tasks: int, services: int, waiting: int, seed: int, looked_at: Collection[str] = ()) -> Cluster:
    """A cluster of ``instances``, half of them Spot, that run ``tasks`` of ``services``, with ``waiting`` tasks more wanted.

    Instances are m5.2xlarge in three zones with what such a one registers, each with a daemon's task beside those ``tasks``. Services
    differ in size, in the attributes they require, in network mode and constraints. Tasks are there as counts alone, but for those on the
    registrations ``looked_at``, by ARN: as one look leaves it, since nobody describes 50,000 tasks to size a cluster.
    """
    chance = random.Random(seed)  # noqa: S311 (the same numbers every time are what is wanted)
    definitions = tuple(_definition(n, chance) for n in range(services))
    wanted = [_service(n, chance) for n in range(services)]
    machines = _filled(instances, tasks, definitions, wanted, chance)
    running = sum((m.held for m in machines), Counter[int]())
    missing = Counter(chance.randrange(services) for _ in range(waiting))
    counted = [replace(s, desired=running[n] + missing[n], running=running[n]) for n, s in enumerate(wanted)]
    daemon = Service(DAEMON, instances, instances, daemon=True, definition=DAEMON_DEFINITION.arn, min_healthy_percent=0, max_percent=100)
    groups = tuple(_group(n, instances) for n in range(len(GROUPS)))
    looked = [n for n in range(instances) if container_instance_arn(n) in looked_at] if looked_at else []
    return Cluster(
        name=NAME,
        seen_at=NOW,
        instances=tuple(_instance(n, machine) for n, machine in enumerate(machines)),
        tasks=tuple(t for n in looked for t in _tasks(n, machines[n], definitions)),
        tasks_examined=frozenset(container_instance_arn(n) for n in looked),
        daemons=frozenset({DAEMON}),
        services=(*counted, daemon),
        groups=groups,
        definitions={d.arn: d for d in (*definitions, DAEMON_DEFINITION)},
        shapes=tuple(Shape(g.name, INSTANCE_TYPE, CPU, MEMORY, ports=PORTS, attributes=_attributes(0, ZONES[0]), enis=40) for g in groups),
        demands=tuple(Demand(NOW - timedelta(minutes=minute), 1, 1) for minute in range(10, 0, -1)),
    )


def _definition(number: int, chance: random.Random) -> Definition:
    """What one task of a service asks for: every fifth is awsvpc, most require some attributes."""
    awsvpc = number % 5 == 0
    able = [name for name, value in _of_the_agent().items() if value is None]
    requires = tuple((name, None) for name in sorted(chance.sample(able, chance.randrange(8))))
    cpu = LEAST if not number else chance.choice([512, 1024, 1024, 2048])
    return Definition(f"{ARN}:task-definition/service-{number}:7", cpu, cpu * chance.choice([1, 2, 4]), enis=int(awsvpc), requires=requires)


def _service(number: int, chance: random.Random) -> Service:
    """A service without its counts: one of ten with a placement constraint, one of ten on distinct instances."""
    return Service(
        f"service-{number}",
        0,
        definition=f"{ARN}:task-definition/service-{number}:7",
        expressions=(f"attribute:ecs.instance-type =~ {chance.choice(['m5.*', 'm5.2xlarge', '[cm]5.*'])}",) if number % 10 == 1 else (),
        distinct=number % 10 == 2,  # noqa: PLR2004
        constrained=number % 10 in (1, 2),
        zones=frozenset(ZONES) if number % 5 == 0 else frozenset(),
    )


def _filled(
    instances: int, tasks: int, definitions: tuple[Definition, ...], services: list[Service], chance: random.Random
) -> list[_Machine]:
    """Every instance with its share of the tasks, drawn from all services; what has no room any more is the first service's."""
    machines = [_Machine(ZONES[n % len(ZONES)]) for n in range(instances)]
    busy = [m for n, m in enumerate(machines) if n % IDLE_EVERY or instances < IDLE_EVERY]
    for number, machine in enumerate(busy):
        share = (tasks * (number + 1)) // len(busy) - (tasks * number) // len(busy)
        for left in range(share - 1, -1, -1):
            drawn = chance.randrange(len(definitions))
            one = definitions[drawn]
            room = machine.cpu - left * LEAST >= one.cpu and machine.memory - left * LEAST * 4 >= one.memory
            if not room or (services[drawn].constrained and machine.held[drawn]):
                drawn, one = 0, definitions[0]
            machine.cpu, machine.memory = machine.cpu - one.cpu, machine.memory - one.memory
            machine.held[drawn] += 1
    return machines


@cache
def _of_the_agent() -> Mapping[str, str | None]:
    """What every agent of the version reports."""
    return agent_attributes(AGENT)


def _attributes(number: int, zone: str) -> Mapping[str, str | None]:
    """What instance ``number`` registers."""
    own = built_in(
        image_id="ami-0123456789abcdef0", zone=zone, instance_type=INSTANCE_TYPE, architecture="x86_64", vpc_id="vpc-1", subnet_id=zone
    )
    return {**_of_the_agent(), **own, "ecs.awsvpc-trunk-id": f"eni-{number:017x}"}


def _instance(number: int, machine: _Machine) -> ContainerInstance:
    return ContainerInstance(
        arn=container_instance_arn(number),
        ec2_id=instance_id(number),
        agent_version=AGENT,
        zone=machine.zone,
        instance_type=INSTANCE_TYPE,
        attributes=_attributes(number, machine.zone),
        registered=Resources(CPU, MEMORY, ports=PORTS),
        remaining=Resources(machine.cpu, machine.memory, ports=PORTS),
        running=machine.held.total() + 1,
    )


def _tasks(number: int, machine: _Machine, definitions: tuple[Definition, ...]) -> list[Task]:
    """The tasks on an instance, the daemon's included."""
    held = [(f"service-{n}", definitions[n]) for n in machine.held.elements()]
    return [
        Task(
            f"{ARN}:task/{NAME}/{number:016x}{position:016x}",
            container_instance_arn(number),
            f"service:{name}",
            one.cpu,
            one.memory,
            eni=bool(one.enis),
            definition=one.arn,
            requires=one.requires,
        )
        for position, (name, one) in enumerate([*held, (DAEMON, DAEMON_DEFINITION)])
    ]


def _group(which: int, instances: int) -> Group:
    """Every second instance."""
    numbers = range(which, instances, len(GROUPS))
    return Group(
        GROUPS[which],
        min=0,
        desired=len(numbers),
        max=2 * len(numbers) + 10,
        cluster=NAME,
        members=tuple(GroupMember(instance_id(n), "InService", ZONES[n % len(ZONES)], instance_type=INSTANCE_TYPE) for n in numbers),
        market="spot" if GROUPS[which].endswith("spot") else "on-demand",
        types=(InstanceTypeOption(INSTANCE_TYPE),),
        zones=ZONES,
    )
