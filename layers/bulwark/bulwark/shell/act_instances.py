"""Writes to container instances: their status, Bulwark's mark on them, and forgetting them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.shell import translate
from bulwark.shell.act_batches import Errors, already, each_or_alone
from bulwark.shell.aws import AWS_ERRORS, explain
from bulwark.shell.translate import write_mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from bulwark.core.cluster import ContainerInstance, DrainMark
    from bulwark.core.plan import Action, DeregisterInstance, DrainInstance, MarkInstance, ReactivateInstance, UnmarkInstance
    from bulwark.shell.aws import Aws

STATE_BATCH = 10
"""Container instances in one UpdateContainerInstancesState call."""

MARK_BATCH = 10
"""Attributes in one PutAttributes or DeleteAttributes call, each with a target of its own."""

Seen = dict[str, "ContainerInstance"]
"""Container instances by ARN, as AWS answered that they are now."""


def drain(aws: Aws, drains: Sequence[DrainInstance]) -> tuple[dict[Action, str], Seen]:
    """Every registration to DRAINING, ten to a call, and only then the marks; the other way round for those marked first."""
    errors: dict[Action, str] = {}
    seen: Seen = {}
    for mark_first in (False, True):
        by_cluster: dict[str, list[DrainInstance]] = defaultdict(list)
        for one in drains:
            if one.mark_first == mark_first:
                by_cluster[one.cluster].append(one)
        for cluster, some in sorted(by_cluster.items()):
            by_arn: dict[str, Action] = {arn: d for d in some for arn in d.arns}
            marks = {arn: d.mark for d in some for arn in d.arns}
            if mark_first:
                failed = put_marks(aws, cluster, marks)
                failed |= set_status(aws, cluster, [a for a in by_arn if a not in failed], "DRAINING", seen)
            else:
                failed = set_status(aws, cluster, list(by_arn), "DRAINING", seen)
                failed |= put_marks(aws, cluster, {arn: m for arn, m in marks.items() if arn not in failed})
            errors |= {by_arn[arn]: error for arn, error in failed.items()}
    return errors, seen


def mark(aws: Aws, marks: Sequence[MarkInstance]) -> dict[Action, str]:
    """Marks alone."""
    errors: dict[Action, str] = {}
    for one in marks:
        failed = put_marks(aws, one.cluster, dict.fromkeys(one.arns, one.mark))
        errors |= dict.fromkeys([one], "; ".join(failed.values())) if failed else {}
    return errors


def unmark(aws: Aws, marks: Sequence[UnmarkInstance]) -> dict[Action, str]:
    """Marks taken off."""
    errors: dict[Action, str] = {}
    for one in marks:
        failed = delete_marks(aws, one.cluster, one.arns)
        errors |= dict.fromkeys([one], "; ".join(failed.values())) if failed else {}
    return errors


def reactivate(aws: Aws, instances: Sequence[ReactivateInstance]) -> dict[Action, str]:
    """Back to ACTIVE, and only then the mark off or anew: a death in between leaves what the sweep puts right."""
    errors: dict[Action, str] = {}
    for one in instances:
        failed = set_status(aws, one.cluster, list(one.arns), "ACTIVE", {})
        done = [arn for arn in one.arns if arn not in failed]
        failed |= put_marks(aws, one.cluster, dict.fromkeys(done, one.keep)) if one.keep else delete_marks(aws, one.cluster, done)
        errors |= dict.fromkeys([one], "; ".join(failed.values())) if failed else {}
    return errors


def set_status(aws: Aws, cluster: str, arns: list[str], status: Literal["ACTIVE", "DRAINING"], seen: Seen) -> Errors:
    """Set the status of registrations; what AWS says they are now goes into ``seen``.

    ECS names a failure by ARN or by the id alone; one that names neither is taken as everybody's, not as nobody's.
    """

    def update(some: list[str]) -> Errors:
        answer = aws.ecs.update_container_instances_state(cluster=cluster, containerInstances=some, status=status)
        told = (i for i in answer.get("containerInstances", ()) if {"runningTasksCount", "registeredResources"} <= i.keys())
        seen.update({i["containerInstanceArn"]: translate.container_instance(i) for i in told})
        asked = {arn.rpartition("/")[2]: arn for arn in some}
        errors: Errors = {}
        for failure in answer.get("failures", ()):
            line = f"UpdateContainerInstancesState: {failure.get('reason', 'no reason given')}"
            arn = asked.get(failure.get("arn", "").rpartition("/")[2])
            errors |= dict.fromkeys([arn] if arn else some, line)
        return errors

    return each_or_alone(arns, STATE_BATCH, update)


def put_marks(aws: Aws, cluster: str, marks: Mapping[str, DrainMark]) -> Errors:
    """Mark registrations, by ARN."""

    def put(some: list[str]) -> Errors:
        aws.ecs.put_attributes(
            cluster=cluster,
            attributes=[
                {"name": DRAIN_ATTRIBUTE, "value": write_mark(marks[arn]), "targetType": "container-instance", "targetId": arn}
                for arn in some
            ],
        )
        return {}

    return each_or_alone(list(marks), MARK_BATCH, put)


def delete_marks(aws: Aws, cluster: str, arns: Sequence[str]) -> Errors:
    """Take the mark off registrations. One that is gone has none."""

    def delete(some: list[str]) -> Errors:
        try:
            aws.ecs.delete_attributes(
                cluster=cluster,
                attributes=[{"name": DRAIN_ATTRIBUTE, "targetType": "container-instance", "targetId": arn} for arn in some],
            )
        except AWS_ERRORS as error:
            if len(some) == 1 and already(error, {"TargetNotFoundException": ("",)}):
                return {}
            raise
        return {}

    return each_or_alone(list(arns), MARK_BATCH, delete)


GONE = {"InvalidParameterException": ("not found",), "ClientException": ("not found",)}
"""How ECS says that a container instance is not there (any more)."""


def deregister(aws: Aws, ghosts: Sequence[DeregisterInstance]) -> dict[Action, str]:
    """Make ECS forget instances, whatever it believes to run on them."""
    errors: dict[Action, str] = {}
    for ghost in ghosts:
        for arn in ghost.arns:
            try:
                aws.ecs.deregister_container_instance(cluster=ghost.cluster, containerInstance=arn, force=True)
            except AWS_ERRORS as error:
                if not already(error, GONE):
                    errors[ghost] = explain(error)
    return errors
