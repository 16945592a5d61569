"""Stories in which the draining function calls all that it ever calls: the real handler, on the account in memory.

Each is told by the real rules of template.yaml: an event wakes the function that the story is about, if its rules lead there, and what
it asked AWS for is kept as IAM is asked about it. The stories of ``capacity`` are in ``stories_capacity``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tests.template.calls import Call, Facts, recorded_calls, requests_of
from tests.template.iam import Request
from workbench.sandbox import Account
from workbench.sandbox.scenario import read_scenario
from workbench.template import PSEUDO_PARAMETERS, load_rules, rules_for
from workbench.wake import Handlers, Woken

EVENTS = Path(__file__).resolve().parents[2] / "events"
INSTANCE, NEIGHBOUR = "i-0aaa0000000000001", "i-0aaa0000000000002"
CLUSTER, GROUP, TABLE = "orders", "orders-spot", "bulwark"
ROLE = f"arn:aws:iam::{PSEUDO_PARAMETERS['AWS::AccountId']}:role/tasks/orders-nightly"

Mode = Literal["observe", "act"]

Step = str | Callable[[Account], object]
"""The file of an event that is sent, or what else happens to the account."""

WARNING = "spot_interruption_warning.json"
REBALANCE = "rebalance_recommendation.json"
HELD = "terminate_lifecycle_action.json"
RETIREMENT = "health_retirement.json"
TERMINATED = "instance_terminated.json"
PROGRESS = "container_instance_progress.json"
SWEEP = "sweep.json"


@dataclass(frozen=True, slots=True, eq=False)
class Story:
    """What happens, to a cluster with one group: ``steps`` in order, ``group`` and ``cluster`` over what is usual.

    ``calls`` and ``done``: the calls, and the actions performed, that the story is there for, if it is told in mode act.
    ``function``: the one that it is about; the other sleeps. ``fails``: something is left undone, which is what the story is about.
    """

    steps: Sequence[Step]
    calls: AbstractSet[str] = frozenset()
    done: AbstractSet[str] = frozenset()
    group: Mapping[str, Any] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)
    function: str = "draining"
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a story came to: the function's answers, its calls, and those as IAM is asked about them."""

    woken: tuple[Woken, ...]
    calls: tuple[Call, ...]
    requests: tuple[Request, ...]

    @property
    def made(self) -> set[str]:
        """The operations that were called."""
        return {call.operation for call in self.calls}

    @property
    def done(self) -> set[str]:
        """The kinds of actions that were performed."""
        return {o["kind"] for woken in self.woken for d in woken.decisions for o in d["outcomes"] if o["status"] == "done"}


def after(seconds: float) -> Step:
    """The account lives on for so long."""
    return lambda account: account.settle(seconds)


def policy(**draining: Any) -> dict[str, Any]:
    """The cluster's policy on draining."""
    return {"policy": {"draining": draining}}


def invalid_policy(account: Account) -> None:
    """A policy that cannot be read: earlier versions are looked for."""
    account.client("ssm").put_parameter(Name="/bulwark/policy/default", Value="{", Type="String")


def terminating(account: Account) -> None:
    """Auto Scaling is already ending the instance: it refuses to detach it, and its hooks hold it."""
    account.terminating(GROUP, INSTANCE)


def cluster_gone(account: Account) -> None:
    """The tag names a cluster that does not exist: the decision is left undone, and written to the journal."""
    account.client("ec2").create_tags(Resources=[INSTANCE], Tags=[{"Key": "bulwark:cluster", "Value": "orders-gone"}])


def opted_out(account: Account) -> None:
    """The group's tag is removed."""
    tag = {"ResourceId": GROUP, "ResourceType": "auto-scaling-group", "Key": "bulwark:cluster"}
    account.client("autoscaling").delete_tags(Tags=[tag])


def filled(account: Account) -> None:
    """Other work takes all the room there is."""
    ecs = account.client("ecs")
    container = {"name": "main", "image": "filler", "cpu": 128, "memory": 512, "essential": True}
    ecs.register_task_definition(family="filler", containerDefinitions=[container])
    while ecs.run_task(cluster=CLUSTER, taskDefinition="filler", launchType="EC2", count=10)["tasks"]:
        pass


