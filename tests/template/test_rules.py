"""Each sample event triggers the rules it is a sample of and no other, each rule has a sample, and none wakes for what is not ours."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from bulwark.core.capacity_alarms import METRICS, PREFIX, alarm_name
from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.core.signals import HOOK_NAME
from bulwark.shell.act_capacity import NAMESPACE
from bulwark.shell.parse_capacity import RESERVATIONS
from tests.template.iam import like, statements
from tests.template.translated import Stack
from workbench.template import Rule, load_rules, rules_for

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "events"

MEANT_FOR: dict[str, set[str]] = {
    "composite_alarm.json": {"CompositeAlarmRule"},
    "container_instance_not_ours.json": set(),  # somebody else's drain
    "container_instance_progress.json": {"DrainProgressRule"},
    "container_instance_registered.json": {"RegistrationRule"},
    "health_backup_region.json": {"ScheduledChangeRule"},  # which Region it is about, only the function can compare
    "health_maintenance.json": {"ScheduledChangeRule"},
    "health_retirement.json": {"ScheduledChangeRule"},
    "instance_shutting_down.json": {"InstanceStateRule"},
    "instance_terminated.json": {"InstanceStateRule"},
    "launch_unsuccessful.json": {"LaunchFailureRule"},
    "placement_failure.json": {"PlacementFailureRule"},
    "rebalance_recommendation.json": {"RebalanceRule"},
    "reservation_alarm.json": {"ReservationAlarmRule"},
    "reservation_alarm_math.json": {"ReservationAlarmRule"},
    "spot_interruption_warning.json": {"SpotInterruptionRule"},
    "spot_interruption_warning_foreign.json": {"SpotInterruptionRule"},
    "spot_interruption_warning_stop.json": {"SpotInterruptionRule"},
    "sweep.json": {"SweepRule"},
    "task_failed_to_start.json": {"TaskFailedToStartRule"},
    "terminate_lifecycle_action.json": {"TerminateHookRule"},
    "terminate_lifecycle_action_warm_pool.json": {"TerminateHookRule"},  # the function knows it from where the instance goes
}
"""Which rules each file in events/ is a sample of."""

SPOT = sorted(name for name, meant in MEANT_FOR.items() if "SpotInterruptionRule" in meant)

MAX_PATTERN = 2048
"""The most characters that an event pattern may have (EventBridge quotas)."""

ENVELOPE = {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}


@pytest.fixture(scope="module")
def rules() -> tuple[Rule, ...]:
    """The rules of template.yaml."""
    return load_rules()


def sample(name: str) -> dict[str, Any]:
    """The sample event in a file of events/."""
    event = json.loads((EVENTS / name).read_text(encoding="utf-8"))
    assert isinstance(event, dict)
    return event


def test_every_sample_is_accounted_for() -> None:
    """A new file in events/ must say here which rules it is for."""
    assert {path.name for path in EVENTS.iterdir()} == set(MEANT_FOR)


@pytest.mark.parametrize("name", sorted(MEANT_FOR))
def test_a_sample_triggers_its_rules_and_no_other(rules: tuple[Rule, ...], name: str) -> None:
    """The rules that match the sample are exactly those it is meant for."""
    assert {rule.name for rule in rules_for(rules, sample(name))} == MEANT_FOR[name]


def test_every_rule_has_a_sample(rules: tuple[Rule, ...]) -> None:
    """No rule of the template goes without an event that triggers it."""
    assert rules
    assert {rule.name for rule in rules} == set().union(*MEANT_FOR.values())


@pytest.mark.parametrize("name", sorted(MEANT_FOR))
def test_a_sample_is_a_whole_event(name: str) -> None:
    """Samples carry every field of EventBridge's envelope, and no other."""
    assert sample(name).keys() == ENVELOPE


@pytest.mark.parametrize("name", SPOT)
def test_spot_samples_keep_the_trap_in_the_arn(name: str) -> None:
    """A Spot warning's ARN carries a zone where the Region belongs and no account, as AWS sends it."""
    event = sample(name)
    (arn,) = event["resources"]
    assert arn.split(":")[3] in {f"{event['region']}{zone}" for zone in "abc"}
    assert arn == f"arn:aws:ec2:{arn.split(':')[3]}:instance/{event['detail']['instance-id']}"


