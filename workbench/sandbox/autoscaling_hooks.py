"""Lifecycle actions: instances that a hook holds on their way in or out, until they are completed or time out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from workbench.sandbox.autoscaling_activities import steady_id

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"

LONGEST = timedelta(hours=48)
"""The longest a hook may hold an instance, whatever its heartbeats: this, or 100 heartbeats if that is less."""


@dataclass(slots=True)
class LifecycleAction:
    """One hook's hold on one instance. ``heartbeat`` in seconds; ``deadline`` moves with each heartbeat, ``last`` does not."""

    hook: str
    transition: str
    instance_id: str
    token: str
    heartbeat: int
    default_result: str
    deadline: datetime
    last: datetime

    def beat(self, now: datetime) -> None:
        """Restart the heartbeat clock at ``now`` (UTC)."""
        self.deadline = min(now + timedelta(seconds=self.heartbeat), self.last)


class LifecycleActions:
    """The lifecycle actions in progress in one group."""

    def __init__(self, group: str) -> None:
        """``group``: its name."""
        self._group = group
        self._count = 0
        self._open: list[LifecycleAction] = []

    def begin(self, hooks: list[Any], transition: str, instance_id: str, now: datetime) -> bool:
        """Start an action for every hook (moto's model) on the transition; False if there is none and nothing holds it."""
        ours = [hook for hook in hooks if hook.lifecycle_transition == transition]
        for hook in ours:
            self._count += 1
            beat = int(hook.heartbeat_timeout)
            last = now + min(LONGEST, timedelta(seconds=100 * beat))
            token = steady_id(f"{self._group}/lifecycle/{self._count}")
            action = LifecycleAction(hook.name, transition, instance_id, token, beat, hook.default_result, now, last)
            action.beat(now)
            self._open.append(action)
        return bool(ours)

    def find(self, hook: str, token: str | None, instance_id: str | None) -> LifecycleAction | None:
        """The open action of that hook with the token, for the instance, or both if both are given; None if neither is."""
        if not token and not instance_id:
            return None
        for action in self._open:
            if action.hook == hook and token in (None, "", action.token) and instance_id in (None, "", action.instance_id):
                return action
        return None

    def expired(self, now: datetime) -> list[LifecycleAction]:
        """The actions whose time has run out by ``now``."""
        return [action for action in self._open if action.deadline <= now]

    def complete(self, action: LifecycleAction, result: str) -> bool:
        """End the action; an ABANDON ends the instance's other ones too. True if nothing holds the instance any more."""
        self._open.remove(action)
        if result == "ABANDON":
            self.forget(action.instance_id)
        return not any(other.instance_id == action.instance_id for other in self._open)

    def forget(self, instance_id: str) -> None:
        """Drop every action of the instance."""
        self._open = [action for action in self._open if action.instance_id != instance_id]

    @property
    def in_progress(self) -> tuple[LifecycleAction, ...]:
        """The actions that hold an instance now, oldest first."""
        return tuple(self._open)