def nightly(account: Account) -> None:
    """A standalone task with roles runs on the instance, and is to be started again elsewhere when that drains."""
    ecs = account.client("ecs")
    container = {"name": "main", "image": "nightly", "cpu": 256, "memory": 512, "essential": True}
    ecs.register_task_definition(family="nightly", containerDefinitions=[container], taskRoleArn=ROLE, executionRoleArn=ROLE)
    found = ecs.list_container_instances(cluster=CLUSTER, filter=f"ec2InstanceId == {INSTANCE}")["containerInstanceArns"]
    tags = [{"key": "bulwark:on-drain", "value": "rerun"}, {"key": "team", "value": "orders"}]
    assert ecs.start_task(cluster=CLUSTER, taskDefinition="nightly", containerInstances=found, tags=tags)["tasks"]
    account.settle(30)


def begun(account: Account) -> None:
    """An acting stack has begun to drain the instance, which its hook holds. It is empty, but nobody has looked since."""
    ecs = account.client("ecs")
    (arn,) = ecs.list_container_instances(cluster=CLUSTER, filter=f"ec2InstanceId == {INSTANCE}")["containerInstanceArns"]
    value = f"terminate-hook {account.now:%Y-%m-%dT%H:%M:%SZ} {account.now.replace(hour=5):%Y-%m-%dT%H:%M:%SZ} by-instance"
    ecs.put_attributes(cluster=CLUSTER, attributes=[{"name": "bulwark.drain", "value": value, "targetId": arn}])
    ecs.update_container_instances_state(cluster=CLUSTER, containerInstances=[arn], status="DRAINING")
    account.terminating(GROUP, INSTANCE)


WEB = {"name": "web", "desired": 4, "cpu": 256, "memory": 512}
LOCKED = {"services": [{"name": "ledger", "desired": 3, "cpu": 256, "memory": 512, "min_healthy": 100, "max_percent": 100}]}
STANDALONE = {"tasks": [{"family": "report", "on": INSTANCE, "cpu": 512, "memory": 1024}]}
DAEMON = {"services": [{"name": "logs", "daemon": True, "cpu": 64, "memory": 128}]}
HOOKED = {"hooks": [{"name": "bulwark-drain", "transition": "terminating", "heartbeat": 300, "default_result": "CONTINUE"}]}
BEHIND_ECS = {"capacity_provider": {"name": "orders-provider", "managed_draining": False}}

STORIES = {
    "a warning": Story(
        (WARNING,),
        {"ecs:UpdateContainerInstancesState", "ecs:PutAttributes", "autoscaling:DetachInstances"},
        {"DrainInstance", "ReplaceInstance"},
    ),
    "a capacity provider in front": Story((WARNING,), {"ecs:DescribeCapacityProviders"}, group=BEHIND_ECS),
    "an invalid policy": Story((invalid_policy, WARNING), {"ssm:GetParameterHistory"}),
    "a refused detach": Story((terminating, WARNING), {"autoscaling:DescribeAutoScalingGroups"}, group=HOOKED),
    "a cluster that is gone": Story((cluster_gone, WARNING), {"dynamodb:PutItem"}, fails=True),
    "a hook on a busy instance": Story(
        (HELD, after(60), SWEEP, PROGRESS),
        {"ecs:ListServices", "autoscaling:DescribeLifecycleHooks", "autoscaling:RecordLifecycleActionHeartbeat"},
        {"DrainInstance", "RecordHeartbeat"},
        HOOKED,
        STANDALONE,
    ),
    "its work leaves": Story(
        (HELD, after(60), PROGRESS), {"autoscaling:CompleteLifecycleAction"}, {"DrainInstance", "CompleteLifecycleAction"}, HOOKED
    ),
    "a hook on an empty instance": Story(
        (HELD,), done={"DrainInstance", "CompleteLifecycleAction"}, group=HOOKED, cluster={"services": []}
    ),
    "a hook on daemons": Story((HELD, PROGRESS), {"ecs:ListTasks"}, {"CompleteLifecycleAction"}, HOOKED, DAEMON),
    "a hook nobody told us of": Story((terminating, SWEEP), done={"DrainInstance"}, group=HOOKED),
    "a drain that was begun before": Story((begun, after(60), SWEEP), done={"CompleteLifecycleAction"}, group=HOOKED),
    "what ECS says of a drain that was begun before": Story((begun, PROGRESS), {"ecs:ListServices"}, group=HOOKED),
    "a rebalance recommendation": Story(
        (REBALANCE, after(60), SWEEP),
        {"dynamodb:DeleteItem", "ecs:DescribeTaskDefinition", "ecs:GetTaskProtection", "ec2:TerminateInstances"},
        {"MarkInstance", "ReplaceInstance", "DrainInstance", "TerminateInstance"},
    ),
    "a rebalance recommendation, not replaced": Story(
        (REBALANCE, after(60), SWEEP),
        {"autoscaling:TerminateInstanceInAutoScalingGroup"},
        {"TerminateInstance"},
        cluster=policy(replace=False),
    ),
    "a recommendation that is given up": Story(
        (REBALANCE, filled, after(400), SWEEP), {"ecs:DeleteAttributes"}, {"ReactivateInstance"}, cluster=policy(replace=False)
    ),
    "a recommendation whose turn never comes": Story(
        (REBALANCE, after(1900), SWEEP), {"ecs:DeleteAttributes"}, {"MarkInstance", "UnmarkInstance"}, cluster=STANDALONE
    ),
    "a retirement": Story(
        (RETIREMENT, after(60), SWEEP), done={"DrainInstance", "ReplaceInstance", "TerminateInstance"}, cluster=policy(retired="terminate")
    ),
    "a ghost": Story((TERMINATED,), {"ecs:DeregisterContainerInstance"}, {"DeregisterInstance"}),
    "work that is stopped": Story((WARNING,), {"ecs:StopTask"}, {"StopTask"}, cluster=LOCKED | policy(stop_locked=True)),
    "a bound that is lent and given back": Story(
        (WARNING, after(130), SWEEP),
        {"ecs:UpdateService", "dynamodb:Query", "dynamodb:DeleteItem"},
        {"RaiseMaxPercent", "RestoreMaxPercent"},
        cluster=LOCKED | policy(raise_max_percent=True),
    ),
    "a task that is started again": Story(
        (nightly, WARNING), {"ecs:RunTask", "ecs:StopTask"}, {"RunTask"}, cluster=policy(standalone=True)
    ),
    "a hook that is installed and removed": Story(
        (SWEEP, opted_out, after(60), SWEEP),
        {"autoscaling:PutLifecycleHook", "autoscaling:CreateOrUpdateTags", "autoscaling:DeleteLifecycleHook", "autoscaling:DeleteTags"},
        {"InstallHook", "RemoveHook"},
        cluster=policy(hook="install"),
    ),
    "a hook that was there already": Story(
        (SWEEP, opted_out, after(60), SWEEP), {"autoscaling:DeleteTags"}, {"InstallHook", "RemoveHook"}, HOOKED, policy(hook="install")
    ),
    "a hook behind a capacity provider": Story(
        (SWEEP,), {"ecs:DescribeCapacityProviders"}, {"InstallHook"}, BEHIND_ECS, policy(hook="install")
    ),
}

