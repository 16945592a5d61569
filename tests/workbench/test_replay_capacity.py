"""A cluster sized end to end: the sample event of each signal, on its scenario, through the real rules and handlers."""

from pathlib import Path
from typing import Any

import pytest

from workbench.events import read_event
from workbench.replay import Mode, Replay, replay
from workbench.template import load_rules
from workbench.worlds import embedded

ROOT = Path(__file__).resolve().parents[2]


def run(scenario: str, *events: str, mode: Mode = "act", settle: float = 60) -> Replay:
    """Replay sample events on a shipped scenario."""
    with embedded(ROOT / "workbench" / "scenarios" / f"{scenario}.yaml") as world:
        files = [(name, read_event(ROOT / "events" / f"{name}.json")) for name in events]
        return replay(world, load_rules(), files, mode=mode, settle=settle)


def decisions(replayed: Replay, event: int, function: str = "capacity") -> list[dict[str, Any]]:
    """What a function decided on one of the events, about clusters."""
    return [dict(d) for d in replayed.events[event].decisions if d["function"] == function and d["cluster"]]


def actions(replayed: Replay, event: int, function: str = "capacity") -> list[tuple[str, str, str]]:
    """Its actions, by kind, target and status."""
    return [(o["kind"], o["target"], o["status"]) for d in decisions(replayed, event, function) for o in d["outcomes"]]


def codes(replayed: Replay, event: int) -> set[str]:
    """The findings of the capacity line on one of the events."""
    return {f["code"] for d in decisions(replayed, event) for f in d["findings"]}


def group(replayed: Replay, name: str = "orders") -> dict[str, Any]:
    """A group as it is in the end."""
    return next(g for g in replayed.after["clusters"]["orders"]["groups"] if g["name"] == name)


def lacking(replayed: Replay) -> dict[str, int]:
    """The services that do not run what they desire, with how many they lack."""
    services = replayed.after["clusters"]["orders"]["services"]
    return {s["name"]: s["desired"] - s["running"] for s in services if s["running"] != s["desired"]}


def test_an_alarm_on_reserved_memory_brings_exactly_what_waits_for_it() -> None:
    """Desired exact in one step, and the work placed."""
    replayed = run("reserved", "reservation_alarm")

    assert [("SetDesiredCapacity", "orders", "done")] == actions(replayed, 0)
    assert 3 == group(replayed)["desired"]
    assert {} == lacking(replayed)


@pytest.mark.parametrize("event", ["reservation_alarm_math", "composite_alarm", "placement_failure", "task_failed_to_start", "sweep"])
def test_whatever_wakes_it_the_decision_is_the_same(event: str) -> None:
    """Events wake, snapshots decide."""
    assert actions(run("reserved", "reservation_alarm"), 0) == actions(run("reserved", event), 0)


def test_T16_events_that_follow_ask_for_nothing_more() -> None:
    """Hazard T16: what is on its way counts, so the next events of a storm are answered with nothing."""
    replayed = run("reserved", "placement_failure", "placement_failure", "reservation_alarm", "sweep", settle=0)

    assert [[], [], []] == [actions(replayed, n) for n in (1, 2, 3)]
    assert 3 == group(replayed)["desired"]


def test_T17_what_fits_nowhere_launches_nothing_and_is_said_with_numbers() -> None:
    """Hazard T17: the service that can be helped is; of the other, what it asks and what there is."""
    replayed = run("waiting", "placement_failure")

    (found,) = [f for d in decisions(replayed, 0) for f in d["findings"] if f["code"] == "fits-no-group"]
    assert "needs 9216 MiB, 7680 left" in found["message"]
    assert 3 == group(replayed)["desired"]
    assert {"whale": 1} == lacking(replayed)


def test_an_idle_cluster_is_drained_and_gone() -> None:
    """To zero, as the minimum allows it: DRAINING first, and ended with decrement in the same look."""
    replayed = run("idle", "reservation_alarm")

    kinds = [kind for kind, _, status in actions(replayed, 0) if status == "done"]
    assert ["DrainInstance"] * 4 + ["TerminateInstance"] * 4 == kinds
    assert 0 == group(replayed)["desired"]
    assert [] == replayed.after["clusters"]["orders"]["instances"]


def test_from_zero_comes_exactly_what_is_needed() -> None:
    """Five tasks of 2,048 MiB, three to an instance that nobody has seen register yet."""
    replayed = run("from-zero", "placement_failure")

    assert 2 == group(replayed)["desired"]
    assert {} == lacking(replayed)


def test_without_Spot_capacity_On_Demand_takes_over() -> None:
    """The Spot group is asked first, fails and rests; the next look asks the other one, once."""
    replayed = run("spot-dry", "placement_failure", "launch_unsuccessful", "sweep")

    assert [("SetDesiredCapacity", "orders-spot", "done")] == actions(replayed, 0)
    assert [("SetDesiredCapacity", "orders", "done")] == actions(replayed, 1)
    assert [] == actions(replayed, 2)
    assert "group-rests" in codes(replayed, 1)
    assert {} == lacking(replayed)


def test_work_that_is_spread_thin_moves_together() -> None:
    """Two of four instances are emptied and end; everything still runs, in both zones."""
    replayed = run("fragmented", "sweep", "sweep")

    assert ["DrainInstance", "DrainInstance"] == [kind for kind, _, _ in actions(replayed, 0)]
    assert ["TerminateInstance", "TerminateInstance"] == [kind for kind, _, _ in actions(replayed, 1, "draining")]
    assert 2 == group(replayed)["desired"]
    assert {} == lacking(replayed)
    assert 2 == len({i["zone"] for i in replayed.after["clusters"]["orders"]["instances"]})


def test_types_that_weigh_differently_are_asked_for_in_units() -> None:
    """Three tasks wait; the smaller type holds three and weighs one, so one unit suffices whichever comes."""
    replayed = run("mixed", "placement_failure")

    assert [("SetDesiredCapacity", "orders", "done")] == actions(replayed, 0)
    assert 4 == group(replayed)["desired"]
    assert {} == lacking(replayed)


def test_observing_decides_the_same_and_changes_nothing() -> None:
    """Rule 9: every outcome is skipped, and the account is as it was."""
    replayed = run("idle", "reservation_alarm", mode="observe")

    assert {"skipped"} == {status for _, _, status in actions(replayed, 0)}
    assert 4 == group(replayed)["desired"]
    assert {"ACTIVE"} == {i["status"] for i in replayed.after["clusters"]["orders"]["instances"]}


def test_a_registration_that_nothing_waited_for_costs_two_calls() -> None:
    """The group of the cluster and what is remembered of it: then nothing more is looked at."""
    replayed = run("idle", "container_instance_registered")

    assert {"nothing-waits"} == codes(replayed, 0)
    assert {"autoscaling:DescribeAutoScalingGroups": 1, "dynamodb:Query": 1} == decisions(replayed, 0)[0]["calls"]
