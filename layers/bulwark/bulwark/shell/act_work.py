"""Writes to tasks and services: stopping, starting again, and a service's upper bound, lent and given back."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from bulwark.shell.act_batches import already
from bulwark.shell.aws import AWS_ERRORS, error_code, explain

if TYPE_CHECKING:
    from datetime import datetime

    from bulwark.core.plan import RaiseMaxPercent, RestoreMaxPercent, RunTask, StopTask
    from bulwark.shell.aws import Aws
    from bulwark.shell.ledger import Ledger

GONE = {"InvalidParameterException": ("not found",), "ClientException": ("not found",)}
STOP_REASON = "Bulwark: its instance is about to go"


class NoRoomError(Exception):
    """ECS found no instance for a task; the message says why."""


def stop(aws: Aws, action: StopTask) -> str | None:
    """Stop a task. Returns the error; that there is no such task (any more) is none."""
    try:
        aws.ecs.stop_task(cluster=action.cluster, task=action.arn, reason=STOP_REASON)
    except AWS_ERRORS as error:
        return None if already(error, GONE) else explain(error)
    return None


def rerun(aws: Aws, action: RunTask) -> str | None:
    """Start the task again, and stop the old one once the new one has its place. Returns the error.

    The client token is made from the old task's ARN: asked again, ECS answers with the task it has started already.
    Raises NoRoomError if there is no room for it now.
    """
    try:
        answer = aws.ecs.run_task(**_as_it_was(action))
        if not answer.get("tasks"):
            reasons = {f.get("reason", "no reason given") for f in answer.get("failures", ())}
            raise NoRoomError(f"no instance can take it now: {', '.join(sorted(reasons)) or 'no reason given'}")
        aws.ecs.stop_task(cluster=action.cluster, task=action.arn, reason=f"{STOP_REASON}; started again elsewhere")
    except AWS_ERRORS as error:
        return None if already(error, GONE) else explain(error)
    return None


def _as_it_was(action: RunTask) -> Any:
    """RunTask's parameters for another task like the old one."""
    family = action.definition.rpartition("/")[2].partition(":")[0]
    overrides = {key: value for key, value in json.loads(action.overrides).items() if value}
    tags = [{"key": key, "value": value} for key, value in action.tags if not key.startswith("aws:")]
    where: dict[str, Any] = {"launchType": "EC2"}
    if action.capacity_provider:
        where = {"capacityProviderStrategy": [{"capacityProvider": action.capacity_provider}]}
    return {
        "cluster": action.cluster,
        "taskDefinition": action.definition,
        "count": 1,
        "clientToken": hashlib.sha256(action.arn.encode()).hexdigest()[:32],
        "startedBy": f"bulwark/{action.target}"[:36],
        "enableExecuteCommand": action.execute_command,
        **where,
        **({"overrides": overrides} if overrides else {}),
        **({"tags": tags} if tags else {}),
        # The family's own group is what a task without one gets; it cannot be asked for by name.
        **({"group": action.group} if action.group and action.group != f"family:{family}" else {}),
    }


def raise_bound(aws: Aws, ledger: Ledger, action: RaiseMaxPercent, now: datetime) -> str | None:
    """Note the usual bound, and only then raise it. Returns the error; a note that is there already is none."""
    try:
        if not action.noted:
            ledger.note_raised(action.cluster, action.target, action.usual, action.raised, now)
    except AWS_ERRORS as error:
        return None if error_code(error) == "ConditionalCheckFailedException" else explain(error)
    try:
        _set_bound(aws, action.cluster, action.target, action.raised)
    except AWS_ERRORS as error:
        return explain(error)
    return None


def restore_bound(aws: Aws, ledger: Ledger, action: RestoreMaxPercent) -> str | None:
    """Give the bound back, and only then forget the note. Returns the error; a service that is gone needs nothing."""
    try:
        if action.write:
            _set_bound(aws, action.cluster, action.target, action.usual)
    except AWS_ERRORS as error:
        if error_code(error) not in ("ServiceNotFoundException", "ServiceNotActiveException"):
            return explain(error)
    try:
        ledger.forget_raised(action.cluster, action.target)
    except AWS_ERRORS as error:
        return explain(error)
    return None


def _set_bound(aws: Aws, cluster: str, service: str, percent: int) -> None:
    """Set maximumPercent and nothing else: the rest of the deployment configuration is written back as it is."""
    found = aws.ecs.describe_services(cluster=cluster, services=[service])["services"]
    configuration: Any = {**(found[0].get("deploymentConfiguration") or {}), "maximumPercent": percent} if found else {}
    if found:
        aws.ecs.update_service(cluster=cluster, service=service, deploymentConfiguration=configuration)
