"""What an operator may tune: JSON in Parameter Store, every field optional, each mistake named by field and fix."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

Mode = Literal["observe", "act"]

MOST = 1000
"""The largest number that an object of names and numbers takes."""

KILL_SWITCH_OFF = frozenset({"", "off"})
"""Values that leave the kill switch off. Any other value is on: one that nobody understands must not let writes through."""


class PolicyError(ValueError):
    """A policy that cannot be used; the message is one line naming the parameter, the field and the fix."""


def _choice(default: str, *others: str) -> Any:
    """A field that takes one of a few words."""
    return field(default=default, metadata={"choices": (default, *others)})


def _whole(default: int, least: int, most: int) -> Any:
    """A field that takes a whole number within bounds."""
    return field(default=default, metadata={"least": least, "most": most})


def _counts() -> Any:
    """A field that takes an object of names and whole numbers."""
    return field(default_factory=dict, metadata={"counts": True})


def _names() -> Any:
    """A field that takes a list of names, none of them twice."""
    return field(default=(), metadata={"names": True})


@dataclass(frozen=True, slots=True)
class DisruptionPolicy:
    """What voluntary disruption may cost. Shares are percent of the cluster's container instances, rounded down, but at least one.

    ``budget_percent``: instances out of service by Bulwark's own choice at a time. ``breaker_percent``: share of instances whose
    agent is away above which nothing voluntary is begun.
    """

    budget_percent: int = _whole(10, 0, 100)
    breaker_percent: int = _whole(20, 0, 100)


@dataclass(frozen=True, slots=True)
class DrainingPolicy:
    """How instances that leave are drained. ``enabled``: at all. ``replace``: also bring replacement capacity at once.

    ``hook``: whether Bulwark puts its terminate hook on groups that lack one; ``hook_minutes``: how long it may hold an instance
    whose work does not leave. ``rebalance``: whether a rebalance recommendation leads to a drain; ``rebalance_minutes`` until such
    a drain is given up. ``retired``: what becomes of an empty instance that EC2 will retire or stop.

    The last three are remedies for work that would not leave in time: ``stop_locked`` stops tasks that their service cannot move
    before EC2 does, ``raise_max_percent`` widens a locked service's upper bound while the drain lasts, ``standalone`` obeys the tag
    ``bulwark:on-drain`` of standalone tasks.
    """

    enabled: bool = True
    replace: bool = True
    hook: str = _choice("off", "install")
    hook_minutes: int = _whole(60, 1, 2880)
    rebalance: str = _choice("drain", "off")
    rebalance_minutes: int = _whole(30, 1, 1440)
    retired: str = _choice("leave", "terminate")
    stop_locked: bool = False
    raise_max_percent: bool = False
    standalone: bool = False


@dataclass(frozen=True, slots=True)
class CapacityPolicy:
    """How groups are sized. ``enabled``: at all; ``scale_in``: also made smaller.

    Held free beyond what runs and waits: ``headroom_percent`` of it, ``headroom_largest`` times the largest task, and for each
    service named in ``headroom_tasks`` so many more of its tasks. ``reservation_cpu``, ``reservation_memory``, ``reservation_gpu``:
    percent of what is registered that may be reserved; 0: no such target. ``alarm_percent``: the reservation at which Bulwark's alarms
    wake it between two sweeps; 0: no alarms. ``window_minutes``: instances go only if the highest need of so long would still be met.
    ``scale_in_minutes``: how long an instance's work may take to leave before it is kept after all. ``register_minutes``: how long a
    launched instance counts as coming. ``order``: groups, cheapest first; those not named follow, Spot first.
    """

    enabled: bool = True
    scale_in: bool = True
    headroom_percent: int = _whole(0, 0, 500)
    headroom_largest: int = _whole(0, 0, 100)
    headroom_tasks: Mapping[str, int] = _counts()
    reservation_cpu: int = _whole(0, 0, 100)
    reservation_memory: int = _whole(0, 0, 100)
    reservation_gpu: int = _whole(0, 0, 100)
    alarm_percent: int = _whole(90, 0, 100)
    window_minutes: int = _whole(5, 0, 60)
    scale_in_minutes: int = _whole(30, 1, 1440)
    register_minutes: int = _whole(10, 1, 60)
    order: tuple[str, ...] = _names()


@dataclass(frozen=True, slots=True)
class Policy:
    """One cluster's policy. ``mode`` can hold the cluster to observe; it cannot make an observing stack act."""

    mode: Literal["observe"] | None = None
    disruption: DisruptionPolicy = field(default_factory=DisruptionPolicy)
    draining: DrainingPolicy = field(default_factory=DrainingPolicy)
    capacity: CapacityPolicy = field(default_factory=CapacityPolicy)


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
    return Policy(
        mode=mode,
        disruption=_section(values.get("disruption", {}), where, "disruption", base.disruption),
        draining=_section(values.get("draining", {}), where, "draining", base.draining),
        capacity=_section(values.get("capacity", {}), where, "capacity", base.capacity),
    )


Section = TypeVar("Section", DisruptionPolicy, DrainingPolicy, CapacityPolicy)


def _section(value: Any, where: str, path: str, base: Section) -> Section:
    """One object of a policy over what it leaves out; the dataclass's fields and their metadata are the schema."""
    given = _object(value, where, path, type(base))
    for spec in fields(base):
        if spec.name in given:
            _check(given[spec.name], spec, f"{where}: {path}.{spec.name}")
    changes: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return replace(base, **changes)


def _check(value: Any, spec: Field[Any], path: str) -> None:
    """Raise PolicyError if the field cannot take the value."""
    if "choices" in spec.metadata:
        fits = isinstance(value, str) and value in spec.metadata["choices"]
        fix = " or ".join(f'"{choice}"' for choice in spec.metadata["choices"])
    elif "least" in spec.metadata:
        least, most = spec.metadata["least"], spec.metadata["most"]
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        fix = f"a whole number from {least} to {most}"
    elif "counts" in spec.metadata:
        fits = isinstance(value, dict) and all(
            isinstance(n, int) and not isinstance(n, bool) and n in range(MOST + 1) for n in value.values()
        )
        fix = f'an object of names and whole numbers up to {MOST}, such as {{"web": 2}}'
    elif "names" in spec.metadata:
        fits = isinstance(value, list) and all(isinstance(n, str) and n for n in value) and len(set(value)) == len(value)
        fix = 'a list of names, none twice, such as ["orders-spot", "orders"]'
    else:
        fits, fix = isinstance(value, bool), "true or false"
    if not fits:
        raise PolicyError(f"{path}: {_shown(value)} is not allowed: write {fix}")


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