def test_patterns_are_within_aws_limit(rules: tuple[Rule, ...]) -> None:
    """EventBridge refuses a pattern of more than 2,048 characters."""
    for rule in rules:
        assert len(json.dumps(rule.source)) <= MAX_PATTERN, rule.name


def test_events_are_delivered_through_their_queue(rules: tuple[Rule, ...]) -> None:
    """Events come in bursts: they are batched by a queue of the function, which also keeps what could not be handled."""
    assert {(rule.delivery, rule.queue, rule.function.stem) for rule in rules} == {
        ("sqs", "DrainingQueue", "draining"),
        ("sqs", "CapacityQueue", "capacity"),
    }


def test_only_the_sweep_wakes_more_than_one_function(rules: tuple[Rule, ...]) -> None:
    """Every other rule is one function's: what the other needs of it, its own sweep sees."""
    reached = {name: [rule.function.stem for rule in rules if rule.name == name] for name in {rule.name for rule in rules}}
    assert sorted(reached.pop("SweepRule")) == ["capacity", "draining"]
    assert {len(stems) for stems in reached.values()} == {1}


def test_another_event_of_the_same_source_triggers_nothing(rules: tuple[Rule, ...]) -> None:
    """An EC2 event of another detail-type, or the same detail-type from elsewhere, is not the Spot rule's business."""
    event = sample("spot_interruption_warning.json")
    assert rules_for(rules, {**event, "detail-type": "EC2 Instance Terminated Just Now"}) == []
    assert rules_for(rules, {**event, "source": "my.app"}) == []


def changed(name: str, **detail: Any) -> dict[str, Any]:
    """The sample in a file of events/, with other values in its detail."""
    event = sample(name)
    return {**event, "detail": {**event["detail"], **detail}}


def in_alarm(metric: dict[str, Any]) -> dict[str, Any]:
    """The sample of an alarm, on another metric: ``metric`` over what it is on."""
    event = sample("reservation_alarm.json")
    (entry,) = event["detail"]["configuration"]["metrics"]
    entry["metricStat"]["metric"] |= metric
    return event


@pytest.mark.parametrize(
    "event",
    [
        changed("terminate_lifecycle_action.json", LifecycleHookName="ecs-managed-draining-termination-hook"),
        changed("terminate_lifecycle_action.json", LifecycleHookName="bulwark-drain-2"),
        {**sample("terminate_lifecycle_action.json"), "detail-type": "EC2 Instance-launch Lifecycle Action"},
        changed("container_instance_progress.json", status="ACTIVE"),
        changed("container_instance_progress.json", attributes=[{"name": "team", "value": DRAIN_ATTRIBUTE}]),
        changed("container_instance_progress.json", attributes=[]),
        changed("instance_terminated.json", state="running"),
        changed("instance_terminated.json", state="pending"),
        changed("health_retirement.json", eventTypeCategory="issue"),
        changed("health_retirement.json", service="RDS"),
        changed("health_retirement.json", eventTypeCode="AWS_EC2_INSTANCE_REBOOT_COMPLETED"),
        in_alarm(metric={"name": "CPUUtilization"}),
        in_alarm(metric={"namespace": "AWS/ECS/ManagedScaling"}),
        changed("composite_alarm.json", alarmName="orders/pressure"),
        changed("composite_alarm.json", alarmName="Bulwark/orders/pressure"),
        changed("placement_failure.json", eventName="SERVICE_STEADY_STATE"),
        changed("task_failed_to_start.json", stopCode="EssentialContainerExited"),
        changed("task_failed_to_start.json", lastStatus="DEPROVISIONING"),
        changed("task_failed_to_start.json", launchType="FARGATE"),
        {**sample("launch_unsuccessful.json"), "detail-type": "EC2 Instance Launch Successful"},
        changed("container_instance_registered.json", version=10),
        changed("container_instance_registered.json", agentConnected=False),
        changed("container_instance_registered.json", status="DRAINING"),
        changed("container_instance_registered.json", ec2InstanceId="mi-0123456789abcdef0"),
        {**sample("sweep.json"), "resources": ["arn:aws:events:us-east-1:123456789012:rule/another-rule-of-this-account"]},
    ],
)
def test_what_asks_nothing_of_us_wakes_nobody(rules: tuple[Rule, ...], event: dict[str, Any]) -> None:
    """Another hook's event, an instance that serves, somebody else's drain, a closed matter: no rule matches, so it costs nothing."""
    assert rules_for(rules, event) == []


