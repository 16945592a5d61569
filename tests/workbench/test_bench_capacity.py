"""The benchmark's parts about capacity: they measure what they say, on tiny inputs, and a broken bound is shown and ends in code 1."""

import gzip
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bulwark.core.capacity import decide_capacity
from bulwark.core.plan import SetDesiredCapacity
from bulwark.core.policies import Policy
from workbench.bench import packing_quality
from workbench.bench.__main__ import WIDTH, main
from workbench.bench.big_cluster import DAEMON, GROUPS, big_cluster, container_instance_arn
from workbench.bench.decide import QUIET, WAITING, Decided, DecideError, Decisions, decide, measure_decisions
from workbench.bench.extent import Extent
from workbench.bench.packing_quality import Quality, measure_quality, our_instances
from workbench.bench.packing_shapes import CPU, MEMORY, Mix, Shape, peaks, random_mixes
from workbench.bench.sizing_calls import measure_sizing
from workbench.bench.table import Results, as_document, as_table
from workbench.events import InputError

HALF = Shape("half", CPU // 2, MEMORY // 2)
CAPPED = Shape("capped", CPU // 8, MEMORY // 8, most=2)
MIXED = Mix("mixed", {HALF: 3, CAPPED: 7})
QUALITY = Quality("mixed", 10, bound=2.4, ours=4, first_fit=4, best_fit=5, crowded=1)
DECIDED = Decided(WAITING, 500, 5000, 50, 100, seconds=0.1, peak_mib=50.0, more=3, fewer=0)
DECISIONS = Decisions((DECIDED, replace(DECIDED, instances=5000, seconds=0.9)))


def write(folder: Path, name: str, text: str, *, packed: bool = False) -> None:
    """One file of a workload folder, in lines."""
    folder.mkdir(parents=True, exist_ok=True)
    if packed:
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / name).write_text(text)


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """A folder of services with their peak in the middle, one of standalone tasks, and one that is no workload."""
    write(tmp_path / "services", "services.csv", "service,cpu_units,memory_mib,max_per_instance\nweb,512,1024,-1\ncache,256,8192,2\n")
    rows = "0,web,4\n0,cache,1\n60,web,20\n120,cache,9\n120,web,2\n180,web,0\n"
    write(tmp_path / "services", "desired.csv", f"time_s,service,desired\n{rows}", packed=True)
    rows = "0,100,1024,2048,2\n50,100,1024,2048,3\n100,10,1024,2048,4\n100,10,9000,100,50\n300,10,7168,100,1\n"
    write(tmp_path / "batch", "tasks.csv", f"arrival_s,duration_s,cpu_units,memory_mib,count\n{rows}")
    write(tmp_path / "other", "spot.csv", "time_s,available\n0,5\n")
    return tmp_path


def test_the_peak_of_a_workload_is_the_instant_of_its_highest_bound(traces: Path) -> None:
    """Nine caches are more than twenty webs; what ends at an instant is gone then; what no instance holds is left out; the first counts."""
    batch, services = peaks(traces)
    assert (services.name, services.counts) == ("services", {Shape("web", 512, 1024): 2, Shape("cache", 256, 8192, 2): 9})
    assert services.bound == pytest.approx((9 * 8192 + 2 * 1024) / MEMORY)
    assert (batch.name, dict(batch.counts), batch.tasks) == ("batch", {Shape("1024x2048", 1024, 2048): 7}, 7)
    assert batch.bound == pytest.approx(7 * 1024 / CPU)


@pytest.mark.parametrize("row", ["0,nobody,4", "soon,web,4", "0,web"])
def test_a_folder_that_cannot_be_read_is_an_error_that_names_it(traces: Path, row: str) -> None:
    """A service nobody defined, a time that is none, a row that ends early."""
    write(traces / "services", "desired.csv", f"time_s,service,desired\n{row}\n")
    with pytest.raises(InputError, match="services: not a workload folder"):
        list(peaks(traces))


def test_random_mixes_are_the_same_every_time_and_differ_by_seed() -> None:
    """As many tasks as asked for, all of which an instance holds."""
    mixes = random_mixes(50)
    assert mixes == random_mixes(50) != random_mixes(50, seed=2)
    assert [m.tasks for m in mixes] == [50] * len(mixes)
    assert all(0 < s.cpu <= CPU and 0 < s.memory <= MEMORY for m in mixes for s in m.counts)
    assert len({m.name for m in mixes}) == len(mixes)


def quality(folder: Path, mix: Mix) -> Quality:
    """The figures of one mix. ``folder``: one without workload folders."""
    (one,) = measure_quality(folder, [mix])
    return one


def test_what_the_library_puts_too_many_of_on_an_instance_goes_elsewhere(tmp_path: Path) -> None:
    """Three halves and seven eighths, two of them on an instance at most: it takes three instances, two too full of them, and then five."""
    one = quality(tmp_path, MIXED)
    assert (one.tasks, one.first_fit, one.best_fit, one.crowded) == (10, 5, 5, 2)
    assert one.bound == pytest.approx(3 / 2 + 7 / 8)
    assert 4 <= one.ours <= 5
    assert one.over == pytest.approx(one.ours / 3)
    assert one.holds
    assert quality(tmp_path, Mix("in order", {CAPPED: 2})).crowded == 0


@pytest.mark.parametrize("mix", random_mixes(120), ids=lambda m: m.name)
def test_the_library_does_what_its_algorithms_are_called(mix: Mix, tmp_path: Path) -> None:
    """First fit and best fit, decreasing by dominant share, as anybody would write them down."""
    shares = sorted((max(s.cpu * MEMORY, s.memory * CPU) for s, n in mix.counts.items() for _ in range(n)), reverse=True)
    plain: list[int] = []
    for best in (False, True):
        left: list[int] = []
        for share in shares:
            fitting = [n for n, room in enumerate(left) if room >= share]
            at = (min(fitting, key=lambda n: left[n]) if best else fitting[0]) if fitting else len(left)
            left += [CPU * MEMORY] if at == len(left) else []
            left[at] -= share
        plain.append(len(left))
    one = quality(tmp_path, mix)
    assert [one.first_fit, one.best_fit] == plain
    assert one.bound <= one.ours <= min(plain)


def test_at_most_two_of_a_service_share_an_instance() -> None:
    """Seven tasks that may be two to an instance take four; without that bound, one."""
    assert our_instances(Mix("capped", {CAPPED: 7})) == 4
    assert our_instances(Mix("free", {replace(CAPPED, most=-1): 7})) == 1


def test_a_packing_that_takes_more_than_the_library_or_less_than_possible_does_not_hold() -> None:
    """Each bound can break."""
    assert QUALITY.holds
    assert not replace(QUALITY, ours=5).holds
    assert not replace(QUALITY, ours=2).holds


def test_folders_that_are_not_there_are_skipped_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was not asked for by name: the random mixes are packed all the same."""
    monkeypatch.setattr(packing_quality, "TRACES", tmp_path / "nothing")
    said: list[str] = []
    assert [q.mix for q in measure_quality(mixes=[MIXED], progress=said.append)] == ["mixed"]
    assert said[0] == "packing: no workload folders beside the project: skipped"


def test_a_big_cluster_is_what_it_says() -> None:
    """Counts, groups and services agree; every service's running tasks are somewhere; what is left is what the tasks leave."""
    cluster = big_cluster(200, 1000, 40, 30, seed=3)
    assert len(cluster.instances) == len({i.ec2_id for i in cluster.instances}) == 200
    assert sum(i.running for i in cluster.instances) == 1000 + 200
    services = {s.name: s for s in cluster.services}
    daemon = services.pop(DAEMON)
    assert (daemon.desired, daemon.running) == (200, 200)
    assert len(services) == 40
    assert sum(s.running for s in services.values()) == 1000
    assert sum(s.desired - s.running for s in services.values()) == 30
    held = sum(cluster.definitions[s.definition].cpu * s.running for s in cluster.services)
    assert sum(i.registered.cpu - i.remaining.cpu for i in cluster.instances) == held
    assert all(i.remaining.cpu >= 0 and i.remaining.memory >= 0 and len(i.attributes) >= 35 for i in cluster.instances)
    assert [(g.name, g.desired, len(g.members)) for g in cluster.groups] == [(name, 100, 100) for name in GROUPS]
    assert cluster.tasks == ()
    assert cluster == big_cluster(200, 1000, 40, 30, seed=3) != big_cluster(200, 1000, 40, 30, seed=4)


def test_looking_at_instances_of_a_big_cluster_shows_their_tasks_and_changes_nothing_else() -> None:
    """The tasks on them add up to what the instances count and hold."""
    arns = [container_instance_arn(n) for n in (1, 5)]
    cluster = big_cluster(20, 100, 10, 3, seed=3, looked_at=arns)
    assert replace(cluster, tasks=(), tasks_examined=frozenset()) == big_cluster(20, 100, 10, 3, seed=3)
    assert cluster.tasks_examined == set(arns)
    assert Counter(t.instance_arn for t in cluster.tasks) == {i.arn: i.running for i in cluster.instances if i.arn in arns}
    for one in (i for i in cluster.instances if i.arn in arns):
        here = [t for t in cluster.tasks if t.instance_arn == one.arn]
        assert sum(t.cpu for t in here) == one.registered.cpu - one.remaining.cpu
        assert sum(t.memory for t in here) == one.registered.memory - one.remaining.memory


def test_the_decision_that_is_measured_finds_a_place_for_everything() -> None:
    """Tasks that wait, beyond what is free, bring instances; none is left without a place, and no service's need is unknown."""
    sizing = decide_capacity(big_cluster(60, 600, 10, 200, seed=1), Policy())
    assert sizing.plan.findings == ()
    assert {type(a) for a in sizing.plan.actions} == {SetDesiredCapacity}
    assert sizing.figures.waiting_tasks == 200


@pytest.mark.parametrize("kind", [WAITING, QUIET])
def test_deciding_is_timed_and_told_what_came_of_it(kind: str) -> None:
    """In this process: a hundredth of the usual extent, in numbers that are there."""
    one = decide(kind, 100, runs=1)
    assert (one.kind, one.instances, one.tasks, one.services) == (kind, 100, 1000, 10)
    assert one.waiting == (20 if kind == WAITING else 0)
    assert bool(one.more) == (kind == WAITING)
    assert bool(one.fewer) == (kind == QUIET)
    assert 0 < one.seconds < 60
    assert 10 < one.peak_mib < 10_000


def test_each_size_is_decided_on_in_a_process_of_its_own() -> None:
    """Its peak does not hold what this process has held before: far more than an interpreter and a hundred instances."""
    ballast = b"x" * (300 * 2**20)
    results = measure_decisions((50, 100), runs=1)
    assert len(ballast) == 300 * 2**20
    assert [(d.kind, d.instances) for d in results.decided] == [(WAITING, 50), (WAITING, 100), (QUIET, 50), (QUIET, 100)]
    assert all(d.peak_mib < 200 for d in results.decided)
    assert results.growth(WAITING)[1] == 2
    with pytest.raises(DecideError, match="exit code 1"):
        measure_decisions((50,), runs=0)


@pytest.mark.parametrize(
    "broken",
    [
        Decisions((replace(DECIDED, seconds=1.1),)),
        Decisions((replace(DECIDED, peak_mib=513.0),)),
        Decisions((replace(DECIDED, more=0),)),
        Decisions((replace(DECIDED, waiting=0),)),
        Decisions((replace(DECIDED, seconds=0.01), replace(DECIDED, instances=5000, seconds=0.16))),
    ],
)
def test_a_decision_that_is_slow_or_large_or_wrong_or_grows_too_fast_does_not_hold(broken: Decisions) -> None:
    """Each bound can break."""
    assert DECISIONS.holds
    assert not broken.holds


def shown(results: Results) -> str:
    """The table as text."""
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    console.print(as_table(results))
    return console.export_text()


def test_every_figure_is_in_the_table_and_in_the_document() -> None:
    """What was measured and its bound; a broken one is marked in both."""
    good = Results(packing=(QUALITY,), decisions=DECISIONS)
    text = " ".join(shown(good).split())
    for row in (
        "packing, mixed: instances 10 tasks; 3 is the least 4, x 1.333 4 yes",
        "rectpack: first fit, best fit dominant share alone; 1 had too many of a service 4, 5",
        "decide, tasks wait 500 instances, 5,000 tasks, 100 waiting 0.100 s: 3 more 1 s yes",
        "most memory of the process interpreter, snapshot, decision 50 MiB 512 MiB yes",
        "decide, tasks wait: time grows x 10 instances x 9.0 x 15 yes",
    ):
        assert row in text, row
    assert "NO" not in text.split()
    document = json.loads(json.dumps(as_document(good)))
    assert document["packing"][0]["over"] == pytest.approx(4 / 3)
    assert document["decide"]["decided"][1]["seconds"] == 0.9
    assert document["decide"]["growth"]["tasks wait"] == {"time": pytest.approx(9), "instances": 10}
    for broken in (replace(good, packing=(replace(QUALITY, ours=5),)), replace(good, decisions=Decisions((replace(DECIDED, seconds=2),)))):
        assert "NO" in shown(broken).split()
        assert as_document(broken)["holds"] is False


def test_the_parts_run_from_the_command_line(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folder and sizes as given: code 0, and nothing of the parts that were not asked for; a bound nobody can keep: code 1."""
    extent = Extent(mixes=(MIXED,), decided=(100,))
    assert main(["--only", "packing,decide", "--json", "--traces", str(traces)], extent) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {"holds", "packing", "decide"}
    assert [q["mix"] for q in document["packing"]] == ["batch", "services", "mixed"]
    assert main(["--only", "decide"], replace(extent, decide_s=0.0)) == 1
    assert "NO" in capsys.readouterr().out.split()


def test_wrong_folders_are_one_line_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is not there, and one that holds no workload."""
    with pytest.raises(SystemExit) as ended:
        main(["--only", "packing", "--traces", str(tmp_path / "nothing")])
    assert ended.value.code == 2
    assert "no such folder" in capsys.readouterr().err
    write(tmp_path / "one", "tasks.csv", "arrival_s\n1\n")
    assert main(["--only", "packing", "--traces", str(tmp_path)], Extent(mixes=())) == 2
    assert "one: not a workload folder" in capsys.readouterr().err


def test_a_sweep_of_capacity_costs_pages_and_nothing_per_task() -> None:
    """A larger cluster costs its pages of instances and services more; the first sweep also reads the definitions, once."""
    small, large = measure_sizing(((5, 3), (5, 12)))

    assert small.holds
    assert large.holds
    assert len(large.usual.order) - len(small.usual.order) == 1  # twelve services are two calls, three are one
    assert small.first.operations["ecs:DescribeTaskDefinition"] == 3
    assert not any(o.endswith(("Task", "Tasks")) for o in large.usual.operations)
    assert not replace(small, usual=replace(small.usual, order=small.usual.order * 3)).holds
    table = io.StringIO()
    Console(file=table, width=WIDTH).print(as_table(Results(sizing=(small, large))))
    assert "12 services" in table.getvalue()
    assert [s["holds"] for s in as_document(Results(sizing=(small,)))["sizing"]] == [True]
