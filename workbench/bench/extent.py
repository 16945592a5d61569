"""How much of the parts about drains is measured, and against which bounds. The usual ones are each part's own; tests take less."""

from collections.abc import Callable
from dataclasses import dataclass

from workbench.bench import in_time, lifecycle, sweep


@dataclass(frozen=True, slots=True)
class Extent:
    """Sizes and bounds.

    ``sizes``: clusters and instances in each, for the hook's event; ``hook_calls``: its calls at most. ``clusters``, ``instances`` in
    each, and ``drains``: for the sweep; ``sweep_calls``: from the number of clusters, a quiet one's calls at most. ``ways``: to handle a
    Spot warning; ``elsewhere_s``: seconds at most until its work runs elsewhere.
    """

    sizes: tuple[tuple[int, int], ...] = lifecycle.SIZES
    hook_calls: int = lifecycle.BOUND
    clusters: tuple[int, ...] = sweep.CLUSTERS
    instances: tuple[int, ...] = sweep.INSTANCES
    drains: tuple[int, ...] = sweep.DRAINS
    sweep_calls: Callable[[int], int] = sweep.most_calls
    ways: tuple[in_time.Way, ...] = in_time.WAYS
    elsewhere_s: int = in_time.TAKEN_S