@pytest.mark.parametrize("state", ["stopping", "stopped", "shutting-down", "terminated"])
def test_every_way_out_of_the_cluster_wakes_the_function(rules: tuple[Rule, ...], state: str) -> None:
    """However an instance ends, ECS must not go on believing in it."""
    assert [rule.name for rule in rules_for(rules, changed("instance_terminated.json", state=state))] == ["InstanceStateRule"]


@pytest.mark.parametrize(
    "code",
    [
        "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED",
        "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED",
        "AWS_EC2_INSTANCE_STOP_SCHEDULED",
        "AWS_EC2_INSTANCE_REBOOT_MAINTENANCE_SCHEDULED",
        "AWS_EC2_INSTANCE_NETWORK_MAINTENANCE_SCHEDULED",
        "AWS_EC2_INSTANCE_POWER_MAINTENANCE_SCHEDULED",
    ],
)
def test_every_scheduled_change_wakes_the_function(rules: tuple[Rule, ...], code: str) -> None:
    """Retirement, stop and every kind of maintenance, as AWS Health calls them."""
    assert [rule.name for rule in rules_for(rules, changed("health_retirement.json", eventTypeCode=code))] == ["ScheduledChangeRule"]


@pytest.mark.parametrize("name", RESERVATIONS)
def test_every_reservation_wakes_the_function_whatever_the_alarm_is_called(rules: tuple[Rule, ...], name: str) -> None:
    """The metric decides, in whichever entry of a metric math it stands; namespace and name must be the same entry's."""
    alarm = in_alarm({"name": name})
    assert [rule.name for rule in rules_for(rules, alarm)] == ["ReservationAlarmRule"]
    other = {"metricStat": {"metric": {"namespace": "AWS/EC2", "name": "CPUUtilization"}}}
    entries = alarm["detail"]["configuration"]["metrics"]
    entries.insert(0, other)
    assert [rule.name for rule in rules_for(rules, alarm)] == ["ReservationAlarmRule"]
    entries[1]["metricStat"]["metric"]["namespace"] = "Custom"
    other["metricStat"]["metric"]["namespace"] = "AWS/ECS"
    assert rules_for(rules, alarm) == []


@pytest.mark.parametrize("metric", METRICS)
def test_bulwark_s_own_alarm_is_delivered_once(rules: tuple[Rule, ...], metric: str) -> None:
    """It has the metric, and the prefix of composite alarms in its name: only one of the two rules may match."""
    own = in_alarm({"name": metric})
    own["detail"]["alarmName"] = alarm_name("orders", metric)
    assert [rule.name for rule in rules_for(rules, own)] == ["ReservationAlarmRule"]


@pytest.mark.parametrize("state", ["ALARM", "OK", "INSUFFICIENT_DATA"])
def test_an_alarm_wakes_the_function_in_any_state(rules: tuple[Rule, ...], state: str) -> None:
    """Below the threshold again is a reason to look, too."""
    for name in ("reservation_alarm.json", "composite_alarm.json"):
        assert len(rules_for(rules, changed(name, state={"value": state}))) == 1


def test_a_task_that_tells_no_launch_type_counts(rules: tuple[Rule, ...]) -> None:
    """Only what says that it is Fargate's is let go."""
    event = sample("task_failed_to_start.json")
    del event["detail"]["launchType"]
    assert [rule.name for rule in rules_for(rules, event)] == ["TaskFailedToStartRule"]


