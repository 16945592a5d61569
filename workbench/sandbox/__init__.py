"""An AWS account in memory: moto in process, and the EC2, Auto Scaling and ECS behaviour that moto lacks.

``with Account(load_scenario(path)) as account:`` builds the account a scenario describes; ``account.client("ecs")`` talks to it
and ``account.settle(60)`` lets it live for sixty seconds of its own time. Names are loaded when first used, because importing
moto takes seconds and a command that only prints its help should not pay for it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.sandbox.account import Account as Account
    from workbench.sandbox.machine import Machine as Machine
    from workbench.sandbox.scenario import Scenario as Scenario
    from workbench.sandbox.scenario import ScenarioError as ScenarioError
    from workbench.sandbox.scenario import load_scenario as load_scenario

__all__ = ["Account", "Machine", "Scenario", "ScenarioError", "load_scenario"]

_HOME = {
    "Account": "workbench.sandbox.account",
    "Machine": "workbench.sandbox.machine",
    "Scenario": "workbench.sandbox.scenario",
    "ScenarioError": "workbench.sandbox.scenario",
    "load_scenario": "workbench.sandbox.scenario",
}


def __getattr__(name: str) -> Any:
    """The public name ``name``, imported from its module on first use; AttributeError if there is none."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
