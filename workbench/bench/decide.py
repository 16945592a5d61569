"""How long ``decide_capacity`` takes, and how much memory, on ever larger clusters.

Each size has a process of its own, so that its peak is its own: the most memory that was resident at once (VmHWM of Linux's procfs,
elsewhere ru_maxrss), so with the interpreter, the snapshot and the decision in it. A Lambda function's memory is used up by the same.
"""

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SIZES = (500, 1000, 2000, 5000)
"""Instances. Each runs TASKS_EACH tasks; a tenth as many services, a fifth as many tasks that wait."""

TASKS_EACH, INSTANCES_A_SERVICE, INSTANCES_A_WAITING_TASK = 10, 10, 5

SECONDS, MIB = 1.0, 512
"""At most, for every size: a decision is one part of a minute's sweep, and the function has so much memory."""

STEEPER = 1.5
"""From the smallest size to the largest, time may grow so many times as much as the cluster does."""

RUNS = 5
"""Decisions on each cluster; the fastest counts, since others use this machine too."""

LIMIT_S = 600
"""Seconds a process may take: building the snapshot takes longer than deciding."""

SEED = 1
WAITING, QUIET = "tasks wait", "nothing waits"


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision. ``seconds``: of the fastest; ``peak_mib``: of the whole process; ``more``: instances asked for, ``fewer``: drained.

    Where nothing waits, the tasks of those instances are seen that may go: their work is put elsewhere in thought.
    """

    kind: str
    instances: int
    tasks: int
    services: int
    waiting: int
    seconds: float
    peak_mib: float
    more: int
    fewer: int


@dataclass(frozen=True, slots=True)
class Decisions:
    """All of them, and what they may take at most."""

    decided: tuple[Decided, ...]
    seconds: float = SECONDS
    mib: float = MIB
    steeper: float = STEEPER

    def within(self, one: Decided) -> tuple[bool, bool]:
        """Whether one decision keeps the bounds: on time, on memory. It has to have decided what its cluster asks for."""
        right = bool(one.more) if one.waiting else not one.more
        return one.seconds <= self.seconds and right, one.peak_mib <= self.mib

    def growth(self, kind: str) -> tuple[float, float]:
        """How many times as long the largest takes as the smallest, and how many times as large it is."""
        of_kind = sorted((d for d in self.decided if d.kind == kind), key=lambda d: d.instances)
        least, most = of_kind[0], of_kind[-1]
        return most.seconds / least.seconds, most.instances / least.instances

    def straight(self, kind: str) -> bool:
        """Whether the growth is close to linear."""
        times, larger = self.growth(kind)
        return times <= self.steeper * larger

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of decisions, in order."""
        return tuple(dict.fromkeys(d.kind for d in self.decided))

    @property
    def holds(self) -> bool:
        """Whether every bound holds."""
        return all(all(self.within(d)) for d in self.decided) and all(self.straight(kind) for kind in self.kinds)


class DecideError(Exception):
    """A process that was to decide failed. The message holds the end of what it said."""


def measure_decisions(
    sizes: Sequence[int] = SIZES, runs: int = RUNS, seconds: float = SECONDS, progress: Callable[[str], None] = lambda _: None
) -> Decisions:
    """Decide on clusters of every size, with tasks that wait and without, each ``runs`` times. Raises DecideError."""
    found: list[Decided] = []
    for kind in (WAITING, QUIET):
        for size in sizes:
            progress(f"decide: {size:,} instances, {kind}")
            found.append(_in_a_process(kind, size, runs))
    return Decisions(tuple(found), seconds)


def _in_a_process(kind: str, instances: int, runs: int) -> Decided:
    command = [sys.executable, "-m", "workbench.bench.decide", kind, str(instances), str(runs)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DecideError(f"deciding on {instances:,} instances: {type(error).__name__}: {error}") from None
    if done.returncode:
        raise DecideError(f"deciding on {instances:,} instances: exit code {done.returncode}: {done.stderr.strip()[-800:]}")
    return Decided(**json.loads(done.stdout))


def decide(kind: str, instances: int, runs: int) -> Decided:
    """Build the cluster in this process and decide ``runs`` times; the peak is that of all this process ever did."""
    from bulwark.core.capacity import decide_capacity, worth_a_look
    from bulwark.core.plan import DrainInstance, SetDesiredCapacity
    from bulwark.core.policies import Policy
    from workbench.bench.big_cluster import big_cluster

    waiting = instances // INSTANCES_A_WAITING_TASK if kind == WAITING else 0
    extent = (instances, instances * TASKS_EACH, max(1, instances // INSTANCES_A_SERVICE), waiting)
    policy = Policy()
    cluster = big_cluster(*extent, SEED)
    if looked_at := worth_a_look(cluster, policy):
        cluster = big_cluster(*extent, SEED, looked_at)
    took: list[float] = []
    for _ in range(runs):
        begun = time.perf_counter()
        sizing = decide_capacity(cluster, policy)
        took.append(time.perf_counter() - begun)
    actions = sizing.plan.actions
    more = sum(a.desired - a.before for a in actions if isinstance(a, SetDesiredCapacity))
    fewer = sum(isinstance(a, DrainInstance) for a in actions)
    return Decided(kind, *extent, seconds=min(took), peak_mib=_peak_mib(), more=more, fewer=fewer)


def _peak_mib() -> float:
    """The most memory this process ever held, in MiB.

    Linux hands ru_maxrss on from the process that started this one, so there the high-water mark of its own memory counts.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)[1]) / 2**10  # type: ignore[index]
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(decide(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
