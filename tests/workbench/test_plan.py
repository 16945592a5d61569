"""The plan of a cluster: each drain with what is left, what blocks it and what comes next, and not one write."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from bulwark.core.policies import Mode
from bulwark.shell.aws import Aws
from bulwark.shell.ledger import Ledger
from workbench.drains import WAIT
from workbench.events import InputError
from workbench.plan import Planned, plan
from workbench.replay import replay
from workbench.sandbox import Account
from workbench.sandbox.scenario import read_scenario
from workbench.template import load_rules
from workbench.view import ViewError
from workbench.worlds import READS, Embedded

EVENTS = Path(__file__).resolve().parents[2] / "events"
A, B, C = (f"i-0aaa000000000000{number}" for number in (1, 2, 3))

LEDGER: dict[str, Any] = {"name": "ledger", "desired": 1, "max_percent": 100, "constraints": ["attribute:tier == ledger"]}
LOGS: dict[str, Any] = {"name": "logs", "daemon": True, "cpu": 64, "memory": 128}
WEB: dict[str, Any] = {"name": "web", "desired": 3}
BIG: dict[str, Any] = {"name": "web", "desired": 3, "cpu": 1536, "memory": 6144}
"""As large as an instance: each fills one, so that nothing can move before a replacement is there."""

UNREADABLE = {
    "ssm.GetParametersByPath": "/bulwark: could not be read",
    "dynamodb.Query": "what was lent to services could not be read",
    "ecs.ListContainerInstances": "cluster orders: ",
    "ecs.ListTasks": "tasks and services could not be read",
    "ecs.DescribeTasks": "tasks and services could not be read",
    "ec2.DescribeInstances": "hosts could not be read",
}
"""Operations that may fail, and what is said then."""


def an_account(*services: dict[str, Any], policy: Mapping[str, Any] | None = None, tasks: Sequence[Any] = ()) -> Account:
    """Cluster orders: a group of three that has Bulwark's hook, ``services`` and the daemon, nothing yet in progress."""
    hook = {"name": "bulwark-drain", "transition": "terminating", "heartbeat": 300, "default_result": "CONTINUE"}
    group = {"name": "orders-spot", "desired": 3, "max": 9, "zones": ["us-east-1a"], "hooks": [hook]}
    instances = [{"id": i, "group": "orders-spot", "attributes": {"tier": "ledger"} if i == A else {}} for i in (A, B, C)]
    work = {"services": [*services, LOGS], "tasks": list(tasks)}
    cluster = {"name": "orders", "policy": dict(policy or {}), "groups": [group], "instances": instances, **work}
    return Account(read_scenario({"clusters": [cluster]}, "test"))


def an_event(name: str, instance_id: str = A) -> tuple[str, Any]:
    """A sample event, about this instance."""
    return name, json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8").replace(A, instance_id))


def everything(account: Account) -> dict[str, Any]:
    """All that Bulwark could change: instances with their attributes, tasks, services, groups, the table."""
    ecs, autoscaling = account.client("ecs"), account.client("autoscaling")
    arns = ecs.list_container_instances(cluster="orders")["containerInstanceArns"]
    services = ecs.list_services(cluster="orders")["serviceArns"]
    return {
        # ECS refuses to describe no instance at all.
        "instances": arns and ecs.describe_container_instances(cluster="orders", containerInstances=arns)["containerInstances"],
        "tasks": sorted(ecs.list_tasks(cluster="orders")["taskArns"]),
        "services": ecs.describe_services(cluster="orders", services=services)["services"],
        "groups": autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"],
        "table": account.client("dynamodb").scan(TableName="bulwark")["Items"],
    }


def refusing(operation: str) -> Aws:
    """Clients for which one operation never gets an answer."""
    session = boto3.session.Session()

    def refuse(**_: Any) -> None:
        """A ``before-call`` handler."""
        raise EndpointConnectionError(endpoint_url="https://nowhere")

    session.events.register(f"before-call.{operation}", refuse)
    return Aws(session=session)


@dataclass(frozen=True, slots=True)
class Looked:
    """A plan of cluster orders, and everything in the account before and after it was made.

    ``without``: the same plan where one operation fails. ``swept``: what a real sweep of draining then did, as kind and target.
    """

    planned: Planned
    before: dict[str, Any]
    after: dict[str, Any]
    without: dict[str, Planned] = field(default_factory=dict)
    swept: list[tuple[str, str]] = field(default_factory=list)

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return self.planned.document()

    def drain(self, instance_id: str) -> dict[str, Any]:
        """One drain of the document."""
        (found,) = [drain for drain in self.document["drains"] if drain["instance"] == instance_id]
        assert isinstance(found, dict)
        return found


