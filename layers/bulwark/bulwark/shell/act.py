"""Performs a plan through boto3 and returns one Outcome per action. Observe mode stops here, and nowhere else."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, assert_never

from bulwark.core.plan import (
    CompleteLifecycleAction,
    DeregisterInstance,
    DrainInstance,
    InstallHook,
    MarkInstance,
    Outcome,
    PutAlarm,
    RaiseMaxPercent,
    ReactivateInstance,
    RecordHeartbeat,
    RemoveAlarm,
    RemoveHook,
    ReplaceInstance,
    RestoreMaxPercent,
    RunTask,
    SetDesiredCapacity,
    StopTask,
    TerminateInstance,
    UnmarkInstance,
)
from bulwark.shell import act_capacity, act_groups, act_instances, act_work

if TYPE_CHECKING:
    from datetime import datetime

    from bulwark.core.plan import Action, Plan
    from bulwark.core.policies import Mode
    from bulwark.shell.aws import Aws
    from bulwark.shell.ledger import Ledger


def act(aws: Aws, plan: Plan, mode: Mode, ledger: Ledger, now: datetime) -> tuple[Outcome, ...]:
    """Perform every action of ``plan``, batched as AWS allows; in observe mode perform none and say ``skipped``.

    What takes work off an instance comes before what ends or explains one. Never raises for what AWS answers: an action's
    failure is its outcome, and the next action is still performed.
    """
    if mode == "observe":
        return tuple(Outcome(a, "skipped") for a in plan.actions)
    by_kind: dict[type, list[Any]] = defaultdict(list)
    for action in plan.actions:
        by_kind[type(action)].append(action)
    errors, seen = act_instances.drain(aws, [d for d in by_kind[DrainInstance] if not d.mark_first])
    errors |= act_instances.mark(aws, by_kind[MarkInstance])
    errors |= act_groups.replace(aws, by_kind[ReplaceInstance])
    failed, more = act_instances.drain(aws, [d for d in by_kind[DrainInstance] if d.mark_first])
    errors |= failed
    seen |= more
    errors |= act_instances.reactivate(aws, by_kind[ReactivateInstance])
    errors |= act_instances.unmark(aws, by_kind[UnmarkInstance])
    errors |= act_instances.deregister(aws, by_kind[DeregisterInstance])
    skipped: dict[Action, str] = {}
    for action in plan.actions:
        try:
            error = _single(aws, ledger, action, now)
        except act_work.NoRoomError as reason:
            skipped[action] = str(reason)
            continue
        if error is not None:
            errors[action] = error
    return tuple(_outcome(a, errors.get(a), skipped.get(a), seen) for a in plan.actions)


def _single(aws: Aws, ledger: Ledger, action: Action, now: datetime) -> str | None:
    """Perform an action that is a call of its own; the others have been performed in batches. Returns the error."""
    error: str | None = None
    match action:
        case CompleteLifecycleAction() | RecordHeartbeat() | InstallHook() | RemoveHook():
            error = _on_hook(aws, action)
        case SetDesiredCapacity() | PutAlarm() | RemoveAlarm():
            error = act_capacity.perform(aws, action)
        case TerminateInstance():
            error = act_groups.terminate(aws, action)
        case StopTask():
            error = act_work.stop(aws, action)
        case RunTask():
            error = act_work.rerun(aws, action)
        case RaiseMaxPercent():
            error = act_work.raise_bound(aws, ledger, action, now)
        case RestoreMaxPercent():
            error = act_work.restore_bound(aws, ledger, action)
        case DrainInstance() | MarkInstance() | UnmarkInstance() | ReactivateInstance() | ReplaceInstance() | DeregisterInstance():
            pass
        case _:
            assert_never(action)
    return error


def _on_hook(aws: Aws, action: CompleteLifecycleAction | RecordHeartbeat | InstallHook | RemoveHook) -> str | None:
    """Perform an action on a lifecycle hook. Returns the error."""
    match action:
        case CompleteLifecycleAction():
            return act_groups.complete(aws, action)
        case RecordHeartbeat():
            return act_groups.beat(aws, action)
        case InstallHook():
            return act_groups.install_hook(aws, action)
        case RemoveHook():
            return act_groups.remove_hook(aws, action)
        case _:
            assert_never(action)


def _outcome(action: Action, error: str | None, skipped: str | None, seen: act_instances.Seen) -> Outcome:
    """What came of one action."""
    if error is not None:
        return Outcome(action, "failed", error)
    if skipped is not None:
        return Outcome(action, "skipped", skipped)
    arns = action.arns if isinstance(action, DrainInstance) else ()
    return Outcome(action, "done", seen=tuple(seen[arn] for arn in arns if arn in seen))
