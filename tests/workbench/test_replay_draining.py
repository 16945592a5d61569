"""Every way an instance leaves, end to end: the sample event of each signal, on its scenario, through the real rules and handlers."""

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.events import read_event
from workbench.replay import Mode, Replay, replay
from workbench.template import load_rules
from workbench.worlds import embedded

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = "i-0aaa0000000000001"
SWEEP = "sweep"
HOOK = "terminate_lifecycle_action"


def run(scenario: str, *events: str, mode: Mode = "act", settle: float = 60) -> Replay:
    """Replay sample events on a shipped scenario."""
    with embedded(ROOT / "workbench" / "scenarios" / f"{scenario}.yaml") as world:
        files = [(name, read_event(ROOT / "events" / f"{name}.json")) for name in events]
        return replay(world, load_rules(), files, mode=mode, settle=settle)


def actions(replayed: Replay, event: int) -> list[tuple[str, str]]:
    """What was decided on one of the events, by kind and status."""
    decisions = replayed.events[event].decisions
    return [(o["kind"], o["status"]) for d in decisions for o in d["outcomes"]]


def codes(replayed: Replay, event: int) -> list[str]:
    """The findings on one of the events."""
    return [f["code"] for d in replayed.events[event].decisions for f in d["findings"]]


def calls(replayed: Replay, event: int) -> int:
    """How many AWS calls one of the events cost."""
    return sum(sum(d["calls"].values()) for d in replayed.events[event].decisions)


def after(replayed: Replay, instance: str = INSTANCE) -> dict[str, Any] | None:
    """The instance as it is in the end; None: it is no longer registered."""
    rows = replayed.after["clusters"]["orders"]["instances"]
    return next((row for row in rows if row["id"] == instance), None)


def whole(replayed: Replay) -> bool:
    """Whether every service of the cluster runs what it desires."""
    return all(s["running"] == s["desired"] for s in replayed.after["clusters"]["orders"]["services"])


@pytest.fixture(scope="module")
def hooked() -> Replay:
    """A hook event on a busy instance, the progress that ECS tells of, and two sweeps."""
    return run("hook", HOOK, "container_instance_progress", SWEEP, SWEEP)


def test_a_hook_event_on_a_busy_instance_is_followed_to_its_end(hooked: Replay) -> None:
    """Drained with the first event, continued with the next one after its work has left; then there is nothing to carry on."""
    assert [("DrainInstance", "done")] == actions(hooked, 0)
    assert [("CompleteLifecycleAction", "done")] == actions(hooked, 1)
    assert ["nothing-draining"] == codes(hooked, 2) == codes(hooked, 3)
    assert after(hooked) is None
    assert whole(hooked)
    assert hooked.exit_code == 0


def test_one_lifecycle_event_costs_at_most_six_calls(hooked: Replay) -> None:
    """Whatever is on the instance."""
    assert calls(hooked, 0) <= 6


def test_T13_an_instance_with_nothing_on_it_is_let_go_at_once() -> None:
    """Hazard T13: nothing to wait for: drained and continued with the same event."""
    replayed = run("hook-empty", HOOK)

    assert [("DrainInstance", "done"), ("CompleteLifecycleAction", "done")] == actions(replayed, 0)
    assert after(replayed) is None
    assert whole(replayed)


def test_T13_T10_an_instance_with_only_a_daemon_is_let_go_with_what_ecs_says_of_its_draining() -> None:
    """Hazards T10, T13: a daemon's task counts as nothing; to know it for one takes a look that a hook event leaves no room for."""
    replayed = run("hook-daemon", HOOK, "container_instance_progress", settle=0)

    assert [("DrainInstance", "done")] == actions(replayed, 0)
    assert [("CompleteLifecycleAction", "done")] == actions(replayed, 1)
    assert calls(replayed, 0) <= 6


def test_what_cannot_leave_is_helped_and_what_was_lent_is_given_back() -> None:
    """The standalone task runs elsewhere, the locked service is widened and gets its bound back, the hook goes on."""
    replayed = run("hook-blocked", HOOK, SWEEP, SWEEP, SWEEP)

    assert [("RunTask", "done"), ("RaiseMaxPercent", "done"), ("RecordHeartbeat", "done")] == actions(replayed, 1)
    assert [("CompleteLifecycleAction", "done"), ("RestoreMaxPercent", "done")] == actions(replayed, 2)
    assert ["nothing-draining"] == codes(replayed, 3)
    assert after(replayed) is None
    assert whole(replayed)


