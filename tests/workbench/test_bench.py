"""The benchmark: it counts what it says it counts, on small accounts, and says so when a bound is broken. No times are asserted."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from bulwark.shell.aws import Aws
from workbench.bench.__main__ import main
from workbench.bench.accounts import instance_id
from workbench.bench.buckets import READ, Use
from workbench.bench.calls import WarningCalls, calls_hold, measure_calls
from workbench.bench.cold_start import BARE, CLIENTS, OURS, SAME_CLIENTS, SAME_READ, ColdStart, measure
from workbench.bench.storm import (
    Delivery,
    Storm,
    batches_of,
    foreign_before_last_update,
    measure_storm,
    read_delivery,
    storm_holds,
)
from workbench.bench.table import Results, as_document, as_table
from workbench.template import TemplateError

CALLS = WarningCalls(
    clusters=1,
    instances=10,
    draining_after=2,
    order=("ec2:DescribeInstances", "ecs:UpdateContainerInstancesState"),
    operations={"ec2:DescribeInstances": 1, "ecs:UpdateContainerInstancesState": 1},
    at_start={"ssm:GetParametersByPath": 1},
    undone=0,
)
STORM = Storm(
    warnings=4,
    instances=6,
    invocations=1,
    at_once=1,
    drained=4,
    undone=0,
    operations={"ecs:ListTasks": 3},
    foreign_before_last_update=0,
    draining_s=0.1,
    seconds=0.2,
    buckets=(Use(READ, 3, 3.0, 0),),
)
COLD = (ColdStart(OURS, 3, 120.0, 110.0, 130.0), ColdStart(SAME_CLIENTS, 3, 100.0, 90.0, 105.0), ColdStart(BARE, 3, 10.0, 9.0, 11.0))


def test_one_warning_on_accounts_of_two_sizes() -> None:
    """The instance drains within three calls, there are at most ten in all, and a larger account costs the same ones."""
    small, large = measure_calls(1, 4), measure_calls(3, 6)
    assert calls_hold([small, large]), (small, large)
    assert small.order[0] == "ec2:DescribeInstances"
    assert small.order[(small.draining_after or 0) - 1] == "ecs:UpdateContainerInstancesState"
    assert small.at_start == {"ssm:GetParametersByPath": 1}


@pytest.mark.parametrize("virtual", [False, True])
def test_a_small_storm(virtual: bool) -> None:
    """Twelve warnings in two batches: all drain, nothing slower comes before, and every call is in the count of its bucket."""
    storm = measure_storm(12, 15, 6, at_once=2, virtual=virtual)
    assert (storm.invocations, storm.drained, storm.undone, storm.foreign_before_last_update) == (2, 12, 0, 0)
    assert storm.operations["ecs:UpdateContainerInstancesState"] == 2
    ecs = sum(count for operation, count in storm.operations.items() if operation.startswith("ecs:"))
    assert sum(use.calls for use in storm.buckets) == ecs


def test_cold_starts_of_every_variant() -> None:
    """Our built function and the three to compare with each start once, and each has its figure."""
    results = measure(1)
    assert {result.variant for result in results} == {OURS, BARE, SAME_CLIENTS, SAME_READ}
    assert all(result.runs == 1 and 0 < result.least_ms == result.median_ms == result.most_ms for result in results)


def test_calls_that_break_a_bound_or_differ_do_not_hold() -> None:
    """Draining at the fourth call, never draining, eleven calls, a record returned, or another call on a larger account: each fails."""
    assert calls_hold([CALLS, CALLS])
    assert not calls_hold([replace(CALLS, draining_after=4)])
    assert not calls_hold([replace(CALLS, draining_after=None)])
    assert not calls_hold([replace(CALLS, order=("ecs:ListTasks",) * 11)])
    assert not calls_hold([replace(CALLS, undone=1)])
    assert not calls_hold([CALLS, replace(CALLS, operations={"ec2:DescribeInstances": 2})])


def test_a_storm_that_breaks_a_promise_does_not_hold() -> None:
    """One instance left, a record returned, a slower call too early, a call per instance, or an empty bucket: each fails."""
    assert storm_holds(STORM)
    assert not storm_holds(replace(STORM, drained=3))
    assert not storm_holds(replace(STORM, undone=1))
    assert not storm_holds(replace(STORM, foreign_before_last_update=1))
    assert not storm_holds(replace(STORM, operations={"ecs:ListTasks": 4}))
    assert not storm_holds(replace(STORM, buckets=(Use(READ, 101, 100.0, 1),)))


@pytest.mark.parametrize(
    ("order", "foreign"),
    [
        (["ec2:DescribeInstances", "ecs:ListContainerInstances", "ecs:UpdateContainerInstancesState", "ecs:PutAttributes"], 0),
        (["ec2:DescribeInstances", "ecs:ListTasks", "ecs:UpdateContainerInstancesState"], 1),
        (["ecs:UpdateContainerInstancesState", "ecs:PutAttributes", "ecs:UpdateContainerInstancesState"], 1),
        (["ecs:UpdateContainerInstancesState", "ecs:ListContainerInstances", "ecs:UpdateContainerInstancesState"], 1),
        (["ec2:DescribeInstances"], 0),
    ],
)
def test_what_counts_as_too_early(order: list[str], foreign: int) -> None:
    """Only the reads that locate the instances may come before the first drain, and nothing between the drains."""
    assert foreign_before_last_update(order) == foreign


def test_batches_have_the_size_of_the_template() -> None:
    """The last batch takes the rest; the limits are read from the SQS event of the function."""
    assert batches_of(["a", "b", "c"], 2) == [["a", "b"], ["c"]]
    assert instance_id(1) == "i-0bbb0000000000001"
    event = {"Type": "SQS", "Properties": {"BatchSize": 500, "ScalingConfig": {"MaximumConcurrency": 2}}}
    resources: dict[str, Any] = {"DrainingFunction": {"Properties": {"Events": {"Warnings": event}}}}
    assert read_delivery({"Resources": resources}) == Delivery(500, 2)
    event["Properties"] = {"BatchSize": 500}
    with pytest.raises(TemplateError, match="DrainingFunction: no SQS event with BatchSize"):
        read_delivery({"Resources": resources})
    assert read_delivery().batch_size > 0


def test_the_handler_to_compare_with_makes_the_clients_our_init_phase_makes() -> None:
    """Were the function to make one client more or less, the ratio would compare unlike things: the list is held to the code."""

    class Session:
        """A session that notes which clients are asked for."""

        def __init__(self) -> None:
            """Nothing asked for yet."""
            self.made: list[str] = []
            self.events = self

        def register(self, *_: object) -> None:
            """Event hooks are of no interest here."""

        def client(self, name: str, **_: object) -> object:
            """Note it."""
            self.made.append(name)
            return object()

    session = Session()
    Aws(session=session)  # type: ignore[arg-type]
    assert sorted(session.made) == sorted(CLIENTS)


def test_the_results_as_a_table_and_as_a_document() -> None:
    """Both carry every figure; a broken bound is marked in the table and makes the whole not hold."""
    good = Results((CALLS,), (("as run", STORM),), COLD, "Python 3.13.0")
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(as_table(good))
    text = console.export_text()
    assert "NO" not in text
    assert "call 2" in text
    assert "120 ms, x 1.20" in text
    document = json.loads(json.dumps(as_document(good)))
    assert document["holds"] is True
    assert document["cold_start"]["ratio"] == pytest.approx(1.2)
    assert document["calls"][0]["total"] == 2
    assert document["storm"][0]["calls"] == 3
    slow = replace(good, cold_starts=(ColdStart(OURS, 3, 126.0, 1.0, 1.0), *COLD[1:]))
    console.print(as_table(slow))
    assert "NO" in console.export_text()
    assert not slow.holds
    assert as_document(Results()) == {"holds": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "0"], "write a whole number from 1"),
        (["--only", "calls,everything"], "'everything': write some of calls, storm, cold-start"),
        (["--only", "cold-start", "--python", "/no/such/python"], "bench: /no/such/python: does not run"),
    ],
)
def test_bad_input_is_one_line_and_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong number, a part that does not exist, an interpreter that is not there: what and how to mend it, no traceback."""
    try:
        code: object = main(arguments)
    except SystemExit as ended:
        code = ended.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
