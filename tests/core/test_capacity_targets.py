"""What is to be held in sum: the arithmetic of reservation targets and headroom in percent."""

from typing import Any

import pytest

from bulwark.core.capacity_targets import Totals, shortfalls
from bulwark.core.cluster import Demand, Resources
from bulwark.core.packing import Space
from bulwark.core.policies import CapacityPolicy
from bulwark.core.room import Slot
from tests.builders import NOW

INSTANCE = Slot(Space("a", "i-1"), Resources(1000, 1000, 2), Resources(100, 100, 0))
"""A thousand of each and two GPUs, of which daemons take a hundred."""


def missing(demand: Demand, count: int = 1, **policy: Any) -> dict[str, int]:
    """What so many instances lack, by dimension."""
    totals = Totals.of([INSTANCE] * count)
    return {s.dimension: s.missing for s in shortfalls(totals, demand, CapacityPolicy(**policy))}


@pytest.mark.parametrize(
    ("cpu", "target", "expected"),
    [(700, 80, {}), (701, 80, {"cpu": 2}), (900, 100, {}), (900, 50, {"cpu": 1000}), (1, 80, {}), (300, 40, {}), (301, 40, {"cpu": 3})],
)
def test_a_reservation_counts_daemons_as_cloudwatch_does(cpu: int, target: int, expected: dict[str, int]) -> None:
    """Exactly at the target is held; what is missing is rounded up."""
    assert expected == missing(Demand(NOW, cpu, 0), reservation_cpu=target)


@pytest.mark.parametrize(
    ("memory", "percent", "expected"), [(900, 0, {}), (901, 0, {"memory": 1}), (750, 20, {}), (751, 20, {"memory": 2}), (300, 200, {})]
)
def test_headroom_is_room_beside_the_daemons(memory: int, percent: int, expected: dict[str, int]) -> None:
    """Nine hundred are left for work."""
    assert expected == missing(Demand(NOW, 0, memory), headroom_percent=percent)


def test_of_what_nothing_asks_for_nothing_is_held() -> None:
    """Daemons alone are above the target, and no instance more would change that."""
    assert {} == missing(Demand(NOW, 0, 0), reservation_cpu=5, reservation_memory=5, reservation_gpu=5, headroom_percent=500)


def test_gpus_have_a_target_of_their_own() -> None:
    """One of two is half."""
    assert {} == missing(Demand(NOW, 0, 0, 1), reservation_gpu=50)
    assert {"gpu": 1} == missing(Demand(NOW, 0, 0, 1), reservation_gpu=49)


def test_each_target_is_named_with_its_figure() -> None:
    """CPU by its target, memory by its headroom."""
    found = shortfalls(Totals.of([INSTANCE]), Demand(NOW, 900, 800), CapacityPolicy(reservation_cpu=90, headroom_percent=20))

    assert ["CPU reserved above 90 %", "CPU: less than 20 % of headroom", "memory: less than 20 % of headroom"] == [
        s.message for s in found
    ]


def test_what_goes_and_comes_back_leaves_the_sum_as_it_was() -> None:
    """Instances are tried by taking them off and putting them back."""
    totals = Totals.of([INSTANCE] * 2)
    totals.add(INSTANCE, -1)

    assert Totals.of([INSTANCE]) == totals