def look(account: Account, *events: tuple[str, Any], settle: float = 30, without: Sequence[str] = ()) -> Looked:
    """Replay ``events`` in act mode, then plan, then let a real sweep come by."""
    with account:
        world = Embedded(account)
        replay(world, load_rules(), events, mode="act", settle=settle)
        before = everything(account)
        planned = plan(world, "orders", "act")
        after = everything(account)
        failing = {operation: plan(world, "orders", "act", refusing(operation)) for operation in without}
        (sweep,) = replay(world, load_rules(), [an_event("sweep")], mode="act", settle=0).events
        decisions = [d for d in sweep.decisions if d["function"] == "draining"]
        done = [(o["kind"], o["target"]) for d in decisions for o in d["outcomes"] if o["status"] == "done"]
        return Looked(planned, before, after, failing, done)


@pytest.fixture(scope="module")
def hooked() -> Looked:
    """A hook holds the instance that has a locked service's task, a standalone one and a daemon; a remedy is allowed."""
    account = an_account(LEDGER, WEB, policy={"draining": {"raise_max_percent": True}}, tasks=[{"family": "nightly", "on": A}])
    return look(account, an_event("terminate_lifecycle_action"), without=list(UNREADABLE))


@pytest.fixture(scope="module")
def several() -> Looked:
    """A hook drain, and two recommendations that wait: nothing fits anywhere, and the budget is one."""
    hook = an_event("terminate_lifecycle_action")
    return look(an_account(BIG), *(an_event("rebalance_recommendation", i) for i in (B, C)), hook, settle=5)


def codes(drain: dict[str, Any]) -> list[tuple[str, str]]:
    """The blockers of a drain by code and subject."""
    return [(blocker["code"], blocker["subject"]) for blocker in drain["blockers"]]


def steps(drain: dict[str, Any]) -> list[tuple[str, str]]:
    """What comes next for a drain by kind and target."""
    return [(step["kind"], step["target"]) for step in drain["next"]]


def test_a_hook_drain_is_shown_with_its_times(hooked: Looked) -> None:
    """Instance, group, state, cause, since and deadline are those of the mark, and the hook is named."""
    drain = hooked.drain(A)

    assert (drain["group"], drain["state"], drain["cause"], drain["hook"]) == ("orders-spot", "draining", "terminate-hook", True)
    assert (drain["since"], drain["deadline"]) == ("2026-11-24T03:00:00Z", "2026-11-24T04:00:00Z")
    assert (hooked.document["cluster"], hooked.planned.exit_code) == ("orders", 0)


def test_what_is_left_has_its_kind(hooked: Looked) -> None:
    """What could leave has left; the locked service's task and the standalone one are there, and the daemon is told apart."""
    left = hooked.drain(A)["left"]

    assert [(t["group"], t["status"], t["daemon"]) for t in left] == [
        ("family:nightly", "RUNNING", False),
        ("service:ledger", "RUNNING", False),
        ("service:logs", "RUNNING", True),
    ]
    assert all(len(t["task"]) == 32 for t in left)


def test_what_blocks_a_drain_stands_with_it(hooked: Looked) -> None:
    """The standalone task and the locked service block it, and are not said a second time for the cluster."""
    drain = hooked.drain(A)

    assert codes(drain) == [("standalone-task", drain["left"][0]["task"]), ("service-locked", "ledger")]
    assert all(blocker["message"] for blocker in drain["blockers"])
    assert (hooked.document["next"], hooked.document["findings"]) == ([], [])


def test_what_comes_next_is_what_the_sweep_does(hooked: Looked) -> None:
    """The bound of the locked service would be raised, the hook kept waiting; a real sweep at that moment does just this."""
    assert steps(hooked.drain(A)) == [("RaiseMaxPercent", "ledger"), ("RecordHeartbeat", A)]
    assert all(step["reason"] for step in hooked.drain(A)["next"])
    assert hooked.swept == steps(hooked.drain(A))


def test_nothing_is_written_although_the_stack_acts(hooked: Looked, several: Looked) -> None:
    """With writes decided and the stack in act mode, the account stays as it was, and every call made is a read."""
    for looked in (hooked, several):
        assert looked.planned.mode == "act"
        assert looked.before == looked.after
        assert all(name.partition(":")[2].startswith(READS) for name in looked.planned.calls)


