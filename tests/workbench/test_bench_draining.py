"""The benchmark's parts about drains: they count what they say, on small accounts, and a broken bound is shown and ends in code 1."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from bulwark.core.signals import SPOT_NOTICE
from workbench.bench.__main__ import WIDTH, main
from workbench.bench.artifact import ROOT
from workbench.bench.drain_accounts import KINDS, Cost
from workbench.bench.extent import Extent
from workbench.bench.in_time import DELIVERY_S, TAKEN_S, WAYS, WINDOW_S, InTime, Way, measure_in_time
from workbench.bench.lifecycle import BOUND, IdleEvent, Lifecycle, LifecycleCalls, measure_lifecycle
from workbench.bench.rows import EXPLAINED
from workbench.bench.sweep import BusySweep, QuietSweep, Sweeps, measure_sweeps, most_calls
from workbench.bench.table import Results, as_document, as_table
from workbench.events import read_event
from workbench.template import load_rules, load_template, rules_for

NOBODY, AGENTS, POLL = WAYS[0], WAYS[1], WAYS[3]
BULWARK = next(way for way in WAYS if way.bounded)

ONE = Cost(("ecs:ListTasks",), {"ecs:ListTasks": 1}, undone=0)
FAILED = replace(ONE, undone=1)
TWO = Cost(("ecs:ListTasks", "ecs:DescribeTasks"), {"ecs:DescribeTasks": 1, "ecs:ListTasks": 1}, undone=0)
HOOK = LifecycleCalls("busy", 1, 10, TWO, ONE, at_most=2)
LIFECYCLE = Lifecycle((HOOK, replace(HOOK, clusters=200)), (IdleEvent("not draining", (), 0),))
QUIET = QuietSweep(1, 10, usual=ONE, hourly=TWO, renewing=ONE, at_most=1)
SWEEPS = Sweeps((QUIET, replace(QUIET, instances=100)), (BusySweep(2, 20, begun=2, cost=TWO),))
IN_TIME = InTime("Bulwark", room=False, draining_s=2, elsewhere_s=54, tasks=1, lost=0, at_most_s=120, undone=0)


@pytest.fixture(scope="module")
def lifecycle() -> Lifecycle:
    """The hook's event on two small accounts."""
    return measure_lifecycle(((1, 5), (3, 6)))


@pytest.fixture(scope="module")
def sweeps() -> Sweeps:
    """Sweeps of small accounts, and of drains in progress."""
    return measure_sweeps((1, 3), (2, 4), (1, 3))


@pytest.fixture(scope="module")
def in_time() -> dict[tuple[str, bool], InTime]:
    """A warning handled in five ways, by way and whether there is room elsewhere."""
    both = Way("both", BULWARK.handler, BULWARK.at_s, spot_draining=True)
    return {(i.way, i.room): i for i in measure_in_time((NOBODY, AGENTS, POLL, BULWARK, both))}


def test_one_hook_event_costs_the_same_few_calls_everywhere(lifecycle: Lifecycle) -> None:
    """Six calls at most, in the order that the documentation gives; a larger account costs the same ones."""
    assert lifecycle.holds, lifecycle
    assert [c.kind for c in lifecycle.calls] == [*KINDS, *KINDS]
    order = {c.kind: c.first.order for c in lifecycle.calls}
    assert order["busy"][3:] == ("ecs:PutAttributes", "ecs:UpdateContainerInstancesState")
    assert order["busy"] == order["daemon only"] == order["busy, no daemon on it"]
    assert order["empty"] == (*order["busy"], "autoscaling:CompleteLifecycleAction")
    assert {c.at_most for c in lifecycle.calls} == {BOUND} == {6}


def test_the_same_event_again_changes_nothing_on_the_instance(lifecycle: Lifecycle) -> None:
    """A second delivery neither marks nor drains once more."""
    again = {o for c in lifecycle.calls for o in c.again.order}
    assert not again & {"ecs:PutAttributes", "ecs:UpdateContainerInstancesState"}
    assert all(c.again.order for c in lifecycle.calls)


def test_progress_of_others_wakes_nobody_and_costs_nothing(lifecycle: Lifecycle) -> None:
    """No rule, and no call; of an instance that Bulwark does drain there is a rule, so the zero means something."""
    assert [(i.rules, i.calls) for i in lifecycle.idle] == [((), 0), ((), 0)]
    ours = read_event(ROOT / "events" / "container_instance_progress.json")
    assert [rule.name for rule in rules_for(load_rules(), ours)] == ["DrainProgressRule"]


