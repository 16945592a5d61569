"""An EventBridge event becomes one Signal. Whatever is not an event we know is an error that says what and where.

Nothing an event says is trusted beyond its ids and its time. The ids come from ``detail``: the ARN in ``resources`` of a
Spot warning names a zone where the Region belongs and no account.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bulwark.core.signals import SPOT_NOTICE, InterruptionAction, Signal, SpotInterruption

INSTANCE_ID = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
ACTIONS: dict[str, InterruptionAction] = {"terminate": "terminate", "stop": "stop", "hibernate": "hibernate"}
SHOWN = 60
"""Characters of a wrong value that an error repeats: it may be a megabyte of junk."""

SPOT_WARNING = "EC2 Spot Instance Interruption Warning"


class EventError(ValueError):
    """An event that cannot be used; the message is one line naming the field and the fix."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One delivery from SQS: a signal or an error for each record, by message id."""

    signals: Mapping[str, Signal]
    errors: Mapping[str, str]


def parse_batch(records: Sequence[Mapping[str, Any]]) -> Batch:
    """Parse every record on its own, so that a bad one takes no other with it."""
    signals: dict[str, Signal] = {}
    errors: dict[str, str] = {}
    for record in records:
        message_id = str(record["messageId"])
        try:
            signals[message_id] = parse_event(record.get("body", ""), redelivered=_redelivered(record))
        except EventError as error:
            errors[message_id] = str(error)
    return Batch(signals, errors)


def _redelivered(record: Mapping[str, Any]) -> bool:
    """Whether SQS has handed the record out before."""
    return str(record.get("attributes", {}).get("ApproximateReceiveCount", "1")) != "1"


def parse_event(body: str, *, redelivered: bool = False) -> Signal:
    """Parse one EventBridge event from its JSON. Raises EventError."""
    event = _json_object(body)
    if "detail-type" not in event and event.get("Event") == "autoscaling:TEST_NOTIFICATION":
        raise EventError("Event: a TEST_NOTIFICATION of Auto Scaling, not an EventBridge event: remove that notification from this queue")
    detail_type, source = event.get("detail-type"), event.get("source")
    if (source, detail_type) != ("aws.ec2", SPOT_WARNING):
        raise EventError(
            f"detail-type: {_shown(detail_type)} from source {_shown(source)} is unknown here: "
            f'only "{SPOT_WARNING}" from "aws.ec2" is handled'
        )
    detail = event.get("detail")
    if not isinstance(detail, dict):
        raise EventError(f"detail: {_shown(detail)} is not an object: send the event as EventBridge delivers it")
    instance_id = detail.get("instance-id")
    if not isinstance(instance_id, str) or not INSTANCE_ID.fullmatch(instance_id):
        raise EventError(f"detail.instance-id: {_shown(instance_id)} is not an instance id: expected i- and 8 or 17 hexadecimal digits")
    action = detail.get("instance-action")
    if not isinstance(action, str) or action not in ACTIONS:
        raise EventError(f"detail.instance-action: {_shown(action)} is unknown: expected one of {', '.join(ACTIONS)}")
    return SpotInterruption(instance_id=instance_id, at=_time(event.get("time")), action=ACTIONS[action], redelivered=redelivered)


def _json_object(body: Any) -> dict[str, Any]:
    if not isinstance(body, str) or not body.strip():
        raise EventError("event: empty: send the event as EventBridge delivers it, a JSON object")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EventError(f"event: not JSON ({' '.join(str(error).split())[:80]}): send the event as EventBridge delivers it") from error
    if not isinstance(event, dict):
        raise EventError(f"event: {_shown(event)} is not an object: send one event as EventBridge delivers it")
    return event


def _time(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise EventError(f"time: {_shown(value)} is not a time: expected UTC such as 2026-11-24T03:00:00Z") from error
    if at.tzinfo is None:
        raise EventError(f"time: {_shown(value)} has no time zone: expected UTC such as 2026-11-24T03:00:00Z")
    try:
        at = at.astimezone(UTC)
        return at + SPOT_NOTICE - SPOT_NOTICE  # the deadline must be a time as well
    except OverflowError as error:
        raise EventError(f"time: {_shown(value)} is out of range: expected UTC such as 2026-11-24T03:00:00Z") from error


def _shown(value: Any) -> str:
    """A value as it appears in an error: JSON, at most SHOWN characters."""
    try:
        text = json.dumps(value, default=str)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
