"""The capacity line on the account in memory: isolation, lease, stale looks, what a foreign event costs, and what is remembered."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bulwark.core.capacity_rest import Rest
from bulwark.core.cluster import Demand
from bulwark.core.policies import Mode
from bulwark.core.signals import CapacitySignal, Irrelevant, LaunchFailure, PlacementFailure, Registration, ReservationAlarm, Sweep
from bulwark.shell.aws import Aws
from bulwark.shell.capacity import size, subject_of
from bulwark.shell.draining import drain
from bulwark.shell.ledger import Ledger
from bulwark.shell.memory import Memory, MemoryBook
from bulwark.shell.observe_capacity import Known
from bulwark.shell.policy_book import PolicyBook
from bulwark.shell.report import Decision
from tests.builders import NOW
from tests.fakes import FakeAws, FakePages, FakeTable, an_error
from tests.sizing_world import a_shape
from workbench.bench.artifact import ROOT
from workbench.sandbox import Account, load_scenario
from workbench.sandbox.scenario import read_scenario

WAITS = [{"name": "web", "desired": 6, "cpu": 256, "memory": 3000}]


def a_cluster(name: str, **changes: Any) -> dict[str, Any]:
    """A cluster of one instance on which two of six tasks run."""
    return {"name": name, "groups": [{"name": f"{name}-spot", "min": 0, "desired": 1, "max": 9}], "services": WAITS} | changes


class Line:
    """The account, and the collaborators of one invocation on it."""

    def __init__(self, account: Account, mode: Mode = "act") -> None:
        self.account = account
        self.aws = Aws()
        self.policies = PolicyBook(self.aws.ssm, "/bulwark", mode)
        self.ledger = Ledger(self.aws, "bulwark")
        self.book = MemoryBook(self.aws, "bulwark")
        self.known = Known()

    def size(self, *signals: CapacitySignal, left: float = 60) -> list[Decision]:
        """Answer these signals at the account's time."""
        now = self.account.now
        return size(
            self.aws, self.policies, signals, now, lambda: left, ledger=self.ledger, book=self.book, owner="me", known=self.known
        )  # fmt: skip


@pytest.fixture
def line() -> Iterator[Line]:
    """Two clusters, both short of instances."""
    with Account(read_scenario({"clusters": [a_cluster("orders"), a_cluster("billing")]}, "test")) as account:
        yield Line(account)


def done(decisions: list[Decision]) -> dict[str | None, list[str]]:
    """Actions that were done, by cluster and kind."""
    return {d.cluster: [type(o.action).__name__ for o in d.outcomes if o.status == "done"] for d in decisions}


def codes(decisions: list[Decision]) -> set[str]:
    """Every finding."""
    return {f.code for d in decisions for f in d.plan.findings}


def test_T6_a_cluster_that_fails_takes_no_other_with_it(line: Line) -> None:
    """Hazard T6: one of two is gone from ECS: that is an error of its own, and the other is sized."""
    ecs = line.account.client("ecs")
    for service in ("web",):
        ecs.update_service(cluster="billing", service=service, desiredCount=0)
        ecs.delete_service(cluster="billing", service=service, force=True)
    for arn in ecs.list_container_instances(cluster="billing")["containerInstanceArns"]:
        ecs.deregister_container_instance(cluster="billing", containerInstance=arn, force=True)
    ecs.delete_cluster(cluster="billing")

    decisions = line.size(Sweep(line.account.now))

    assert ["SetDesiredCapacity"] == done(decisions)["orders"]
    (broken,) = [d for d in decisions if d.cluster == "billing"]
    assert broken.error is not None
    assert "no such ECS cluster" in broken.error
    assert frozenset({"sweep"}) == broken.unfinished


def test_many_events_of_one_cluster_are_one_decision(line: Line) -> None:
    """Rule 7, hazard T16."""
    decisions = line.size(*[PlacementFailure("orders", f"web-{n}") for n in range(30)], ReservationAlarm("orders", "x"))

    assert {"orders": ["SetDesiredCapacity"]} == done(decisions)


