"""Performs a plan through boto3 and returns one Outcome per action. Observe mode stops here, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.core.plan import DrainInstance, Outcome, ReplaceInstance
from bulwark.shell.aws import AWS_ERRORS, error_code, explain
from bulwark.shell.observe import chunks
from bulwark.shell.translate import write_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bulwark.core.plan import Action, Plan
    from bulwark.core.policies import Mode
    from bulwark.shell.aws import Aws

DRAIN_BATCH = 10
"""Container instances in one UpdateContainerInstancesState call."""

MARK_BATCH = 10
"""Attributes in one PutAttributes call, each with a target of its own."""

DETACH_BATCH = 20
"""Instances in one DetachInstances call."""

REFUSALS = frozenset({"InvalidParameterException", "ClientException", "TargetNotFoundException", "ValidationError"})
"""Codes by which one entry spoils a whole call: then each is tried alone. Not throttling: that would be ten times the load."""

Errors = dict[str, str]
"""What went wrong, by the id it went wrong for."""


def act(aws: Aws, plan: Plan, mode: Mode) -> tuple[Outcome, ...]:
    """Perform every action of ``plan``, batched as AWS allows; in observe mode perform none and say ``skipped``.

    Never raises for what AWS answers: an action's failure is its outcome, and the next action is still performed.
    """
    if mode == "observe":
        return tuple(Outcome(a, "skipped") for a in plan.actions)
    drains: list[DrainInstance] = []
    replacements: list[ReplaceInstance] = []
    for action in plan.actions:
        match action:
            case DrainInstance():
                drains.append(action)
            case ReplaceInstance():
                replacements.append(action)
            case _:
                assert_never(action)
    errors: dict[Action, str] = {}
    for cluster in sorted({d.cluster for d in drains}):
        errors |= _drain(aws, cluster, [d for d in drains if d.cluster == cluster])
    for group in sorted({r.group for r in replacements}):
        errors |= _replace(aws, group, [r for r in replacements if r.group == group])
    return tuple(Outcome(a, "failed", errors[a]) if a in errors else Outcome(a, "done") for a in plan.actions)


def _drain(aws: Aws, cluster: str, drains: Sequence[DrainInstance]) -> dict[Action, str]:
    """Every registration to DRAINING, ten to a call, and only then the marks."""
    by_arn = {arn: d for d in drains for arn in d.arns}
    errors = _each_or_alone(list(by_arn), DRAIN_BATCH, lambda arns: _set_draining(aws, cluster, arns))
    drained = [arn for arn in by_arn if arn not in errors]
    errors |= _each_or_alone(drained, MARK_BATCH, lambda arns: _put_marks(aws, cluster, arns, by_arn))
    return {by_arn[arn]: error for arn, error in errors.items()}


def _set_draining(aws: Aws, cluster: str, arns: list[str]) -> Errors:
    """ECS names a failure by ARN or by the id alone; one that names neither is taken as everybody's, not as nobody's."""
    answer = aws.ecs.update_container_instances_state(cluster=cluster, containerInstances=arns, status="DRAINING")
    asked = {arn.rpartition("/")[2]: arn for arn in arns}
    errors: Errors = {}
    for failure in answer.get("failures", ()):
        line = f"UpdateContainerInstancesState: {failure.get('reason', 'no reason given')}"
        arn = asked.get(failure.get("arn", "").rpartition("/")[2])
        errors |= dict.fromkeys([arn] if arn else arns, line)
    return errors


def _put_marks(aws: Aws, cluster: str, arns: list[str], by_arn: dict[str, DrainInstance]) -> Errors:
    aws.ecs.put_attributes(
        cluster=cluster,
        attributes=[
            {"name": DRAIN_ATTRIBUTE, "value": write_mark(by_arn[arn].mark), "targetType": "container-instance", "targetId": arn}
            for arn in arns
        ],
    )
    return {}


def _replace(aws: Aws, group: str, replacements: Sequence[ReplaceInstance]) -> dict[Action, str]:
    """Detach without decrement: desired stays, so the group launches as many at once."""

    def detach(ids: list[str]) -> Errors:
        aws.autoscaling.detach_instances(AutoScalingGroupName=group, InstanceIds=ids, ShouldDecrementDesiredCapacity=False)
        return {}

    by_id = {r.target: r for r in replacements}
    errors = _each_or_alone(list(by_id), DETACH_BATCH, detach)
    return {by_id[i]: error for i, error in errors.items()}


def _each_or_alone(ids: list[str], size: int, call: Callable[[list[str]], Errors]) -> Errors:
    """``call`` with at most ``size`` ids at a time; where AWS refuses the lot for one of them, each alone."""
    errors: Errors = {}
    for some in chunks(ids, size):
        try:
            errors |= call(some)
        except AWS_ERRORS as error:
            if len(some) > 1 and error_code(error) in REFUSALS:
                errors |= _each_or_alone(some, 1, call)
            else:
                errors |= dict.fromkeys(some, explain(error))
    return errors
