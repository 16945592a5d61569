"""The line, end to end: sample events wake the real handlers on the embedded account."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.events import read_event
from workbench.replay import Mode, Replay, replay
from workbench.template import load_rules
from workbench.worlds import DEFAULT_SCENARIO, Embedded, embedded

EVENTS = Path(__file__).resolve().parents[2] / "events"
WARNING = EVENTS / "spot_interruption_warning.json"
FOREIGN = EVENTS / "spot_interruption_warning_foreign.json"
INSTANCE = "i-0aaa0000000000001"


@dataclass(slots=True)
class Run:
    """A replay, the numbers of what the account held while it was there, and its document."""

    replayed: Replay
    hosts_of_web: list[str] = field(default_factory=list)

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return self.replayed.document()

    @property
    def orders(self) -> dict[str, Any]:
        """The cluster of the sample event, afterwards."""
        orders = self.document["after"]["clusters"]["orders"]
        assert isinstance(orders, dict)
        return orders

    def decision(self, event: int = 0) -> dict[str, Any]:
        """The one decision on one of the events."""
        (decision,) = self.document["events"][event]["decisions"]
        assert isinstance(decision, dict)
        return decision


def hosts_of(world: Embedded, service: str) -> list[str]:
    """The EC2 instances on which the tasks of a service of cluster ``orders`` run, one entry for each task."""
    ecs = world.client("ecs")
    arns = ecs.list_tasks(cluster="orders", serviceName=service)["taskArns"]
    tasks = ecs.describe_tasks(cluster="orders", tasks=arns)["tasks"]
    running = [task["containerInstanceArn"] for task in tasks if task["lastStatus"] == "RUNNING"]
    described = ecs.describe_container_instances(cluster="orders", containerInstances=sorted(set(running)))["containerInstances"]
    ids = {instance["containerInstanceArn"]: instance["ec2InstanceId"] for instance in described}
    return sorted(ids[arn] for arn in running)


def run(*events: Path, mode: Mode = "act") -> Run:
    """Replay event files on the account of the default scenario."""
    with embedded(DEFAULT_SCENARIO) as world:
        replayed = replay(world, load_rules(), [(str(path), read_event(path)) for path in events], mode=mode)
        return Run(replayed, hosts_of(world, "web"))


@pytest.fixture(scope="module")
def acted() -> Run:
    """The Spot warning, twice, in act mode."""
    return run(WARNING, WARNING)


@pytest.fixture(scope="module")
def observed() -> Run:
    """The Spot warning in observe mode."""
    return run(WARNING, mode="observe")


@pytest.fixture(scope="module")
def foreign() -> Run:
    """A Spot warning for an instance of a group that did not opt in."""
    return run(FOREIGN)


def instance(orders: dict[str, Any], instance_id: str) -> dict[str, Any]:
    """One container instance of the view."""
    (found,) = [row for row in orders["instances"] if row["id"] == instance_id]
    assert isinstance(found, dict)
    return found


def test_the_warning_drains_and_replaces_its_instance(acted: Run) -> None:
    """The sample wakes `draining`, which drains and replaces the event's instance, with reasons, and both are done."""
    event = acted.document["events"][0]
    assert (event["functions"], event["error"]) == (["draining"], None)
    decision = acted.decision()
    assert decision["cluster"] == "orders"
    assert [(a["kind"], a["target"]) for a in decision["actions"]] == [("DrainInstance", INSTANCE), ("ReplaceInstance", INSTANCE)]
    assert all(action["reason"] for action in decision["actions"])
    assert [o["status"] for o in decision["outcomes"]] == ["done", "done"]
    assert acted.replayed.exit_code == 0


def test_the_instance_is_draining_and_its_service_runs_elsewhere(acted: Run) -> None:
    """Afterwards the instance is DRAINING, and every task of `web` runs on some other instance."""
    assert instance(acted.orders, INSTANCE)["status"] == "DRAINING"
    assert len(acted.hosts_of_web) == 6
    assert INSTANCE not in acted.hosts_of_web
    (web,) = [service for service in acted.orders["services"] if service["name"] == "web"]
    assert (web["desired"], web["running"], web["pending"]) == (6, 6, 0)


def test_work_that_cannot_leave_is_said(acted: Run) -> None:
    """The standalone task and the service that may neither shrink nor grow are findings, each with its message."""
    findings = acted.decision()["findings"]
    said = " ".join(f"{finding['subject']} {finding['message']}" for finding in findings)
    assert "ledger" in said
    assert all(finding["code"] and finding["message"] for finding in findings)
    assert len(findings) >= 2


def test_at_most_ten_calls_are_made(acted: Run) -> None:
    """One Spot warning costs at most ten AWS calls."""
    calls = acted.decision()["calls"]
    assert sum(calls.values()) <= 10
    assert calls["ecs:UpdateContainerInstancesState"] == 1