def test_the_same_hook_event_again_changes_nothing() -> None:
    """T1, rule 7: still draining, still waiting."""
    replayed = run("hook-blocked", HOOK, HOOK, settle=0)

    assert ([], ["already-draining"]) == (actions(replayed, 1), codes(replayed, 1))


def test_a_lost_hook_event_is_found_by_the_sweep() -> None:
    """The event came to nobody: the sweep finds the instance in Terminating:Wait, and the next one ends its drain."""
    with embedded(ROOT / "workbench" / "scenarios" / "hook.yaml") as world:
        world.happen(read_event(ROOT / "events" / f"{HOOK}.json"))
        sweep = ("sweep", read_event(ROOT / "events" / "sweep.json"))
        replayed = replay(world, load_rules(), [sweep, sweep, sweep], mode="act")

    assert ("DrainInstance", "done") in actions(replayed, 0)
    assert [("CompleteLifecycleAction", "done")] == actions(replayed, 1)
    assert after(replayed) is None


def test_a_lost_Spot_warning_is_found_by_the_sweep() -> None:
    """EventBridge delivers EC2's events by best effort: EC2 itself says which Spot Instances it is about to take."""
    with embedded(ROOT / "workbench" / "scenarios" / "default.yaml") as world:
        world.happen({**read_event(ROOT / "events" / "spot_interruption_warning.json"), "time": f"{world.now:%Y-%m-%dT%H:%M:%SZ}"})
        world.happen({**read_event(ROOT / "events" / "spot_interruption_warning_foreign.json"), "time": f"{world.now:%Y-%m-%dT%H:%M:%SZ}"})
        sweep = ("sweep", read_event(ROOT / "events" / "sweep.json"))
        replayed = replay(world, load_rules(), [sweep, sweep], mode="act", settle=30)

    assert [("DrainInstance", "done"), ("ReplaceInstance", "done")] == actions(replayed, 0)[:2]
    assert "not-opted-in" not in codes(replayed, 0)
    assert [] == actions(replayed, 1)


def test_managed_draining_is_stood_back_from() -> None:
    """ECS answers the group's hooks itself: no action, and a finding that says so."""
    replayed = run("managed-draining", HOOK)

    assert ([], ["hook-left-to-managed-draining"]) == (actions(replayed, 0), codes(replayed, 0))


def test_a_warm_pool_move_is_no_death() -> None:
    """Our hook, but the instance goes back to its pool: no call at all."""
    replayed = run("hook", "terminate_lifecycle_action_warm_pool")

    assert ([], ["nothing-to-do"], 0) == (actions(replayed, 0), codes(replayed, 0), calls(replayed, 0))


def test_a_rebalance_recommendation_replaces_and_drains_as_there_is_room() -> None:
    """Marked, replaced, drained; ended once its work has left."""
    replayed = run("rebalance", "rebalance_recommendation", SWEEP, SWEEP)

    assert [("MarkInstance", "done"), ("ReplaceInstance", "done"), ("DrainInstance", "done")] == actions(replayed, 0)
    assert [("TerminateInstance", "done")] == actions(replayed, 1)
    assert after(replayed) is None
    assert whole(replayed)


def test_a_rebalance_recommendation_without_room_waits_for_its_replacement() -> None:
    """Replaced first, and ACTIVE until the replacement can take its work."""
    replayed = run("full", "rebalance_recommendation", SWEEP, SWEEP)

    assert [("MarkInstance", "done"), ("ReplaceInstance", "done")] == actions(replayed, 0)
    assert "drain-waits" in codes(replayed, 0)
    assert [("DrainInstance", "done")] == actions(replayed, 1)
    assert [("TerminateInstance", "done")] == actions(replayed, 2)
    assert whole(replayed)


def test_a_retirement_drains_replaces_and_is_left_to_EC2() -> None:
    """DRAINING with the notice's deadline, the group at strength, the empty instance left to EC2."""
    replayed = run("scheduled", "health_retirement", SWEEP)

    assert [("DrainInstance", "done"), ("ReplaceInstance", "done")] == actions(replayed, 0)
    assert ([], ["left-to-ec2"]) == (actions(replayed, 1), codes(replayed, 1))
    row = after(replayed)
    assert row is not None
    assert ("DRAINING", 0) == (row["status"], row["running"])
    assert whole(replayed)


