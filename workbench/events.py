"""Event files: one EventBridge event each, checked before anything is woken by it."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_BYTES = 1024 * 1024
"""The largest file read: Lambda's limit for an asynchronous event is 1 MB, EventBridge's for an entry is lower still."""

ENVELOPE = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
"""What every event carries (EventBridge reference, "Event structure")."""

KNOWN_TYPES: Mapping[str, tuple[str, ...]] = {
    "aws.autoscaling": (
        "EC2 Auto Scaling Instance Refresh Cancelled",
        "EC2 Auto Scaling Instance Refresh Checkpoint Reached",
        "EC2 Auto Scaling Instance Refresh Failed",
        "EC2 Auto Scaling Instance Refresh Rollback Failed",
        "EC2 Auto Scaling Instance Refresh Rollback Started",
        "EC2 Auto Scaling Instance Refresh Rollback Succeeded",
        "EC2 Auto Scaling Instance Refresh Started",
        "EC2 Auto Scaling Instance Refresh Started Baking",
        "EC2 Auto Scaling Instance Refresh Succeeded",
        "EC2 Instance Detach Successful",
        "EC2 Instance Detach Unsuccessful",
        "EC2 Instance Launch Successful",
        "EC2 Instance Launch Unsuccessful",
        "EC2 Instance Terminate Successful",
        "EC2 Instance Terminate Unsuccessful",
        "EC2 Instance-launch Lifecycle Action",
        "EC2 Instance-terminate Lifecycle Action",
    ),
    "aws.cloudwatch": (
        "CloudWatch Alarm Configuration Change",
        "CloudWatch Alarm Contributor State Change",
        "CloudWatch Alarm State Change",
    ),
    "aws.ec2": (
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
        "EC2 Spot Instance Interruption Warning",
    ),
    "aws.ecs": (
        "ECS Container Instance Health Change",
        "ECS Container Instance State Change",
        "ECS Deployment State Change",
        "ECS Service Action",
        "ECS Task State Change",
    ),
    "aws.events": ("Scheduled Event",),
    "aws.health": ("AWS Health Event",),
}
"""The detail-types of the sources that Bulwark's rules draw on: with one of these sources, any other is a misspelling."""


class InputError(ValueError):
    """Something that was given cannot be used. The message is one line: where, what and the fix."""


class EventFileError(InputError):
    """A file that holds no event. The message is one line: file, field and fix."""


def read_event(path: Path) -> dict[str, Any]:
    """The event in a file, as parsed JSON. Raises EventFileError."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise EventFileError(f"{path}: no such file: give the path of a JSON file with one EventBridge event") from None
    except IsADirectoryError:
        raise EventFileError(f"{path}: a directory: name the event files in it, such as {path}/*.json") from None
    except OSError as error:
        raise EventFileError(f"{path}: cannot be read: {error.strerror}") from None
    event = _json(path, raw)
    if isinstance(event, list):
        raise EventFileError(f"{path}: a list: put each event into a file of its own and name the files in order")
    if not isinstance(event, dict):
        raise EventFileError(f"{path}: {type(event).__name__}, not an object: one EventBridge event, an object, is expected")
    # Auto Scaling's test notification has no envelope at all: say what it is rather than what it lacks.
    if "detail-type" not in event and event.get("Event") == "autoscaling:TEST_NOTIFICATION":
        raise EventFileError(f"{path}: Event: Auto Scaling's TEST_NOTIFICATION is no EventBridge event: replay one that is")
    for field in ("detail-type", "source"):
        if not isinstance(event.get(field), str) or not event[field]:
            found = "missing" if field not in event else f"{json.dumps(event[field])[:40]} is no text"
            raise EventFileError(f"{path}: {field}: {found}: set it as EventBridge does, for example {_EXAMPLE[field]!r}")
    return event


_EXAMPLE = {"detail-type": "EC2 Spot Instance Interruption Warning", "source": "aws.ec2"}


def _json(path: Path, raw: bytes) -> Any:
    """The file's content as JSON (UTF-8), or EventFileError."""
    if len(raw) > MAX_BYTES:
        raise EventFileError(f"{path}: more than {MAX_BYTES:,} bytes: no event is that large; give one EventBridge event")
    if not raw.strip():
        raise EventFileError(f"{path}: empty: put one EventBridge event, a JSON object, into it")
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        raise EventFileError(f"{path}: not JSON: {error.msg} (line {error.lineno}, column {error.colno}): mend it there") from None
    except UnicodeDecodeError as error:
        raise EventFileError(f"{path}: not JSON: byte {error.start} is not UTF-8: save the file as UTF-8") from None
    except (RecursionError, ValueError) as error:
        raise EventFileError(f"{path}: not JSON that can be read ({type(error).__name__}): give one EventBridge event") from None


def unmatched(path: str, event: Mapping[str, Any]) -> str | None:
    """What is wrong with an event that no rule matches: one line, or None if it is a sound event about something else.

    An event is taken for unsound if it lacks a field of the envelope, or if its source is one that Bulwark knows and its
    detail-type is none of that source's.
    """
    source, detail_type = event["source"], event["detail-type"]
    known = KNOWN_TYPES.get(source)
    if known is not None and detail_type not in known:
        near = difflib.get_close_matches(detail_type, known, n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known[:3])} and the like"
        return f"{path}: detail-type: no rule matches, and {source} sends no {detail_type[:80]!r}: {fix}"
    missing = [field for field in ENVELOPE if field not in event]
    if missing:
        event_name = f"{detail_type[:80]!r} from {source[:40]!r}"
        return f"{path}: {missing[0]}: missing, and no rule matches {event_name}: replay the event as AWS sends it"
    return None
