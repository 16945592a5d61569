"""An EventBridge event becomes a Signal. Whatever is not an event we know is an error that says what and where.

Nothing an event says is trusted beyond its ids and its times. The ids come from ``detail``: the ARN in ``resources`` of a
Spot warning names a zone where the Region belongs and no account. A notice of AWS Health about several instances becomes one
signal for each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.core.signals import (
    HOOK_NAME,
    ChangeKind,
    DrainProgress,
    DrainSignal,
    InstanceState,
    InterruptionAction,
    Irrelevant,
    RebalanceRecommendation,
    ScheduledChange,
    SpotInterruption,
    Sweep,
    TerminateHook,
)
from bulwark.shell.parse_fields import (
    INSTANCE_ID,
    TOKEN,
    EventError,
    Node,
    cluster_name,
    detail_of,
    instance_id,
    json_object,
    moment,
    shown,
    text,
)

ACTIONS: dict[str, InterruptionAction] = {"terminate": "terminate", "stop": "stop", "hibernate": "hibernate"}
STATES = ("pending", "running", "stopping", "stopped", "shutting-down", "terminated")
ENDING = frozenset(STATES[2:])
"""States that an instance leaves the cluster by."""

Signals = tuple[DrainSignal, ...]


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
"""What the events of one function become: one of its signals."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """One delivery from SQS: signals or an error for each record, by message id."""

    signals: Mapping[str, tuple[T, ...]]
    errors: Mapping[str, str]


class Parse(Protocol[T_co]):
    """How a function's events become its signals."""

    def __call__(self, body: str, region: str = "", *, redelivered: bool = False) -> tuple[T_co, ...]:
        """The signals of one event, from its JSON. Raises EventError."""
        ...


def parse_batch(records: Sequence[Mapping[str, Any]], region: str = "", *, parse: Parse[T]) -> Batch[T]:
    """Parse every record on its own, so that a bad one takes no other with it. ``region``: the function's own."""
    signals: dict[str, tuple[T, ...]] = {}
    errors: dict[str, str] = {}
    for record in records:
        message_id = str(record["messageId"])
        try:
            signals[message_id] = parse(record.get("body", ""), region, redelivered=_redelivered(record))
        except EventError as error:
            errors[message_id] = str(error)
    return Batch(signals, errors)


def _redelivered(record: Mapping[str, Any]) -> bool:
    """Whether SQS has handed the record out before."""
    return str(record.get("attributes", {}).get("ApproximateReceiveCount", "1")) != "1"


Parsers = Mapping[tuple[str, str], Callable[[Node, str], tuple[T, ...]]]
"""What makes signals of an event, by source and detail-type; it gets the event and the function's own Region."""


def parse_by_kind(body: str, region: str, parsers: Parsers[T]) -> tuple[T, ...]:
    """Parse one EventBridge event from its JSON by the one of ``parsers`` that is for its kind. Raises EventError."""
    event = json_object(body)
    if "detail-type" not in event and event.get("Event") == "autoscaling:TEST_NOTIFICATION":
        raise EventError("Event: a TEST_NOTIFICATION of Auto Scaling, not an EventBridge event: remove that notification from this queue")
    detail_type, source = event.get("detail-type"), event.get("source")
    parser = parsers.get((source, detail_type)) if isinstance(source, str) and isinstance(detail_type, str) else None
    if parser is None:
        raise EventError(
            f"detail-type: {shown(detail_type)} from source {shown(source)} is unknown here: point only Bulwark's own rules at this queue"
        )
    return parser(event, region)


def parse_event(body: str, region: str = "", *, redelivered: bool = False) -> Signals:
    """Parse one EventBridge event for ``draining`` from its JSON. Raises EventError."""
    signals = parse_by_kind(body, region, _PARSERS)
    return tuple(replace(s, redelivered=redelivered) if isinstance(s, SpotInterruption) else s for s in signals)


def _spot(event: Node, _region: str) -> Signals:
    detail = detail_of(event)
    instance = instance_id(detail.get("instance-id"), "detail.instance-id")
    action = detail.get("instance-action")
    if not isinstance(action, str) or action not in ACTIONS:
        raise EventError(f"detail.instance-action: {shown(action)} is unknown: expected one of {', '.join(ACTIONS)}")
    return (SpotInterruption(instance, moment(event.get("time")), ACTIONS[action]),)


def _rebalance(event: Node, _region: str) -> Signals:
    instance = instance_id(detail_of(event).get("instance-id"), "detail.instance-id")
    return (RebalanceRecommendation(instance, moment(event.get("time"))),)


def _state(event: Node, _region: str) -> Signals:
    detail = detail_of(event)
    instance = instance_id(detail.get("instance-id"), "detail.instance-id")
    state = detail.get("state")
    if state not in STATES:
        raise EventError(f"detail.state: {shown(state)} is unknown: expected one of {', '.join(STATES)}")
    if state not in ENDING:
        return (Irrelevant(instance, f"it is {state}: it does not leave"),)
    return (InstanceState(instance, state, moment(event.get("time"))),)


