"""What the work of a cluster asks for: what runs, what waits for a place, and what is to be held free beyond that.

CPU in units (1,024 = one vCPU), memory in MiB.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from bulwark.core.cluster import Cluster, ContainerInstance, Definition, Demand, Service, Task
from bulwark.core.packing import Need
from bulwark.core.policies import CapacityPolicy
from bulwark.core.query import QueryError, parse

HEADROOM = "headroom"
"""Begins the ``key`` of a need that nothing has yet: room to be held free."""

MOVING = "moving"
"""Begins the ``key`` of the need of a task that leaves its instance; the instance's EC2 id follows."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The needs that have no place yet. ``unknown``: services of which something waits and what that needs is not known, and why."""

    needs: tuple[Need, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)


PROVIDER = "bulwark.capacity-provider"
"""Stands among an instance's attributes for the capacity provider that it came up through: no attribute in ECS, but it decides as one."""


def of_provider(names: Iterable[str]) -> tuple[str, ...]:
    """The placement expression by which only instances of these capacity providers take a task; none if none is named."""
    listed = sorted(names)
    return (f"attribute:{PROVIDER} in [{', '.join(listed)}]",) if listed else ()


def ours(service: Service, cluster: Cluster) -> bool:
    """Whether a service's tasks are for instances that may be sized here, and not for Fargate or what ECS scales itself."""
    sized = {p.name for p in cluster.capacity_providers if not p.managed_scaling}
    return not service.daemon and not service.fargate and (not service.providers or bool(sized & set(service.providers)))


def need_of(service: Service, definition: Definition, key: str = "") -> Need | None:
    """What one task of ``service`` asks of an instance; None if its subnets' zones or one of its constraints are not known."""
    if service.zones is None or not all(_understood(e) for e in (*definition.expressions, *service.expressions)):
        return None
    return Need(
        cpu=definition.cpu,
        memory=definition.memory,
        gpu=definition.gpu,
        ports=definition.ports,
        ports_udp=definition.ports_udp,
        enis=definition.enis,
        attributes=definition.requires,
        expressions=(*definition.expressions, *service.expressions, *of_provider(service.providers)),
        distinct=service.distinct,
        zones=service.zones,
        group=f"service:{service.name}",
        key=key or service.name,
    )


@lru_cache(maxsize=1024)
def _understood(expression: str) -> bool:
    """Whether a placement expression is in the cluster query language as it is known here. One that is not holds up its service alone."""
    try:
        parse(expression)
    except QueryError:
        return False
    return True


def daemon_needs(cluster: Cluster) -> tuple[Need, ...]:
    """What the daemons take of every instance whose attributes they accept. A constraint decides which those are."""
    found = ((s, cluster.definitions.get(s.definition)) for s in sorted(cluster.services, key=lambda s: s.name) if s.daemon)
    needs = (need_of(s, d) for s, d in found if d is not None)
    return tuple(n for n in needs if n is not None)


def ending(cluster: Cluster) -> set[str]:
    """EC2 ids of members that their group is ending, detaching or replacing, though ECS may still place tasks on them."""
    members = (m for g in cluster.groups for m in g.members)
    return {m.id for m in members if m.lifecycle.startswith(("Terminating", "Detaching")) or not m.healthy}


def leaving(cluster: Cluster) -> tuple[ContainerInstance, ...]:
    """The registrations that are not to count on: their tasks have to go elsewhere."""
    going = ending(cluster)
    return tuple(i for i in cluster.instances if i.status == "DRAINING" or (i.status == "ACTIVE" and i.ec2_id in going))


def moving_tasks(cluster: Cluster) -> tuple[Task, ...]:
    """The tasks of services on instances that are leaving, as far as those were looked at. What is standalone stays."""
    arns = {i.arn for i in leaving(cluster)}
    return tuple(t for t in cluster.tasks if t.instance_arn in arns and t.service and t.alive and t.desired_status != "STOPPED")


def lacking(service: Service, moving: int, provisioning: int) -> int:
    """How many tasks of a service need a place that they do not have.

    ``moving``: of its tasks, those on instances that are leaving; ``provisioning``: those that ECS has accepted and placed nowhere,
    which it counts as pending. While a new deployment rolls out, its tasks wait beside those of the old one, within maximumPercent.
    """
    placed = service.running + service.pending - provisioning
    count = service.desired - (placed - moving)
    if service.rolling and service.missing is not None:
        most = service.desired * service.max_percent // 100
        count = max(count, min(service.missing + provisioning, most - placed))
    return max(0, count)


def waiting(cluster: Cluster) -> Waiting:
    """Every task that wants a place: missing, moving and PROVISIONING ones of services, and PROVISIONING ones that are standalone."""
    origins: dict[str, list[str]] = {}
    hosts = {i.arn: i.ec2_id for i in cluster.instances}
    for task in moving_tasks(cluster):
        origins.setdefault(task.service or "", []).append(hosts[task.instance_arn])
    for found in origins.values():
        found.sort()
    provisioning = Counter(t.service for t in cluster.waiting if t.service)
    needs: list[Need] = []
    unknown: dict[str, str] = {}
    for service in sorted(cluster.services, key=lambda s: s.name):
        if not ours(service, cluster):
            continue
        moving = origins.get(service.name, [])
        count = lacking(service, len(moving), provisioning[service.name])
        if not count:
            continue
        definition = cluster.definitions.get(service.definition)
        need = need_of(service, definition) if definition else None
        if need is None:
            half = "the zones of its subnets were not read, or a placement constraint of it is not understood"
            unknown[service.name] = "its task definition was not read" if definition is None else half
            continue
        # Those that wait because their instance leaves are told apart: they need no place if it stays after all.
        needs += [replace(need, key=f"{MOVING}:{origin}") for origin in moving[:count]]
        needs += [need] * (count - min(count, len(moving)))
    for task in sorted(cluster.waiting, key=lambda t: t.arn):
        if not task.service:
            _standalone(cluster, task, needs, unknown)
    return Waiting(tuple(needs), unknown)