def test_a_quiet_sweep_grows_with_clusters_alone(sweeps: Sweeps) -> None:
    """A page of groups, a list for each cluster, and two calls more; as many with twice the instances; every call is explained."""
    assert sweeps.holds, sweeps
    assert [(s.clusters, s.instances) for s in sweeps.quiet] == [(1, 2), (1, 4), (3, 2), (3, 4)]
    for one in sweeps.quiet:
        assert one.usual.operations["ecs:ListContainerInstances"] == one.clusters
        assert one.usual.operations["autoscaling:DescribeAutoScalingGroups"] == 1
        assert len(one.usual.order) <= most_calls(one.clusters)
        assert one.hourly.operations["autoscaling:DescribeLifecycleHooks"] == one.clusters
        assert one.renewing.operations == one.usual.operations | {"ssm:GetParametersByPath": 1}
        assert one.hourly.operations.keys() | one.renewing.operations.keys() <= EXPLAINED.keys()
    assert (most_calls(100), most_calls(101)) == (103, 105)


def test_a_sweep_with_drains_looks_at_each_and_keeps_its_hook(sweeps: Sweeps) -> None:
    """One heartbeat and one list of tasks for each drain in progress: they are in progress indeed."""
    for busy in sweeps.busy:
        assert busy.begun == busy.drains
        assert busy.cost.operations["autoscaling:RecordLifecycleActionHeartbeat"] == busy.drains
        assert busy.cost.operations["ecs:ListTasks"] == busy.drains
    assert [busy.drains for busy in sweeps.busy] == [1, 3]


def test_nobody_sees_to_a_warning(in_time: dict[tuple[str, bool], InTime]) -> None:
    """All the work on the instance ends with the power; without room it waits for the group's health check and a launch."""
    room, none = in_time[NOBODY.name, True], in_time[NOBODY.name, False]
    assert (room.draining_s, none.draining_s) == (None, None)
    assert (room.lost, none.lost) == (room.tasks, none.tasks) == (2, 1)
    assert TAKEN_S < (room.elsewhere_s or 0) < TAKEN_S + 10
    assert (none.elsewhere_s or 0) > TAKEN_S + 60


def test_bulwark_sees_to_a_warning(in_time: dict[tuple[str, bool], InTime]) -> None:
    """DRAINING when the function is woken, and nothing lost, with room elsewhere and without: it brings the room."""
    room, none = in_time[BULWARK.name, True], in_time[BULWARK.name, False]
    assert (room.draining_s, none.draining_s) == (2, 2)
    assert (room.lost, none.lost) == (0, 0)
    assert 2 < (room.elsewhere_s or 0) < (none.elsewhere_s or 0) < TAKEN_S
    assert room.holds
    assert none.holds


@pytest.mark.parametrize(("way", "draining_s"), [(AGENTS, 1), (POLL, 10)])
def test_draining_alone_helps_only_where_there_is_room(in_time: dict[tuple[str, bool], InTime], way: Way, draining_s: int) -> None:
    """The agents and a poller are given their best: nothing is lost with room. Without, nobody brings any, and the work is lost."""
    room, none = in_time[way.name, True], in_time[way.name, False]
    assert (room.draining_s, none.draining_s) == (draining_s, draining_s)
    assert (room.lost, none.lost) == (0, 1)
    assert (room.elsewhere_s or 0) < 20
    assert (none.elsewhere_s or 0) > TAKEN_S


def test_the_agents_are_quicker_than_the_event(in_time: dict[tuple[str, bool], InTime]) -> None:
    """With the agents' own draining on, the instance is DRAINING before the function is woken, and no record goes back to the queue."""
    for room in (True, False):
        assert (in_time["both", room].draining_s, in_time["both", room].undone) == (1, 0)


def test_what_is_assumed_is_what_the_template_and_ec2_say() -> None:
    """The batching window is the template's, the deadline the warning's."""
    events = load_template()["Resources"]["DrainingFunction"]["Properties"]["Events"].values()
    assert [e["Properties"]["MaximumBatchingWindowInSeconds"] for e in events if e["Type"] == "SQS"] == [WINDOW_S]
    assert SPOT_NOTICE.total_seconds() == TAKEN_S
    assert BULWARK.at_s == DELIVERY_S + WINDOW_S


def test_a_broken_promise_does_not_hold() -> None:
    """A call too many, a record returned, other calls on a larger account, an event that wakes or costs: each fails."""
    assert LIFECYCLE.holds
    for calls in (replace(HOOK, at_most=1), replace(HOOK, first=replace(TWO, undone=1)), replace(HOOK, again=FAILED)):
        assert not replace(LIFECYCLE, calls=(calls,)).holds
    assert not replace(LIFECYCLE, calls=(HOOK, replace(HOOK, first=ONE))).holds
    assert not replace(LIFECYCLE, idle=(IdleEvent("x", ("DrainProgressRule",), 0),)).holds
    assert not replace(LIFECYCLE, idle=(IdleEvent("x", (), 1),)).holds


