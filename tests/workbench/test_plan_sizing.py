"""The plan of a cluster's size: the figures, what the next look would do, and of each instance why; what a real sweep does is just that."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bulwark.core.capacity_figures import Figures
from bulwark.shell.report import Decision
from tests.workbench.test_plan import EVENTS, LOGS, everything, refusing
from workbench.plan import Planned, plan
from workbench.present_plan import present_plan
from workbench.replay import replay
from workbench.sandbox import Account, load_scenario
from workbench.sandbox.scenario import read_scenario
from workbench.template import load_rules
from workbench.worlds import READS, Embedded

SCENARIOS = Path(__file__).parents[2] / "workbench" / "scenarios"
SWEEP = ("sweep.json", json.loads((EVENTS / "sweep.json").read_text(encoding="utf-8")))
ALARMS = ("PutAlarm", "RemoveAlarm")
NAMES = ["reserved", "waiting", "idle", "fragmented", "from-zero"]
KEYS = ["RequiredInstances", "ReservationWithWaiting", "WaitingTasks", "LargestTaskFits", "Fragmentation", "RemovableInstances"]


@dataclass(frozen=True, slots=True)
class Told:
    """A plan of a scenario, whether making it left the account as it was, and what a real sweep then did about the size."""

    planned: Planned
    unchanged: bool
    swept: list[tuple[str, str]]

    @property
    def sizing(self) -> dict[str, Any]:
        """What the document has of the size."""
        found = self.planned.document()["sizing"]
        assert isinstance(found, dict)
        return found

    def steps(self) -> list[tuple[str, str]]:
        """What comes next, by kind and target."""
        return [(step["kind"], step["target"]) for step in self.sizing["next"]]

    def page(self, width: int = 100) -> str:
        """What a terminal of this width would show."""
        console = Console(file=StringIO(), width=width)
        present_plan(console, self.planned)
        assert isinstance(console.file, StringIO)
        return console.file.getvalue()


def look(account: Account) -> Told:
    """Plan cluster orders, then let a real sweep come by."""
    with account:
        world = Embedded(account)
        before = everything(account)
        planned = plan(world, "orders", "act")
        unchanged = before == everything(account)
        (swept,) = replay(world, load_rules(), [SWEEP], mode="act", settle=0).events
        sizings = [d for d in swept.decisions if d["function"] == "capacity"]
        done = [(a["kind"], a["target"]) for d in sizings for a in d["actions"] if a["kind"] not in ALARMS]
        return Told(planned, unchanged, done)


@cache
def told(name: str) -> Told:
    """The shipped scenario of that name, looked at once."""
    return look(Account(load_scenario(SCENARIOS / f"{name}.yaml")))


def an_account(
    group: Mapping[str, Any], policy: Mapping[str, Any] | None = None, services: Sequence[Mapping[str, Any]] = (), **rest: Any
) -> Account:
    """Cluster orders with one group of two in one zone, of which ``group`` changes something."""
    one = {"name": "orders", "min": 0, "desired": 2, "max": 9, "zones": ["us-east-1a"], **group}
    cluster = {"name": "orders", "policy": dict(policy or {}), "groups": [one], "services": list(services), **rest}
    return Account(read_scenario({"clusters": [cluster]}, "test"))


def planned_on(account: Account) -> Planned:
    """The plan on an account that nothing has happened to."""
    with account:
        return plan(Embedded(account), "orders", "act")


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_next_is_what_the_sweep_does(name: str) -> None:
    """The very actions, in their order; and the plan itself has written nothing, to AWS or to the table, with the stack in act mode."""
    looked = told(name)

    assert looked.steps() == looked.swept != []
    assert looked.unchanged
    assert looked.planned.mode == "act"
    assert all(call.partition(":")[2].startswith(READS) for call in looked.planned.calls)
    assert looked.planned.exit_code == 0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("reserved", [3, 121.7, 3, 0, 100, 0]),
        ("waiting", [3, 160, 2, 0, 100, 0]),
        ("idle", [0, 3.1, 0, None, None, 4]),
        ("fragmented", [2, 41.7, 0, 8, 8.6, 2]),
        ("from-zero", [2, None, 5, 0, None, 0]),
    ],
)
def test_the_figures_are_those_of_the_metrics(name: str, values: list[float | None]) -> None:
    """All six by their names in CloudWatch; what there is nothing to tell from is null, never zero."""
    assert told(name).sizing["figures"] == dict(zip(KEYS, values, strict=True))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("reserved", (1, 2, 10, 2, 3, 0)),
        ("waiting", (1, 2, 10, 2, 3, 0)),
        ("idle", (0, 4, 10, 4, 0, 4)),
        ("fragmented", (1, 4, 10, 4, 2, 2)),
        ("from-zero", (0, 0, 10, 0, 2, 0)),
    ],
)
def test_a_group_has_its_bounds_and_what_it_needs(name: str, row: tuple[int, ...]) -> None:
    """Bounds, what there is, what it takes and what could go."""
    keys = ("min", "desired", "max", "now", "required", "removable")
    assert told(name).sizing["groups"] == [{"name": "orders", **dict(zip(keys, row, strict=True))}]


@pytest.mark.parametrize(("name", "reason"), [("reserved", "2 -> 3: 1 more for 3 of web"), ("from-zero", "0 -> 2: 2 more for 5 of web")])
def test_a_capacity_to_be_set_says_from_what_to_what_and_why(name: str, reason: str) -> None:
    """One step, exact."""
    assert told(name).sizing["next"] == [{"kind": "SetDesiredCapacity", "target": "orders", "reason": reason}]


def test_what_no_instance_helps_is_found_with_its_numbers() -> None:
    """The whale is named, with what it needs; it is not counted among what another instance is for."""
    (finding,) = told("waiting").sizing["findings"]

    assert (finding["code"], finding["subject"]) == ("fits-no-group", "whale")
    assert "needs 9216 MiB, 7680 left" in finding["message"]
    assert told("waiting").sizing["next"][0]["reason"] == "2 -> 3: 1 more for 1 of web"


def test_where_more_is_needed_no_instance_goes() -> None:
    """Each instance is there, and says so."""
    instances = told("reserved").sizing["instances"]

    assert [(i["group"], i["running"], i["removable"], i["why"]) for i in instances] == [
        ("orders", 4, False, "more instances are needed: none goes")
    ] * 2
    assert [i["zone"] for i in instances] == ["us-east-1a", "us-east-1b"]
    assert told("from-zero").sizing["instances"] == []


def test_what_could_go_comes_first_and_the_rest_says_why_it_stays() -> None:
    """Two of four go, in the order of the drains; what is kept has the decision's own words."""
    looked = told("fragmented")
    instances = looked.sizing["instances"]

    assert [i["removable"] for i in instances] == [True, True, False, False]
    assert looked.steps() == [("DrainInstance", i["id"]) for i in instances[:2]]
    assert all("its work fits elsewhere" in i["why"] for i in instances[:2])
    assert all(i["why"].startswith("without it: ") for i in instances[2:])


