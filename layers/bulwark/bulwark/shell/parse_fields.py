"""Fields of an event, each checked: what is wrong with one is an error that names it and the fix."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bulwark.core.signals import SPOT_NOTICE

INSTANCE_ID = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
CLUSTER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
TOKEN = re.compile(r"[A-Za-z0-9-]{36}")
"""A lifecycle action's token is a UUID (Auto Scaling API reference, CompleteLifecycleAction): 36 characters."""

SHOWN = 60
"""Characters of a wrong value that an error repeats: it may be a megabyte of junk."""

Node = Mapping[str, Any]


class EventError(ValueError):
    """An event that cannot be used; the message is one line naming the field and the fix."""


def json_object(body: Any) -> dict[str, Any]:
    """The event in ``body``. Raises EventError."""
    if not isinstance(body, str) or not body.strip():
        raise EventError("event: empty: send the event as EventBridge delivers it, a JSON object")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EventError(f"event: not JSON ({' '.join(str(error).split())[:80]}): send the event as EventBridge delivers it") from error
    if not isinstance(event, dict):
        raise EventError(f"event: {shown(event)} is not an object: send one event as EventBridge delivers it")
    return event


def detail_of(event: Node) -> dict[str, Any]:
    """The event's ``detail``. Raises EventError."""
    detail = event.get("detail")
    if not isinstance(detail, dict):
        raise EventError(f"detail: {shown(detail)} is not an object: send the event as EventBridge delivers it")
    return detail


def instance_id(value: Any, field: str) -> str:
    """An EC2 instance id. Raises EventError."""
    if not isinstance(value, str) or not INSTANCE_ID.fullmatch(value):
        raise EventError(f"{field}: {shown(value)} is not an instance id: expected i- and 8 or 17 hexadecimal digits")
    return value


def text(detail: Node, name: str, pattern: re.Pattern[str] | None = None) -> str:
    """A text of the detail that is not empty and matches ``pattern``. Raises EventError."""
    value = detail.get(name)
    if not isinstance(value, str) or not value or (pattern is not None and not pattern.fullmatch(value)):
        raise EventError(f"detail.{name}: {shown(value)} is not what EventBridge delivers there: send the event as it is")
    return value


def cluster_name(detail: Node) -> str:
    """The name in the detail's ``clusterArn``. Raises EventError."""
    name = text(detail, "clusterArn").rpartition("/")[2]
    if not CLUSTER_NAME.fullmatch(name):
        raise EventError(f"detail.clusterArn: {shown(detail['clusterArn'])} names no cluster: send the event as EventBridge delivers it")
    return name


def moment(value: Any, field: str = "time") -> datetime:
    """A time, in UTC, written as ISO 8601 or, as AWS Health does, as RFC 1123. Raises EventError."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        at = _rfc_1123(value, field, error)
    if at.tzinfo is None:
        raise EventError(f"{field}: {shown(value)} has no time zone: expected UTC such as 2026-11-24T03:00:00Z")
    try:
        at = at.astimezone(UTC)
        return at + SPOT_NOTICE - SPOT_NOTICE  # the deadline must be a time as well
    except OverflowError as error:
        raise EventError(f"{field}: {shown(value)} is out of range: expected UTC such as 2026-11-24T03:00:00Z") from error


def _rfc_1123(value: Any, field: str, cause: Exception) -> datetime:
    try:
        return parsedate_to_datetime(value)
    except (TypeError, ValueError, AttributeError, IndexError):
        raise EventError(f"{field}: {shown(value)} is not a time: expected UTC such as 2026-11-24T03:00:00Z") from cause


def shown(value: Any) -> str:
    """A value as it appears in an error: JSON, at most SHOWN characters."""
    try:
        found = json.dumps(value, default=str)
    except RecursionError:
        found = f"a deeply nested {type(value).__name__}"
    return found if len(found) <= SHOWN else f"{found[: SHOWN - 3]}..."