def test_rules_and_code_name_the_same_things(rules: tuple[Rule, ...]) -> None:
    """The hook and the attribute that rules wait for are those that the function puts there."""
    patterns = {rule.name: rule.source for rule in rules}
    assert patterns["TerminateHookRule"]["detail"] == {"LifecycleHookName": [HOOK_NAME]}
    assert patterns["CompositeAlarmRule"]["detail"]["alarmName"] == [{"prefix": PREFIX}]
    metric = patterns["ReservationAlarmRule"]["detail"]["configuration"]["metrics"]["metricStat"]["metric"]
    assert metric == {"namespace": [NAMESPACE], "name": [*RESERVATIONS]}
    assert patterns["DrainProgressRule"]["detail"] == {"status": ["DRAINING"], "attributes": {"name": [DRAIN_ATTRIBUTE]}}


def test_every_rule_may_deliver_and_nobody_else(rules: tuple[Rule, ...]) -> None:
    """Whoever could send to a queue could make its function act: only the rules can that have it as a target, to both its queues."""
    stack = Stack()
    policies = stack.resources("AWS::SQS::QueuePolicy")
    covered: dict[str, list[str]] = {}
    for policy in policies.values():
        (allow,) = (s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow")
        assert (allow["Principal"], allow["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
        assert allow["Condition"].keys() == {"ArnEquals"}
        (queue,) = policy["Queues"]
        assert allow["Resource"] == stack.arn(queue)
        covered[queue] = sorted(allow["Condition"]["ArnEquals"]["aws:SourceArn"])
    for stem in ("Draining", "Capacity"):
        own = sorted(stack.arn(rule.name) for rule in rules if rule.queue == f"{stem}Queue")
        assert covered.pop(f"{stem}Queue") == covered.pop(f"{stem}DeadLetterQueue") == own
    assert covered == {}


def calls_of(path: Path) -> set[str]:
    """The names of all methods and functions that a module calls."""
    nodes = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {node.attr if isinstance(node, ast.Attribute) else node.id for node in nodes if isinstance(node, ast.Attribute | ast.Name)}


WAKING = ("sqs:SendMessage", "lambda:InvokeFunction", "lambda:InvokeAsync", "events:PutEvents", "sns:Publish", "states:StartExecution")
"""What could wake a function, directly or by way of something else."""

ROLES = ("DrainingRole", "CapacityRole", "CleanupRole")


def granted(role: str) -> list[str]:
    """Every action that a role can have."""
    stack = Stack({"Mode": "act", "TaskRolePattern": "*"})
    assert set(stack.resources("AWS::IAM::Role")) == set(ROLES)
    return [action for statement in statements(stack, role) for action in statement.actions]


def test_T15_nothing_lets_a_function_wake_itself() -> None:
    """No self-requeue (hazard T15: Lambda cuts such loops): no permission to send or invoke, no call that would, no destination."""
    stack = Stack()
    assert [a for role in ROLES for a in granted(role) if any(like(w.lower(), a.lower()) for w in WAKING)] == []
    called = {c for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py") for c in calls_of(path)}
    assert "put_item" in called
    assert called & {"send_message", "send_message_batch", "invoke", "invoke_async", "put_events", "publish", "start_execution"} == set()
    for kind in ("AWS::Lambda::EventInvokeConfig", "AWS::Scheduler::Schedule", "AWS::Pipes::Pipe"):
        assert stack.resources(kind) == {}
    assert {action for alarm in stack.resources("AWS::CloudWatch::Alarm").values() for action in alarm["AlarmActions"]} == {
        stack.arn("Notifications")
    }


BOUNDS = ("UpdateAutoScalingGroup", "PutScheduledUpdateGroupAction", "PutScalingPolicy", "ExecutePolicy")
"""Calls that change how large a group may be, now or later, or that have somebody else decide how large it is."""


@pytest.mark.parametrize("action", BOUNDS)
@pytest.mark.parametrize("role", ROLES)
def test_T8_no_permission_to_change_the_bounds_of_a_group(role: str, action: str) -> None:
    """Min and max are the operator's (hazard T8): no role could change them if the code tried."""
    assert [a for a in granted(role) if like(f"autoscaling:{action}".lower(), a.lower())] == []


def test_T8_only_capacity_can_change_what_a_group_wants() -> None:
    """The desired capacity is one function's to set."""
    assert [role for role in ROLES for a in granted(role) if like("autoscaling:setdesiredcapacity", a.lower())] == ["CapacityRole"]