def test_while_somebody_else_decides_nothing_is_done(line: Line) -> None:
    """The lease of the cluster is taken."""
    assert line.ledger.lease("orders", "somebody", line.account.now)

    decisions = line.size(ReservationAlarm("orders", "x"))

    assert {"orders": []} == done(decisions)
    assert "lease-taken" in codes(decisions)


def test_the_lease_is_given_back(line: Line) -> None:
    """The next invocation can have it at once."""
    line.size(ReservationAlarm("orders", "x"))

    assert line.ledger.lease("orders", "somebody", line.account.now)


def test_a_look_older_than_the_last_counts_for_nothing(line: Line) -> None:
    """A stale snapshot cannot overwrite a newer one."""
    later = line.account.now + timedelta(seconds=1)
    assert line.book.remember("orders", Memory(), Memory(), later)

    decisions = line.size(ReservationAlarm("orders", "x"))

    assert {"orders": []} == done(decisions)
    assert "stale-snapshot" in codes(decisions)


def test_observing_writes_nothing_but_the_table() -> None:
    """Rule 9."""
    with Account(read_scenario({"clusters": [a_cluster("orders")]}, "test")) as account:
        (decision,) = Line(account, "observe").size(ReservationAlarm("orders", "x"))

    writes = {c for c in decision.calls if not c.split(":")[1].startswith(("Describe", "List", "Get", "Query"))}
    assert {"dynamodb:PutItem"} == writes
    assert ["skipped"] == [o.status for o in decision.outcomes]


def test_a_cluster_that_nobody_opted_in_for_costs_one_call(line: Line) -> None:
    """Hazard T2."""
    (decision,) = line.size(ReservationAlarm("payroll", "x"))

    assert ({"foreign"}, {"autoscaling:DescribeAutoScalingGroups": 1}) == (codes([decision]), _without_policies(decision))


def test_a_group_that_nobody_opted_in_costs_one_call(line: Line) -> None:
    """Hazard T2: a launch that failed elsewhere."""
    (decision,) = line.size(LaunchFailure("somebody-else"))

    assert ({"foreign"}, {"autoscaling:DescribeAutoScalingGroups": 1}) == (codes([decision]), _without_policies(decision))


def _without_policies(decision: Decision) -> dict[str, int]:
    return {name: n for name, n in decision.calls.items() if not name.startswith("ssm:")}


def test_a_launch_that_failed_has_its_cluster_looked_at(line: Line) -> None:
    """The group names the cluster."""
    decisions = line.size(LaunchFailure("orders-spot"))

    assert {"orders": ["SetDesiredCapacity"]} == done(decisions)
    assert {"orders-spot"} == set(decisions[0].subjects)


def test_a_policy_that_is_not_certain_sizes_nothing(line: Line) -> None:
    """Capacity stands still, where draining goes on with the last valid one."""
    line.account.client("ssm").put_parameter(Name="/bulwark/policy/orders", Type="String", Value='{"capacity": {"enabled": 1}}')

    decisions = line.size(ReservationAlarm("orders", "x"))

    assert {"orders": []} == done(decisions)
    assert {"policy-invalid", "capacity-stands-still"} <= codes(decisions)


def test_capacity_can_be_turned_off(line: Line) -> None:
    """By policy, for one cluster."""
    line.account.client("ssm").put_parameter(Name="/bulwark/policy/orders", Type="String", Value='{"capacity": {"enabled": false}}')

    assert "capacity-off" in codes(line.size(ReservationAlarm("orders", "x")))


def test_a_sweep_without_time_left_says_so_and_the_next_begins_there(line: Line) -> None:
    """Nothing is begun that could not be reported."""
    assert "sweep-cut-short" in codes(line.size(Sweep(line.account.now), left=1))
    assert "billing" == line.ledger.begin("capacity-sweep")


def test_a_registration_matters_if_something_waited(line: Line) -> None:
    """Nothing is known to wait at first; after a look that left tasks waiting, a registration is one more reason to look."""
    waits = Registration("orders", "i-0aaa0000000000001")
    assert "nothing-waits" in codes(line.size(waits))

    line.size(ReservationAlarm("orders", "x"))

    assert "nothing-waits" not in codes(line.size(waits))


