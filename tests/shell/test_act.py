"""Plans become calls: batched, in order, and each failure an outcome of its own."""

from dataclasses import replace
from typing import Any

import pytest

from bulwark.core.plan import DrainInstance, Outcome, Plan, ReplaceInstance
from bulwark.core.policies import Mode
from bulwark.shell.act import act
from bulwark.shell.ledger import Ledger
from bulwark.shell.translate import read_mark
from tests.builders import NOW, a_mark, instance_arn
from tests.fakes import FakeAws, FakeEcs, a_raw_instance, an_error


def perform(aws: FakeAws, plan: Plan, mode: Mode) -> tuple[Outcome, ...]:
    """Act, now, with a table of its own; without what AWS answered the instances to be."""
    return tuple(replace(o, seen=()) for o in act(aws, plan, mode, Ledger(aws, "bulwark"), NOW))


def ids(count: int) -> list[str]:
    """EC2 instance ids."""
    return [f"i-0aaa00000000{n:05d}" for n in range(count)]


def drains(*targets: str) -> tuple[DrainInstance, ...]:
    """Drain each instance."""
    return tuple(DrainInstance(t, "orders", (instance_arn(t),), a_mark(), "why") for t in targets)


def replacements(*targets: str, group: str = "orders-spot") -> tuple[ReplaceInstance, ...]:
    """Replace each instance."""
    return tuple(ReplaceInstance(t, group, "why") for t in targets)


def on_cluster(*targets: str, **changes: Any) -> FakeAws:
    """Cluster orders with these instances."""
    return FakeAws(ecs=FakeEcs(instances=[a_raw_instance(t) for t in targets], **changes))


def test_instances_of_one_cluster_are_drained_ten_to_a_call_before_any_is_marked() -> None:
    """25 instances: three drain calls of at most ten, then the marks, ten to a call; every instance has its mark."""
    some = ids(25)
    aws = on_cluster(*some)

    outcomes = perform(aws, Plan(drains(*some)), "act")

    assert {"done"} == {o.status for o in outcomes}
    assert ["update_container_instances_state"] * 3 + ["put_attributes"] * 3 == [name for name, _ in aws.ecs.calls]
    assert {"DRAINING"} == {i["status"] for i in aws.ecs.instances}
    assert all(read_mark(i["attributes"][-1]["value"]) == a_mark() for i in aws.ecs.instances)


def test_observe_mode_makes_no_call_at_all() -> None:
    """Rule 9: every action is skipped, and nothing is called."""
    (target,) = ids(1)
    aws = on_cluster(target)
    plan = Plan((*drains(target), *replacements(target)))

    assert tuple(Outcome(a, "skipped") for a in plan.actions) == perform(aws, plan, "observe")
    assert [] == aws.ecs.calls
    assert [] == aws.autoscaling.calls


def test_T4_failures_in_a_200_answer_are_failures() -> None:
    """Hazard T4: an entry in ``failures`` fails its instance, whatever the HTTP status, and spares the others."""
    good, bad = ids(2)
    aws = on_cluster(good, bad, failures={"update_container_instances_state": [{"arn": instance_arn(bad), "reason": "INACTIVE"}]})

    first, second = perform(aws, Plan(drains(good, bad)), "act")

    assert "done" == first.status
    assert ("failed", "UpdateContainerInstancesState: INACTIVE") == (second.status, second.error)
    assert [instance_arn(good)] == [a["targetId"] for name, p in aws.ecs.calls if name == "put_attributes" for a in p["attributes"]]


def test_one_instance_that_ECS_refuses_does_not_take_its_call_down() -> None:
    """Where one entry spoils the whole call, each is tried alone."""
    some = ids(10)
    aws = on_cluster(*some, spoiled={instance_arn(some[3])})

    outcomes = perform(aws, Plan(drains(*some)), "act")

    assert [some[3]] == [o.action.target for o in outcomes if o.status == "failed"]
    assert 9 == sum(i["status"] == "DRAINING" for i in aws.ecs.instances)


