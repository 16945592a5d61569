"""AWS's answers about sizes become the core's types: task definitions, instance types, scaling activities, alarms."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bulwark.core.capacity_alarms import PREFIX, Alarm
from bulwark.core.capacity_rest import Activity, Rest
from bulwark.core.cluster import DRAIN_ATTRIBUTE, Definition, Demand, Shape
from bulwark.core.enis import task_enis
from bulwark.core.packing import AVAILABILITY_ZONE
from bulwark.core.room import TRUNK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bulwark.core.cluster import ContainerInstance

OWN = frozenset({AVAILABILITY_ZONE, DRAIN_ATTRIBUTE, "ecs.subnet-id", "ecs.instance-id"})
"""Attributes that say which instance it is, and nothing of what others of its kind register."""

AGENT_PORTS = frozenset({22, 2375, 2376, 51678, 51679})
"""Host ports that the ECS agent keeps on Linux (developer guide, task definition parameters)."""

MEMORY_SHARE = 0.925
"""Of a type's nominal memory, what an instance registers at least: 93 to 98 % was seen, and an estimate must not promise more."""

LAUNCHING = "Launching a new EC2 instance"
"""How Auto Scaling describes an activity that launches."""

ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}
"""A task definition's cpuArchitecture, as an instance's attribute ecs.cpu-architecture says it."""

FAILED = ("Failed", "Cancelled")


def definition(described: Mapping[str, Any]) -> Definition:
    """The task definition of DescribeTaskDefinition: its size is the task's, or the sum over its containers."""
    found = described["taskDefinition"]
    containers = found.get("containerDefinitions", ())
    mode = found.get("networkMode", "bridge")
    cpu = _whole(found.get("cpu")) or sum(int(c.get("cpu") or 0) for c in containers)
    memory = _whole(found.get("memory")) or sum(_memory(c) for c in containers)
    gpus = (r for c in containers for r in c.get("resourceRequirements", ()) if r.get("type") == "GPU")
    rules = found.get("placementConstraints", ())
    platform = ARCHITECTURES.get(found.get("runtimePlatform", {}).get("cpuArchitecture", ""))
    requires = {(a["name"], a.get("value")) for a in found.get("requiresAttributes", ())}
    return Definition(
        arn=found["taskDefinitionArn"],
        cpu=cpu,
        memory=memory,
        gpu=sum(int(r["value"]) for r in gpus),
        ports=_ports(containers, mode, "tcp"),
        ports_udp=_ports(containers, mode, "udp"),
        enis=int(mode == "awsvpc"),
        requires=tuple(sorted(requires | ({("ecs.cpu-architecture", platform)} if platform else set()), key=str)),
        expressions=tuple(r["expression"] for r in rules if r.get("type") == "memberOf" and r.get("expression")),
    )


def _whole(text: Any) -> int:
    return int(text) if text is not None and str(text).isdigit() else 0


def _memory(container: Mapping[str, Any]) -> int:
    """MiB that a container reserves: its own, shared memory and tmpfs (developer guide, CloudWatch metrics)."""
    linux = container.get("linuxParameters", {})
    shared = int(linux.get("sharedMemorySize") or 0) + sum(int(t.get("size") or 0) for t in linux.get("tmpfs", ()))
    return int(container.get("memoryReservation") or container.get("memory") or 0) + shared


def _ports(containers: Iterable[Mapping[str, Any]], mode: str, protocol: str) -> frozenset[int]:
    """Fixed host ports. Under ``host`` a container's port is the host's; awsvpc tasks have an interface of their own."""
    if mode in ("awsvpc", "none"):
        return frozenset()
    mappings = [m for c in containers for m in c.get("portMappings", ()) if m.get("protocol", "tcp") == protocol]
    ports = (m.get("hostPort") or (m.get("containerPort", 0) if mode == "host" else 0) for m in mappings)
    return frozenset(p for p in ports if p)


def learned(group: str, instance_type: str, instances: Sequence[ContainerInstance]) -> Shape:
    """What ``instances``, all of that type in that group, have registered: the least of each, and the attributes all have alike."""
    common = {k: v for k, v in instances[0].attributes.items() if k not in OWN}
    for one in instances[1:]:
        common = {k: v for k, v in common.items() if k in one.attributes and (k == TRUNK or one.attributes[k] == v)}
    trunked = TRUNK in common
    return Shape(
        group=group,
        instance_type=instance_type,
        cpu=min(i.registered.cpu for i in instances),
        memory=min(i.registered.memory for i in instances),
        gpu=min(i.registered.gpu for i in instances),
        ports=frozenset.union(*(i.registered.ports for i in instances)),
        ports_udp=frozenset.union(*(i.registered.ports_udp for i in instances)),
        attributes=common,
        enis=task_enis(instance_type, trunked=trunked),
    )


