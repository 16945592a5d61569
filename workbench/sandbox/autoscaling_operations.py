"""Auto Scaling's calls as AWS answers them, put on moto's own response class: they work in process and over HTTP alike.

A call without an account behind it (somebody else's use of moto in the same process) goes to moto untouched; so do the calls
that are not in the table.
"""

from collections.abc import Callable
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse

from workbench.sandbox import autoscaling_groups as groups
from workbench.sandbox import autoscaling_hook_calls as hooks
from workbench.sandbox import autoscaling_members as members
from workbench.sandbox import autoscaling_tags as tags
from workbench.sandbox.autoscaling import AutoScalingPhysics
from workbench.sandbox.autoscaling_answers import Call

Operation = Callable[[Call, AutoScalingPhysics], Any]

_OPERATIONS: dict[str, Operation] = {
    "create_auto_scaling_group": groups.create_group,
    "update_auto_scaling_group": groups.update_group,
    "delete_auto_scaling_group": groups.delete_group,
    "set_desired_capacity": groups.set_desired,
    "describe_auto_scaling_groups": groups.describe_groups,
    "describe_auto_scaling_instances": groups.describe_instances,
    "describe_scaling_activities": groups.describe_activities,
    "describe_account_limits": groups.describe_limits,
    "put_lifecycle_hook": hooks.put_hook,
    "describe_lifecycle_hooks": groups.group_exists,
    "delete_lifecycle_hook": hooks.delete_hook,
    "create_or_update_tags": tags.put_tags,
    "delete_tags": tags.delete_tags,
    "attach_instances": groups.group_exists,
    "suspend_processes": groups.group_exists,
    "resume_processes": groups.group_exists,
    "set_instance_protection": groups.group_exists,
    "set_instance_health": members.set_health,
    "detach_instances": members.detach,
    "enter_standby": members.enter_standby,
    "exit_standby": members.exit_standby,
    "terminate_instance_in_auto_scaling_group": members.terminate,
    "complete_lifecycle_action": members.complete,
    "record_lifecycle_action_heartbeat": members.record_heartbeat,
}


def install() -> None:
    """Put the operations on moto's Auto Scaling response class. Doing it twice changes nothing."""
    if getattr(AutoScalingResponse, "bulwark_sandbox", False):
        return
    AutoScalingResponse.bulwark_sandbox = True  # type: ignore[attr-defined]
    for name, operation in _OPERATIONS.items():
        setattr(AutoScalingResponse, name, _method(name, operation, getattr(AutoScalingResponse, name, None)))
    moto_sets_desired = FakeAutoScalingGroup.set_desired_capacity

    def set_desired_capacity(self: Any, new_capacity: int | None) -> None:
        """Note what is desired; the group's life brings it about later, where moto would launch on the spot."""
        if getattr(self.autoscaling_backend, "physics", None) is None:
            moto_sets_desired(self, new_capacity)
        else:
            self.desired_capacity = self.min_size if new_capacity is None else new_capacity

    FakeAutoScalingGroup.set_desired_capacity = set_desired_capacity  # type: ignore[method-assign]


def _method(name: str, operation: Operation, moto_does: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """The response class's method ``name``: ours where there is an account, moto's where there is none or ours returns None."""

    def answer(self: Any) -> Any:
        """Answer the call."""
        physics = getattr(self.autoscaling_backend, "physics", None)
        result = None if physics is None else operation(self.params, physics)
        if result is not None:
            return result
        if moto_does is None:
            raise NotImplementedError(f"The {name} action has not been implemented")
        return moto_does(self)

    return answer
