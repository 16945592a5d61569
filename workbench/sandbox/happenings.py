"""What an EventBridge event says has happened, made true of the account, so that the snapshot taken for the event agrees with it.

Only EC2's and Auto Scaling's own doings are events' to tell; ECS progress follows from the account's life. Nothing here is
refused: an event that is malformed, or about something the account does not have, is the function's to judge.
"""

from collections.abc import Mapping
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any

from workbench.sandbox.autoscaling import AutoScalingPhysics
from workbench.sandbox.autoscaling_activities import without_capacity
from workbench.sandbox.autoscaling_hooks import TERMINATING
from workbench.sandbox.ec2 import SPOT, Ec2Physics
from workbench.sandbox.machine import EcsHalf

SPOT_WARNING = ("aws.ec2", "EC2 Spot Instance Interruption Warning")
STATE_CHANGE = ("aws.ec2", "EC2 Instance State-change Notification")
TERMINATE_ACTION = ("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action")
LAUNCH_FAILED = ("aws.autoscaling", "EC2 Instance Launch Unsuccessful")
"""``source`` and ``detail-type`` of the events that change something."""

TAKEN_AFTER = timedelta(seconds=125)
"""From a Spot warning to the instance's end: EC2 says two minutes, roughly."""

AGENT_HEARS_AFTER = timedelta(seconds=1)
"""From a Spot warning to the agent's own draining: it asks the instance metadata every second."""

SPOT_ACTIONS = ("terminate", "stop", "hibernate")
"""What a Spot warning may announce; the agent drains itself for each."""

ENDINGS = ("stopping", "stopped", "shutting-down", "terminated")
"""The states of a state change that take the host away from its work."""

OUT_OF_THE_GROUP = {"LifecycleTransition": TERMINATING, "Origin": "AutoScalingGroup", "Destination": "EC2"}
"""A lifecycle action with these ends the instance: it neither returns to a warm pool nor survives as a new root volume."""

CAUSE = "an instance was taken out of service in response to an instance refresh."


class Happenings:
    """The events of one account: what they change at once, and what they announce for later."""

    def __init__(self, ec2: Ec2Physics, groups: AutoScalingPhysics, ecs: EcsHalf) -> None:
        self._ec2 = ec2
        self._groups = groups
        self._ecs = ecs
        self._warned: set[tuple[str, str]] = set()
        self._taken: dict[str, datetime] = {}
        self._draining: dict[str, datetime] = {}
        self._tokens: set[tuple[str, str, str, str]] = set()

    def happen(self, event: Mapping[str, Any], now: datetime) -> None:
        """Make ``event`` true at ``now`` (UTC), or note when it is to become so. Never raises."""
        detail = event.get("detail")
        if not isinstance(detail, Mapping):
            return
        kind = event.get("source"), event.get("detail-type")
        if kind == SPOT_WARNING:
            self._warn(detail, _moment(event.get("time")))
        elif kind == TERMINATE_ACTION:
            self._terminate(detail, now)
        elif kind == LAUNCH_FAILED:
            self._launch_failed(detail, _moment(event.get("time")) or now)
        elif kind == STATE_CHANGE:
            named = _texts(detail, "instance-id", "state")
            if named is not None and named[1] in ENDINGS:
                self._ec2.bring_to(named[0], named[1], now)

    def due_after(self, now: datetime) -> list[datetime]:
        """When something that was announced becomes due, later than ``now``."""
        return [due for due in (*self._taken.values(), *self._draining.values()) if due > now]

    def tick(self, now: datetime) -> None:
        """Let what was announced come about, up to ``now`` (UTC)."""
        for instance_id in _due(self._draining, now):
            self._ecs.drain(instance_id)
        for instance_id in _due(self._taken, now):
            self._ec2.terminate(instance_id, now, SPOT)

    def _warn(self, detail: Mapping[str, Any], at: datetime | None) -> None:
        """A Spot warning sent ``at``: note when EC2 takes the instance, and when its agent has heard. The first warning counts."""
        named = _texts(detail, "instance-id", "instance-action")
        if named is None or at is None or named in self._warned or self._ec2.find(named[0]) is None:
            return
        instance_id, action = named
        self._warned.add((instance_id, action))
        self._ec2.condemned.setdefault(instance_id, (at, action))
        machine = self._ec2.machines.get(instance_id)
        if action == "terminate":
            self._taken[instance_id] = at + TAKEN_AFTER
        if action in SPOT_ACTIONS and machine is not None and machine.spot_draining:
            self._draining[instance_id] = at + AGENT_HEARS_AFTER

    def _terminate(self, detail: Mapping[str, Any], now: datetime) -> None:
        """A terminate hook holds a member: the group has begun to terminate it, and the action has the event's token."""
        named = _texts(detail, "AutoScalingGroupName", "LifecycleHookName", "EC2InstanceId", "LifecycleActionToken")
        if named is None or any(detail.get(field) != value for field, value in OUT_OF_THE_GROUP.items()):
            return
        group, hook, instance_id, token = named
        found = self._groups.member(instance_id)
        if found is None or found[0].model.name != group:
            return
        life, member = found
        if not any(h.name == hook and h.lifecycle_transition == TERMINATING for h in self._groups.hooks(life)):
            return
        if member.lifecycle_state == "InService":
            self._groups.retire(life, member, CAUSE, now)
        action = life.actions.find(hook, None, instance_id)
        # A late copy of an earlier event does not bring back a token that a later one has replaced.
        if action is not None and action.transition == TERMINATING and named not in self._tokens:
            self._tokens.add((group, hook, instance_id, token))
            action.token = token

    def _launch_failed(self, detail: Mapping[str, Any], at: datetime) -> None:
        """A launch failed ``at``: the activity is on record, once, and a want of capacity lasts from then on."""
        named = _texts(detail, "AutoScalingGroupName", "ActivityId", "StatusMessage")
        if named is None:
            return
        group, activity_id, message = named
        life = next((one for one in self._groups.lives if one.model.name == group), None)
        if life is None or any(r["ActivityId"] == activity_id for r in life.activities.records):
            return
        description, cause = (str(detail.get(field) or "") for field in ("Description", "Cause"))
        took = _took(detail)
        life.activities.note(activity_id, description, cause, message, began=at - took, ended=at, details=detail.get("Details"))
        if life.launches is not None and without_capacity(message):
            life.launches.dry_since = at


def _took(detail: Mapping[str, Any]) -> timedelta:
    """How long the activity of an event took; no time, if it does not say."""
    began, ended = _moment(detail.get("StartTime")), _moment(detail.get("EndTime"))
    return ended - began if began is not None and ended is not None and began <= ended else timedelta()


def _texts(detail: Mapping[str, Any], *names: str) -> tuple[str, ...] | None:
    """These fields of an event's detail; None if one is absent, empty or no text."""
    values = tuple(value for name in names if isinstance(value := detail.get(name), str) and value)
    return values if len(values) == len(names) else None


def _moment(time: object) -> datetime | None:
    """An event's time, in UTC, if it is one and leaves room for what follows it."""
    try:
        at = datetime.fromisoformat(time)  # type: ignore[arg-type]
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (OverflowError, TypeError, ValueError):
        return None
    return at if at.year < MAXYEAR else None


def _due(plans: dict[str, datetime], now: datetime) -> list[str]:
    """The instances whose time has come, earliest first; they are struck off."""
    come = sorted((due, instance_id) for instance_id, due in plans.items() if due <= now)
    for _, instance_id in come:
        del plans[instance_id]
    return [instance_id for _, instance_id in come]
