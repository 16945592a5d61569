"""Whatever happens, in whatever order, and wherever the function fails: the rules hold, and every drain ends. Policies without remedies."""

from tests.drain_layouts import POLICIES
from tests.drain_machine import DrainMachine, explore

EXAMPLES = 3_000


class WithoutRemedies(DrainMachine):
    """Drains as most people have them."""

    policies = POLICIES


def test_no_rule_breaks_and_every_drain_ends_without_remedies() -> None:
    """Rules 1 to 4 and 7 of the design, on sequences of events, failures, deaths, overlaps and time that hypothesis chose."""
    explore(WithoutRemedies, EXAMPLES)

    print(f"{WithoutRemedies.examples} sequences, {WithoutRemedies.steps} steps")  # noqa: T201  what a run is worth
    assert WithoutRemedies.examples >= EXAMPLES
