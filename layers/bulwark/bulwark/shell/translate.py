"""AWS's answers become the core's types: field by field, tolerant of what AWS leaves out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bulwark.core.cluster import (
    DRAIN_ATTRIBUTE,
    CapacityProvider,
    ContainerInstance,
    DrainMark,
    Group,
    GroupMember,
    Hook,
    Host,
    InstanceTypeOption,
    Market,
    Resources,
    Service,
    Task,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLUSTER_TAG = "bulwark:cluster"
"""The tag that opts a group in; its value names the ECS cluster. Propagated to the group's instances."""

GROUP_TAG = "aws:autoscaling:groupName"
"""Set by EC2 Auto Scaling on each member, gone when the member is detached."""

HOOK_TAG = "bulwark:hook"
"""Bulwark's note on a group about its terminate hook: ``own`` or ``found``. It outlives the opt-in, so that the hook can be removed."""

DEFAULT_HEARTBEAT = 3600
"""Seconds; a hook's heartbeat unless it says otherwise (Auto Scaling API reference, PutLifecycleHook)."""

ECS_MANAGED_TAG = "AmazonECSManaged"
"""Set by ECS on a group that a capacity provider uses."""

FIRST_DYNAMIC_PORT = 32768
"""Host ports from here up are taken as dynamic, and dynamic ports play no part in placement (Linux ephemeral range)."""

ELSEWHERE = frozenset({"FARGATE", "EXTERNAL"})
"""Launch types of tasks that run on no EC2 instance."""

FARGATE = frozenset({"FARGATE", "FARGATE_SPOT"})
"""AWS's own capacity providers."""

ZONE_FIELD = "attribute:ecs.availability-zone"
"""What a strategy spreads over to have its tasks in several zones."""

ALL = 100
"""Percent; what Auto Scaling takes as the On-Demand share where a policy does not say."""

DRAIN_TIME, HOOK_TIME = "%Y-%m-%dT%H:%M:%SZ", "%Y%m%dT%H%M%SZ"
ALONE = "alone"
SPAN = 2
"""Words of a mark that are times: since and deadline."""


def host(instance: Mapping[str, Any]) -> Host:
    """One instance of DescribeInstances."""
    tags = {t["Key"]: t["Value"] for t in instance.get("Tags", ())}
    return Host(
        id=instance["InstanceId"],
        state=instance.get("State", {}).get("Name", "unknown"),
        cluster=tags.get(CLUSTER_TAG) or None,
        group=tags.get(GROUP_TAG) or None,
        zone=instance.get("Placement", {}).get("AvailabilityZone", ""),
        instance_type=instance.get("InstanceType", ""),
        market="spot" if instance.get("InstanceLifecycle") == "spot" else "on-demand",
        launched=instance.get("LaunchTime"),
    )


def resources(listed: Sequence[Mapping[str, Any]]) -> Resources:
    """``registeredResources`` or ``remainingResources`` of a container instance."""
    by_name = {r["name"]: r for r in listed}
    return Resources(
        cpu=by_name.get("CPU", {}).get("integerValue", 0),
        memory=by_name.get("MEMORY", {}).get("integerValue", 0),
        gpu=len(by_name.get("GPU", {}).get("stringSetValue", ())),
        ports=_ports(by_name.get("PORTS", {})),
        ports_udp=_ports(by_name.get("PORTS_UDP", {})),
    )


def _ports(resource: Mapping[str, Any]) -> frozenset[int]:
    return frozenset(int(p) for p in resource.get("stringSetValue", ()))


def container_instance(described: Mapping[str, Any]) -> ContainerInstance:
    """One entry of DescribeContainerInstances."""
    attributes = {a["name"]: a.get("value") for a in described.get("attributes", ())}
    return ContainerInstance(
        arn=described["containerInstanceArn"],
        ec2_id=described.get("ec2InstanceId", ""),
        status=described.get("status", ""),
        agent_connected=bool(described.get("agentConnected", False)),
        agent_version=described.get("versionInfo", {}).get("agentVersion"),
        zone=attributes.get("ecs.availability-zone") or "",
        instance_type=attributes.get("ecs.instance-type") or "",
        attributes=attributes,
        registered=resources(described.get("registeredResources", ())),
        remaining=resources(described.get("remainingResources", ())),
        running=described.get("runningTasksCount", 0),
        pending=described.get("pendingTasksCount", 0),
        capacity_provider=described.get("capacityProviderName"),
        drain=read_mark(attributes.get(DRAIN_ATTRIBUTE)),
    )


