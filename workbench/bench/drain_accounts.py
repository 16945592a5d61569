"""The accounts and events for the figures of a drain: what a group ends, the sweep, and a Spot warning's two minutes."""

import dataclasses
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from workbench.bench.accounts import Function, instance_id
from workbench.bench.artifact import ROOT
from workbench.bench.recorder import Recorder, per_operation
from workbench.events import read_event
from workbench.sandbox import Scenario
from workbench.sandbox.scenario import read_scenario
from workbench.wake import sqs_batch

HOOK: Mapping[str, Any] = {"name": "bulwark-drain", "heartbeat": 300, "default_result": "CONTINUE"}
"""Bulwark's terminate hook, as the sweep puts it on a group."""

KINDS = ("busy", "empty", "daemon only", "busy, no daemon on it")
"""What the first instances of ``hooked_account`` hold: work beside a daemon's task, nothing, a daemon's task, work alone.

The cluster has one daemon service. Of the last, its count does not say whether that one task is the daemon's.
"""

ROLES = ("busy", "empty", "daemon", "lone")
"""The attribute ``role`` of these instances, in the order of KINDS."""

WARNED = instance_id(0)
"""The instance that gets the Spot warning of ``spot_account``."""

MEMBERS = 4
"""Instances of ``spot_account``."""


def hooked_account(clusters: int, instances: int) -> Scenario:
    """``clusters`` clusters of ``instances`` each; the group of the first has the hook, and one instance of each of KINDS."""
    return read_scenario({"clusters": [_hooked(n, instances) if n == 0 else _plain(n, instances) for n in range(clusters)]}, "bench")


def plain_account(clusters: int, instances: int, start: datetime) -> Scenario:
    """``clusters`` clusters of ``instances`` each, nothing on them, as they are at ``start`` (UTC)."""
    return dataclasses.replace(read_scenario({"clusters": [_plain(n, instances) for n in range(clusters)]}, "bench"), start=start)


def stuck_account(instances: int, start: datetime) -> Scenario:
    """One cluster of ``instances`` whose group has the hook, each with a task that ECS may neither stop nor start first."""
    cluster = _plain(0, instances)
    cluster["groups"][0]["hooks"] = [dict(HOOK)]
    cluster["instances"] = [{"id": instance_id(n), "group": "group-0"} for n in range(instances)]
    locked = {"name": "ledger", "desired": instances, "min_healthy": 100, "max_percent": 100, "constraints": ["distinctInstance"]}
    cluster["services"] = [locked, {"name": "logs", "daemon": True, "cpu": 64, "memory": 128}]
    return dataclasses.replace(read_scenario({"clusters": [cluster]}, "bench"), start=start)


def spot_account(*, room: bool, spot_draining: bool) -> Scenario:
    """A service ``web`` and a daemon on a group of MEMBERS Spot instances.

    With ``room`` each instance takes four tasks of ``web`` and has two; without, each takes one and has it. ``spot_draining``:
    the agents set themselves DRAINING at a warning.
    """
    group = {"name": "spot", "min": 0, "desired": MEMBERS, "max": 3 * MEMBERS, "spot_draining": spot_draining}
    size = {"desired": 2 * MEMBERS, "cpu": 448, "memory": 1024} if room else {"desired": MEMBERS, "cpu": 1536, "memory": 6144}
    cluster = {
        "name": "spot",
        "groups": [group],
        "instances": [{"id": instance_id(n), "group": "spot"} for n in range(MEMBERS)],
        "services": [{"name": "web", **size}, {"name": "logs", "daemon": True, "cpu": 64, "memory": 128}],
    }
    return read_scenario({"clusters": [cluster]}, "bench")


def _plain(number: int, instances: int) -> dict[str, Any]:
    """One cluster with its group, and nothing on it."""
    return {"name": f"cluster-{number}", "groups": [{"name": f"group-{number}", "min": 0, "desired": instances, "max": 3 * instances}]}


def _hooked(number: int, instances: int) -> dict[str, Any]:
    """The cluster whose instances the group ends."""
    cluster = _plain(number, instances)
    group = cluster["groups"][0]
    group["hooks"] = [dict(HOOK)]
    cluster["instances"] = [{"id": instance_id(n), "group": group["name"], "attributes": {"role": r}} for n, r in enumerate(ROLES)]
    cluster["services"] = [
        {"name": "web", "desired": 2, "constraints": ["attribute:role in [busy, lone]", "distinctInstance"]},
        {"name": "logs", "daemon": True, "cpu": 64, "memory": 128, "constraints": ["attribute:role in [busy, daemon]"]},
    ]
    return cluster


def lifecycle_event(instance: str, group: str, now: datetime) -> dict[str, Any]:
    """The hook of ``group`` holds ``instance``, with a token of its own."""
    token = str(uuid.uuid5(uuid.NAMESPACE_OID, instance))
    about = {"EC2InstanceId": instance, "AutoScalingGroupName": group, "LifecycleActionToken": token}
    return _sample("terminate_lifecycle_action", now, **about)


def spot_warning(instance: str, now: datetime) -> dict[str, Any]:
    """EC2 is going to take ``instance``."""
    return _sample("spot_interruption_warning", now, **{"instance-id": instance})


def sweep_event(now: datetime) -> dict[str, Any]:
    """A minute has passed."""
    return _sample("sweep", now)


def progress_events(instance: str, now: datetime) -> dict[str, dict[str, Any]]:
    """What ECS says of ``instance`` if it drains without Bulwark's mark, and if it carries one and does not drain, by what it is."""
    return {
        "drained by somebody else": _sample("container_instance_not_ours", now, ec2InstanceId=instance),
        "not draining": _sample("container_instance_progress", now, ec2InstanceId=instance, status="ACTIVE"),
    }


def _sample(name: str, now: datetime, **detail: Any) -> dict[str, Any]:
    """The event in events/<name>.json, sent at ``now``, with these fields of its detail."""
    event = read_event(ROOT / "events" / f"{name}.json")
    return {**event, "id": str(uuid.uuid4()), "time": f"{now:%Y-%m-%dT%H:%M:%SZ}", "detail": {**event["detail"], **detail}}


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """The AWS calls of one delivery. ``order``: as they were made. ``undone``: records that went back to the queue."""

    order: tuple[str, ...]
    operations: dict[str, int]
    undone: int


def cost_of(recorder: Recorder, function: Function, events: Sequence[Mapping[str, Any]], now: datetime) -> Cost:
    """Hand ``events`` to the function in one delivery, as Lambda's poller shapes it, and count its calls. ``recorder`` is installed."""
    delivered = sqs_batch({str(uuid.uuid4()): json.dumps(event) for event in events}, "DrainingQueue", now)
    with recorder.recording() as calls:
        answer = function.invoke(delivered)
    return Cost(tuple(call.operation for call in calls), per_operation(calls), len(answer["batchItemFailures"]))