def waiting_names(cluster: Cluster) -> set[str]:
    """The services of which something waits, whether or not it is known what that needs."""
    moving = Counter(t.service for t in moving_tasks(cluster))
    provisioning = Counter(t.service for t in cluster.waiting if t.service)
    replicas = (s for s in cluster.services if ours(s, cluster))
    return {s.name for s in replicas if lacking(s, moving[s.name], provisioning[s.name])}


def definitions_needed(cluster: Cluster, policy: CapacityPolicy) -> tuple[str, ...]:
    """The task definitions that are worth knowing: of what waits, daemons, headroom and tasks that were seen, and then of the rest."""
    first = waiting_names(cluster) | {s.name for s in cluster.services if s.daemon} | policy.headroom_tasks.keys()
    seen = [t.definition for t in (*cluster.waiting, *cluster.tasks)]
    running = [s for s in cluster.services if s.desired and ours(s, cluster) and s.name not in first]
    ordered = [s.definition for s in cluster.services if s.name in first] + seen + [s.definition for s in running]
    return tuple(dict.fromkeys(arn for arn in ordered if arn))


def _standalone(cluster: Cluster, task: Task, needs: list[Need], unknown: dict[str, str]) -> None:
    """Add the need of one standalone task that is PROVISIONING."""
    if task.capacity_provider and task.capacity_provider not in {p.name for p in cluster.capacity_providers if not p.managed_scaling}:
        return  # ECS brings what it needs
    definition = cluster.definitions.get(task.definition)
    if not task.known_size or definition is None or not all(_understood(e) for e in definition.expressions):
        unknown[task.id] = "what it needs was not read"
        return
    needs.append(
        Need(
            cpu=task.cpu,
            memory=task.memory,
            gpu=definition.gpu,
            ports=definition.ports,
            ports_udp=definition.ports_udp,
            enis=definition.enis,
            attributes=definition.requires,
            expressions=(*definition.expressions, *of_provider([task.capacity_provider] if task.capacity_provider else [])),
            group=task.group,
            key=task.id,
        )
    )


def headroom(cluster: Cluster, policy: CapacityPolicy) -> tuple[Need, ...]:
    """Room to be held free in task units: so many more of a service, and so many times the largest task."""
    needs: list[Need] = []
    for name, count in sorted(policy.headroom_tasks.items()):
        service = cluster.service(name)
        definition = cluster.definitions.get(service.definition) if service else None
        need = need_of(service, definition, f"{HEADROOM}:{name}") if service and definition else None
        if need is not None:
            needs += [need] * count
    largest = largest_need(cluster)
    if largest is not None and policy.headroom_largest:
        needs += [replace(largest, key=f"{HEADROOM}:{largest.key}")] * policy.headroom_largest
    return tuple(needs)


def unknown_headroom(cluster: Cluster, policy: CapacityPolicy) -> list[str]:
    """The services for which room is to be held free, and daemons, of which it is not known what they need."""
    named = {s.name for s in cluster.services if s.name in policy.headroom_tasks or s.daemon}
    if policy.headroom_largest:
        named |= {s.name for s in cluster.services if ours(s, cluster)}
    needs = {s.name: d and need_of(s, d) for s in cluster.services if s.name in named for d in [cluster.definitions.get(s.definition)]}
    return sorted(name for name, need in needs.items() if need is None)


def largest_need(cluster: Cluster) -> Need | None:
    """The largest task of any service, by GPUs, memory, then CPU; None where nothing is wanted at all.

    What a service wants just now plays no part: otherwise the largest would be another with each change, and not always a larger one.
    """
    replicas = [s for s in cluster.services if ours(s, cluster)]
    if not any(s.desired for s in replicas):
        return None
    found = ((s, cluster.definitions.get(s.definition)) for s in replicas)
    needs = [n for s, d in found if d is not None and (n := need_of(s, d)) is not None]
    return max(needs, key=lambda n: (n.gpu, n.memory, n.cpu, n.key), default=None)


def work(cluster: Cluster, needs: Iterable[Need]) -> Demand:
    """What runs on instances that take tasks, and ``needs`` beside it, without the daemons' share: they come and go with instances.

    What runs where the agent is away counts neither here nor as room: agents are away for seconds, several times an hour.
    """
    going = ending(cluster)
    staying = [i for i in cluster.instances if i.status == "ACTIVE" and i.agent_connected and i.ec2_id not in going]
    wanted = list(needs)
    cpu = sum(i.registered.cpu - i.remaining.cpu for i in staying) + sum(n.cpu for n in wanted)
    memory = sum(i.registered.memory - i.remaining.memory for i in staying) + sum(n.memory for n in wanted)
    gpu = sum(i.registered.gpu - i.remaining.gpu for i in staying) + sum(n.gpu for n in wanted)
    gone = len(cluster.instances) - len(staying)
    for service in cluster.services:
        definition = cluster.definitions.get(service.definition)
        if service.daemon and definition is not None:
            here = max(0, service.running + service.pending - gone)
            cpu, memory, gpu = cpu - here * definition.cpu, memory - here * definition.memory, gpu - here * definition.gpu
    return Demand(cluster.seen_at, max(0, cpu), max(0, memory), max(0, gpu))


def highest(demands: Sequence[Demand]) -> Demand:
    """The highest of each; of at least one demand."""
    return Demand(max(d.at for d in demands), max(d.cpu for d in demands), max(d.memory for d in demands), max(d.gpu for d in demands))
