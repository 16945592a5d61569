"""What wakes ``capacity``: alarms by their metrics, failures by their ids, and one line about whatever is none of them."""

import contextlib
import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.core.capacity_alarms import METRICS, alarm_name
from bulwark.core.signals import CapacitySignal, Irrelevant, LaunchFailure, PlacementFailure, Registration, ReservationAlarm, Sweep
from bulwark.shell.parse import parse_batch
from bulwark.shell.parse_capacity import RESERVATIONS, parse_capacity_event
from bulwark.shell.parse_fields import EventError
from tests.builders import CLUSTER_ARN, SPOT

EVENTS = Path(__file__).resolve().parents[2] / "events"
TASK = "3c9d1b7f5a2e4d6c8b0a1f2e3d4c5b6a"
NAMES = (
    "composite_alarm",
    "container_instance_registered",
    "launch_unsuccessful",
    "placement_failure",
    "reservation_alarm",
    "reservation_alarm_math",
    "sweep",
    "task_failed_to_start",
)


def sample(name: str, **changes: Any) -> dict[str, Any]:
    """A sample event; ``changes`` go into its detail, None takes a field out."""
    event = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    detail = {**event["detail"], **changes}
    return {**event, "detail": {key: value for key, value in detail.items() if value is not None}}


def parsed(event: dict[str, Any]) -> tuple[CapacitySignal, ...]:
    """The signals of an event."""
    return parse_capacity_event(json.dumps(event), "us-east-1")


def metric(name: Any = "MemoryReservation", namespace: str = "AWS/ECS", dimensions: Any = None, **more: Any) -> dict[str, Any]:
    """One entry of an alarm's metrics, on cluster orders unless ``dimensions`` says otherwise."""
    at = {"ClusterName": "orders"} if dimensions is None else dimensions
    return {"id": "m", "metricStat": {"metric": {"namespace": namespace, "name": name, "dimensions": at}}, **more}


def an_alarm(*metrics: Any, name: str = "full", **configuration: Any) -> dict[str, Any]:
    """An alarm on these metrics."""
    return sample("reservation_alarm", alarmName=name, configuration={"metrics": list(metrics), **configuration})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("reservation_alarm", ReservationAlarm("orders", "orders-memory-reserved")),
        ("reservation_alarm_math", ReservationAlarm("orders", "orders-reserved")),
        ("composite_alarm", ReservationAlarm("orders", "bulwark/orders/pressure")),
        ("placement_failure", PlacementFailure("orders", "web")),
        ("task_failed_to_start", PlacementFailure("orders", TASK)),
        ("launch_unsuccessful", LaunchFailure("orders-spot")),
        ("container_instance_registered", Registration("orders", SPOT)),
        ("sweep", Sweep(datetime(2026, 11, 24, 12, tzinfo=UTC))),
    ],
)
def test_a_sample_becomes_its_signal(name: str, expected: CapacitySignal) -> None:
    """Names and ids, and nothing else."""
    assert (expected,) == parsed(sample(name))


@pytest.mark.parametrize("state", ["ALARM", "OK", "INSUFFICIENT_DATA"])
def test_an_alarm_counts_in_whatever_state_it_is(state: str) -> None:
    """It says where to look. OK may mean room, INSUFFICIENT_DATA an idle cluster, and neither is believed."""
    assert [ReservationAlarm("orders", "orders-memory-reserved")] == [*parsed(sample("reservation_alarm", state={"value": state}))]


@pytest.mark.parametrize("name", RESERVATIONS)
def test_every_reservation_metric_counts(name: str) -> None:
    """CPU, memory and GPU."""
    assert (ReservationAlarm("orders", "full"),) == parsed(an_alarm(metric(name)))


def test_an_alarm_on_several_clusters_is_a_signal_for_each() -> None:
    """Metric math can span clusters: each is looked at, once, whatever else is in the expression."""
    alarm = an_alarm(
        {"id": "e", "expression": "a+b"},
        metric(dimensions={"ClusterName": "orders"}),
        metric("CPUReservation", dimensions={"ClusterName": "billing"}),
        metric("CPUReservation", dimensions={"ClusterName": "orders"}),
        metric("CPUUtilization", dimensions={"ClusterName": "legacy"}),
        metric("CPUReservation", "Custom", {"ClusterName": "custom"}),
    )

    assert (ReservationAlarm("orders", "full"), ReservationAlarm("billing", "full")) == parsed(alarm)