def _terminate_hook(event: Node, _region: str) -> Signals:
    detail = detail_of(event)
    instance = instance_id(detail.get("EC2InstanceId"), "detail.EC2InstanceId")
    group, hook = text(detail, "AutoScalingGroupName"), text(detail, "LifecycleHookName")
    token, at = text(detail, "LifecycleActionToken", TOKEN), moment(event.get("time"))
    if hook != HOOK_NAME:
        return (Irrelevant(instance, f"hook {shown(hook)} of group {shown(group)} is somebody else's: only {HOOK_NAME} is answered"),)
    if detail.get("LifecycleTransition") != "autoscaling:EC2_INSTANCE_TERMINATING":
        return (Irrelevant(instance, f"transition {shown(detail.get('LifecycleTransition'))} is no termination"),)
    destination = detail.get("Destination", "EC2")
    if destination != "EC2" or "Action" in detail:
        where = detail.get("Action", destination)
        return (Irrelevant(instance, f"it goes on to {shown(where)}, which is no termination: the hook runs out by itself"),)
    return (TerminateHook(instance, group, at, token),)


def _health(event: Node, region: str) -> Signals:
    detail = detail_of(event)
    code = text(detail, "eventTypeCode")
    kind = _change(code)
    if detail.get("service") != "EC2" or kind is None:
        return (Irrelevant(code, "no scheduled change of an EC2 instance"),)
    if region and text(detail, "eventRegion") != region:
        return (Irrelevant(code, f"about {shown(detail['eventRegion'])}: another stack's Region, delivered here as a backup"),)
    if detail.get("statusCode") == "closed":
        return (Irrelevant(code, "AWS Health has closed it: nothing is going to happen"),)
    deadline = moment(detail.get("startTime"), "detail.startTime")
    entities = detail.get("affectedEntities", [])
    if not isinstance(entities, list):
        raise EventError(f"detail.affectedEntities: {shown(entities)} is no list: send the event as EventBridge delivers it")
    named = [entity.get("entityValue") if isinstance(entity, dict) else entity for entity in entities]
    if entities and not any(isinstance(value, str) and value for value in named):
        raise EventError(f"detail.affectedEntities: {shown(entities[0])} names nothing: send the event as EventBridge delivers it")
    instances = dict.fromkeys(i for i in map(_entity, entities) if i is not None)
    return tuple(ScheduledChange(i, kind, deadline) for i in instances) or (Irrelevant(code, "names no instance that is still affected"),)


def _change(code: str) -> ChangeKind | None:
    """What a type code of AWS Health announces."""
    if code in ("AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED", "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED"):
        return "retirement"
    if code == "AWS_EC2_INSTANCE_STOP_SCHEDULED":
        return "stop"
    return "maintenance" if code.startswith("AWS_EC2_") and code.endswith("_MAINTENANCE_SCHEDULED") else None


def _entity(entity: Any) -> str | None:
    """The instance id of an affected entity, which AWS gives as an id or as an ARN; None for what is no instance, or over."""
    value = entity.get("entityValue") if isinstance(entity, dict) else None
    found = value.rpartition("/")[2] if isinstance(value, str) else ""
    over = isinstance(entity, dict) and entity.get("status") == "RESOLVED"
    return found if INSTANCE_ID.fullmatch(found) and not over else None


def _progress(event: Node, _region: str) -> Signals:
    detail = detail_of(event)
    instance = instance_id(detail.get("ec2InstanceId"), "detail.ec2InstanceId")
    cluster = cluster_name(detail)
    attributes = detail.get("attributes", [])
    ours = isinstance(attributes, list) and any(isinstance(a, dict) and a.get("name") == DRAIN_ATTRIBUTE for a in attributes)
    if detail.get("status") != "DRAINING" or not ours:
        return (Irrelevant(instance, "not an instance that Bulwark drains"),)
    return (DrainProgress(cluster, instance),)


def sweep(event: Node, _region: str) -> tuple[Sweep, ...]:
    """The minute's sweep, which every function has. Raises EventError."""
    return (Sweep(moment(event.get("time"))),)


_PARSERS: Parsers[DrainSignal] = {
    ("aws.ec2", "EC2 Spot Instance Interruption Warning"): _spot,
    ("aws.ec2", "EC2 Instance Rebalance Recommendation"): _rebalance,
    ("aws.ec2", "EC2 Instance State-change Notification"): _state,
    ("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action"): _terminate_hook,
    ("aws.health", "AWS Health Event"): _health,
    ("aws.ecs", "ECS Container Instance State Change"): _progress,
    ("aws.events", "Scheduled Event"): sweep,
}
"""What the rules of ``draining`` deliver."""
