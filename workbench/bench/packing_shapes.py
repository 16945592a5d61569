"""Task shapes to pack: the peak instants of workload folders, and random mixes of which every run has the same."""

import csv
import gzip
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workbench.bench.artifact import ROOT
from workbench.events import InputError

CPU, MEMORY = 8192, 31368
"""CPU units and MiB that an m5.2xlarge registers with ECS (8 vCPUs; of 32 GiB the kernel and the agent leave so much)."""

TRACES = ROOT.parent / "shared" / "traces"
"""Where workload folders are looked for if none is named: beside the project."""

TASKS, KINDS = 600, 20
"""Tasks of a random mix, and how many kinds of them."""


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """Equal tasks. ``cpu`` in CPU units, ``memory`` in MiB; ``most``: on one instance, -1: as many as fit."""

    name: str
    cpu: int
    memory: int
    most: int = -1


@dataclass(frozen=True, slots=True)
class Mix:
    """So many tasks of each shape, all at once."""

    name: str
    counts: Mapping[Shape, int] = field(default_factory=dict)

    @property
    def tasks(self) -> int:
        """Tasks in all."""
        return sum(self.counts.values())

    @property
    def bound(self) -> float:
        """Instances that no packing can do without, a fraction of one included: the larger of CPU and memory."""
        return max(self._sum("cpu") / CPU, self._sum("memory") / MEMORY)

    def _sum(self, dimension: str) -> int:
        total: int = sum(getattr(shape, dimension) * count for shape, count in self.counts.items())
        return total


def peaks(folder: Path) -> Iterator[Mix]:
    """The peak of every workload folder in ``folder``: the first instant at which ``bound`` is highest. Raises InputError."""
    for one in sorted(p for p in folder.iterdir() if p.is_dir()):
        try:
            if (found := _highest(one.name, _steps(one))) is not None:
                yield found
        except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{one}: not a workload folder: {type(error).__name__}: {error}") from error


def _steps(folder: Path) -> Iterator[tuple[float, Shape, int]]:
    """Changes: when, of what, and how many more; nothing if the folder holds neither services nor tasks."""
    if _has(folder, "services.csv") and _has(folder, "desired.csv"):
        shapes = {r["service"]: Shape(r["service"], *_size(r), int(r["max_per_instance"])) for r in _rows(folder, "services.csv")}
        now: Counter[str] = Counter()
        for row in _rows(folder, "desired.csv"):
            name, desired = row["service"], int(row["desired"])
            yield float(row["time_s"]), shapes[name], desired - now[name]
            now[name] = desired
    if _has(folder, "tasks.csv"):
        for row in _rows(folder, "tasks.csv"):
            size, begin, count = _size(row), float(row["arrival_s"]), int(row["count"])
            shape = Shape("x".join(map(str, size)), *size)
            yield begin, shape, count
            yield begin + float(row["duration_s"]), shape, -count


def _highest(name: str, steps: Iterable[tuple[float, Shape, int]]) -> Mix | None:
    """The instant of the highest bound, what ends there gone; tasks that no instance holds left out."""
    fitting = [s for s in steps if s[1].cpu <= CPU and s[1].memory <= MEMORY]
    now: Counter[Shape] = Counter()
    cpu = memory = 0
    best, peak = 0.0, None
    ordered = sorted(fitting, key=lambda step: step[0])
    for number, (at, shape, more) in enumerate(ordered, 1):
        now[shape] += more
        cpu, memory = cpu + more * shape.cpu, memory + more * shape.memory
        if (number == len(ordered) or ordered[number][0] > at) and max(cpu / CPU, memory / MEMORY) > best:
            best, peak = max(cpu / CPU, memory / MEMORY), +now
    return None if peak is None else Mix(name, peak)


def _size(row: Mapping[str, str]) -> tuple[int, int]:
    return int(row["cpu_units"]), int(row["memory_mib"])


def _has(folder: Path, name: str) -> bool:
    """Whether the folder holds that file, plain or compressed."""
    return (folder / name).is_file() or (folder / f"{name}.gz").is_file()


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file, plain or compressed."""
    plain = folder / name
    text = plain.read_text("utf-8") if plain.is_file() else gzip.decompress((folder / f"{name}.gz").read_bytes()).decode("utf-8")
    return list(csv.DictReader(text.splitlines()))


def random_mixes(tasks: int = TASKS, seed: int = 1) -> tuple[Mix, ...]:
    """Mixes of ``tasks`` tasks: uneven numbers of KINDS kinds, in four ways to be shaped."""
    ways = ("any", "small", "lopsided", "usual sizes")
    return tuple(_mix(way, tasks, random.Random(f"{way} {seed}")) for way in ways)  # noqa: S311 (the same numbers every time)


def _mix(way: str, tasks: int, chance: random.Random) -> Mix:
    sizes = [_random_size(way, chance) for _ in range(KINDS)]
    weights = [chance.random() ** 2 for _ in sizes]
    drawn = Counter(chance.choices(sizes, weights, k=tasks))
    return Mix(f"random: {way}", {Shape(f"{cpu}x{memory}", cpu, memory): count for (cpu, memory), count in sorted(drawn.items())})


def _random_size(way: str, chance: random.Random) -> tuple[int, int]:
    """CPU units and MiB of one kind of task."""
    if way == "any":
        return chance.randrange(64, CPU // 2), chance.randrange(128, MEMORY // 2)
    if way == "small":
        return chance.randrange(64, CPU // 8), chance.randrange(128, MEMORY // 8)
    if way == "lopsided":
        much, little = chance.uniform(0.3, 0.6), chance.uniform(0.02, 0.2)
        cpu, memory = (much, little) if chance.random() < 1 / 2 else (little, much)
        return int(cpu * CPU), int(memory * MEMORY)
    return chance.choice([128, 256, 512, 1024, 2048, 4096]), chance.choice([256, 512, 1024, 2048, 4096, 8192, 15360])
