"""The same as test_drain_machine.py, where nearly everything that happens is a rebalance recommendation, and policies change under it."""

from tests.drain_layouts import VOLUNTARY
from tests.drain_machine import DrainMachine, explore

EXAMPLES = 2_000


class ByChoice(DrainMachine):
    """Drains that are Bulwark's own choice: they wait for their turn, and are given up and taken back."""

    policies = VOLUNTARY
    happenings = ("recommend", "recommend", "recommend", "recommend", "recommend", "recommend", "warn", "end", "hand", "vanish")
    mixes = (("web", "logs"), ("big", "logs"), ("one", "web"), ("slow", "web"), ("quiet", "half"), ("locked", "web"), ("again", "one"))


def test_no_rule_breaks_and_every_drain_by_choice_ends() -> None:
    """As without remedies: no recommendation leaves an instance behind, DRAINING or marked, that nobody looks after."""
    explore(ByChoice, EXAMPLES)

    print(f"{ByChoice.examples} sequences, {ByChoice.steps} steps")  # noqa: T201  what a run is worth
    assert ByChoice.examples >= EXAMPLES
