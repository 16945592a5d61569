"""Bulwark's own alarms: they wake it between two sweeps when a cluster's reservation is high. Made and removed by the sweep."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bulwark.core.plan import Plan, PutAlarm, RemoveAlarm
from bulwark.core.policies import Policy

PREFIX = "bulwark/"
"""How the names of Bulwark's alarms begin; the cluster and the metric follow. What the role may delete rests on it."""

METRICS = ("CPUReservation", "MemoryReservation")
"""ECS's reservation metrics of a cluster that any cluster has (developer guide, CloudWatch metrics)."""

MOST = 255
"""Characters of an alarm's name (CloudWatch API reference, PutMetricAlarm)."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm of Bulwark's own on a cluster's reservation: metric, and threshold in percent."""

    name: str
    cluster: str
    metric: str
    threshold: int


def alarm_name(cluster: str, metric: str) -> str:
    """What Bulwark calls its alarm on ``metric`` of ``cluster``."""
    room = MOST - len(PREFIX) - len(metric) - 1
    if len(cluster) > room:
        # The middle goes: the metric has to be told, and of two clusters more than the beginning of their names.
        cluster = f"{cluster[: room - room // 2]}{cluster[-(room // 2) :]}"
    return f"{PREFIX}{cluster}/{metric}"


def decide_alarms(policies: Mapping[str, Policy], existing: Iterable[Alarm]) -> Plan:
    """Bring the alarms to what the policies of the opted-in clusters ask for. ``existing``: those that begin with PREFIX.

    Only what is named as Bulwark names its alarms is removed: a composite alarm somebody put under the prefix stays.
    """
    found = {a.name: a for a in existing}
    wanted = {
        alarm_name(cluster, metric): Alarm(alarm_name(cluster, metric), cluster, metric, policy.capacity.alarm_percent)
        for cluster, policy in policies.items()
        if policy.capacity.enabled and policy.capacity.alarm_percent
        for metric in METRICS
    }
    put = tuple(
        PutAlarm(name, alarm.cluster, alarm.metric, alarm.threshold, f"wakes Bulwark at {alarm.threshold} % reserved")
        for name, alarm in sorted(wanted.items())
        if found.get(name) != alarm
    )
    removed = tuple(
        RemoveAlarm(name, "its cluster has opted out, or the policy asks for no alarms")
        for name, alarm in sorted(found.items())
        if name not in wanted and name == alarm_name(alarm.cluster, alarm.metric)
    )
    return Plan((*put, *removed))