def test_alarms_are_made_once_changed_with_the_policy_and_removed_with_the_opt_in(line: Line) -> None:
    """Two for each cluster; nothing is left behind on opt-out."""
    cloudwatch, autoscaling = line.account.client("cloudwatch"), line.account.client("autoscaling")
    sweep = Sweep(line.account.now)
    assert 4 == done(line.size(sweep))[None].count("PutAlarm")
    assert {None: []} | {"billing": [], "orders": []} == {None: []} | done(line.size(sweep))
    line.account.client("ssm").put_parameter(Name="/bulwark/policy/orders", Type="String", Value='{"capacity": {"alarm_percent": 70}}')
    line.policies = PolicyBook(line.aws.ssm, "/bulwark", "act")
    assert ["PutAlarm", "PutAlarm"] == done(line.size(sweep))[None]
    thresholds = {a["AlarmName"]: a["Threshold"] for a in cloudwatch.describe_alarms(AlarmNamePrefix="bulwark/orders/")["MetricAlarms"]}
    assert {"bulwark/orders/CPUReservation": 70, "bulwark/orders/MemoryReservation": 70} == thresholds

    tag = {"ResourceId": "billing-spot", "ResourceType": "auto-scaling-group", "Key": "bulwark:cluster"}
    autoscaling.delete_tags(Tags=[tag])

    assert ["RemoveAlarm", "RemoveAlarm"] == done(line.size(sweep))[None]
    assert [] == cloudwatch.describe_alarms(AlarmNamePrefix="bulwark/billing/")["MetricAlarms"]


def test_what_is_remembered_comes_back_as_it_was(line: Line) -> None:
    """Demands, rests, shapes, and what was regretted."""
    demand = Demand(NOW, 1024, 2048, 1)
    shape = a_shape(ports=frozenset({22}), attributes={"a": None, "b": "c"}, enis=10)
    memory = Memory((demand,), {"spot": Rest(NOW + timedelta(minutes=5), NOW, 2, "no capacity")}, (shape,), True, demand, demand)

    assert line.book.remember("orders", memory, Memory(), NOW)
    assert memory == line.book.recall("orders")
    assert not line.book.remember("orders", replace(memory, waits=False), memory, NOW - timedelta(seconds=1))
    assert memory == line.book.recall("orders")


@pytest.mark.parametrize(
    ("signal", "subject"),
    [
        (ReservationAlarm("orders", "a"), "orders"),
        (PlacementFailure("orders", "web"), "web"),
        (LaunchFailure("spot"), "spot"),
        (Registration("orders", "i-0aaa0000000000001"), "i-0aaa0000000000001"),
        (Sweep(NOW), "sweep"),
        (Irrelevant("x", "y"), None),
    ],
)
def test_every_signal_has_what_its_record_stands_or_falls_with(signal: CapacitySignal, subject: str | None) -> None:
    """None: it asks nothing, so nothing of it can be left undone."""
    assert subject == subject_of(signal)


def put(line: Line, policy: str, name: str = "policy/orders") -> None:
    """A parameter, and a policy book that reads it."""
    line.account.client("ssm").put_parameter(Name=f"/bulwark/{name}", Type="String", Value=policy, Overwrite=True)
    line.policies = PolicyBook(line.aws.ssm, "/bulwark", "act")


def test_a_cluster_that_its_policy_holds_to_observe_gets_no_alarms(line: Line) -> None:
    """Rule 9: the stack acts, and of this one cluster nothing is written outside Bulwark's own table."""
    put(line, '{"mode": "observe"}')

    decisions = line.size(Sweep(line.account.now))

    assert [] == done(decisions)["orders"]
    alarms = line.account.client("cloudwatch").describe_alarms(AlarmNamePrefix="bulwark/")["MetricAlarms"]
    assert {"bulwark/billing/CPUReservation", "bulwark/billing/MemoryReservation"} == {a["AlarmName"] for a in alarms}


def test_the_kill_switch_stops_groups_and_alarms(line: Line) -> None:
    """Whatever it says but off."""
    put(line, "on", "kill-switch")

    decisions = line.size(Sweep(line.account.now))

    assert {"skipped"} == {o.status for d in decisions for o in d.outcomes}


