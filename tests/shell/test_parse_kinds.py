"""Each kind of event, with the traps that AWS puts into it."""

import contextlib
import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.core.signals import (
    DrainProgress,
    DrainSignal,
    InstanceState,
    Irrelevant,
    RebalanceRecommendation,
    ScheduledChange,
    Sweep,
    TerminateHook,
)
from bulwark.shell.parse import parse_event
from bulwark.shell.parse_fields import EventError
from tests.builders import SPOT, TOKEN

EVENTS = Path(__file__).resolve().parents[2] / "events"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def sample(name: str, **changes: Any) -> dict[str, Any]:
    """A sample event; ``changes`` go into its detail, None takes a field out."""
    event = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    detail = {**event["detail"], **changes}
    return {**event, "detail": {key: value for key, value in detail.items() if value is not None}}


def parsed(event: dict[str, Any], region: str = "us-east-1") -> tuple[DrainSignal, ...]:
    """The signals of an event."""
    return parse_event(json.dumps(event), region)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rebalance_recommendation", RebalanceRecommendation(SPOT, NOON)),
        ("terminate_lifecycle_action", TerminateHook(SPOT, "orders-spot", NOON, TOKEN)),
        ("instance_terminated", InstanceState(SPOT, "terminated", NOON)),
        ("instance_shutting_down", InstanceState(SPOT, "shutting-down", NOON)),
        ("container_instance_progress", DrainProgress("orders", SPOT)),
        ("sweep", Sweep(NOON)),
        ("health_retirement", ScheduledChange(SPOT, "retirement", NOON + timedelta(days=14))),
        ("health_maintenance", ScheduledChange(SPOT, "maintenance", datetime(2026, 11, 26, 2, tzinfo=UTC))),
    ],
)
def test_a_sample_becomes_its_signal(name: str, expected: DrainSignal) -> None:
    """Ids and times, and nothing else."""
    assert (expected,) == parsed(sample(name))


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (sample("terminate_lifecycle_action", LifecycleHookName="ecs-managed-draining-termination-hook"), "somebody else's"),
        (sample("terminate_lifecycle_action", LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING"), "no termination"),
        (sample("terminate_lifecycle_action_warm_pool"), "WarmPool"),
        (sample("terminate_lifecycle_action", Destination="AutoScalingGroup", Action="ReplaceRootVolume"), "ReplaceRootVolume"),
        (sample("health_backup_region"), "us-east-2"),
        (sample("health_retirement", statusCode="closed"), "closed"),
        (sample("health_retirement", affectedEntities=[{"entityValue": SPOT, "status": "RESOLVED"}]), "names no instance"),
        (sample("health_retirement", affectedEntities=[{"entityValue": "vol-0aaa0000000000001"}]), "names no instance"),
        (sample("health_retirement", affectedEntities=[]), "names no instance"),
        (sample("health_retirement", service="RDS"), "no scheduled change"),
        (sample("health_retirement", eventTypeCode="AWS_EC2_OPERATIONAL_ISSUE"), "no scheduled change"),
        (sample("container_instance_progress", status="ACTIVE"), "not an instance that Bulwark drains"),
        (sample("container_instance_not_ours"), "not an instance that Bulwark drains"),
        (sample("instance_terminated", state="running"), "does not leave"),
    ],
)
def test_T12_what_is_none_of_ours_asks_nothing(event: dict[str, Any], says: str) -> None:
    """Hazard T12 and its like: another's hook, a warm pool, another Region, what is over: a sound event, and nothing to do."""
    (signal,) = parsed(event)

    assert isinstance(signal, Irrelevant)
    assert says in signal.because


def test_a_notice_about_several_instances_is_one_signal_for_each() -> None:
    """Ids and whole ARNs, duplicates once, resolved ones not at all; one that names nothing takes no other with it."""
    other = "i-0bbb0000000000002"
    entities = [
        {"entityValue": SPOT, "status": "PENDING"},
        {"entityValue": f"arn:aws:ec2:us-east-1:123456789012:instance/{other}"},
        {"entityValue": f"arn:aws:ec2:us-east-1:123456789012:instance/{SPOT}", "status": "IMPAIRED"},
        {"entityValue": "i-0ccc0000000000003", "status": "RESOLVED"},
        {"status": "PENDING"},
    ]

    found = parsed(sample("health_retirement", affectedEntities=entities))

    assert [SPOT, other] == [s.instance_id for s in found if isinstance(s, ScheduledChange)]


def test_every_page_of_a_notice_counts_by_itself() -> None:
    """A notice that is split over pages comes as several events: each names its own instances."""
    assert parsed(sample("health_retirement")) == parsed(sample("health_retirement", page="2", totalPages="3"))


def test_the_region_of_the_notice_counts_not_where_it_was_delivered() -> None:
    """Every notice is also delivered to a backup Region."""
    (signal,) = parsed(sample("health_backup_region"), region="us-east-2")

    assert ScheduledChange(SPOT, "stop", NOON + timedelta(days=14)) == signal


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("rebalance_recommendation", {"instance-id": "web-1"}, "detail.instance-id"),
        ("instance_terminated", {"state": "exploded"}, "detail.state"),
        ("terminate_lifecycle_action", {"EC2InstanceId": None}, "detail.EC2InstanceId: null"),
        ("terminate_lifecycle_action", {"LifecycleActionToken": None}, "detail.LifecycleActionToken: null"),
        ("terminate_lifecycle_action", {"LifecycleActionToken": "a b"}, "detail.LifecycleActionToken"),
        ("terminate_lifecycle_action", {"AutoScalingGroupName": ""}, "detail.AutoScalingGroupName"),
        ("terminate_lifecycle_action", {"LifecycleHookName": 7}, "detail.LifecycleHookName: 7"),
        ("health_retirement", {"startTime": None}, "detail.startTime: null"),
        ("health_retirement", {"startTime": "soon"}, 'detail.startTime: "soon" is not a time'),
        ("health_retirement", {"affectedEntities": "all"}, "detail.affectedEntities"),
        ("health_retirement", {"affectedEntities": [7]}, "detail.affectedEntities: 7"),
        ("health_retirement", {"eventRegion": None}, "detail.eventRegion: null"),
        ("health_retirement", {"eventTypeCode": None}, "detail.eventTypeCode: null"),
        ("container_instance_progress", {"ec2InstanceId": None}, "detail.ec2InstanceId"),
        ("container_instance_progress", {"clusterArn": "arn:aws:ecs:us-east-1:1:cluster/a b"}, "detail.clusterArn"),
    ],
)
def test_a_malformed_event_names_its_field(name: str, changes: dict[str, Any], says: str) -> None:
    """One line: where, what and the fix."""
    with pytest.raises(EventError) as raised:
        parsed(sample(name, **changes))

    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
SAMPLES = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(EVENTS.glob("*.json"))]


@given(st.sampled_from(SAMPLES), st.data())
def test_no_value_of_any_field_of_any_event_breaks_the_parser(event: dict[str, Any], data: st.DataObject) -> None:
    """Any JSON in any field of the envelope or the detail gives a signal or an EventError, never another exception."""
    broken = copy.deepcopy(event)
    where = data.draw(st.sampled_from([broken, broken["detail"]]))
    if where:
        where[data.draw(st.sampled_from(sorted(where)))] = data.draw(JSON)
    with contextlib.suppress(EventError):
        assert parsed(broken)
