"""What Auto Scaling groups do by themselves: launch, replace, scale in, wait for hooks. moto keeps the records; this moves them.

Nothing happens inside a call: a call changes what is wanted, and ``tick`` brings the group there, as on AWS. Capacity is in the
group's units: an instance counts for the weight of its type, and for one where types have none.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from moto.autoscaling.models import InstanceState

from workbench.sandbox.autoscaling_activities import PROTECTED, SPOT_CAPACITY, TERMINATION, Activities, on_demand_capacity
from workbench.sandbox.autoscaling_hooks import LAUNCHING, TERMINATING, LifecycleAction, LifecycleActions
from workbench.sandbox.autoscaling_launches import Launches
from workbench.sandbox.ec2 import ASG_NAME_TAG, Ec2Physics
from workbench.sandbox.machine import EcsHalf, Machine

HEALTH_CHECK = timedelta(seconds=60)
"""From an instance's end to the group's noticing. AWS publishes no figure; a minute is its usual check interval."""

LAUNCH_RETRY = timedelta(seconds=60)
"""From a launch that failed for want of capacity to the next try. AWS publishes no figure and backs off; this does not."""

HEALTH_CAUSE = "an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped."
MARKED_CAUSE = "an instance was taken out of service in response to a user health-check."


def units(members: Iterable[InstanceState]) -> int:
    """The units of capacity that members of a group count for."""
    return sum(int(getattr(member, "weighted_capacity", None) or 1) for member in members)


@dataclass(slots=True)
class GroupLife:
    """What moto does not keep about a group: its launches under way, lifecycle actions and scaling activities.

    ``launched_for``: the desired capacity that the last launches were for; what they passed it by, being heavier, is no surplus.
    """

    model: Any
    launches: Launches | None
    activities: Activities
    actions: LifecycleActions
    ready: dict[str, datetime] = field(default_factory=dict)
    retry_at: datetime | None = None
    launched_for: int | None = None

    def suspended(self, process: str) -> bool:
        """True if the process is suspended."""
        return any(p["ProcessName"] == process for p in self.model.suspended_processes)

    def member(self, instance_id: str) -> InstanceState | None:
        """The group's record of the instance; None if it is not a member."""
        return next((m for m in self.model.instance_states if m.instance_id == instance_id), None)

    def drop(self, member: InstanceState) -> None:
        """Forget the member."""
        self.model.instance_states = [m for m in self.model.instance_states if m is not member]
        self.ready.pop(member.instance_id, None)
        self.actions.forget(member.instance_id)