def test_what_is_empty_is_drained_and_ended() -> None:
    """Four that hold nothing but a daemon: drained and, as ECS says they are empty, ended in the same look."""
    looked = told("idle")
    ids = [i["id"] for i in looked.sizing["instances"]]

    assert looked.steps() == [(kind, i) for kind in ("DrainInstance", "TerminateInstance") for i in ids]
    assert all("nothing but daemons" in i["why"] for i in looked.sizing["instances"])


def test_what_could_go_and_does_not_yet_says_what_holds_it() -> None:
    """Without the memory of the last minutes nothing goes; once the table has them, it does: the memory is read."""
    with an_account({"min": 0}) as account:
        world = Embedded(account)
        first = plan(world, "orders", "act").document()["sizing"]
        replay(world, load_rules(), [SWEEP], mode="act", settle=timedelta(minutes=6).total_seconds())
        later = plan(world, "orders", "act").document()["sizing"]

    assert [f["code"] for f in first["findings"]] == ["scale-in-held"]
    assert first["next"] == []
    assert [i["removable"] for i in first["instances"]] == [True, True]
    assert all(i["why"].startswith("could go, and not now: ") and "last 5 min" in i["why"] for i in first["instances"])
    assert [s["kind"] for s in later["next"]][:2] == ["DrainInstance"] * 2


