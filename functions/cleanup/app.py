"""Deletes Bulwark's alarms when the stack is deleted: the sweep makes them, so CloudFormation does not know of them.

A custom resource. CloudFormation waits until an answer is put to the URL that it sends, so one is put there whatever happens.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import boto3
from aws_lambda_powertools import Logger

from bulwark.core.capacity_alarms import PREFIX, alarm_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudwatch import CloudWatchClient

AT_ONCE = 100
"""Alarms that one call deletes at most (CloudWatch API reference, DeleteAlarms)."""

PHYSICAL_ID = "bulwark-alarms"
"""The same for ever: another one would make CloudFormation delete what it takes for the old resource, in the middle of an update."""

PATIENCE = 10
"""Seconds for the answer to get through; if it does not, Lambda invokes the function again, twice."""

LONGEST = 1000
"""Characters of a reason: the whole answer may have 4 KB (CloudFormation user guide, custom resource response objects)."""

logger = Logger()


def lambda_handler(event: dict[str, Any], _context: Any) -> None:
    """One request of CloudFormation."""
    respond(event, boto3.client("cloudwatch"))


def respond(event: Mapping[str, Any], cloudwatch: CloudWatchClient) -> None:
    """Do what is asked for, and answer. Raises OSError if the answer does not get through."""
    answer = {
        "Status": "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId", PHYSICAL_ID),
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    if event["RequestType"] == "Delete":
        try:
            delete_alarms(cloudwatch)
        except Exception as error:  # noqa: BLE001  without an answer CloudFormation would wait until it gives up
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
            logger.error("alarms not removed", extra={"error": reason})  # noqa: TRY400  one line, not a traceback
            answer |= {"Status": "FAILED", "Reason": f"Alarms named {PREFIX}... could not be deleted: {reason}"}
    # The URL is signed without a content type, so none may be sent; urllib makes one up unless it is told.
    request = Request(event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT")  # noqa: S310  CloudFormation's
    with urlopen(request, timeout=PATIENCE):  # noqa: S310  as above
        pass


def delete_alarms(cloudwatch: CloudWatchClient) -> None:
    """Delete every alarm that is named as Bulwark names its own. Raises what AWS raised.

    A composite alarm is somebody's, and so is another metric alarm under the same prefix: those stay.
    """
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=PREFIX, AlarmTypes=["MetricAlarm"])
    names = [a["AlarmName"] for page in pages for a in page["MetricAlarms"] if _ours(a)]
    for start in range(0, len(names), AT_ONCE):
        cloudwatch.delete_alarms(AlarmNames=names[start : start + AT_ONCE])


def _ours(alarm: Mapping[str, Any]) -> bool:
    """Whether the alarm's name is what Bulwark calls one on its metric and its cluster."""
    cluster = next((d["Value"] for d in alarm.get("Dimensions", ()) if d["Name"] == "ClusterName"), "")
    return bool(alarm["AlarmName"] == alarm_name(cluster, alarm.get("MetricName", "")))
