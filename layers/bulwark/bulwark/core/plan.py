"""What we want: actions, each with its reason, and findings: what was learned or declined, with its evidence.

Every action may be performed twice with the effect of once: the next delivery, or the sweep, may well do so.
"""

from dataclasses import dataclass
from typing import Literal

from bulwark.core.cluster import ContainerInstance, DrainMark


@dataclass(frozen=True, slots=True)
class DrainInstance:
    """Set registrations of an EC2 instance to DRAINING and mark them with cause, since and deadline.

    Those that are DRAINING already only get the mark. ``mark_first``: mark before draining, so that a death in between leaves
    an intention rather than a DRAINING nobody knows; False where DRAINING itself is what is urgent.
    """

    target: str
    cluster: str
    arns: tuple[str, ...]
    mark: DrainMark
    reason: str
    mark_first: bool = False


@dataclass(frozen=True, slots=True)
class MarkInstance:
    """Mark registrations without draining them: what is to be drained as soon as it may be."""

    target: str
    cluster: str
    arns: tuple[str, ...]
    mark: DrainMark
    reason: str


@dataclass(frozen=True, slots=True)
class UnmarkInstance:
    """Take the mark off registrations: they are not to be drained after all."""

    target: str
    cluster: str
    arns: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ReactivateInstance:
    """Set registrations back to ACTIVE and take the mark off, unless ``keep``, the mark of another try, takes its place."""

    target: str
    cluster: str
    arns: tuple[str, ...]
    reason: str
    keep: DrainMark | None = None


@dataclass(frozen=True, slots=True)
class ReplaceInstance:
    """Take the instance out of its group without lowering desired, so that the group launches another at once."""

    target: str
    group: str
    reason: str


@dataclass(frozen=True, slots=True)
class TerminateInstance:
    """End an empty instance: in its group, or in EC2 if it belongs to none (``group`` None).

    The group keeps its desired capacity and launches another, unless ``decrement``: then it has one less.
    """

    target: str
    group: str | None
    reason: str
    decrement: bool = False


@dataclass(frozen=True, slots=True)
class DeregisterInstance:
    """Make ECS forget, by force, registrations whose host EC2 has ended."""

    target: str
    cluster: str
    arns: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class CompleteLifecycleAction:
    """Let our terminate hook go on (CONTINUE). ``token`` None: the action is found by its instance."""

    target: str
    group: str
    hook: str
    token: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class RecordHeartbeat:
    """Let our terminate hook wait for one more heartbeat."""

    target: str
    group: str
    hook: str
    token: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class StopTask:
    """Stop one task, by SIGTERM. ``target`` is its id."""

    target: str
    cluster: str
    arn: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunTask:
    """Start a standalone task again elsewhere, as it was started, and stop the old one once the new one is placed.

    ``target`` is the old task's id; the same target never runs twice. ``overrides`` is JSON.
    """

    target: str
    cluster: str
    arn: str
    definition: str
    group: str
    overrides: str
    tags: tuple[tuple[str, str], ...]
    capacity_provider: str | None
    execute_command: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RaiseMaxPercent:
    """Widen a service's upper deployment bound for a drain, ``usual`` noted first so that it comes back whatever happens.

    ``noted``: the note is there already, but the bound was not raised: an earlier try got no further.
    """

    target: str
    cluster: str
    usual: int
    raised: int
    reason: str
    noted: bool = False


@dataclass(frozen=True, slots=True)
class RestoreMaxPercent:
    """Give a service its own upper bound back. ``write`` False: it is no longer ours to change, only the note goes."""

    target: str
    cluster: str
    usual: int
    reason: str
    write: bool = True


@dataclass(frozen=True, slots=True)
class InstallHook:
    """Put Bulwark's terminate hook on a group (``heartbeat`` in seconds), or, with None, note that it has one already."""

    target: str
    heartbeat: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class RemoveHook:
    """Take Bulwark's own terminate hook off a group. ``delete`` False: it was not ours, only the note goes."""

    target: str
    reason: str
    delete: bool = True


@dataclass(frozen=True, slots=True)
class SetDesiredCapacity:
    """Set a group's desired capacity, in its own capacity units: ``before`` is what it was when that was decided.

    Within the group's min and max, and never below what it has: what is to go is drained, and ended with decrement.
    """

    target: str
    desired: int
    before: int
    reason: str


@dataclass(frozen=True, slots=True)
class PutAlarm:
    """Create, or bring up to date, an alarm of Bulwark's on a cluster's reservation. ``threshold`` in percent. ``target``: its name."""

    target: str
    cluster: str
    metric: str
    threshold: int
    reason: str


@dataclass(frozen=True, slots=True)
class RemoveAlarm:
    """Delete an alarm that is Bulwark's own and no longer wanted."""

    target: str
    reason: str


Action = (
    DrainInstance
    | MarkInstance
    | UnmarkInstance
    | ReactivateInstance
    | ReplaceInstance
    | TerminateInstance
    | DeregisterInstance
    | CompleteLifecycleAction
    | RecordHeartbeat
    | StopTask
    | RunTask
    | RaiseMaxPercent
    | RestoreMaxPercent
    | InstallHook
    | RemoveHook
    | SetDesiredCapacity
    | PutAlarm
    | RemoveAlarm
)
"""Every intended write: a closed union, matched with ``assert_never``."""


def kind(action: Action) -> str:
    """The action's name, as it appears in reports: ``DrainInstance``."""
    return type(action).__name__


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing learned or declined. ``code`` is stable; ``subject`` is the id a person would paste into the console."""

    code: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a decision comes to. An empty plan with a finding is 'did nothing because ...'."""

    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()

    def __add__(self, other: "Plan") -> "Plan":
        """Both plans, in order."""
        return Plan(self.actions + other.actions, self.findings + other.findings)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one action. ``error`` is one line, and None unless the status is ``failed`` or ``skipped`` for a cause.

    ``seen``: the registrations as AWS answered that they are now, where its answer says so.
    """

    action: Action
    status: Literal["done", "skipped", "failed"]
    error: str | None = None
    seen: tuple[ContainerInstance, ...] = ()