def write_mark(mark: DrainMark) -> str:
    """The value of ``bulwark.drain``: cause, since, deadline; ``token@since`` if a hook waits, ``alone`` if it was in no group.

    An attribute's value holds letters, digits, some signs and inner spaces, but neither ``=`` nor ``,``; 128 at most
    (ECS API reference, Attribute). The longest mark has 126.
    """
    words = [mark.cause, mark.since.strftime(DRAIN_TIME), mark.deadline.strftime(DRAIN_TIME)]
    if mark.hook:
        words.append(mark.hook + (f"@{mark.hook_since.strftime(HOOK_TIME)}" if mark.hook_since else ""))
    return " ".join([*words, *([ALONE] if mark.alone else [])])


def read_mark(value: str | None) -> DrainMark | None:
    """What ``write_mark`` wrote; None for anything else."""
    cause, *rest = (value or "").split(" ")
    alone = len(rest) > SPAN and rest[-1] == ALONE
    times, hooks = rest[:SPAN], rest[SPAN : len(rest) - alone]
    if len(hooks) > 1:
        return None
    token, _, begun = hooks[0].partition("@") if hooks else ("", "", "")
    try:
        since, deadline = (_moment(t, DRAIN_TIME) for t in times)
        return DrainMark(cause, since, deadline, token or None, _moment(begun, HOOK_TIME) if begun else None, alone)
    except ValueError:
        return None


def _moment(text: str, form: str) -> datetime:
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def task(described: Mapping[str, Any]) -> Task:
    """One entry of DescribeTasks. Sizes come as text, at the task or, where it has none, summed over its containers."""
    containers = described.get("containers", ())
    cpu = _whole(described.get("cpu"), (c.get("cpu") for c in containers))
    memory = _whole(described.get("memory"), (c.get("memoryReservation") or c.get("memory") for c in containers))
    bindings = [b for c in containers for b in c.get("networkBindings", ()) if 0 < b.get("hostPort", 0) < FIRST_DYNAMIC_PORT]
    return Task(
        arn=described["taskArn"],
        instance_arn=described.get("containerInstanceArn", ""),
        group=described.get("group", ""),
        cpu=cpu or 0,
        memory=memory or 0,
        gpu=sum(len(c.get("gpuIds", ())) for c in containers),
        ports=frozenset(b["hostPort"] for b in bindings if b.get("protocol") != "udp"),
        ports_udp=frozenset(b["hostPort"] for b in bindings if b.get("protocol") == "udp"),
        desired_status=described.get("desiredStatus", "RUNNING"),
        last_status=described.get("lastStatus", "RUNNING"),
        known_size=memory is not None,
        eni=any(a.get("type") == "ElasticNetworkInterface" for a in described.get("attachments", ())),
        started_at=described.get("startedAt"),
        tags=tuple(sorted((t["key"], t.get("value", "")) for t in described.get("tags", ()))),
        definition=described.get("taskDefinitionArn", ""),
        overrides=json.dumps(described.get("overrides") or {}, sort_keys=True, default=str),
        execute_command=bool(described.get("enableExecuteCommand")),
        capacity_provider=described.get("capacityProviderName"),
    )


def _whole(own: str | None, parts: Any) -> int | None:
    """The task's own figure, or the sum of its containers'; None where neither is known."""
    if own and own.isdigit():
        return int(own)
    figures = [int(p) for p in parts if p is not None and str(p).isdigit()]
    return sum(figures) if figures else None


def service(described: Mapping[str, Any]) -> Service:
    """One entry of DescribeServices. ECS's defaults: 100/200, 0/100 for a daemon service; without strategy it spreads over zones."""
    daemon = described.get("schedulingStrategy") == "DAEMON"
    bounds = described.get("deploymentConfiguration", {})
    deployments = described.get("deployments", ())
    newest = next((d for d in deployments if d.get("status") == "PRIMARY"), None)
    rules = described.get("placementConstraints", ())
    strategy = described.get("placementStrategy", ())
    providers = tuple(p["capacityProvider"] for p in described.get("capacityProviderStrategy", ()))
    network = described.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    return Service(
        name=described["serviceName"],
        desired=described.get("desiredCount", 0),
        running=described.get("runningCount", 0),
        pending=described.get("pendingCount", 0),
        daemon=daemon,
        min_healthy_percent=bounds.get("minimumHealthyPercent", 0 if daemon else 100),
        max_percent=bounds.get("maximumPercent", 100 if daemon else 200),
        constrained=bool(rules),
        definition=described.get("taskDefinition", ""),
        missing=None if newest is None else _missing(newest),
        rolling=len(deployments) > 1,
        expressions=tuple(r.get("expression", "") for r in rules if r.get("type") == "memberOf"),
        distinct=any(r.get("type") == "distinctInstance" for r in rules),
        subnets=tuple(network.get("subnets", ())),
        zones=None if network.get("subnets") else frozenset(),
        spreads=not strategy or any(s.get("type") == "spread" and s.get("field") == ZONE_FIELD for s in strategy),
        providers=providers,
        fargate=described.get("launchType") in ELSEWHERE or bool(providers and set(providers) <= FARGATE),
    )


