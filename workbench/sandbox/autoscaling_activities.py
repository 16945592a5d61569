"""Scaling activities: what an Auto Scaling group did and why, in the words Auto Scaling uses."""

import json
import uuid
from datetime import datetime
from typing import Any

SPOT_CAPACITY = (
    "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request configuration. "
    "There is no Spot capacity available that matches your request. Launching EC2 instance failed."
)
NO_CAPACITY = (
    "sufficient",
    "no spot capacity available",
    "unfulfillablecapacity",
    "insufficientinstancecapacity",
    "maxspotinstancecountexceeded",
    "vcpulimitexceeded",
    "vcpu capacity",
    "unable to fulfill capacity",
)
"""What a StatusMessage, in lower case, contains when a launch failed for want of capacity (user guide, troubleshooting)."""
PROTECTED = "Could not scale to desired capacity because all remaining instances are protected from scale in."
TERMINATION = "Terminating EC2 instance"
"""How the description of a termination begins."""

_NAMESPACE = uuid.UUID("5b1f0c1e-0000-4000-8000-000000000000")
"""The name space of this account's activity ids and lifecycle tokens: the same run gives the same ids."""


def steady_id(text: str) -> str:
    """A UUID made from ``text`` alone."""
    return str(uuid.uuid5(_NAMESPACE, text))


def on_demand_capacity(instance_type: str, zone: str) -> str:
    """What EC2 answers when a zone has no On-Demand capacity for a type (StatusMessage holds at most 255 characters)."""
    return (
        f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you requested ({zone}). "
        "Our system will be working on provisioning additional capacity. Launching EC2 instance failed."
    )


def without_capacity(message: str) -> bool:
    """Whether a StatusMessage tells of a want of capacity, and not of something that is wrong with what was asked for."""
    return any(text in message.lower() for text in NO_CAPACITY)


def moment(now: datetime) -> str:
    """``now`` as a Cause writes it."""
    return f"{now:%Y-%m-%dT%H:%M:%SZ}"


class Activities:
    """The scaling activities of one group, oldest first, each in the shape DescribeScalingActivities answers in."""

    def __init__(self, group: str, arn: str) -> None:
        """``group``: its name; ``arn``: its ARN."""
        self._group = group
        self._arn = arn
        self.records: list[dict[str, Any]] = []

    def start(self, now: datetime, description: str, cause: str, *, zone: str = "", subnet: str = "") -> dict[str, Any]:
        """Begin an activity at ``now`` (UTC); the record is InProgress until it is ended."""
        details = {k: v for k, v in (("Subnet ID", subnet), ("Availability Zone", zone)) if v}
        record: dict[str, Any] = {
            "ActivityId": steady_id(f"{self._group}/activity/{len(self.records)}"),
            "AutoScalingGroupName": self._group,
            "AutoScalingGroupARN": self._arn,
            "Description": description,
            "Cause": f"At {moment(now)} {cause}",
            "StartTime": now,
            "StatusCode": "InProgress",
            "Progress": 50,
            "Details": json.dumps(details),
        }
        self.records.append(record)
        return record

    def fail(self, now: datetime, description: str, cause: str, message: str, *, zone: str = "", subnet: str = "") -> None:
        """Record an attempt that failed at once, with EC2's or Auto Scaling's ``message``."""
        end(self.start(now, description, cause, zone=zone, subnet=subnet), now, message)

    def note(
        self, activity_id: str, description: str, cause: str, message: str, *, began: datetime, ended: datetime, details: object = None
    ) -> None:
        """Record a failed activity that somebody else tells of, with all it says; ``cause`` is a whole Cause. Times in UTC."""
        record = self.start(began, description, cause)
        record |= {"ActivityId": activity_id, "Cause": cause, "Details": json.dumps(details if isinstance(details, dict) else {})}
        end(record, ended, message)

    def under_way(self, instance_id: str, verb: str) -> dict[str, Any] | None:
        """The activity in progress that is called ``verb`` and names the instance, if there is one."""
        named = f"{verb}: {instance_id}"
        return next((r for r in reversed(self.records) if r["StatusCode"] == "InProgress" and r["Description"] == named), None)

    def end_about(self, instance_id: str, verb: str, now: datetime, message: str = "") -> None:
        """End the activity in progress that is called ``verb`` and names the instance; nothing if there is none."""
        record = self.under_way(instance_id, verb)
        if record is not None:
            end(record, now, message)


def end(record: dict[str, Any], now: datetime, message: str = "") -> None:
    """End an activity at ``now``: Successful, or Failed if there is a ``message`` (cut at the 255 characters it may have)."""
    record |= {"StatusCode": "Failed" if message else "Successful", "Progress": 100, "EndTime": now}
    if message:
        record["StatusMessage"] = message[:255]
