"""Builders with defaults, so that a test names only what it is about."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from bulwark.core.cluster import (
    CapacityProvider,
    Cluster,
    ContainerInstance,
    DrainMark,
    Group,
    GroupMember,
    Host,
    Resources,
    Service,
    Task,
)
from bulwark.core.signals import (
    ChangeKind,
    InstanceState,
    InterruptionAction,
    RebalanceRecommendation,
    ScheduledChange,
    SpotInterruption,
    TerminateHook,
)

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SPOT = "i-0aaa0000000000001"
OTHER = "i-0bbb0000000000002"
TOKEN = "87654321-4321-4321-4321-210987654321"
CLUSTER_ARN = "arn:aws:ecs:us-east-1:123456789012"


def instance_arn(name: str) -> str:
    """The container-instance ARN that builders give to ``name``."""
    return f"{CLUSTER_ARN}:container-instance/orders/{name}"


def a_host(instance_id: str = SPOT, **changes: object) -> Host:
    """A running Spot Instance of group orders-spot in cluster orders."""
    values: dict[str, object] = {"id": instance_id, "state": "running", "cluster": "orders", "group": "orders-spot", "market": "spot"}
    return Host(**(values | changes))  # type: ignore[arg-type]


def an_instance(ec2_id: str = SPOT, *, cpu: int = 2048, memory: int = 7680, **changes: object) -> ContainerInstance:
    """An ACTIVE m5.large; ``cpu`` and ``memory`` are what it has left."""
    values: dict[str, object] = {
        "arn": instance_arn(ec2_id),
        "ec2_id": ec2_id,
        "zone": "us-east-1a",
        "instance_type": "m5.large",
        "registered": Resources(2048, 7680),
        "remaining": Resources(cpu, memory),
        "running": 1,
    }
    return ContainerInstance(**(values | changes))  # type: ignore[arg-type]


def a_task(name: str = "web-1", *, on: str = SPOT, group: str = "service:web", **changes: object) -> Task:
    """A running task of service web on the Spot Instance: 256 CPU units, 512 MiB."""
    values: dict[str, object] = {
        "arn": f"{CLUSTER_ARN}:task/orders/{name}",
        "instance_arn": instance_arn(on),
        "group": group,
        "cpu": 256,
        "memory": 512,
    }
    return Task(**(values | changes))  # type: ignore[arg-type]


def a_service(name: str = "web", *, desired: int = 2, **changes: object) -> Service:
    """A whole replica service with ECS's default bounds, 100 and 200 percent."""
    values: dict[str, object] = {"name": name, "desired": desired, "running": desired}
    return Service(**(values | changes))  # type: ignore[arg-type]


def a_group(*members: GroupMember, name: str = "orders-spot", **changes: object) -> Group:
    """An opted-in group."""
    values: dict[str, object] = {"name": name, "min": 2, "desired": 4, "max": 12, "cluster": "orders", "members": members}
    return Group(**(values | changes))  # type: ignore[arg-type]


def a_provider(*, scaling: bool = True, draining: bool = True) -> CapacityProvider:
    """A capacity provider on group orders-spot."""
    return CapacityProvider("spot-provider", "orders-spot", scaling, draining)


def a_mark(cause: str = "spot-interruption", *, minutes: float = 2, hook: str | None = None, since: datetime = NOW) -> DrainMark:
    """The mark of a drain that began now and has two minutes."""
    return DrainMark(cause, since, NOW + timedelta(minutes=minutes), hook, since if hook else None)


def a_draining(ec2_id: str = SPOT, mark: DrainMark | None = None, **changes: object) -> ContainerInstance:
    """An empty instance that Bulwark drains, for its terminate hook unless ``mark`` says otherwise."""
    values: dict[str, object] = {"status": "DRAINING", "running": 0, "drain": mark or a_mark("terminate-hook", minutes=60, hook=TOKEN)}
    return an_instance(ec2_id, **(values | changes))  # type: ignore[arg-type]


def a_warning(instance_id: str = SPOT, *, at: datetime = NOW, action: InterruptionAction = "terminate") -> SpotInterruption:
    """A Spot interruption warning for the Spot Instance, now."""
    return SpotInterruption(instance_id, at, action)


def a_hook_notice(instance_id: str = SPOT, *, token: str | None = TOKEN, group: str = "orders-spot") -> TerminateHook:
    """Bulwark's terminate hook holds the instance, as of now."""
    return TerminateHook(instance_id, group, NOW, token)


def a_change(instance_id: str = SPOT, *, kind: ChangeKind = "retirement", days: float = 14) -> ScheduledChange:
    """EC2 will retire the instance's host in two weeks."""
    return ScheduledChange(instance_id, kind, NOW + timedelta(days=days))


def a_recommendation(instance_id: str = SPOT) -> RebalanceRecommendation:
    """EC2 recommends to move the instance's work."""
    return RebalanceRecommendation(instance_id, NOW)


def a_state(state: str, instance_id: str = SPOT) -> InstanceState:
    """EC2 says that the instance is in ``state``."""
    return InstanceState(instance_id, state, NOW)


def a_cluster(*instances: ContainerInstance, hosts: Iterable[Host] | None = None, **changes: object) -> Cluster:
    """Cluster orders, seen now, with ``instances`` (default: one ACTIVE Spot Instance) and their hosts."""
    found = instances or (an_instance(),)
    on = tuple(hosts) if hosts is not None else tuple(a_host(i) for i in dict.fromkeys(i.ec2_id for i in found))
    values: dict[str, object] = {"name": "orders", "seen_at": NOW, "hosts": on, "instances": found}
    return Cluster(**(values | changes))  # type: ignore[arg-type]