def estimated(group: str, described: Mapping[str, Any]) -> Shape:
    """What an instance of a type that nobody has seen register has at least, by DescribeInstanceTypes."""
    name = described["InstanceType"]
    gpus = described.get("GpuInfo", {}).get("Gpus", ())
    architectures = described.get("ProcessorInfo", {}).get("SupportedArchitectures", ())
    attributes: dict[str, str | None] = {"ecs.instance-type": name, "ecs.os-type": "linux"}
    attributes["ecs.cpu-architecture"] = "arm64" if "arm64" in architectures else "x86_64"
    enis = task_enis(name, trunked=False)
    if enis is None and "MaximumNetworkInterfaces" in described.get("NetworkInfo", {}):
        enis = max(0, described["NetworkInfo"]["MaximumNetworkInterfaces"] - 1)
    return Shape(
        group=group,
        instance_type=name,
        cpu=described["VCpuInfo"]["DefaultVCpus"] * 1024,
        memory=int(described["MemoryInfo"]["SizeInMiB"] * MEMORY_SHARE),
        gpu=sum(g.get("Count", 0) for g in gpus),
        ports=AGENT_PORTS,
        attributes=attributes,
        enis=enis,
        learned=False,
    )


def activity(described: Mapping[str, Any]) -> Activity | None:
    """One of DescribeScalingActivities; None if it did not launch, or is not over."""
    status = described.get("StatusCode", "")
    if not described.get("Description", "").startswith(LAUNCHING) or status not in (*FAILED, "Successful"):
        return None
    return Activity(described["StartTime"].astimezone(UTC), status in FAILED, described.get("StatusMessage", ""))


def alarm(described: Mapping[str, Any]) -> Alarm:
    """One of DescribeAlarms' MetricAlarms. The cluster is its dimension's."""
    cluster = next((d["Value"] for d in described.get("Dimensions", ()) if d["Name"] == "ClusterName"), "")
    name = described["AlarmName"]
    cluster = cluster or name.removeprefix(PREFIX).partition("/")[0]
    return Alarm(name, cluster, described.get("MetricName", ""), int(described.get("Threshold", 0)))


def write_shapes(shapes: Iterable[Shape]) -> str:
    """What was learned about instances, as JSON; estimates are made again."""
    return json.dumps(
        [
            [s.group, s.instance_type, s.cpu, s.memory, s.gpu, sorted(s.ports), sorted(s.ports_udp), dict(s.attributes), s.enis]
            for s in shapes
            if s.learned
        ],
        sort_keys=True,
    )


def read_shapes(text: str) -> tuple[Shape, ...]:
    """What ``write_shapes`` wrote."""
    return tuple(
        Shape(group, kind, cpu, memory, gpu, frozenset(ports), frozenset(udp), attributes, enis)
        for group, kind, cpu, memory, gpu, ports, udp, attributes, enis in json.loads(text)
    )


def write_demands(demands: Iterable[Demand]) -> str:
    """What was asked for, as JSON."""
    return json.dumps([[int(d.at.timestamp()), d.cpu, d.memory, d.gpu] for d in demands])


def read_demands(text: str) -> tuple[Demand, ...]:
    """What ``write_demands`` wrote."""
    return tuple(Demand(datetime.fromtimestamp(at, UTC), cpu, memory, gpu) for at, cpu, memory, gpu in json.loads(text))


def write_rests(rests: Mapping[str, Rest]) -> str:
    """Which groups rest, as JSON."""
    return json.dumps({g: [int(r.until.timestamp()), int(r.failed_at.timestamp()), r.strikes, r.because] for g, r in rests.items()})


def read_rests(text: str) -> dict[str, Rest]:
    """What ``write_rests`` wrote."""
    return {
        group: Rest(datetime.fromtimestamp(until, UTC), datetime.fromtimestamp(failed, UTC), strikes, because)
        for group, (until, failed, strikes, because) in json.loads(text).items()
    }