@pytest.mark.parametrize("metric_name", METRICS)
def test_our_own_alarms_are_understood(metric_name: str) -> None:
    """Those that the sweep makes say their cluster by their metric; a composite over them by a name of the same form."""
    name = alarm_name("orders", metric_name)

    assert (ReservationAlarm("orders", name),) == parsed(an_alarm(metric(metric_name), name=name))
    assert (ReservationAlarm("orders", name),) == parsed(sample("composite_alarm", alarmName=name))


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (sample("composite_alarm", alarmName="orders/pressure"), "name it bulwark/<cluster>/"),
        (sample("composite_alarm", alarmName="bulwark/orders"), "name it bulwark/<cluster>/"),
        (sample("composite_alarm", alarmName="bulwark/or ders/x"), "name it bulwark/<cluster>/"),
        (sample("composite_alarm", alarmName="bulwark//x"), "name it bulwark/<cluster>/"),
        (an_alarm(name="bulwark/orders/none"), "no reservation"),
        (an_alarm(metric("CPUUtilization")), "no reservation"),
        (an_alarm(metric(namespace="AWS/ECS/ManagedScaling")), "no reservation"),
        (an_alarm(metric(dimensions={})), "no reservation"),
        (an_alarm(metric(accountId="210987654321")), "of this account"),
        (an_alarm({"id": "e", "expression": "1"}, 7, {"metricStat": 7}, {"metricStat": {"metric": []}}, metric(["a"])), "no reservation"),
        (sample("placement_failure", eventName="SERVICE_STEADY_STATE"), "no placement failure"),
        (sample("task_failed_to_start", stopCode="EssentialContainerExited"), "not a task that failed to start"),
        (sample("task_failed_to_start", stopCode=None), "not a task that failed to start"),
        (sample("task_failed_to_start", lastStatus="DEPROVISIONING"), "not a task that failed to start"),
        (sample("task_failed_to_start", launchType="FARGATE"), "FARGATE"),
        (sample("task_failed_to_start", stoppedReason="CannotPullContainerError: pull image manifest"), "lack of room"),
        (sample("task_failed_to_start", stoppedReason="ResourceInitializationError: unable to pull secrets"), "lack of room"),
        (sample("container_instance_registered", status="DRAINING"), "just registered"),
        (sample("container_instance_registered", status="REGISTERING"), "just registered"),
        (sample("container_instance_registered", agentConnected=False), "just registered"),
        (sample("container_instance_registered", agentConnected="true"), "just registered"),
        (sample("container_instance_registered", agentConnected=None), "just registered"),
        (sample("container_instance_registered", ec2InstanceId="mi-0123456789abcdef0"), "external"),
    ],
)
def test_what_does_not_ask_for_room_asks_nothing(event: dict[str, Any], says: str) -> None:
    """Another metric, another account, another launch type, a reason that no instance cures: a sound event, and nothing to do."""
    (signal,) = parsed(event)

    assert isinstance(signal, Irrelevant)
    assert says in signal.because


@pytest.mark.parametrize(
    "reason",
    [
        "TaskFailedToStart: RESOURCE:CPU",
        "TaskFailedToStart: EMPTY CAPACITY PROVIDER",
        "TaskFailedToStart: ATTRIBUTE",
        "something new",
        None,
    ],
)
def test_any_other_reason_is_looked_at_not_believed(reason: str | None) -> None:
    """A reason names the first failing check of the closest instance; whether there is room, the snapshot says."""
    assert (PlacementFailure("orders", TASK),) == parsed(sample("task_failed_to_start", stoppedReason=reason))


@pytest.mark.parametrize(
    "arn", [f"{CLUSTER_ARN}:service/web", f"{CLUSTER_ARN}:service/orders/web", "arn:aws-cn:ecs:cn-north-1:1:service/web"]
)
def test_a_service_is_known_by_either_form_of_its_arn(arn: str) -> None:
    """Old services have ARNs without their cluster, which comes from ``clusterArn``."""
    assert (PlacementFailure("orders", "web"),) == parsed({**sample("placement_failure"), "resources": [arn]})


def test_a_task_is_known_by_either_form_of_its_id() -> None:
    """A task of old has a UUID, and an ARN without its cluster."""
    old = "3c9d1b7f-5a2e-4d6c-8b0a-1f2e3d4c5b6a"

    assert (PlacementFailure("orders", old),) == parsed(sample("task_failed_to_start", taskArn=f"{CLUSTER_ARN}:task/{old}"))


def test_an_instance_s_age_does_not_matter_to_the_parser() -> None:
    """The rule lets only young registrations pass; what passes is one, whatever its version."""
    assert (Registration("orders", SPOT),) == parsed(sample("container_instance_registered", version=14801))


