"""The sweep through fakes: what it costs where nothing drains, and what becomes of what it cannot read. The sandbox plays the rest."""

from typing import Any

import pytest

from bulwark.core.policies import Mode
from bulwark.core.signals import DrainProgress, DrainSignal, Irrelevant, Sweep
from bulwark.shell.draining import drain, subject_of
from bulwark.shell.ledger import Ledger
from bulwark.shell.policy_book import PolicyBook
from bulwark.shell.report import Decision
from bulwark.shell.translate import write_mark
from tests.builders import NOW, SPOT, a_mark, a_warning
from tests.fakes import FakeAutoScaling, FakeAws, FakeCalls, FakeEcs, FakePages, a_raw_instance, an_error

INSTALL = '{"draining": {"hook": "install"}}'
ASKED = [{"Parameters": [{"Name": "/bulwark/policy/orders", "Value": INSTALL}]}]


def a_raw_group(name: str = "orders-spot", *, cluster: str | None = "orders", **tags: str) -> dict[str, Any]:
    """One group as DescribeAutoScalingGroups shows it."""
    opted = {"bulwark:cluster": cluster} if cluster else {}
    listed = [{"Key": key, "Value": value} for key, value in (opted | {f"bulwark:{k}": v for k, v in tags.items()}).items()]
    return {"AutoScalingGroupName": name, "MinSize": 0, "DesiredCapacity": 1, "MaxSize": 2, "Instances": [], "Tags": listed}


class Groups(FakeAutoScaling):
    """Auto Scaling with groups, and hooks that can be put on and taken off."""

    def __init__(self, *groups: dict[str, Any], hooks: list[Any] | None = None) -> None:
        super().__init__(pages={"describe_auto_scaling_groups": [{"AutoScalingGroups": list(groups)}]})
        self.writes = FakeCalls(describe_lifecycle_hooks=hooks or [{"LifecycleHooks": []} for _ in range(9)])

    def __getattr__(self, operation: str) -> Any:
        """Whatever FakeAutoScaling does not have."""
        return getattr(self.writes, operation)


def an_account(*groups: dict[str, Any], ecs: FakeEcs | None = None, hooks: list[Any] | None = None, **pages: Any) -> FakeAws:
    """An account with these groups and the cluster orders, in which nothing drains unless ``ecs`` says so."""
    ec2: dict[str, list[Any]] = {"describe_spot_instance_requests": [{"SpotInstanceRequests": []}]}
    return FakeAws(
        ec2=FakePages(pages=ec2 | pages.get("ec2", {})),
        ecs=ecs or FakeEcs(instances=[]),
        autoscaling=Groups(*groups, hooks=hooks),
        dynamodb=Table(pages.get("notes", [{"Items": []}])),
        ssm=FakePages(pages={"get_parameters_by_path": pages.get("policies", [{"Parameters": []}])}),
    )


class Table(FakeCalls):
    """The table, whose query gives ``pages``."""

    def __init__(self, pages: list[Any]) -> None:
        super().__init__()
        self.pages = FakePages(pages={"query": pages})

    def get_paginator(self, operation: str) -> Any:
        """The query."""
        return self.pages.get_paginator(operation)


def run(aws: FakeAws, *signals: DrainSignal, mode: Mode = "act") -> list[Decision]:
    """Answer signals, a sweep if none is given."""
    book = PolicyBook(aws.ssm, "/bulwark", mode)
    book.refresh()
    return drain(aws, book, signals or (Sweep(NOW.replace(minute=7)),), NOW.replace(minute=7), ledger=Ledger(aws, "bulwark"))


def codes(decisions: list[Decision]) -> list[str]:
    """The findings of all decisions."""
    return [f.code for d in decisions for f in d.plan.findings]


def test_a_sweep_over_fifty_quiet_clusters_is_one_list_each_and_one_line() -> None:
    """No call for an instance, none for a group: what is marked, or has lost its agent, is asked of each cluster."""
    aws = an_account(*(a_raw_group(f"group-{n}", cluster="orders") for n in range(50)))

    (decision,) = run(aws)

    assert ["nothing-draining"] == codes([decision])
    assert [("list_container_instances", "attribute:bulwark.drain exists or agentConnected == false")] == [
        (name, params["filter"]) for name, params in aws.ecs.calls
    ]
    assert ["describe_auto_scaling_groups"] == [name for name, _ in aws.autoscaling.calls]


def test_groups_that_cannot_be_listed_fail_the_sweep_and_nothing_else() -> None:
    """T5: the warning in the same delivery is answered all the same; the sweep comes again."""
    aws = an_account()
    aws.autoscaling = FakeAutoScaling(pages={"describe_auto_scaling_groups": [an_error()]})

    decisions = run(aws, a_warning(), Sweep(NOW))

    assert [frozenset(), frozenset({"sweep"})] == [d.unfinished for d in decisions]
    assert "could not be listed" in str(decisions[-1].error)