def test_t1_a_second_identical_event_plans_nothing(acted: Run) -> None:
    """T1: the instance is DRAINING already; the second event says so and changes nothing."""
    decision = acted.decision(1)
    assert (decision["actions"], decision["outcomes"]) == ([], [])
    assert decision["findings"]
    assert "ecs:UpdateContainerInstancesState" not in decision["calls"]
    assert "autoscaling:DetachInstances" not in decision["calls"]


def test_observe_mode_plans_the_same_and_writes_nothing(acted: Run, observed: Run) -> None:
    """Observe mode decides as act mode does, skips every action, and leaves the account as it was."""
    plans = [[(a["kind"], a["target"]) for a in one.decision()["actions"]] for one in (acted, observed)]
    assert plans[0] == plans[1]
    codes = [sorted(f["code"] for f in one.decision()["findings"] if f["code"] != "observing") for one in (acted, observed)]
    assert codes[0] == codes[1]
    assert codes[0]
    assert [o["status"] for o in observed.decision()["outcomes"]] == ["skipped", "skipped"]
    assert observed.replayed.after == observed.replayed.before
    assert observed.replayed.exit_code == 0


def test_t2_a_foreign_instance_costs_one_read(foreign: Run) -> None:
    """T2: an instance of a group that did not opt in costs one call, plans nothing and is no error."""
    decision = foreign.decision()
    assert (decision["cluster"], decision["actions"], decision["outcomes"]) == (None, [], [])
    assert decision["calls"] == {"ec2:DescribeInstances": 1}
    assert foreign.document["events"][0]["error"] is None
    assert foreign.replayed.after == foreign.replayed.before


MALFORMED: list[tuple[str, Any]] = [
    ("no detail", None),
    ("detail of another type", "i-0aaa0000000000001"),
    ("no id", {"instance-action": "terminate"}),
    ("an id that is none", {"instance-id": "web-1", "instance-action": "terminate"}),
    ("an id of another type", {"instance-id": 7, "instance-action": "terminate"}),
    ("no action", {"instance-id": INSTANCE}),
    ("an unknown action", {"instance-id": INSTANCE, "instance-action": "explode"}),
    ("an action of another type", {"instance-id": INSTANCE, "instance-action": ["terminate"]}),
]


def test_events_that_the_function_cannot_use_are_bad_input() -> None:
    """A warning whose detail is malformed is refused by the function itself, in one line with the file; the next one works."""
    good = read_event(WARNING)
    files = [(f"{name}.json", {**good, "detail": detail}) for name, detail in MALFORMED]
    files[0][1].pop("detail")
    files.append(("time.json", {**good, "time": 7}))
    with embedded(DEFAULT_SCENARIO) as world:
        replayed = replay(world, load_rules(), [*files, ("good.json", good)], mode="act", settle=0)
    assert replayed.exit_code == 2
    for event in replayed.events[:-1]:
        assert event.problem is not None, event.file
        assert event.problem.startswith(f"{event.file}: ")
        assert "\n" not in event.problem
        assert (event.functions, event.decisions) == (["draining"], ())
    assert replayed.events[-1].decisions[0]["actions"]


def test_the_command_prints_the_document_and_nothing_else() -> None:
    """As a command: --json prints one JSON document on stdout, with the instance DRAINING and the group back at strength.

    60 seconds after one warning, the group has as many ACTIVE instances as it desires, the drained one not among them.
    """
    command = [sys.executable, "-m", "workbench.cli", "replay", str(WARNING), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert list(document) == ["events", "after"]
    assert document["events"][0]["file"] == str(WARNING)
    assert set(document["after"]["clusters"]) == {"orders", "legacy"}
    orders = document["after"]["clusters"]["orders"]
    (group,) = orders["groups"]
    assert (group["min"], group["desired"], group["max"]) == (2, 4, 12)
    active = [row["id"] for row in orders["instances"] if row["status"] == "ACTIVE" and row["group"] == group["name"]]
    assert len(active) == 4
    drained = instance(orders, INSTANCE)
    assert (drained["status"], drained["group"]) == ("DRAINING", None)


def test_the_page_and_the_line_for_a_bad_event(tmp_path: Path) -> None:
    """Without --json: a page with function, actions and the account; what a function refuses is one line on stderr, and exit code 2."""
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**read_event(WARNING), "detail": {"instance-id": "web-1"}}), encoding="utf-8")
    done = CliRunner().invoke(app, ["replay", str(WARNING), str(path), "--settle", "0"])
    for part in ("draining", "SpotInterruptionRule", "DrainInstance", "ReplaceInstance", "DRAINING", "cluster orders", "as before"):
        assert part in done.stdout
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{path}: detail.instance-id: ")
    assert done.stderr.count("\n") == 1
