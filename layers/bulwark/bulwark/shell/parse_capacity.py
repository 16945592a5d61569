"""What the rules of ``capacity`` deliver becomes its signals: which cluster or group to look at, and nothing that is believed beyond that.

An alarm's cluster comes from the dimensions of its metrics, wherever in a metric math they stand; only of a composite alarm, which has
none, from its name. A placement failure's reason is not read: it names the first check that failed on the closest instance.
"""

import re
from collections.abc import Iterator
from typing import Any

from bulwark.core.capacity_alarms import PREFIX
from bulwark.core.signals import CapacitySignal, Irrelevant, LaunchFailure, PlacementFailure, Registration, ReservationAlarm
from bulwark.shell.parse import Parsers, parse_by_kind, sweep
from bulwark.shell.parse_fields import CLUSTER_NAME, EventError, Node, cluster_name, detail_of, instance_id, shown, text

RESERVATIONS = ("CPUReservation", "MemoryReservation", "GPUReservation")
"""Metrics of a cluster in namespace AWS/ECS that say what is reserved (ECS developer guide, CloudWatch metrics)."""

COMPOSITE = re.compile(rf"{re.escape(PREFIX)}({CLUSTER_NAME.pattern})/.+", re.DOTALL)
"""The name of a composite alarm that is about a cluster."""

SERVICE_ARN = re.compile(rf"arn:[^/]+:service/(?:{CLUSTER_NAME.pattern}/)?({CLUSTER_NAME.pattern})")
"""Old services have ARNs that do not name their cluster."""

TASK_ARN = re.compile(rf"arn:[^/]+:task/(?:{CLUSTER_NAME.pattern}/)?([0-9a-f-]{{32,36}})")

NOT_ROOM = ("CannotPullContainerError", "ResourceInitializationError")
"""Reasons why a task did not start that no other instance and no larger cluster changes (ECS developer guide, stopped task errors)."""

EXTERNAL = "mi-"
"""How the ids of machines begin that are registered through Systems Manager: no EC2 instance, and in no group."""

AS_IT_IS = "send the event as EventBridge delivers it"

Signals = tuple[CapacitySignal, ...]


def parse_capacity_event(body: str, region: str = "", *, redelivered: bool = False) -> Signals:  # noqa: ARG001  the same each time
    """Parse one EventBridge event for ``capacity`` from its JSON. Raises EventError."""
    return parse_by_kind(body, region, _PARSERS)


def _alarm(event: Node, _region: str) -> Signals:
    detail = detail_of(event)
    name = text(detail, "alarmName")
    configuration = detail.get("configuration")
    if not isinstance(configuration, dict):
        raise EventError(f"detail.configuration: {shown(configuration)} is not an object: {AS_IT_IS}")
    if "metrics" not in configuration:
        found = COMPOSITE.fullmatch(name)
        if found is None:
            return (Irrelevant(name, f"a composite alarm whose name says no cluster: name it {PREFIX}<cluster>/ and whatever you like"),)
        return (ReservationAlarm(found[1], name),)
    clusters = dict.fromkeys(_clusters(configuration["metrics"], event.get("account")))
    return tuple(ReservationAlarm(c, name) for c in clusters) or (Irrelevant(name, "on no reservation of a cluster of this account"),)


def _clusters(metrics: Any, account: Any) -> Iterator[str]:
    """The clusters whose reservation an alarm looks at. ``account``: our own; an alarm can look at another's metrics, too."""
    field = "detail.configuration.metrics"
    if not isinstance(metrics, list):
        raise EventError(f"{field}: {shown(metrics)} is no list: {AS_IT_IS}")
    for number, entry in enumerate(metrics):
        stat = entry.get("metricStat") if isinstance(entry, dict) else None
        metric = stat.get("metric") if isinstance(stat, dict) else None
        if not isinstance(metric, dict) or metric.get("namespace") != "AWS/ECS" or metric.get("name") not in RESERVATIONS:
            continue
        if entry.get("accountId", account) != account:
            continue
        where = f"{field}[{number}].metricStat.metric.dimensions"
        dimensions = metric.get("dimensions", {})
        if not isinstance(dimensions, dict):
            raise EventError(f"{where}: {shown(dimensions)} is not an object: {AS_IT_IS}")
        # Without the dimension the alarm is on a metric that does not exist: its maker's mistake, and no event of ours.
        if "ClusterName" in dimensions:
            yield _cluster(dimensions["ClusterName"], f"{where}.ClusterName")


def _cluster(value: Any, field: str) -> str:
    if not isinstance(value, str) or not CLUSTER_NAME.fullmatch(value):
        raise EventError(f"{field}: {shown(value)} is not a cluster's name: expected letters, digits, _ and -, 255 at most")
    return value


def _service_action(event: Node, _region: str) -> Signals:
    detail = detail_of(event)
    action, resources = text(detail, "eventName"), event.get("resources")
    if action != "SERVICE_TASK_PLACEMENT_FAILURE":
        return (Irrelevant(action, "an action of a service that is no placement failure"),)
    arn = resources[0] if isinstance(resources, list) and resources else resources
    found = SERVICE_ARN.fullmatch(arn) if isinstance(arn, str) else None
    if found is None:
        raise EventError(f"resources[0]: {shown(arn)} is not a service's ARN: {AS_IT_IS}")
    return (PlacementFailure(cluster_name(detail), found[1]),)


def _task(event: Node, _region: str) -> Signals:
    detail = detail_of(event)
    task = text(detail, "taskArn", TASK_ARN).rpartition("/")[2]
    if detail.get("lastStatus") != "STOPPED" or detail.get("stopCode") != "TaskFailedToStart":
        return (Irrelevant(task, "not a task that failed to start"),)
    if detail.get("launchType", "EC2") != "EC2":
        return (Irrelevant(task, f"it was to run on {shown(detail['launchType'])}, not on instances of a group"),)
    reason = detail.get("stoppedReason", "")
    if not isinstance(reason, str):
        raise EventError(f"detail.stoppedReason: {shown(reason)} is no text: {AS_IT_IS}")
    if any(word in reason for word in NOT_ROOM):
        return (Irrelevant(task, f"not for lack of room: {shown(reason)}"),)
    return (PlacementFailure(cluster_name(detail), task),)


def _launch(event: Node, _region: str) -> Signals:
    return (LaunchFailure(text(detail_of(event), "AutoScalingGroupName")),)


def _instance(event: Node, _region: str) -> Signals:
    detail = detail_of(event)
    given = detail.get("ec2InstanceId")
    if isinstance(given, str) and given.startswith(EXTERNAL):
        return (Irrelevant(given[:40], "no EC2 instance: an external one, in no group"),)
    instance = instance_id(given, "detail.ec2InstanceId")
    if detail.get("status") != "ACTIVE" or detail.get("agentConnected") is not True:
        return (Irrelevant(instance, "not an instance that has just registered"),)
    return (Registration(cluster_name(detail), instance),)


_PARSERS: Parsers[CapacitySignal] = {
    ("aws.cloudwatch", "CloudWatch Alarm State Change"): _alarm,
    ("aws.ecs", "ECS Service Action"): _service_action,
    ("aws.ecs", "ECS Task State Change"): _task,
    ("aws.autoscaling", "EC2 Instance Launch Unsuccessful"): _launch,
    ("aws.ecs", "ECS Container Instance State Change"): _instance,
    ("aws.events", "Scheduled Event"): sweep,
}
"""What the rules of ``capacity`` deliver."""