@pytest.mark.parametrize(
    ("account", "part"),
    [
        (an_account(a_raw_group(), notes=[an_error()]), "what was lent"),
        (an_account(a_raw_group(), ec2={"describe_spot_instance_requests": [an_error()]}), "Spot Instances"),
        (an_account(a_raw_group(), hooks=[an_error()], policies=ASKED), "the hooks of group"),
    ],
)
def test_what_the_sweep_could_not_read_is_said_and_tried_again(account: FakeAws, part: str) -> None:
    """Rule 8: no failed read passes for an empty answer."""
    decisions = run(account)

    assert "not-observed" in codes(decisions)
    assert any(part in f.message for d in decisions for f in d.plan.findings)
    assert any("sweep" in d.unfinished for d in decisions)


def test_a_cluster_that_is_gone_is_said_and_the_others_are_swept() -> None:
    """T6: a deleted cluster whose group is still tagged: one line, no retry, and the next cluster is looked at."""
    aws = an_account(a_raw_group("a", cluster="deleted"), a_raw_group("b"))

    decisions = run(aws)

    assert ["cluster-missing"] == codes(decisions)
    assert not any(d.unfinished for d in decisions)
    assert ["deleted", "orders"] == sorted(params["cluster"] for _, params in aws.ecs.calls)


def test_a_cluster_that_the_role_may_not_look_into_is_a_finding() -> None:
    """Tagged, but outside ClusterPattern: trying again changes nothing, and no alarm rings for it each minute."""
    aws = an_account(a_raw_group(), ecs=FakeEcs(fail={"list_container_instances": [an_error("AccessDeniedException")]}))

    decisions = run(aws)

    assert ["cluster-denied"] == codes(decisions)
    assert not any(d.unfinished for d in decisions)


@pytest.mark.parametrize(
    ("policy", "tags", "written"),
    [
        (INSTALL, {}, ["create_or_update_tags", "put_lifecycle_hook", "create_or_update_tags"]),
        ("{}", {"hook": "own"}, ["delete_lifecycle_hook", "delete_tags"]),
        ("{}", {"hook": "found"}, ["delete_tags"]),
        ("{}", {}, []),
    ],
)
def test_hooks_are_put_on_and_taken_off_by_policy(policy: str, tags: dict[str, str], written: list[str]) -> None:
    """The tag on the group is the only memory."""
    aws = an_account(a_raw_group(**tags), policies=[{"Parameters": [{"Name": "/bulwark/policy/orders", "Value": policy}]}])

    run(aws)

    assert written == [name for name in aws.autoscaling.writes.names() if not name.startswith("describe")]


@pytest.mark.parametrize("policies", [[an_error()], [{"Parameters": [{"Name": "/bulwark/policy/orders", "Value": "{"}]}]])
def test_a_policy_that_is_not_known_takes_no_hook_off(policies: list[Any]) -> None:
    """Rule 5: Parameter Store did not answer, or the policy is no policy: the defaults are no reason to remove what was asked for."""
    aws = an_account(a_raw_group(hook="own"), policies=policies)

    run(aws)

    assert [] == aws.autoscaling.writes.names()


def test_a_group_that_opted_out_loses_the_hook() -> None:
    """It carries Bulwark's note, and the opt-in no more."""
    aws = an_account(a_raw_group(cluster=None, hook="own"))

    (decision,) = run(aws)

    assert ["delete_lifecycle_hook", "delete_tags"] == aws.autoscaling.writes.names()
    assert ["done"] == [o.status for o in decision.outcomes]


def test_observing_leaves_hooks_alone() -> None:
    """Rule 9."""
    aws = an_account(a_raw_group(cluster=None, hook="own"))

    (decision,) = run(aws, mode="observe")

    assert ([], ["skipped"]) == (aws.autoscaling.writes.names(), [o.status for o in decision.outcomes])


def test_a_sound_event_about_nothing_of_ours_makes_no_call() -> None:
    """Not a single one, and it is never retried."""
    aws = an_account()
    signal = Irrelevant(SPOT, "not an instance that Bulwark drains")

    (decision,) = run(aws, signal)

    assert (["nothing-to-do"], frozenset(), None) == (codes([decision]), decision.unfinished, subject_of(signal))
    assert [] == aws.ecs.calls + aws.ec2.calls + aws.autoscaling.calls


