"""The worked example of docs/capacity.md, row by row: the policy that it names, decided on the cluster that it describes."""

import pytest

from bulwark.core.plan import SetDesiredCapacity
from bulwark.core.policies import read_policy
from tests.docs.markdown import page, rows
from tests.sizing_world import Pool, SizingWorld, Work, a_shape

SECTION = page("docs/capacity.md").section("Worked example")
ROWS = [(policy.strip("`"), int(wanted)) for policy, wanted, _ in rows(SECTION, heading="policy")]


@pytest.mark.parametrize(("policy", "wanted"), ROWS, ids=[policy for policy, _ in ROWS])
def test_the_worked_example_is_what_is_decided(policy: str, wanted: int) -> None:
    """Three instances with three tasks of web and the daemon on each, twelve wanted."""
    world = SizingWorld(
        {"orders-spot": Pool(a_shape())},
        {"web": Work(256, 2400, desired=12), "logs": Work(64, 128, daemon=True)},
        read_policy(policy, "docs/capacity.md"),
    )
    world.start("orders-spot", [{"web": 3, "logs": 1}] * 3)

    (action,) = world.decide().plan.actions

    assert isinstance(action, SetDesiredCapacity)
    assert wanted == action.desired
    assert len(ROWS) == 6