def test_a_retired_host_that_is_only_stopped_leaves_nothing_behind() -> None:
    """EC2 stops what has an EBS root: outside its group nobody else would end it. Terminated, and then forgotten."""
    with embedded(ROOT / "workbench" / "scenarios" / "scheduled.yaml") as world:
        stopped = read_event(ROOT / "events" / "instance_terminated.json")
        stopped["detail"]["state"] = "stopped"
        files = [(n, read_event(ROOT / "events" / f"{n}.json")) for n in ("health_retirement", SWEEP)]
        replayed = replay(world, load_rules(), [*files[:1], ("stopped", stopped), files[1]], mode="act")
        instance = world.client("ec2").describe_instances(InstanceIds=[INSTANCE])["Reservations"][0]["Instances"][0]

    assert [("TerminateInstance", "done")] == actions(replayed, 1)
    assert [("DeregisterInstance", "done")] == actions(replayed, 2)
    assert ("terminated", None) == (instance["State"]["Name"], after(replayed))


def test_maintenance_drains_replaces_and_ends() -> None:
    """EC2 would give the instance back: it is not waited for."""
    replayed = run("scheduled", "health_maintenance", SWEEP)

    assert [("TerminateInstance", "done")] == actions(replayed, 1)
    assert after(replayed) is None


def test_another_region_s_notice_costs_nothing() -> None:
    """Delivered here as a backup: no call."""
    replayed = run("scheduled", "health_backup_region")

    assert ([], 0) == (actions(replayed, 0), calls(replayed, 0))


def test_T23_ghosts_are_forgotten_told_or_not() -> None:
    """Hazard T23: EC2 has ended them, their agents never said goodbye: one by its event, one that nobody told of by the sweep."""
    replayed = run("ghost", "instance_terminated", SWEEP)

    assert [("DeregisterInstance", "done")] == actions(replayed, 0) == actions(replayed, 1)
    assert after(replayed) is None
    assert after(replayed, "i-0bbb0000000000002") is None
    assert whole(replayed)


def test_a_host_that_goes_down_is_drained_at_once() -> None:
    """No more work is placed on it."""
    assert [("DrainInstance", "done")] == actions(run("rebalance", "instance_shutting_down"), 0)


def test_a_change_of_somebody_else_s_drain_wakes_nobody() -> None:
    """The rule's pattern already asks for Bulwark's mark."""
    assert [] == run("rebalance", "container_instance_not_ours").events[0].functions


@pytest.mark.parametrize(
    ("scenario", "event"),
    [
        ("hook", HOOK), ("hook-empty", HOOK), ("rebalance", "rebalance_recommendation"), ("scheduled", "health_retirement"),
        ("rebalance", "instance_terminated"), ("hook", SWEEP),
    ],
)  # fmt: skip
def test_observing_plans_the_same_and_writes_nothing(scenario: str, event: str) -> None:
    """Rule 9: the same plan, every outcome skipped, and no writing call."""
    acted, observed = run(scenario, event, settle=0), run(scenario, event, mode="observe", settle=0)

    assert [kind for kind, _ in actions(acted, 0)] == [kind for kind, _ in actions(observed, 0)]
    assert {"skipped"} >= {status for _, status in actions(observed, 0)}
    made = {(d["function"], name) for d in observed.events[0].decisions for name in d["calls"]}
    writes = {(function, name) for function, name in made if not name.split(":")[1].startswith(("Describe", "List", "Get", "Query"))}
    assert writes <= {("capacity", "dynamodb:PutItem")}  # what it remembers of a cluster, in its own table


def test_every_sample_says_what_it_is() -> None:
    """Each file in events/ replays on the shipped account without bad input."""
    for path in sorted((ROOT / "events").glob("*.json")):
        json.loads(path.read_text(encoding="utf-8"))
        with embedded(ROOT / "workbench" / "scenarios" / "default.yaml") as world:
            replayed = replay(world, load_rules(), [(path.name, read_event(path))], mode="act", settle=0)
        assert replayed.exit_code == 0, (path.name, replayed.events[0].problem, replayed.events[0].error)