def test_progress_of_an_instance_that_is_no_longer_ours_changes_nothing() -> None:
    """Its tag is gone, or another cluster's: one read, a finding, no write."""
    aws = an_account(ec2={"describe_instances": [{"Reservations": [{"Instances": [{"InstanceId": SPOT, "State": {"Name": "running"}}]}]}]})

    (decision,) = run(aws, DrainProgress("orders", SPOT))

    assert (["still-draining"], []) == (codes([decision]), aws.ecs.calls)


def test_a_drain_that_does_not_fit_into_the_time_waits_for_the_next_sweep() -> None:
    """The function must still report: clusters that are left over are said."""
    aws = an_account(a_raw_group())
    book = PolicyBook(aws.ssm, "/bulwark", "act")

    decisions = drain(aws, book, [Sweep(NOW)], NOW, lambda: 1.0, ledger=Ledger(aws, "bulwark"))

    assert "sweep-cut-short" in codes(decisions)
    assert [] == aws.ecs.calls
    assert {"S": "orders"} == aws.dynamodb.calls[0][1]["Item"]["cluster"]


def test_a_sweep_begins_where_the_last_one_was_cut_short() -> None:
    """Whatever fits into the time: in the end every cluster has its turn."""
    names = [f"c-{n:02d}" for n in range(10)]
    begin: str | None = None
    seen: list[str] = []
    for _ in range(4):
        items: list[Any] = [{"sk": {"S": "#begin"}, "cluster": {"S": begin}}] if begin else []
        aws = an_account(*(a_raw_group(f"g-{n}", cluster=n) for n in names), notes=[{"Items": items}])
        left = iter([99.0] * 3 + [1.0] * 99)
        drain(aws, PolicyBook(aws.ssm, "/bulwark", "act"), [Sweep(NOW)], NOW, left.__next__, ledger=Ledger(aws, "bulwark"))
        seen += [params["cluster"] for _, params in aws.ecs.calls]
        begin = aws.dynamodb.calls[0][1]["Item"]["cluster"]["S"]

    assert names == sorted(set(seen))


def test_a_failed_heartbeat_brings_the_sweep_back() -> None:
    """What an action of the sweep is about is an instance; its record is the sweep's."""
    mark = write_mark(a_mark("terminate-hook", minutes=60, hook="t-1"))
    busy = a_raw_instance(status="DRAINING", attributes=[{"name": "bulwark.drain", "value": mark}])
    tags = [{"Key": "bulwark:cluster", "Value": "orders"}, {"Key": "aws:autoscaling:groupName", "Value": "orders-spot"}]
    hosts = [{"Reservations": [{"Instances": [{"InstanceId": SPOT, "State": {"Name": "running"}, "Tags": tags}]}]}]
    ecs = FakeEcs(instances=[busy | {"agentConnected": True}], fail={"list_tasks": [an_error()]})
    aws = an_account(a_raw_group(), ecs=ecs, ec2={"describe_instances": hosts})
    aws.autoscaling.writes.answers["record_lifecycle_action_heartbeat"] = [an_error()]

    decisions = run(aws)

    assert ["failed"] == [o.status for d in decisions for o in d.outcomes]
    assert any("sweep" in d.unfinished for d in decisions)


def test_a_warning_beside_a_sweep_waits_for_none_of_its_reads() -> None:
    """DRAINING is set before the sweep asks EC2 or ECS for anything."""
    order: list[str] = []
    tags = [{"Key": "bulwark:cluster", "Value": "orders"}, {"Key": "aws:autoscaling:groupName", "Value": "orders-spot"}]
    hosts = [{"Reservations": [{"Instances": [{"InstanceId": SPOT, "State": {"Name": "running"}, "Tags": tags}]}]}]
    aws = an_account(a_raw_group(), ecs=FakeEcs(), ec2={"describe_instances": hosts})
    aws.ec2.calls, aws.ecs.calls = Noted(order), Noted(order)

    run(aws, a_warning(), Sweep(NOW))

    assert order.index("update_container_instances_state") < order.index("describe_spot_instance_requests")
    assert ["describe_instances", "list_container_instances", "update_container_instances_state"] == order[:3]


class Noted(list[Any]):
    """A fake's calls, whose names also go into one list for several fakes, in order."""

    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self.order = order

    def append(self, call: Any) -> None:
        """Note the call."""
        self.order.append(call[0])
        super().append(call)


def test_the_offer_of_hooks_stops_in_time() -> None:
    """On the hour each group without a hook is asked for: not when the function is about to end."""
    aws = an_account(*(a_raw_group(f"group-{n}") for n in range(5)))
    book = PolicyBook(aws.ssm, "/bulwark", "act")

    decisions = drain(aws, book, [Sweep(NOW)], NOW, lambda: 1.0, ledger=Ledger(aws, "bulwark"))

    assert [] == aws.autoscaling.writes.names()
    assert "sweep-cut-short" in codes(decisions)