def test_a_rebalance_that_waits_for_room(several: Looked) -> None:
    """Detached and marked, its work fitting nowhere yet: it waits, the finding says for what, and the step until when."""
    drain = several.drain(B)

    assert (drain["group"], drain["state"], drain["cause"], drain["hook"]) == (None, "waiting", "rebalance-recommendation", False)
    assert codes(drain) == [("drain-waits", B)]
    assert "does not fit elsewhere" in drain["blockers"][0]["message"]
    assert [(s["kind"], s["reason"]) for s in drain["next"]] == [(WAIT, "waits for its turn until 03:30:00 UTC")]


def test_several_drains_stand_by_their_deadlines(several: Looked) -> None:
    """Every drain is there, the next to end first, each with what is its own."""
    drains = several.document["drains"]

    assert [(d["instance"], d["state"]) for d in drains] == [(B, "waiting"), (C, "waiting"), (A, "draining")]
    assert "budget" in drains[1]["blockers"][0]["message"]
    assert codes(drains[2]) == [("no-room-elsewhere", "web")]
    assert [[t["group"] for t in d["left"] if not t["daemon"]] for d in drains] == [["service:web"]] * 3


def test_a_hook_that_nobody_told_us_of_is_a_drain_that_is_about_to_begin() -> None:
    """The group holds an instance although no event came: it is shown as what the sweep will make of it."""
    account = an_account(WEB)
    with account:
        account.terminating("orders-spot", A)
        document = plan(Embedded(account), "orders", "act").document()

    (drain,) = document["drains"]
    assert (drain["instance"], drain["state"], drain["cause"], drain["hook"]) == (A, "waiting", "terminate-hook", True)
    assert steps(drain)[0] == ("DrainInstance", A)


def test_a_cluster_at_rest() -> None:
    """No drain, nothing to do, nothing found. A cluster that is not there, and an account that says nothing, are one line each."""
    with an_account(LEDGER) as account:
        world = Embedded(account)
        document = plan(world, "orders", "act").document()
        with pytest.raises(InputError, match=r"nope: no Auto Scaling group opted in .*: name one of orders$"):
            plan(world, "nope", "act")
        with pytest.raises(ViewError, match=r"^the account could not be read: .*nowhere"):
            plan(world, "orders", "act", refusing("autoscaling.DescribeAutoScalingGroups"))

    assert (document["mode"], document["drains"], document["next"], document["findings"]) == ("act", [], [], [])
    assert document["calls"]["autoscaling:DescribeAutoScalingGroups"] == 1


def test_what_is_given_back_without_a_drain_is_the_cluster_s_next() -> None:
    """A bound that was raised for a drain that is over is given back by the next sweep, though nothing drains any more."""
    with an_account(LEDGER) as account:
        Ledger(Aws(), "bulwark").note_raised("orders", "ledger", 100, 200, account.now)
        document = plan(Embedded(account), "orders", "act").document()

    assert document["drains"] == []
    assert steps(document) == [("RestoreMaxPercent", "ledger")]


def test_the_mode_is_what_stack_and_policy_allow() -> None:
    """Either can hold the cluster to observe, and a finding says which; it is the stack's mode that counts, not the plan's own."""

    def said(planned: Planned) -> tuple[Mode, list[str]]:
        """The mode, and what was found."""
        return planned.mode, [f"{f.code}: {f.message}" for f in planned.findings]

    with an_account() as account:
        by_stack = said(plan(Embedded(account), "orders", "observe"))
        account.client("ssm").put_parameter(Name="/bulwark/policy/orders", Value='{"mode": "observe"}', Type="String")
        by_policy = said(plan(Embedded(account), "orders", "act"))

    assert by_stack == ("observe", ["observing: the stack parameter Mode is observe: what is decided is not done"])
    assert by_policy == ("observe", ["observing: the policy holds this cluster to observe: what is decided is not done"])


@pytest.mark.parametrize(("operation", "says"), UNREADABLE.items())
def test_what_cannot_be_read_is_said_and_is_exit_code_1(hooked: Looked, operation: str, says: str) -> None:
    """Any read but the first can fail: the rest is shown, a finding says what is missing, and the exit code is 1."""
    planned = hooked.without[operation]

    assert any(says in f.message for f in planned.findings)
    assert planned.exit_code == 1
    assert all(drain.steps for drain in planned.drains)


def test_tasks_that_could_not_be_read_are_not_shown_as_none(hooked: Looked) -> None:
    """What was not looked at is null, never an empty list: that would be an empty instance."""
    (drain,) = hooked.without["ecs.ListTasks"].document()["drains"]

    assert drain["left"] is None
