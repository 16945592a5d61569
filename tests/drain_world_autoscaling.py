"""What the draining tests' world answers and does as EC2 Auto Scaling. What becomes of it is in ``drain_world_groups``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bulwark.core.signals import HOOK_NAME
from tests import drain_world_groups
from tests.drain_world_model import a_hook
from tests.fakes import an_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.drain_faults import Faults
    from tests.drain_world import World
    from tests.drain_world_model import Group, Hold, Member

DETACH_BATCH = 20
PAGE = 100
NAMES = 100


def refusal(operation: str, message: str) -> Exception:
    """How Auto Scaling refuses nearly everything."""
    return an_error("ValidationError", operation, message)


class AutoScaling:
    """An Auto Scaling client."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def _call(self, operation: str, call: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        return self._faults.perform(operation, None, lambda _: call() or {})

    def _group(self, operation: str, name: str) -> Group:
        group = self._world.groups.get(name)
        if group is None:
            raise refusal(operation, f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
        return group

    def get_paginator(self, operation: str) -> Any:
        """Only describe_auto_scaling_groups: by names, or by tag keys and values."""
        assert operation == "describe_auto_scaling_groups"

        def paginate(**params: Any) -> Iterator[dict[str, Any]]:
            size = params.get("PaginationConfig", {}).get("PageSize", 50)
            names = params.get("AutoScalingGroupNames")
            if size > PAGE or len(names or ()) > NAMES:
                raise refusal("DescribeAutoScalingGroups", "too many")
            found = [g for g in self._world.groups.values() if (names is None or g.name in names) and _fits(g, params.get("Filters", ()))]
            yield self._call("DescribeAutoScalingGroups", lambda: {"AutoScalingGroups": [described_group(g) for g in found]})

        return SimpleNamespace(paginate=paginate)

    def describe_lifecycle_hooks(self, **params: Any) -> dict[str, Any]:
        """All hooks of a group."""
        return self._call(
            "DescribeLifecycleHooks",
            lambda: {"LifecycleHooks": list(self._group("DescribeLifecycleHooks", params["AutoScalingGroupName"]).hooks.values())},
        )

    def detach_instances(self, **params: Any) -> dict[str, Any]:
        """All of at most twenty, or none."""

        def call() -> None:
            group = self._group("DetachInstances", params["AutoScalingGroupName"])
            ids = params["InstanceIds"]
            members = [group.members.get(i) for i in ids]
            if not 0 < len(ids) <= DETACH_BATCH or any(m is None or m.lifecycle not in ("InService", "Standby") for m in members):
                raise refusal("DetachInstances", f"The instances {ids} are not part of Auto Scaling group {group.name} or not InService.")
            if params["ShouldDecrementDesiredCapacity"] is not False:
                self._world.watch.resizes("DetachInstances with decrement", group.name)
            self._world.watch.touches_group("autoscaling:DetachInstances", group)
            for member in (m for m in members if m is not None):
                self._world.watch.touches("autoscaling:DetachInstances", member.machine)
                member.lifecycle = "Detaching"

        return self._call("DetachInstances", call)

    def terminate_instance_in_auto_scaling_group(self, **params: Any) -> dict[str, Any]:
        """Ends a member, by way of the group's hooks."""

        def call() -> None:
            found = [(g, m) for g in self._world.groups.values() for m in g.members.values() if m.machine.id == params["InstanceId"]]
            if not found:
                message = f"Instance Id not found - No managed instance found for instance ID: {params['InstanceId']}"
                raise refusal("TerminateInstanceInAutoScalingGroup", message)
            (group, member), operation = found[0], "autoscaling:TerminateInstanceInAutoScalingGroup"
            if params["ShouldDecrementDesiredCapacity"] is not False:
                self._world.watch.resizes("TerminateInstanceInAutoScalingGroup with decrement", group.name)
            self._world.watch.touches(operation, member.machine)
            self._world.watch.ends(operation, member.machine)
            if member.lifecycle in ("InService", "Pending"):
                drain_world_groups.begin(self._world, group, member)

        return self._call("TerminateInstanceInAutoScalingGroup", call)

    def _hold(self, operation: str, params: dict[str, Any]) -> tuple[Group, Hold]:
        group = self._group(operation, params["AutoScalingGroupName"])
        token, instance = params.get("LifecycleActionToken"), params.get("InstanceId")
        hold = drain_world_groups.hold_of(group, params["LifecycleHookName"], token, instance)
        if hold is None:
            raise refusal(operation, f"No active Lifecycle Action found with token {token} or instance ID {instance}")
        if hold.hook != HOOK_NAME:
            self._world.watch.broken("4", f"{operation} answers {hold.hook}, which is somebody else's hook")
        return group, hold

    def complete_lifecycle_action(self, **params: Any) -> dict[str, Any]:
        """Lets a machine go, as far as this hook is concerned."""

        def call() -> None:
            group, hold = self._hold("CompleteLifecycleAction", params)
            self._world.watch.touches_group("autoscaling:CompleteLifecycleAction", group)
            self._world.watch.ends("autoscaling:CompleteLifecycleAction", hold.machine)
            drain_world_groups.complete(self._world, group, hold, params["LifecycleActionResult"])

        return self._call("CompleteLifecycleAction", call)

    def record_lifecycle_action_heartbeat(self, **params: Any) -> dict[str, Any]:
        """Makes a hook wait for one heartbeat more, within Auto Scaling's limit."""

        def call() -> None:
            group, hold = self._hold("RecordLifecycleActionHeartbeat", params)
            self._world.watch.touches_group("autoscaling:RecordLifecycleActionHeartbeat", group)
            drain_world_groups.beat(self._world, hold)

        return self._call("RecordLifecycleActionHeartbeat", call)

    def put_lifecycle_hook(self, **params: Any) -> dict[str, Any]:
        """Makes a hook, or changes one."""

        def call() -> None:
            group = self._group("PutLifecycleHook", params["AutoScalingGroupName"])
            self._world.watch.touches_group("autoscaling:PutLifecycleHook", group)
            name = params["LifecycleHookName"]
            hook = a_hook(name, heartbeat=params["HeartbeatTimeout"], default_result=params["DefaultResult"])
            assert hook["LifecycleTransition"] == params["LifecycleTransition"]
            group.hooks[name] = hook

        return self._call("PutLifecycleHook", call)

    def delete_lifecycle_hook(self, **params: Any) -> dict[str, Any]:
        """Takes a hook off. What it holds goes on: that ends it."""

        def call() -> None:
            group = self._group("DeleteLifecycleHook", params["AutoScalingGroupName"])
            name = params["LifecycleHookName"]
            if group.hooks.pop(name, None) is None:
                raise refusal("DeleteLifecycleHook", f"No Lifecycle Hook found with name {name}")
            self._world.watch.touches_group("autoscaling:DeleteLifecycleHook", group)
            for hold in [h for h in group.holds if h.hook == name]:
                self._world.watch.ends("autoscaling:DeleteLifecycleHook", hold.machine)
                drain_world_groups.complete(self._world, group, hold, "CONTINUE")

        return self._call("DeleteLifecycleHook", call)

    def create_or_update_tags(self, **params: Any) -> dict[str, Any]:
        """Puts tags on groups."""

        def call() -> None:
            for tag in params["Tags"]:
                group = self._group("CreateOrUpdateTags", tag["ResourceId"])
                self._world.watch.touches_group("autoscaling:CreateOrUpdateTags", group)
                group.tags[tag["Key"]] = tag["Value"]

        return self._call("CreateOrUpdateTags", call)

    def delete_tags(self, **params: Any) -> dict[str, Any]:
        """Takes tags off groups."""

        def call() -> None:
            for tag in params["Tags"]:
                group = self._group("DeleteTags", tag["ResourceId"])
                self._world.watch.touches_group("autoscaling:DeleteTags", group)
                group.tags.pop(tag["Key"], None)

        return self._call("DeleteTags", call)

    def set_desired_capacity(self, **params: Any) -> None:
        """Never to be called (hazard T8)."""
        self._world.watch.resizes("SetDesiredCapacity", params["AutoScalingGroupName"])

    def update_auto_scaling_group(self, **params: Any) -> None:
        """Never to be called (hazard T8)."""
        self._world.watch.resizes("UpdateAutoScalingGroup", params["AutoScalingGroupName"])


def _fits(group: Group, filters: Any) -> bool:
    """Auto Scaling's filters: tag-key, tag-value and tag:KEY; each must be met."""
    for one in filters:
        name, values = one["Name"], one["Values"]
        if name == "tag-key":
            met = any(key in values for key in group.tags)
        elif name == "tag-value":
            met = any(value in values for value in group.tags.values())
        else:
            met = group.tags.get(name.removeprefix("tag:")) in values
        if not met:
            return False
    return True


def described_group(group: Group) -> dict[str, Any]:
    """A group as DescribeAutoScalingGroups shows it."""
    return {
        "AutoScalingGroupName": group.name,
        "MinSize": group.least,
        "DesiredCapacity": group.desired,
        "MaxSize": group.most,
        "CapacityRebalance": group.rebalances,
        "Instances": [_described_member(m) for m in group.members.values()],
        "Tags": [
            {"ResourceId": group.name, "ResourceType": "auto-scaling-group", "Key": k, "Value": v, "PropagateAtLaunch": True}
            for k, v in (group.tags | ({"AmazonECSManaged": ""} if group.provider else {})).items()
        ],
        "SuspendedProcesses": [],
    }


def _described_member(member: Member) -> dict[str, Any]:
    return {
        "InstanceId": member.machine.id,
        "LifecycleState": member.lifecycle,
        "AvailabilityZone": "us-east-1a",
        "HealthStatus": "Unhealthy" if member.ill_at else "Healthy",
        "ProtectedFromScaleIn": False,
    }
