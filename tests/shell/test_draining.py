"""The three rounds: order, isolation and what a failure leaves behind. Through fakes; the sandbox plays the rest."""

from typing import Any

from bulwark.core.policies import Mode
from bulwark.shell.draining import drain
from bulwark.shell.ledger import Ledger
from bulwark.shell.policy_book import PolicyBook
from bulwark.shell.report import Decision
from tests.builders import NOW, SPOT, a_hook_notice, a_warning
from tests.fakes import FakeAutoScaling, FakeAws, FakeCalls, FakeEcs, FakePages, a_raw_instance, an_error

FOREIGN = "i-0fff0000000000001"


def tagged(*ids: str, cluster: str = "orders", group: str | None = "orders-spot") -> list[dict[str, Any]]:
    """EC2 instances of an opted-in group."""
    tags = [{"Key": "bulwark:cluster", "Value": cluster}] + ([{"Key": "aws:autoscaling:groupName", "Value": group}] if group else [])
    return [{"InstanceId": i, "State": {"Name": "running"}, "Tags": tags} for i in ids]


def an_account(*ec2: dict[str, Any], ecs: FakeEcs | None = None, autoscaling: FakeAutoScaling | None = None) -> FakeAws:
    """EC2 instances, and the cluster orders."""
    pages = FakePages(pages={"describe_instances": [{"Reservations": [{"Instances": list(ec2)}]}]})
    return FakeAws(ec2=pages, ecs=ecs or FakeEcs(), autoscaling=autoscaling or FakeAutoScaling())


def run(aws: FakeAws, *ids: str, mode: Mode = "act") -> list[Decision]:
    """Answer a warning for each id."""
    book = PolicyBook(aws.ssm, "/bulwark", mode)
    return drain(aws, book, [a_warning(i) for i in ids], NOW, ledger=Ledger(aws, "bulwark"))


def kinds(decision: Decision) -> list[tuple[str, str]]:
    """Outcomes by kind and status."""
    return [(type(o.action).__name__, o.status) for o in decision.outcomes]


def test_the_instance_is_draining_before_anything_slower_is_read() -> None:
    """List, drain: only then mark, neighbours, tasks."""
    aws = an_account(*tagged(SPOT))

    run(aws, SPOT)

    first = [name for name, _ in aws.ecs.calls[:3]]
    assert ["list_container_instances", "update_container_instances_state", "put_attributes"] == first


def test_reads_that_fail_after_the_drain_fail_the_record_but_undo_nothing() -> None:
    """The slower reads throttled: the instance is DRAINING and replaced all the same, and the record is retried."""
    ecs = FakeEcs(fail={"list_tasks": [an_error()]})
    aws = an_account(*tagged(SPOT), ecs=ecs)

    (decision,) = run(aws, SPOT)

    assert [("DrainInstance", "done"), ("ReplaceInstance", "done")] == kinds(decision)
    assert frozenset({SPOT}) == decision.unfinished
    assert {"not-observed"} == {f.code for f in decision.plan.findings}


def test_a_description_that_fails_postpones_the_replacement_to_the_next_delivery() -> None:
    """First only DRAINING, and the record is retried; the next delivery describes the instance and replaces it."""
    aws = an_account(*tagged(SPOT), ecs=FakeEcs(fail={"describe_container_instances": [an_error()]}, tells=False))

    (first,) = run(aws, SPOT)
    (second,) = run(aws, SPOT)

    assert ([("DrainInstance", "done")], frozenset({SPOT})) == (kinds(first), first.unfinished)
    assert [("ReplaceInstance", "done")] == kinds(second)


def test_a_storm_over_clusters_shares_one_budget_and_stops_explaining_in_time() -> None:
    """Instances whose tasks are looked at are bounded per delivery, and none is looked at when the time is nearly up."""
    ids = [f"i-0ddd00000000{n:05d}" for n in range(3)]
    aws = an_account(*tagged(*ids), ecs=FakeEcs(instances=[a_raw_instance(i) for i in ids]))
    book = PolicyBook(aws.ssm, "/bulwark", "act")

    (decision,) = drain(aws, book, [a_warning(i) for i in ids], NOW, lambda: 1.0, ledger=Ledger(aws, "bulwark"))

    assert 0 == aws.ecs.counted()["list_tasks"]
    assert ["tasks-not-examined"] == [f.code for f in decision.plan.findings]
    assert 6 == len(decision.outcomes)


def test_T2_a_foreign_instance_costs_one_read() -> None:
    """Hazard T2: one DescribeInstances, a finding, no retry."""
    aws = an_account({"InstanceId": FOREIGN, "State": {"Name": "running"}})

    (decision,) = run(aws, FOREIGN)

    assert (None, frozenset()) == (decision.cluster, decision.unfinished)
    assert (1, [], [], []) == (len(aws.ec2.calls), aws.ecs.calls, aws.autoscaling.calls, aws.ssm.calls)


def test_T5_a_cluster_that_is_gone_takes_no_other_with_it() -> None:
    """Hazard T5: the instance of a deleted cluster is unfinished; its neighbour in the batch is drained."""
    lost = "i-0bbb0000000000002"
    aws = an_account(*tagged(lost, cluster="deleted"), *tagged(SPOT))

    gone, orders = run(aws, lost, SPOT)

    assert "cluster deleted: named by the tag bulwark:cluster" in str(gone.error)
    assert (frozenset({lost}), frozenset()) == (gone.unfinished, orders.unfinished)
    assert [("DrainInstance", "done"), ("ReplaceInstance", "done")] == kinds(orders)


