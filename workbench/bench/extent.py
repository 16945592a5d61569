"""How much of some parts is measured, and against which bounds. The usual ones are each part's own; tests take less."""

from collections.abc import Callable
from dataclasses import dataclass

from workbench.bench import decide, in_time, lifecycle, sizing_calls, sweep
from workbench.bench.packing_shapes import Mix


@dataclass(frozen=True, slots=True)
class Extent:
    """Sizes and bounds.

    ``sizes``: clusters and instances in each, for the hook's event; ``hook_calls``: its calls at most. ``clusters``, ``instances`` in
    each, and ``drains``: for the sweep; ``sweep_calls``: from the number of clusters, a quiet one's calls at most. ``ways``: to handle a
    Spot warning; ``elsewhere_s``: seconds at most until its work runs elsewhere. ``mixes``: to pack beside workload folders, None: the
    usual ones. ``decided``: instances of the clusters decided on; ``decide_s``: seconds a decision takes at most. ``sized``: instances and
    services of the clusters that a sweep sizes.
    """

    sizes: tuple[tuple[int, int], ...] = lifecycle.SIZES
    hook_calls: int = lifecycle.BOUND
    clusters: tuple[int, ...] = sweep.CLUSTERS
    instances: tuple[int, ...] = sweep.INSTANCES
    drains: tuple[int, ...] = sweep.DRAINS
    sweep_calls: Callable[[int], int] = sweep.most_calls
    ways: tuple[in_time.Way, ...] = in_time.WAYS
    elsewhere_s: int = in_time.TAKEN_S
    mixes: tuple[Mix, ...] | None = None
    decided: tuple[int, ...] = decide.SIZES
    decide_s: float = decide.SECONDS
    sized: tuple[tuple[int, int], ...] = sizing_calls.SIZES