@pytest.mark.parametrize(
    ("group", "policy", "why"),
    [
        ({"min": 2}, {}, "group orders is at its minimum of 2"),
        ({}, {"capacity": {"scale_in": False}}, "the policy turns scale-in off"),
        ({"suspended": ["Terminate"]}, {}, "group orders: its process Terminate is suspended"),
    ],
)
def test_an_instance_that_was_not_considered_says_why(group: dict[str, Any], policy: dict[str, Any], why: str) -> None:
    """Its group or its policy keeps it."""
    sizing = planned_on(an_account(group, policy)).document()["sizing"]

    assert [(i["removable"], i["why"]) for i in sizing["instances"]] == [(False, why)] * 2


def test_a_group_that_ecs_scales_has_no_figures_of_ours() -> None:
    """Null where ECS decides; a finding and each instance say that it does, and so does the page."""
    looked = look(an_account({"capacity_provider": {"name": "own", "managed_scaling": True}}, services=[LOGS]))

    (group,) = looked.sizing["groups"]
    assert (group["now"], group["required"], group["removable"]) == (2, None, None)
    assert [f["code"] for f in looked.sizing["findings"]] == ["ecs-scales"]
    assert looked.steps() == looked.swept == []
    assert {i["why"] for i in looked.sizing["instances"]} == {"an ECS capacity provider scales group orders"}
    assert "ECS's own" in looked.page()


def test_a_policy_that_turns_capacity_off_leaves_nothing_to_show() -> None:
    """Null, and a finding that says so; it is no failure, and the drains are shown as ever."""
    planned = planned_on(an_account({}, {"capacity": {"enabled": False}}))

    assert planned.document()["sizing"] is None
    assert [(f.code, f.subject) for f in planned.findings] == [("capacity-off", "orders")]
    assert planned.exit_code == 0
    assert "capacity-off" in Told(planned, unchanged=True, swept=[]).page()


@pytest.mark.parametrize("operation", ["ecs.ListServices", "ecs.DescribeTaskDefinition", "dynamodb.Query", "ecs.ListContainerInstances"])
def test_what_cannot_be_read_is_said_and_is_exit_code_1(operation: str) -> None:
    """Nothing passes for certain that was not seen."""
    with Account(load_scenario(SCENARIOS / "reserved.yaml")) as account:
        planned = plan(Embedded(account), "orders", "act", refusing(operation))

    said = [*planned.findings, *(planned.sizing.findings if planned.sizing else ())]
    assert any(f.code == "not-observed" and "nowhere" in f.message for f in said)
    assert not any(f.code == "foreign" for f in said)
    assert planned.exit_code == 1


def test_without_the_table_s_name_the_size_is_still_shown() -> None:
    """Nothing is asked of a table nobody named, and the finding says what is missing for that."""
    with Account(load_scenario(SCENARIOS / "reserved.yaml")) as account:
        world = Embedded(account)
        world.environment = {"BULWARK_PARAMETERS": "/bulwark"}
        planned = plan(world, "orders", "act")

    assert planned.sizing is not None
    assert planned.sizing.figures["RequiredInstances"] == 3
    assert "dynamodb:Query" not in planned.calls
    assert any("which groups rest" in f.message for f in planned.findings)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("reserved", ["sized by what is reserved", "ReservationWithWaiting  121.7 %", "2 -> 3: 1 more for 3 of web", "none goes"]),
        ("waiting", ["fits-no-group whale", "9216 MiB"]),
        ("fragmented", ["Fragmentation             8.6 %", "its work fits elsewhere", "RemovableInstances            2"]),
        ("from-zero", ["0 -> 2: 2 more for 5 of web", "ReservationWithWaiting        -"]),
    ],
)
@pytest.mark.parametrize("width", [80, 120])
def test_the_page_says_what_the_document_says(name: str, parts: list[str], width: int) -> None:
    """Figures, steps, findings and instances; within the terminal, and no id broken."""
    page = told(name).page(width)
    unbroken = " ".join(page.split())

    assert all(part in page or part in unbroken for part in parts)
    assert all(instance["id"] in page for instance in told(name).sizing["instances"])
    assert max(len(line) for line in page.splitlines()) <= width


def test_the_figures_are_named_as_the_metrics_are() -> None:
    """A metric that the functions write and the plan leaves out would be noticed here."""
    decision = Decision("capacity", "orders", figures=Figures((), 1, 1, 1, 1.0, 1, 1.0))
    assert decision.figures is not None
    assert sorted(decision.figures.measured()[""]) == sorted(told("reserved").sizing["figures"])
