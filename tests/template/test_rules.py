"""Each sample event triggers the rules it is a sample of and no other, each rule has a sample, and none wakes for what is not ours."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.core.signals import HOOK_NAME
from tests.template.iam import like, statements
from tests.template.translated import Stack
from workbench.template import Rule, load_rules, rules_for

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "events"

MEANT_FOR: dict[str, set[str]] = {
    "container_instance_not_ours.json": set(),  # somebody else's drain
    "container_instance_progress.json": {"DrainProgressRule"},
    "health_backup_region.json": {"ScheduledChangeRule"},  # which Region it is about, only the function can compare
    "health_maintenance.json": {"ScheduledChangeRule"},
    "health_retirement.json": {"ScheduledChangeRule"},
    "instance_shutting_down.json": {"InstanceStateRule"},
    "instance_terminated.json": {"InstanceStateRule"},
    "rebalance_recommendation.json": {"RebalanceRule"},
    "spot_interruption_warning.json": {"SpotInterruptionRule"},
    "spot_interruption_warning_foreign.json": {"SpotInterruptionRule"},
    "spot_interruption_warning_stop.json": {"SpotInterruptionRule"},
    "sweep.json": {"SweepRule"},
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
    """Events come in bursts: they are batched by a queue, which also keeps what could not be handled."""
    assert {(rule.delivery, rule.queue, rule.function.stem) for rule in rules} == {("sqs", "DrainingQueue", "draining")}


def test_another_event_of_the_same_source_triggers_nothing(rules: tuple[Rule, ...]) -> None:
    """An EC2 event of another detail-type, or the same detail-type from elsewhere, is not the Spot rule's business."""
    event = sample("spot_interruption_warning.json")
    assert rules_for(rules, {**event, "detail-type": "EC2 Instance Terminated Just Now"}) == []
    assert rules_for(rules, {**event, "source": "my.app"}) == []


def changed(name: str, **detail: Any) -> dict[str, Any]:
    """The sample in a file of events/, with other values in its detail."""
    event = sample(name)
    return {**event, "detail": {**event["detail"], **detail}}


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


def test_rules_and_code_name_the_same_things(rules: tuple[Rule, ...]) -> None:
    """The hook and the attribute that rules wait for are those that the function puts there."""
    patterns = {rule.name: rule.source for rule in rules}
    assert patterns["TerminateHookRule"]["detail"] == {"LifecycleHookName": [HOOK_NAME]}
    assert patterns["DrainProgressRule"]["detail"] == {"status": ["DRAINING"], "attributes": {"name": [DRAIN_ATTRIBUTE]}}


def test_every_rule_may_deliver_and_nobody_else() -> None:
    """Whoever could send to a queue could make the function drain; only the stack's own rules can, every one of them to both queues."""
    stack = Stack()
    own = {stack.arn(rule) for rule in stack.resources("AWS::Events::Rule")}
    policies = stack.resources("AWS::SQS::QueuePolicy")
    for policy in policies.values():
        (allow,) = (s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow")
        assert (allow["Principal"], allow["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
        assert allow["Condition"].keys() == {"ArnEquals"}
        assert sorted(allow["Condition"]["ArnEquals"]["aws:SourceArn"]) == sorted(own)
    assert {queue for policy in policies.values() for queue in policy["Queues"]} == {"DrainingQueue", "DrainingDeadLetterQueue"}


def calls_of(path: Path) -> set[str]:
    """The names of all methods and functions that a module calls."""
    nodes = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {node.attr if isinstance(node, ast.Attribute) else node.id for node in nodes if isinstance(node, ast.Attribute | ast.Name)}


WAKING = ("sqs:SendMessage", "lambda:InvokeFunction", "lambda:InvokeAsync", "events:PutEvents", "sns:Publish", "states:StartExecution")
"""What could wake the function, directly or by way of something else."""


def test_T15_nothing_lets_the_function_wake_itself() -> None:
    """No self-requeue (hazard T15: Lambda cuts such loops): no permission to send or invoke, no call that would, no destination."""
    stack = Stack({"Mode": "act", "TaskRolePattern": "*"})
    granted = [action for statement in statements(stack, "DrainingRole") for action in statement.actions]
    assert [a for a in granted if any(like(w.lower(), a.lower()) for w in WAKING)] == []
    called = {c for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py") for c in calls_of(path)}
    assert "put_item" in called
    assert called & {"send_message", "send_message_batch", "invoke", "invoke_async", "put_events", "publish", "start_execution"} == set()
    for kind in ("AWS::Lambda::EventInvokeConfig", "AWS::Scheduler::Schedule", "AWS::Pipes::Pipe"):
        assert stack.resources(kind) == {}


FIXED = ("UpdateAutoScalingGroup", "SetDesiredCapacity", "PutScheduledUpdateGroupAction", "PutScalingPolicy", "ExecutePolicy")
"""Calls that change how large a group may be or wants to be, now or later."""


@pytest.mark.parametrize("action", FIXED)
def test_T8_no_permission_to_change_the_size_of_a_group(action: str) -> None:
    """Min, max and desired are the operator's (hazard T8): the role could not change them if the code tried."""
    granted = [a for s in statements(Stack({"Mode": "act"}), "DrainingRole") for a in s.actions]
    assert [a for a in granted if like(f"autoscaling:{action}".lower(), a.lower())] == []
