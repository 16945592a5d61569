"""How a cluster is sized: the figures, what the next look would do, and of each instance why it stays or could go."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bulwark.core.capacity import Sizing
from bulwark.core.capacity_figures import Figures
from bulwark.core.capacity_in import may_shrink
from bulwark.core.cluster import Cluster, ContainerInstance, Group, GroupMember
from bulwark.core.plan import Action, DrainInstance, Finding, ReactivateInstance, SetDesiredCapacity
from bulwark.core.policies import Policy
from bulwark.core.room import managed
from bulwark.shell.capacity_plan import LookedAt
from workbench.drains import Step, findings_document, steps_of

METRICS = (
    "RequiredInstances",
    "ReservationWithWaiting",
    "WaitingTasks",
    "LargestTaskFits",
    "Fragmentation",
    "RemovableInstances",
)
"""The figures of a cluster, by the names that CloudWatch knows them by."""

HELD = ("scale-in-held", "scale-in-regretted", "scale-in-waits")
"""The findings that say why something that could go does not go now; the first of them that is there is the reason."""


@dataclass(frozen=True, slots=True)
class SizedGroup:
    """A group's bounds, in its own capacity units, and its figures, in instances; None where ECS sizes the group itself."""

    name: str
    min: int
    desired: int
    max: int
    now: int
    required: int | None
    removable: int | None

    def document(self) -> dict[str, Any]:
        """The group as JSON has it."""
        bounds = {"min": self.min, "desired": self.desired, "max": self.max}
        return {"name": self.name, **bounds, "now": self.now, "required": self.required, "removable": self.removable}


@dataclass(frozen=True, slots=True)
class SizedInstance:
    """One instance, daemons' tasks included in ``running``. ``removable``: its group could do without it; ``why``: or why not."""

    id: str
    group: str | None
    zone: str
    running: int
    removable: bool
    why: str

    def document(self) -> dict[str, Any]:
        """The instance as JSON has it."""
        place = {"id": self.id, "group": self.group, "zone": self.zone}
        return {**place, "running": self.running, "removable": self.removable, "why": self.why}


@dataclass(frozen=True, slots=True)
class Sized:
    """All of it. ``figures``: by the metric's name, None where there is nothing to tell it from."""

    figures: dict[str, float | None]
    groups: tuple[SizedGroup, ...]
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    instances: tuple[SizedInstance, ...]

    def document(self) -> dict[str, Any]:
        """What ``plan --json`` prints under ``sizing``."""
        return {
            "figures": dict(self.figures),
            "groups": [group.document() for group in self.groups],
            "next": [step.document() for step in self.steps],
            "findings": findings_document(self.findings),
            "instances": [instance.document() for instance in self.instances],
        }


def sized(looked: LookedAt, known: Iterable[Finding] = ()) -> Sized | None:
    """What was looked at, sorted; None where nothing is sized. ``known``: findings that are shown elsewhere already."""
    cluster, sizing = looked.seen, looked.sizing
    if cluster is None or sizing is None:
        return None
    plan = looked.decision.plan
    shown = set(known)
    return Sized(
        figures=_figures(sizing.figures),
        groups=_groups(cluster, sizing.figures),
        steps=steps_of(_with_numbers(a) for a in plan.actions),
        findings=tuple(f for f in dict.fromkeys(plan.findings) if f not in shown),
        instances=_instances(cluster, sizing, looked.policy),
    )


def _figures(figures: Figures) -> dict[str, float | None]:
    """The cluster's figures, those that are not known among them."""
    measured = figures.measured()[""]
    return {name: measured[name][1] if name in measured else None for name in METRICS}


def _groups(cluster: Cluster, figures: Figures) -> tuple[SizedGroup, ...]:
    """Every group that opted in."""
    rows = []
    for found in figures.groups:
        group = cluster.group(found.name)
        if group is not None:
            ours = not managed(group, cluster)
            required, removable = (found.required, found.removable) if ours else (None, None)
            rows.append(SizedGroup(group.name, group.min, group.desired, group.max, found.now, required, removable))
    return tuple(rows)


def _with_numbers(action: Action) -> Action:
    """The action, its reason beginning with what it changes where the target alone does not tell."""
    if isinstance(action, SetDesiredCapacity):
        why = action.reason.removeprefix(f"from {action.before}: ")
        return replace(action, reason=f"{action.before} -> {action.desired}: {why}")
    return action


def _instances(cluster: Cluster, sizing: Sizing, policy: Policy) -> tuple[SizedInstance, ...]:
    """Every instance, those that could go first and in the order in which they would."""
    members = {m.id: (g, m) for g in cluster.groups for m in g.members}
    turns = {ec2_id: turn for turn, ec2_id in enumerate(sizing.removable)}
    rest = _of_the_rest(sizing, policy)
    rows = []
    for one in sorted(cluster.instances, key=lambda i: (turns.get(i.ec2_id, len(turns)), i.ec2_id, i.arn)):
        group, member = members.get(one.ec2_id, (None, None))
        removable = one.ec2_id in turns
        if removable:
            why = _could_go(one.ec2_id, sizing)
        else:
            why = sizing.kept.get(one.ec2_id) or _no_candidate(one, group, member, cluster) or rest
        rows.append(SizedInstance(one.ec2_id, group.name if group else None, one.zone, one.running, removable, why))
    return tuple(rows)


def _could_go(ec2_id: str, sizing: Sizing) -> str:
    """Why an instance goes, or why it does not go yet although it could."""
    goes = next((a for a in sizing.plan.actions if isinstance(a, DrainInstance) and a.target == ec2_id), None)
    if goes is not None:
        return goes.reason
    found = {f.code: f.message for f in reversed(sizing.plan.findings)}
    return next((f"could go, and not now: {found[code]}" for code in HELD if code in found), "could go")


def _no_candidate(one: ContainerInstance, group: Group | None, member: GroupMember | None, cluster: Cluster) -> str | None:
    """Why an instance was not even considered, as far as that is its own or its group's doing."""
    if one.status != "ACTIVE":
        return f"it is {one.status}{f' ({one.drain.cause}, since {one.drain.since:%H:%M} UTC)' if one.drain else ''}"
    if not one.agent_connected or group is None or member is None:
        return "it is in no group that opted in" if one.agent_connected else "its agent is disconnected"
    if member.lifecycle != "InService" or not member.healthy:
        return f"its group has it as {member.lifecycle}{'' if member.healthy else ', unhealthy'}"
    if member.protected:
        return "its group protects it from scale-in"
    if one.drain is not None:
        return f"it is marked to be drained ({one.drain.cause})"
    return None if may_shrink(group, cluster) else _keeps_all(group, cluster)


def _keeps_all(group: Group, cluster: Cluster) -> str:
    """Why nothing is taken out of a group."""
    if managed(group, cluster):
        return f"an ECS capacity provider scales group {group.name}"
    if group.in_units:
        return f"group {group.name} counts vCPUs or MiB, which is not sized here"
    if "Terminate" in group.suspended:
        return f"group {group.name}: its process Terminate is suspended"
    return f"group {group.name} is at its minimum of {group.min}"


def _of_the_rest(sizing: Sizing, policy: Policy) -> str:
    """Why none of those was considered that could have been."""
    if any(isinstance(a, SetDesiredCapacity | ReactivateInstance) for a in sizing.plan.actions):
        return "more instances are needed: none goes"
    if not policy.capacity.scale_in:
        return "the policy turns scale-in off"
    return "not considered this time: others would disturb less"