def test_a_sweep_that_breaks_a_promise_does_not_hold() -> None:
    """A call too many, a failed sweep of any kind, calls that grow with instances, drains that never began: each fails."""
    assert SWEEPS.holds
    for quiet in (replace(QUIET, at_most=0), replace(QUIET, usual=FAILED), replace(QUIET, hourly=FAILED), replace(QUIET, renewing=FAILED)):
        assert not replace(SWEEPS, quiet=(quiet,)).holds
    assert not replace(SWEEPS, quiet=(QUIET, replace(QUIET, instances=100, hourly=ONE))).holds
    for busy in (BusySweep(2, 20, begun=1, cost=TWO), BusySweep(2, 20, begun=2, cost=FAILED)):
        assert not replace(SWEEPS, busy=(busy,)).holds


@pytest.mark.parametrize("broken", [{"elsewhere_s": 121}, {"elsewhere_s": None}, {"lost": 1}, {"undone": 1}])
def test_a_warning_that_was_not_seen_to_in_time_does_not_hold(broken: dict[str, Any]) -> None:
    """Work away too late or never, a task lost, the record returned: each fails. Of a way without a bound nothing is promised."""
    assert IN_TIME.holds
    assert not replace(IN_TIME, **broken).holds
    assert replace(IN_TIME, at_most_s=None, elsewhere_s=None, lost=1).holds


def shown(results: Results) -> str:
    """The table as text."""
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    console.print(as_table(results))
    return console.export_text()


def test_every_figure_is_in_the_table_and_in_the_document() -> None:
    """What was measured, its bound, and what it rests on; a broken bound is marked in both."""
    good = Results(lifecycle=LIFECYCLE, sweeps=SWEEPS, in_time=(IN_TIME,))
    text = " ".join(shown(good).split())
    for row in (
        "hook, busy: AWS calls 200 x 10 instances 2 2 yes",
        "hook, busy: again the same event once more 1",
        "progress, not draining rules that match, AWS calls 0, 0 0, 0 yes",
        "call 2 ecs:DescribeTasks",
        "sweep, no drain: AWS calls 1 x 100 instances 1 1 yes",
        "ecs:DescribeTasks +1",
        "sweep, 2 drains: AWS calls 20 instances, work cannot leave 2",
        "no room: DRAINING, elsewhere, lost Bulwark 2 s, 54 s, 0 of 1 120 s, 0 yes",
        "assumed EventBridge and SQS, batching window 1 s, 1 s",
    ):
        assert row in text, row
    assert "NO" not in text.split()
    document = json.loads(json.dumps(as_document(good)))
    assert document["holds"] is True
    assert document["lifecycle"]["calls"][1]["first"]["operations"] == {"ecs:DescribeTasks": 1, "ecs:ListTasks": 1}
    assert document["sweep"]["quiet"][1]["instances"] == 100
    assert document["sweep"]["busy"][0]["cost"]["order"] == ["ecs:ListTasks", "ecs:DescribeTasks"]
    assert document["in_time"]["warnings"][0]["elsewhere_s"] == 54
    assert document["in_time"]["assumed"]["EC2 takes the instance"] == "120 s"
    late = replace(good, in_time=(replace(IN_TIME, elsewhere_s=121),))
    assert "NO" in shown(late).split()
    assert as_document(late)["holds"] is False


PLANTED: dict[str, tuple[Extent, dict[str, Any]]] = {
    "lifecycle": (Extent(sizes=((1, 5),)), {"hook_calls": 5}),
    "sweep": (Extent(clusters=(2,), instances=(2,), drains=(1,)), {"sweep_calls": lambda clusters: clusters}),
    "in-time": (Extent(ways=(BULWARK,)), {"elsewhere_s": 8}),
}
"""For each part a small extent that holds, and a bound that no run can keep."""


@pytest.mark.parametrize("part", PLANTED)
def test_a_planted_bound_ends_in_code_1(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One part alone, with a bound that is too narrow: code 1, its row marked, and progress on stderr."""
    extent, planted = PLANTED[part]
    assert main(["--only", part], replace(extent, **planted)) == 1
    out, err = capsys.readouterr()
    assert "NO" in out.split()
    assert err.startswith(part.replace("-", " ") + ": ")


def test_bounds_that_hold_end_in_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    """The same part with its own bound, as JSON: code 0, and nothing of the parts that were not asked for."""
    assert main(["--only", "lifecycle", "--json"], PLANTED["lifecycle"][0]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {"holds", "lifecycle"}
    assert document["holds"] is True
