"""How many instances a packing takes, over the fewest that any could: ours beside first-fit and best-fit decreasing of rectpack.

rectpack packs rectangles, and packs in one dimension if all of them are one high. It is given each task's dominant share: the larger of
its CPU's and its memory's part of an instance. What it packs so never has too little of either, but it cannot let a task that is heavy
on CPU and one that is heavy on memory share an instance; and of how many tasks of a service one instance may hold it knows nothing.
What is too many on an instance is therefore put elsewhere afterwards, on other instances with room before new ones.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bulwark.core.packing import Need, Space, place_all
from workbench.bench.packing_shapes import CPU, MEMORY, TRACES, Mix, Shape, peaks, random_mixes

WIDTH = CPU * MEMORY
"""An instance in units in which both dimensions are whole numbers."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Instances that one mix takes. ``bound``: that none can do without. ``crowded``: of the library's, how many held too many of one kind.

    ``first_fit`` and ``best_fit`` are the library's, with what was crowded put elsewhere.
    """

    mix: str
    tasks: int
    bound: float
    ours: int
    first_fit: int
    best_fit: int
    crowded: int

    @property
    def over(self) -> float:
        """Ours over the bound, rounded up to whole instances."""
        return self.ours / math.ceil(self.bound)

    @property
    def holds(self) -> bool:
        """Whether ours takes no more than the better of the library's two, and everything has a place."""
        return math.ceil(self.bound) <= self.ours <= min(self.first_fit, self.best_fit)


def measure_quality(
    traces: Path | None = None, mixes: Iterable[Mix] | None = None, progress: Callable[[str], None] = lambda _: None
) -> tuple[Quality, ...]:
    """Pack the peaks of the workload folders in ``traces`` (TRACES if there is such a folder) and ``mixes`` (the random ones).

    Raises InputError where a folder cannot be read.
    """
    found: list[Mix] = []
    folder = traces or TRACES
    if traces is not None or folder.is_dir():
        found += peaks(folder)
    else:
        progress("packing: no workload folders beside the project: skipped")
    found += random_mixes() if mixes is None else mixes
    return tuple(_quality(mix, progress) for mix in found)


def _quality(mix: Mix, progress: Callable[[str], None]) -> Quality:
    progress(f"packing: {mix.name}, {mix.tasks} tasks")
    first, best = (_packed(mix, best=best) for best in (False, True))
    crowded = sum(_is_crowded(one) for one in first)
    return Quality(
        mix=mix.name,
        tasks=mix.tasks,
        bound=mix.bound,
        ours=our_instances(mix),
        first_fit=len(_parted(first)),
        best_fit=len(_parted(best)),
        crowded=crowded,
    )


def our_instances(mix: Mix) -> int:
    """Instances on which Bulwark's own packing puts the mix. Raises AssertionError if it finds no place for a task."""
    needs = [need for shape, count in sorted(mix.counts.items()) for need in _needs(shape, count)]
    spaces = [Space(f"arn/{n:05}", f"i-{n:05}", CPU, MEMORY) for n in range(len(needs))]
    placed, unplaced = place_all(needs, spaces)
    if unplaced:
        raise AssertionError(f"{mix.name}: {len(unplaced)} tasks without a place on as many instances as there are tasks")
    return len({space.arn for _, space in placed})


def _needs(shape: Shape, count: int) -> list[Need]:
    """Every task of a shape. At most ``most`` on an instance is the same as so many groups with at most one of each on it."""
    if shape.most < 1:
        return [Need(shape.cpu, shape.memory, group=shape.name)] * count
    return [Need(shape.cpu, shape.memory, distinct=True, group=f"{shape.name}/{n % shape.most}") for n in range(count)]


@dataclass(slots=True)
class _Instance:
    """What was put on one instance."""

    cpu: int = CPU
    memory: int = MEMORY
    held: Counter[Shape] = field(default_factory=Counter)

    def takes(self, shape: Shape) -> bool:
        """Whether there is room, and not too many of its kind."""
        return self.cpu >= shape.cpu and self.memory >= shape.memory and (shape.most < 1 or self.held[shape] < shape.most)

    def put(self, shape: Shape, sign: int = 1) -> None:
        """One task more; with ``sign`` -1, one less."""
        self.cpu, self.memory = self.cpu - sign * shape.cpu, self.memory - sign * shape.memory
        self.held[shape] += sign


def _packed(mix: Mix, *, best: bool) -> list[_Instance]:
    """The library's packing: first-fit decreasing, or best-fit."""
    from rectpack import SORT_AREA, MaxRectsBaf, PackingBin, PackingMode, newPacker  # type: ignore[import-untyped]

    tasks = [shape for shape, count in sorted(mix.counts.items()) for _ in range(count)]
    algorithm = PackingBin.BBF if best else PackingBin.BFF
    packer = newPacker(PackingMode.Offline, algorithm, MaxRectsBaf, SORT_AREA, rotation=False)
    for number, shape in enumerate(tasks):
        packer.add_rect(max(shape.cpu * MEMORY, shape.memory * CPU), 1, rid=number)
    packer.add_bin(WIDTH, 1, count=len(tasks))
    packer.pack()
    instances: dict[int, _Instance] = {}
    for number, *_, rid in packer.rect_list():
        instances.setdefault(number, _Instance()).put(tasks[rid])
    return list(instances.values())


def _is_crowded(instance: _Instance) -> bool:
    return any(0 < shape.most < count for shape, count in instance.held.items())


def _parted(instances: list[_Instance]) -> list[_Instance]:
    """The same with nothing crowded: what is too many goes to the first instance that takes it."""
    too_many = [(i, s) for i in instances for s, count in i.held.items() if s.most > 0 for _ in range(count - s.most)]
    for instance, shape in too_many:
        instance.put(shape, -1)
    parted = list(instances)
    for _, shape in sorted(too_many, key=lambda one: -max(one[1].cpu * MEMORY, one[1].memory * CPU)):
        taker = next((i for i in parted if i.takes(shape)), None)
        if taker is None:
            parted.append(taker := _Instance())
        taker.put(shape)
    return parted