class AutoScalingPhysics:
    """The Auto Scaling groups of the account. It attaches itself to moto's backend until that is reset."""

    def __init__(self, backend: Any, ec2: Ec2Physics, ecs: EcsHalf) -> None:
        """``backend``: moto's Auto Scaling backend."""
        self.backend = backend
        self.ec2 = ec2
        self.ecs = ecs
        self._lives: dict[str, GroupLife] = {}
        self._launches: dict[str, Launches] = {}
        backend.physics = self

    def adopt(self, group: str, launches: Launches) -> None:
        """Say what the group of that name launches; a group nobody adopted launches nothing."""
        self._launches[group] = launches
        self._lives.pop(group, None)

    def life(self, group: str) -> GroupLife:
        """The group's life; KeyError if moto has no such group."""
        model = self.backend.autoscaling_groups[group]
        life = self._lives.get(group)
        if life is None or life.model is not model:
            life = GroupLife(model, self._launches.get(group), Activities(group, model.arn), LifecycleActions(group))
            self._lives[group] = life
        return life

    @property
    def lives(self) -> list[GroupLife]:
        """Every group, in the order of creation."""
        return [self.life(name) for name in self.backend.autoscaling_groups]

    def member(self, instance_id: str) -> tuple[GroupLife, InstanceState] | None:
        """The group that has the instance, with its record; None if none has."""
        instance = self.ec2.find(instance_id)
        model = getattr(instance, "autoscaling_group", None)
        if model is None or model.name not in self.backend.autoscaling_groups:
            return None
        life = self.life(model.name)
        member = life.member(instance_id)
        return None if member is None else (life, member)

    def start_full(self, group: str, machines: list[Machine]) -> None:
        """Give the group its first members, up and in service: what was launched before the story begins."""
        life, launches = self.life(group), self._launches[group]
        zones = Counter[str]()
        for machine in machines:
            machine.zone = machine.zone or launches.emptiest(zones)
            zones[machine.zone] += 1
            self._run(life, launches, machine, "InService")
        life.launched_for = life.model.desired_capacity

    def tick(self, now: datetime) -> None:
        """Let every group live until ``now`` (UTC)."""
        for life in self.lives:
            self._end_what_is_ending(life, now)
            for action in life.actions.expired(now):
                self.complete(life, action, action.default_result, now)
            self._check_health(life, now)
            self._finish_boots(life, now)
            self._reconcile(life, now)

    def complete(self, life: GroupLife, action: LifecycleAction, result: str, now: datetime) -> None:
        """Complete a lifecycle action with CONTINUE or ABANDON at ``now``."""
        if not life.actions.complete(action, result):
            return
        member = life.member(action.instance_id)
        if member is None:
            return
        if action.transition == TERMINATING:
            member.lifecycle_state = "Terminating:Proceed"
        elif result == "ABANDON":
            life.activities.end_about(member.instance_id, "Launching a new EC2 instance", now, "The lifecycle action was abandoned.")
            member.lifecycle_state = "Terminating:Proceed"
        else:
            self._in_service(life, member, now)

    def retire(self, life: GroupLife, member: InstanceState, cause: str, now: datetime) -> dict[str, Any]:
        """Begin to terminate a member, through the hooks that hold it; returns the scaling activity.

        One that is being terminated already goes on as it was: its hooks begin no second wait.
        """
        under_way = life.activities.under_way(member.instance_id, TERMINATION)
        if under_way is not None and member.lifecycle_state.startswith("Terminating"):
            return under_way
        record = life.activities.start(now, f"{TERMINATION}: {member.instance_id}", cause, zone=member.availability_zone or "")
        life.ready.pop(member.instance_id, None)
        life.actions.forget(member.instance_id)
        held = life.actions.begin(self.hooks(life), TERMINATING, member.instance_id, now)
        member.lifecycle_state = "Terminating:Wait" if held else "Terminating"
        return record

    def detach(self, life: GroupLife, member: InstanceState, now: datetime) -> dict[str, Any]:
        """Begin to detach a member: no hook holds it, and the instance lives on; returns the scaling activity."""
        cause = f"instance {member.instance_id} was detached in response to a user request."
        member.lifecycle_state = "Detaching"
        return life.activities.start(now, f"Detaching EC2 instance: {member.instance_id}", cause, zone=member.availability_zone or "")

    def hooks(self, life: GroupLife) -> list[Any]:
        """The lifecycle hooks of the group, moto's models."""
        hooks: list[Any] = self.backend.describe_lifecycle_hooks(life.model.name, [])
        return hooks

    def _run(self, life: GroupLife, launches: Launches, machine: Machine, state: str) -> InstanceState:
        """Launch the machine as a member in the given lifecycle state, with the tags that are propagated."""
        machine.subnet_id = launches.subnets[machine.zone]
        tags = {**life.model.get_propagated_tags(), ASG_NAME_TAG: life.model.name}
        instance = self.ec2.launch(machine, tags, spot=launches.spot)
        instance.autoscaling_group = life.model  # type: ignore[attr-defined]
        protected = life.model.new_instances_protected_from_scale_in or machine.scale_in_protected
        member = InstanceState(instance, lifecycle_state=state, protected_from_scale_in=protected)
        if machine.weight is not None:
            # Where moto's serialiser looks for it.
            member.weighted_capacity = str(machine.weight)  # type: ignore[attr-defined]
        life.model.instance_states.append(member)
        return member

    def _end_what_is_ending(self, life: GroupLife, now: datetime) -> None:
        """Carry out the terminations and detachments that nothing holds any more."""
        for member in [m for m in life.model.instance_states if m.lifecycle_state != "InService"]:
            if member.lifecycle_state in ("Terminating", "Terminating:Proceed"):
                self.ec2.terminate(member.instance_id, now)
                life.activities.end_about(member.instance_id, TERMINATION, now)
                life.drop(member)
            elif member.lifecycle_state == "Detaching":
                self.ec2.backend.delete_tags([member.instance_id], {ASG_NAME_TAG: life.model.name})
                del member.instance.autoscaling_group
                life.activities.end_about(member.instance_id, "Detaching EC2 instance", now)
                life.drop(member)

    def _check_health(self, life: GroupLife, now: datetime) -> None:
        """Notice ended instances at health-check time, and replace what is unhealthy, unless that is suspended."""
        for member in life.model.instance_states:
            gone = self.ec2.ended.get(member.instance_id)
            if gone is not None and now - gone >= HEALTH_CHECK and not life.suspended("HealthCheck"):
                member.health_status = "Unhealthy"
            replaceable = member.lifecycle_state == "InService" or member.lifecycle_state.startswith("Pending")
            if member.health_status != "Unhealthy" or not replaceable:
                continue
            if not life.suspended("ReplaceUnhealthy") and not life.suspended("Terminate"):
                self.retire(life, member, HEALTH_CAUSE if gone is not None else MARKED_CAUSE, now)

    def _finish_boots(self, life: GroupLife, now: datetime) -> None:
        """Register with ECS what has booted, and put it in service unless a launch hook holds it."""
        for instance_id in [i for i, ready_at in life.ready.items() if ready_at <= now]:
            del life.ready[instance_id]
            member, machine = life.member(instance_id), self.ec2.machines[instance_id]
            if member is None or instance_id in self.ec2.ended:
                continue
            if machine.registers:
                self.ecs.register(machine)
            if life.actions.begin(self.hooks(life), LAUNCHING, instance_id, now):
                member.lifecycle_state = "Pending:Wait"
            else:
                self._in_service(life, member, now)

    def _in_service(self, life: GroupLife, member: InstanceState, now: datetime) -> None:
        """The member serves from now on."""
        member.lifecycle_state = "InService"
        life.activities.end_about(member.instance_id, "Launching a new EC2 instance", now)

    def _reconcile(self, life: GroupLife, now: datetime) -> None:
        """Launch or retire the difference between what is desired and what is in service or coming."""
        usable = [m for m in life.model.instance_states if m.lifecycle_state == "InService" or m.lifecycle_state.startswith("Pending")]
        missing = life.model.desired_capacity - units(usable)
        if life.launched_for != life.model.desired_capacity:
            life.launched_for = None
        if missing > 0 and life.launches is not None and not life.suspended("Launch"):
            self._launch(life, life.launches, missing, units(usable), now)
        elif missing < 0 and life.launched_for != life.model.desired_capacity and not life.suspended("Terminate"):
            self._scale_in(life, usable, -missing, now)

    def _launch(self, life: GroupLife, launches: Launches, missing: int, have: int, now: datetime) -> None:
        """Launch what is missing, in units, each in the zone with fewest members; the last launch may count for more than that.

        A failure for want of capacity is tried again later.
        """
        if life.retry_at is not None and now < life.retry_at:
            return
        zones = Counter(m.availability_zone or "" for m in life.model.instance_states if not m.lifecycle_state.startswith("Terminating"))
        cause = (
            "an instance was launched in response to a difference between desired and actual capacity, "
            f"increasing the capacity from {have} to {have + missing}."
        )
        life.retry_at = None
        outcome = launches.outcome_at(now)
        while missing > 0:
            zone = launches.emptiest(zones)
            zones[zone] += 1
            place = {"zone": zone, "subnet": launches.subnets[zone]}
            if outcome == "no-capacity":
                message = SPOT_CAPACITY if launches.spot else on_demand_capacity(launches.next_type.instance_type, zone)
                life.activities.fail(now, "Launching a new EC2 instance.  Status Reason: " + message, cause, message, **place)
                life.retry_at = now + LAUNCH_RETRY
                return
            machine = launches.next_machine()
            machine.id, machine.zone = self.ec2.next_id(life.model.name), zone
            machine.registers = machine.registers and outcome != "never-registers"
            missing -= machine.weight or 1
            self._run(life, launches, machine, "Pending")
            life.ready[machine.id] = now + timedelta(seconds=launches.delay)
            life.activities.start(now, f"Launching a new EC2 instance: {machine.id}", cause, **place)
        life.launched_for = life.model.desired_capacity if missing < 0 else None

    def _scale_in(self, life: GroupLife, usable: list[InstanceState], surplus: int, now: datetime) -> None:
        """Retire the surplus, in units: from the zone with most members the oldest that is not protected.

        One that counts for more than the surplus stays: without it the group would launch again.
        """
        have = units(usable)
        cause = (
            "an instance was taken out of service in response to a difference between desired and actual capacity, "
            f"shrinking the capacity from {have} to {have - surplus}."
        )
        zones = Counter(m.availability_zone for m in usable)
        open_to_it = [m for m in usable if not m.protected_from_scale_in]
        while surplus > 0:
            if not open_to_it:
                last = life.activities.records[-1] if life.activities.records else {}
                if last.get("StatusMessage") != PROTECTED:
                    life.activities.fail(now, TERMINATION, cause, PROTECTED)
                return
            light = [m for m in open_to_it if units([m]) <= surplus]
            if not light:
                return
            victim = min(light, key=lambda m: (-zones[m.availability_zone], m.instance.launch_time, m.instance_id))
            open_to_it.remove(victim)
            surplus -= units([victim])
            zones[victim.availability_zone] -= 1
            self.retire(life, victim, cause, now)