def test_throttling_is_not_answered_with_ten_times_the_calls() -> None:
    """A throttled batch fails as one and is left to the retry."""
    aws = on_cluster(*ids(10), fail={"update_container_instances_state": [an_error("ThrottlingException")]})

    outcomes = perform(aws, Plan(drains(*ids(10))), "act")

    assert {"failed"} == {o.status for o in outcomes}
    assert 1 == aws.ecs.counted()["update_container_instances_state"]


def test_an_instance_that_cannot_be_marked_has_failed_but_is_draining() -> None:
    """A drain without cause and deadline is not done (rule 3)."""
    (target,) = ids(1)
    aws = on_cluster(target, fail={"put_attributes": [an_error("AttributeLimitExceededException", "PutAttributes", "ten at most")]})

    (outcome,) = perform(aws, Plan(drains(target)), "act")

    assert ("failed", "PutAttributes: AttributeLimitExceededException: ten at most") == (outcome.status, outcome.error)
    assert "DRAINING" == aws.ecs.instances[0]["status"]


def test_a_failed_drain_does_not_hold_up_the_replacement() -> None:
    """The capacity is lost either way, so it is replaced either way."""
    (target,) = ids(1)
    aws = on_cluster(target, fail={"update_container_instances_state": [an_error()]})

    outcomes = perform(aws, Plan((*drains(target), *replacements(target))), "act")

    assert ["failed", "done"] == [o.status for o in outcomes]


def test_detaching_goes_by_group_twenty_to_a_call_and_keeps_desired() -> None:
    """45 instances of one group are three calls; another group has its own; desired is never lowered."""
    aws = FakeAws()

    perform(aws, Plan((*replacements(*ids(45)), *replacements("i-0bbb0000000000001", group="orders-od"))), "act")

    assert [1, 20, 20, 5] == [len(d) for d in aws.autoscaling.detached]
    assert {False} == {p["ShouldDecrementDesiredCapacity"] for _, p in aws.autoscaling.calls}


def test_one_instance_the_group_refuses_is_the_only_one_that_fails() -> None:
    """DetachInstances refuses a whole call for one instance; the others are detached alone."""
    some = ids(3)
    aws = FakeAws()
    aws.autoscaling.refused = {some[1]}

    outcomes = perform(aws, Plan(replacements(*some)), "act")

    assert ["done", "failed", "done"] == [o.status for o in outcomes]


@pytest.mark.parametrize(
    ("named", "failed"), [("i-0aaa0000000000000", 1), (instance_arn("i-0aaa0000000000000"), 1), ("i-0fff0000000000009", 2), ("", 2)]
)
def test_a_failure_finds_its_instance_by_id_or_arn_and_an_unknown_one_is_everybodys(named: str, failed: int) -> None:
    """ECS names failures by full ARN or by the id alone; one that cannot be told is never dropped."""

    class Answers(FakeEcs):
        """Answers every drain with one failure, named as the test asks."""

        def update_container_instances_state(self, **params: Any) -> dict[str, Any]:
            """200, and a failure."""
            return {"failures": [{"arn": named, "reason": "MISSING"}]}

    targets = ids(2)
    aws = FakeAws(ecs=Answers(instances=[a_raw_instance(t) for t in targets]))

    assert failed == sum(o.status == "failed" for o in perform(aws, Plan(drains(*targets)), "act"))


def test_an_instance_without_room_for_a_mark_spoils_no_other_s() -> None:
    """Ten custom attributes are the most: the one that has them fails by itself, the nine beside it are marked."""
    some = ids(10)
    aws = on_cluster(*some)
    put = aws.ecs.put_attributes
    full = instance_arn(some[3])

    def put_attributes(**params: Any) -> Any:
        if full in {a["targetId"] for a in params["attributes"]}:
            raise an_error("AttributeLimitExceededException", "PutAttributes")
        return put(**params)

    aws.ecs.put_attributes = put_attributes

    outcomes = perform(aws, Plan(drains(*some)), "act")

    assert [some[3]] == [o.action.target for o in outcomes if o.status == "failed"]
