"""What an operator may tune: JSON in Parameter Store, every field optional, each mistake named by field and fix."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

Mode = Literal["observe", "act"]

KILL_SWITCH_OFF = frozenset({"", "off"})
"""Values that leave the kill switch off. Any other value is on: one that nobody understands must not let writes through."""


class PolicyError(ValueError):
    """A policy that cannot be used; the message is one line naming the parameter, the field and the fix."""


@dataclass(frozen=True, slots=True)
class DrainingPolicy:
    """``enabled``: answer warnings at all. ``replace``: also bring replacement capacity at once."""

    enabled: bool = True
    replace: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """One cluster's policy. ``mode`` can hold the cluster to observe; it cannot make an observing stack act."""

    mode: Literal["observe"] | None = None
    draining: DrainingPolicy = field(default_factory=DrainingPolicy)


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for one cluster right now: its policy, whether Bulwark may write, and why not if it may not."""

    policy: Policy
    mode: Mode
    because: str


def read_policy(text: str, where: str, base: Policy | None = None) -> Policy:
    """Read a policy from its JSON ``text``; fields it leaves out keep the values of ``base`` (default: the defaults).

    ``where`` names the parameter in errors. Raises PolicyError.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"{where}: not JSON ({str(error)[:80]}): write an object such as {{}}") from error
    values = _object(document, where, "the policy", Policy)
    base = base or Policy()
    mode = values.get("mode", base.mode)
    if mode not in ("observe", None):
        raise PolicyError(
            f'{where}: mode: {_shown(mode)} is not allowed: write "observe" or leave it out (the stack parameter Mode decides)'
        )
    draining = _object(values.get("draining", {}), where, "draining", DrainingPolicy)
    for name, value in draining.items():
        if not isinstance(value, bool):
            raise PolicyError(f"{where}: draining.{name}: {_shown(value)} is not allowed: write true or false")
    return Policy(
        mode=mode,
        draining=DrainingPolicy(
            enabled=draining.get("enabled", base.draining.enabled),
            replace=draining.get("replace", base.draining.replace),
        ),
    )


def _object(value: Any, where: str, path: str, shape: type) -> Mapping[str, Any]:
    """``value`` as an object with only the fields of the dataclass ``shape``."""
    known = [f.name for f in fields(shape)]
    if not isinstance(value, dict):
        raise PolicyError(f"{where}: {path}: {_shown(value)} is not an object: write {{...}} with any of {', '.join(known)}")
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"did you mean {near[0]}?" if near else f"known fields: {', '.join(known)}"
            prefix = "" if path == "the policy" else f"{path}."
            raise PolicyError(f"{where}: {prefix}{str(name)[:40]}: no such field: {fix}")
    return value


def _shown(value: Any) -> str:
    """A value as it appears in an error: JSON, short."""
    return json.dumps(value, default=str)[:60]


def standing(stack: Mode, kill_switch: str, policy: Policy) -> Standing:
    """Who has the last word: any of stack, kill switch and policy can hold a cluster to observe; all must allow to act."""
    if stack == "observe":
        return Standing(policy, "observe", "the stack parameter Mode is observe")
    if kill_switch.strip().lower() not in KILL_SWITCH_OFF:
        return Standing(policy, "observe", f"the kill switch is {_shown(kill_switch)}")
    if policy.mode == "observe":
        return Standing(policy, "observe", "the policy holds this cluster to observe")
    return Standing(policy, "act", "the stack parameter Mode is act")