"""Every way in which the function comes to call something that it calls nowhere else."""

OBSERVED = (
    "a warning", "a capacity provider in front", "an invalid policy", "a cluster that is gone", "a hook on a busy instance",
    "a hook on daemons", "a drain that was begun before", "what ECS says of a drain that was begun before",
    "a rebalance recommendation", "a retirement", "a ghost", "work that is stopped",
    "a bound that is lent and given back", "a task that is started again", "a hook that is installed and removed",
    "a hook behind a capacity provider",
)  # fmt: skip
"""Stories that are told in a stack that observes, too: one for each action that it must not perform."""


@cache
def tell(story: Story, mode: Mode = "act") -> Told:
    """Tell a story, in a stack of that mode. Each is told once, however often it is asked for."""
    group = {"name": GROUP, "min": 1, "desired": 3, "max": 6, **story.group}
    instances = [{"id": INSTANCE, "group": GROUP}, {"id": NEIGHBOUR, "group": GROUP}]
    orders = {"name": CLUSTER, "groups": [group], "instances": instances, "services": [WEB], **story.cluster}
    woken: list[Woken] = []
    requests: list[Request] = []
    rules = load_rules()
    with Account(read_scenario({"clusters": [orders]}, "story")) as account, recorded_calls() as calls:
        handlers = Handlers({"BULWARK_TABLE": TABLE, "BULWARK_MODE": mode})
        for step in story.steps:
            if not isinstance(step, str):
                step(account)
                continue
            event = json.loads((EVENTS / step).read_text(encoding="utf-8")) | {"time": f"{account.now:%Y-%m-%dT%H:%M:%SZ}"}
            account.happen(event)
            # Tags are asked for before the call that changes them, and no invocation needs what it has changed itself.
            facts, before = Facts.of(account.client), len(calls)
            matching = [rule for rule in rules_for(rules, event) if rule.function.stem == story.function]
            assert matching, f"no rule of {story.function} matches {step}"
            woken += [handlers.wake(rule, event, account.now) for rule in matching]
            requests += [request for call in calls[before:] for request in requests_of(call, facts)]
        return Told(tuple(woken), tuple(calls), tuple(requests))