def _missing(deployment: Mapping[str, Any]) -> int:
    """Tasks that a deployment lacks."""
    there = deployment.get("runningCount", 0) + deployment.get("pendingCount", 0)
    return max(0, int(deployment.get("desiredCount", 0)) - int(there))


def group(described: Mapping[str, Any]) -> Group:
    """One entry of DescribeAutoScalingGroups."""
    tags = {t["Key"]: t.get("Value", "") for t in described.get("Tags", ())}
    members = tuple(_member(m) for m in described.get("Instances", ()))
    return Group(
        name=described["AutoScalingGroupName"],
        min=described["MinSize"],
        desired=described["DesiredCapacity"],
        max=described["MaxSize"],
        cluster=tags.get(CLUSTER_TAG) or None,
        members=members,
        suspended=frozenset(p["ProcessName"] for p in described.get("SuspendedProcesses", ())),
        market=_market(described),
        ecs_managed=ECS_MANAGED_TAG in tags,
        capacity_rebalance=bool(described.get("CapacityRebalance")),
        hook_tag=tags.get(HOOK_TAG),
        types=_types(described) or tuple(InstanceTypeOption(t) for t in sorted({m.instance_type for m in members if m.instance_type})),
        zones=tuple(described.get("AvailabilityZones", ())),
        in_units=described.get("DesiredCapacityType", "units") not in ("", "units"),
        template=_template(described),
    )


def _member(described: Mapping[str, Any]) -> GroupMember:
    """One of a group's Instances. WeightedCapacity is text, and there only where the group weighs its types."""
    return GroupMember(
        described["InstanceId"],
        described["LifecycleState"],
        described.get("AvailabilityZone", ""),
        described.get("HealthStatus") != "Unhealthy",
        described.get("InstanceType", ""),
        int(described.get("WeightedCapacity") or 1),
        bool(described.get("ProtectedFromScaleIn")),
    )


def _types(described: Mapping[str, Any]) -> tuple[InstanceTypeOption, ...]:
    """The types that a mixed-instances policy names. One that names requirements instead leaves them open."""
    overrides = described.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("Overrides", ())
    named = {o["InstanceType"]: int(o.get("WeightedCapacity") or 1) for o in overrides if o.get("InstanceType")}
    return tuple(InstanceTypeOption(name, weight) for name, weight in sorted(named.items()))


def _template(described: Mapping[str, Any]) -> tuple[str, str] | None:
    """Id (or name, if there is no id) and version of the launch template."""
    mixed = described.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
    found = described.get("LaunchTemplate") or mixed or {}
    which = found.get("LaunchTemplateId") or found.get("LaunchTemplateName")
    return (which, found.get("Version", "$Default")) if which else None


def hook(described: Mapping[str, Any]) -> Hook:
    """One entry of DescribeLifecycleHooks."""
    return Hook(
        name=described["LifecycleHookName"],
        heartbeat=described.get("HeartbeatTimeout", DEFAULT_HEARTBEAT),
        terminating=described.get("LifecycleTransition") == "autoscaling:EC2_INSTANCE_TERMINATING",
        default_result=described.get("DefaultResult", "ABANDON"),
    )


def _market(described: Mapping[str, Any]) -> Market:
    """A group's market as its mixed-instances policy states it; a plain launch template does not say."""
    distribution = described.get("MixedInstancesPolicy", {}).get("InstancesDistribution")
    if distribution is None:
        return "unknown"
    share = distribution.get("OnDemandPercentageAboveBaseCapacity", ALL)
    base = distribution.get("OnDemandBaseCapacity", 0)
    if share >= ALL:
        return "on-demand"
    return "spot" if share == 0 and base == 0 else "mixed"


def capacity_provider(described: Mapping[str, Any]) -> CapacityProvider:
    """One entry of DescribeCapacityProviders. The group comes as an ARN that ends in its name."""
    provider = described.get("autoScalingGroupProvider", {})
    return CapacityProvider(
        name=described["name"],
        group=provider.get("autoScalingGroupArn", "").rpartition("/")[2] or None,
        managed_scaling=provider.get("managedScaling", {}).get("status") == "ENABLED",
        managed_draining=provider.get("managedDraining") == "ENABLED",
    )