def altered(name: str, **envelope: Any) -> dict[str, Any]:
    """A sample event with other values in its envelope, None takes a field out."""
    return {key: value for key, value in {**sample(name), **envelope}.items() if value is not None}


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (sample("reservation_alarm", alarmName=None), "detail.alarmName: null"),
        (sample("reservation_alarm", alarmName=7), "detail.alarmName: 7"),
        (sample("reservation_alarm", configuration=None), "detail.configuration: null is not an object"),
        (sample("reservation_alarm", configuration={"metrics": "all"}), 'detail.configuration.metrics: "all" is no list'),
        (sample("reservation_alarm", configuration={"metrics": None}), "detail.configuration.metrics: null is no list"),
        (an_alarm({}, metric(dimensions=["orders"])), 'detail.configuration.metrics[1].metricStat.metric.dimensions: ["orders"]'),
        (an_alarm(metric(dimensions={"ClusterName": 7})), "detail.configuration.metrics[0].metricStat.metric.dimensions.ClusterName: 7"),
        (an_alarm(metric(dimensions={"ClusterName": "a b"})), "not a cluster's name"),
        (an_alarm(metric(dimensions={"ClusterName": "orders\n"})), "not a cluster's name"),
        (altered("reservation_alarm", detail=[]), "detail: [] is not an object"),
        (sample("placement_failure", eventName=None), "detail.eventName: null"),
        (sample("placement_failure", clusterArn=None), "detail.clusterArn: null"),
        (sample("placement_failure", clusterArn="arn:aws:ecs:us-east-1:1:cluster/a b"), "names no cluster"),
        (altered("placement_failure", resources=None), "resources[0]: null is not a service's ARN"),
        (altered("placement_failure", resources=[]), "resources[0]: [] is not a service's ARN"),
        (altered("placement_failure", resources=[7]), "resources[0]: 7 is not a service's ARN"),
        (altered("placement_failure", resources=[f"{CLUSTER_ARN}:task/orders/web"]), "is not a service's ARN"),
        (altered("placement_failure", resources=[f"{CLUSTER_ARN}:service/orders/web; rm"]), "is not a service's ARN"),
        (sample("task_failed_to_start", taskArn=None), "detail.taskArn: null"),
        (sample("task_failed_to_start", taskArn=f"{CLUSTER_ARN}:task/orders/x"), "detail.taskArn"),
        (sample("task_failed_to_start", clusterArn=None), "detail.clusterArn: null"),
        (sample("task_failed_to_start", stoppedReason=["RESOURCE:CPU"]), "detail.stoppedReason"),
        (sample("launch_unsuccessful", AutoScalingGroupName=None), "detail.AutoScalingGroupName: null"),
        (sample("launch_unsuccessful", AutoScalingGroupName=""), "detail.AutoScalingGroupName"),
        (sample("container_instance_registered", ec2InstanceId=None), "detail.ec2InstanceId: null"),
        (sample("container_instance_registered", ec2InstanceId="web-1"), "detail.ec2InstanceId"),
        (sample("container_instance_registered", clusterArn="orders; rm"), "detail.clusterArn"),
        (altered("sweep", time="soon"), 'time: "soon" is not a time'),
        (altered("sweep", source="my.app"), 'from source "my.app" is unknown here'),
        (sample("spot_interruption_warning"), "is unknown here: point only Bulwark's own rules at this queue"),
    ],
)
def test_a_malformed_event_names_its_field(event: dict[str, Any], says: str) -> None:
    """One line: where, what and the fix."""
    with pytest.raises(EventError) as raised:
        parsed(event)

    line = str(raised.value)
    assert says in line
    assert ": " in line.removeprefix(says)
    assert "\n" not in line
    assert len(line) < 400


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
SAMPLES = [sample(name) for name in NAMES]


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every container in an event with a key or an index into it."""
    if isinstance(node, dict):
        return [(node, key) for key in sorted(node)] + [found for inner in node.values() for found in places(inner)]
    if isinstance(node, list):
        return [(node, index) for index in range(len(node))] + [found for inner in node for found in places(inner)]
    return []


@given(st.sampled_from(SAMPLES), st.data())
def test_no_value_anywhere_in_any_event_breaks_the_parser(event: dict[str, Any], data: st.DataObject) -> None:
    """Any JSON in the place of any part, however deep, gives signals or an EventError of one line, never another exception."""
    broken = copy.deepcopy(event)
    node, key = data.draw(st.sampled_from(places(broken)))
    node[key] = data.draw(JSON)
    with contextlib.suppress(EventError):
        assert parsed(broken)


def test_T5_a_bad_record_leaves_the_others_of_its_batch_alone() -> None:
    """Hazard T5: both functions share how a delivery is taken apart, each record on its own."""
    records: list[dict[str, Any]] = [
        {"messageId": "bad", "body": json.dumps(sample("spot_interruption_warning"))},
        {"messageId": "good", "body": json.dumps(sample("placement_failure")), "attributes": {"ApproximateReceiveCount": "2"}},
    ]

    batch = parse_batch(records, parse=parse_capacity_event)

    assert {"good": (PlacementFailure("orders", "web"),)} == batch.signals
    assert ["bad"] == [*batch.errors]
