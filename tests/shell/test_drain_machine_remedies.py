"""The same as test_drain_machine.py with the remedies on: tasks are stopped, bounds raised, standalone tasks started again."""

from tests.drain_layouts import REMEDIAL
from tests.drain_machine import DrainMachine, explore

EXAMPLES = 3_000


class WithRemedies(DrainMachine):
    """Drains whose policy asks for everything that there is."""

    policies = REMEDIAL


def test_no_rule_breaks_and_every_drain_ends_with_remedies() -> None:
    """As without; and what was lent is given back, and no standalone task runs twice."""
    explore(WithRemedies, EXAMPLES)

    print(f"{WithRemedies.examples} sequences, {WithRemedies.steps} steps")  # noqa: T201  what a run is worth
    assert WithRemedies.examples >= EXAMPLES