def test_a_cluster_that_cannot_be_listed_is_retried() -> None:
    """A throttled list is an error of that cluster, in one line."""
    (decision,) = run(an_account(*tagged(SPOT), ecs=FakeEcs(fail={"list_container_instances": [an_error()]})), SPOT)

    assert "cluster orders: Operation: ThrottlingException: Rate exceeded" == decision.error
    assert frozenset({SPOT}) == decision.unfinished


def test_T3_five_hundred_instances_are_all_draining_before_anything_slower() -> None:
    """Hazard T3: every UpdateContainerInstancesState comes before the first mark, and all in all less than a call each."""
    ids = [f"i-0ddd00000000{n:05d}" for n in range(500)]
    aws = an_account(*tagged(*ids), ecs=FakeEcs(instances=[a_raw_instance(i) for i in ids]))

    (decision,) = run(aws, *ids)

    names = [name for name, _ in aws.ecs.calls]
    last_drain = len(names) - 1 - names[::-1].index("update_container_instances_state")
    assert {"list_container_instances", "describe_container_instances", "update_container_instances_state"} == set(names[: last_drain + 1])
    assert 50 == names.count("update_container_instances_state")
    assert len(names) + len(aws.autoscaling.calls) + len(aws.ec2.calls) < 500
    assert {"done"} == {o.status for o in decision.outcomes}


def test_observe_mode_decides_the_same_and_writes_nothing() -> None:
    """Rule 9: the same plan, every outcome skipped, the instance still ACTIVE."""
    acting, observing = an_account(*tagged(SPOT)), an_account(*tagged(SPOT))

    (acted,), (observed,) = run(acting, SPOT), run(observing, SPOT, mode="observe")

    assert acted.plan.actions == observed.plan.actions
    assert {"skipped"} == {o.status for o in observed.outcomes}
    assert "ACTIVE" == observing.ecs.instances[0]["status"]
    assert [] == observing.autoscaling.calls
    assert {"observing"} == {f.code for f in observed.plan.findings} - {f.code for f in acted.plan.findings}


def test_the_next_delivery_finishes_a_replacement_that_failed() -> None:
    """First the detach is throttled: failed, retried. The second time it alone is planned; the third time nothing."""
    autoscaling = FakeAutoScaling(fail=[an_error("Throttling")], pages={"describe_auto_scaling_groups": [an_error()]})
    aws = an_account(*tagged(SPOT), autoscaling=autoscaling)

    (first,) = run(aws, SPOT)
    (second,) = run(aws, SPOT)
    aws.ec2.pages["describe_instances"] = [{"Reservations": [{"Instances": tagged(SPOT, group=None)}]}]
    (third,) = run(aws, SPOT)

    assert [("DrainInstance", "done"), ("ReplaceInstance", "failed")] == kinds(first)
    assert [("ReplaceInstance", "done")] == kinds(second)
    assert [] == kinds(third)


def test_a_refused_detach_is_explained_from_the_group() -> None:
    """The group says Terminating: Auto Scaling is at it already, so nothing has failed."""
    group = {
        "AutoScalingGroupName": "orders-spot", "MinSize": 0, "DesiredCapacity": 1, "MaxSize": 2,
        "Instances": [{"InstanceId": SPOT, "LifecycleState": "Terminating"}], "Tags": [{"Key": "bulwark:cluster", "Value": "orders"}],
    }  # fmt: skip
    refusing = FakeAutoScaling(refused={SPOT}, pages={"describe_auto_scaling_groups": [{"AutoScalingGroups": [group]}]})

    (decision,) = run(an_account(*tagged(SPOT), autoscaling=refusing), SPOT)

    assert [("DrainInstance", "done"), ("ReplaceInstance", "skipped")] == kinds(decision)
    assert "replacement-refused" in {f.code for f in decision.plan.findings}
    assert frozenset() == decision.unfinished


def test_an_instance_that_was_empty_before_it_was_DRAINING_is_not_let_go_without_another_look() -> None:
    """Rule 2: a task may have been placed in between; without ECS's word on how the instance is now, its hook waits on."""
    for tells, expected in ((True, ["DrainInstance", "CompleteLifecycleAction"]), (False, ["DrainInstance"])):
        aws = an_account(*tagged(SPOT), ecs=FakeEcs(instances=[a_raw_instance(runningTasksCount=0)], tells=tells))
        aws.autoscaling = FakeCalls()

        (decision,) = drain(aws, PolicyBook(aws.ssm, "/bulwark", "act"), [a_hook_notice()], NOW, ledger=Ledger(aws, "bulwark"))

        assert expected == [kind for kind, _ in kinds(decision)]


def test_T13_an_instance_that_is_empty_when_drained_is_drained_and_replaced_all_the_same() -> None:
    """Hazard T13: no task on it is no reason to skip a step; only the look at its tasks is saved."""
    aws = an_account(*tagged(SPOT), ecs=FakeEcs(instances=[a_raw_instance(runningTasksCount=0)]))

    (decision,) = run(aws, SPOT)

    assert [("DrainInstance", "done"), ("ReplaceInstance", "done")] == kinds(decision)
    assert 0 == aws.ecs.counted()["list_tasks"]
    assert () == decision.plan.findings