def test_T6_a_memory_that_makes_no_sense_is_that_clusters_trouble_alone(line: Line) -> None:
    """Hazard T6: an entry of one cluster that another version wrote: the other is sized, in every sweep."""
    half = {"pk": {"S": "capacity#billing"}, "sk": {"S": "memory"}, "seen": {"N": "1"}, "demands": {"S": "{"}}
    line.account.client("dynamodb").put_item(TableName="bulwark", Item=half)

    decisions = line.size(Sweep(line.account.now))

    assert ["SetDesiredCapacity"] == done(decisions)["orders"]


def test_T16_a_second_delivery_asks_for_nothing_more(line: Line) -> None:
    """Hazard T16, rule 7: what the first asked for is on its way."""
    line.size(PlacementFailure("orders", "web"))

    assert {"orders": []} == done(line.size(PlacementFailure("orders", "web"), LaunchFailure("orders-spot")))


def test_a_policy_that_could_not_be_read_sizes_nothing(line: Line) -> None:
    """Not even by the defaults."""
    line.policies = PolicyBook(FakePages(pages={"get_parameters_by_path": [an_error()]}), "/bulwark", "act")  # type: ignore[arg-type]

    decisions = line.size(ReservationAlarm("orders", "x"))

    assert {"orders": []} == done(decisions)
    assert {"policy-unreadable", "capacity-stands-still"} <= codes(decisions)


def test_without_an_answer_of_the_table_nothing_is_done(line: Line) -> None:
    """Neither the lease nor what was remembered is known."""
    line.ledger = Ledger(FakeAws(dynamodb=FakeTable(fail=an_error())), "bulwark")

    decisions = line.size(ReservationAlarm("orders", "x"))

    assert {"orders": []} == done(decisions)
    assert "lease-unknown" in codes(decisions)


def test_what_could_not_be_remembered_is_not_done(line: Line) -> None:
    """Remembered first: else the next look would not know of it. It is an error, so the event comes again."""

    class Broken(MemoryBook):
        """Reads, and does not write."""

        def remember(self, *_: Any) -> bool:
            """The table refuses."""
            raise an_error()

    line.book = Broken(line.aws, "bulwark")
    (decision,) = line.size(ReservationAlarm("orders", "x"))

    assert ((), True) == (decision.outcomes, "Throttling" in (decision.error or ""))
    assert line.ledger.lease("orders", "somebody", line.account.now)


def test_what_was_scaled_in_is_ended_by_nobody_while_somebody_decides() -> None:
    """Rule 2: capacity may be taking the instance back: without the lease draining ends nothing, and with it looks again first."""
    with Account(load_scenario(ROOT / "workbench" / "scenarios" / "fragmented.yaml")) as account:
        line = Line(account)
        line.size(ReservationAlarm("orders", "x"))
        account.settle(60)
        assert line.ledger.lease("orders", "somebody", account.now)
        sweep = Sweep(account.now)

        held = drain(line.aws, line.policies, [sweep], account.now, ledger=line.ledger, owner="me")
        assert "lease-taken" in codes(held)
        assert done(held)["orders"] == []

        line.ledger.release("orders", "somebody")
        ended = drain(line.aws, line.policies, [sweep], account.now, ledger=line.ledger, owner="me")
        assert done(ended)["orders"] == ["TerminateInstance", "TerminateInstance"]
        assert line.ledger.lease("orders", "somebody", account.now)


def test_what_is_taken_back_is_looked_at_once_more_in_its_group() -> None:
    """Its group may be ending it since the groups were read: then it is not kept, and another is launched."""
    with Account(load_scenario(ROOT / "workbench" / "scenarios" / "fragmented.yaml")) as account:
        line = Line(account)
        (drained,) = line.size(ReservationAlarm("orders", "x"))
        account.client("ecs").update_service(cluster="orders", service="api", desiredCount=12)

        calls = line.size(ReservationAlarm("orders", "x"))[0]

        assert done([drained])["orders"] == ["DrainInstance", "DrainInstance"]
        assert "ReactivateInstance" in done([calls])["orders"]
        assert calls.calls["autoscaling:DescribeAutoScalingGroups"] >= 2
