"""A scenario: an AWS account written down in YAML. Every field but ``clusters`` and their ``groups`` has a default.

CPU is in CPU units (1,024 = one vCPU), memory in MiB, delays in seconds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import yaml

from workbench.sandbox.scenario_checks import complete
from workbench.sandbox.scenario_reader import ScenarioError, at_least, pattern, read_mapping, required

__all__ = ["GroupSpec", "Scenario", "ScenarioError", "load_scenario", "read_scenario"]

CURRENT_AGENT = "1.107.0"
"""The ECS agent of the recommended AMI in November 2026, as the public AMI parameter names it."""

USUAL_TYPE = "m5.large"
"""The instance type of a group that names none."""

LAUNCH_DELAY = 45
"""Seconds from launch to registration with ECS: an ordinary boot of the ECS-optimized AMI takes half a minute to a minute and a half."""

NAME = r"[A-Za-z0-9_-]{0,100}"
"""What a name may hold: ECS's letters, digits, hyphens and underscores, and a length that every service takes."""


NAME_TAG = "Name"
"""The tag that EC2's console shows as an instance's name."""
OPT_IN_TAG = "bulwark:cluster"
"""The group's tag that names its ECS cluster, and so opts it in."""
ECS_TAG = "AmazonECSManaged"
"""The tag that ECS puts on a group behind a capacity provider."""


def _name(default: str = "") -> str:
    """A name; left out or empty, it is made from what it belongs to."""
    name: str = pattern(NAME, default, "a name of letters, digits, - and _, at most 100 of them")
    return name


@dataclass(frozen=True, slots=True)
class HookSpec:
    """A lifecycle hook. ``heartbeat`` in seconds, 30 to 7,200; ``default_result`` is what a time-out does (AWS's default: ABANDON)."""

    name: str = _name()
    transition: Literal["terminating", "launching"] = "terminating"
    heartbeat: int = at_least(30, 3600, most=7200)
    default_result: Literal["ABANDON", "CONTINUE"] = "ABANDON"


@dataclass(frozen=True, slots=True)
class CapacityProviderSpec:
    """The ECS capacity provider in front of a group, and what ECS manages through it."""

    name: str = _name()
    managed_scaling: bool = True
    managed_draining: bool = True


@dataclass(frozen=True, slots=True)
class TypeSpec:
    """One of the instance types of a mixed group. ``weight``: the units of capacity that one instance counts for; None: not weighted."""

    type: str = required()
    weight: int | None = at_least(1, None, most=999)


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """An Auto Scaling group. ``managed``: it carries the tag that opts it in. ``launch``: what becomes of launches from now on.

    ``types`` in place of ``instance_type`` makes it a group with a mixed-instances policy; ``pick``: whether it launches the first of
    them only, or one after the other. ``min``, ``desired`` and ``max`` are units of capacity: of instances, or of their types' weights.
    ``recovers``: seconds from the scenario's start after which launches succeed again, whatever kept them from it.
    ``desired`` left out is 2 within the bounds, ``max`` left out three times ``desired``. ``lacks`` names attributes its agents do without.
    ``tags`` are the group's own, on top of those that opt it in: its instances do not get them. ``spot_draining``: its agents set
    themselves DRAINING at a Spot warning. ``trunking``: its instances have ENI trunking, as far as their type can.
    """

    name: str = _name()
    instance_type: str | None = None
    types: tuple[TypeSpec, ...] = ()
    pick: Literal["first", "in-turn"] = "first"
    market: Literal["spot", "on-demand"] = "spot"
    min: int = at_least(0, 0)
    desired: int | None = at_least(0, None)
    max: int | None = at_least(0, None)
    zones: tuple[str, ...] = ("us-east-1a", "us-east-1b", "us-east-1c")
    managed: bool = True
    launch: Literal["ok", "no-capacity", "never-registers"] = "ok"
    recovers: int | None = at_least(0, None)
    launch_delay: int = at_least(0, LAUNCH_DELAY)
    hooks: tuple[HookSpec, ...] = ()
    suspended: frozenset[str] = frozenset()
    capacity_provider: CapacityProviderSpec | None = None
    capacity_rebalance: bool = False
    spot_draining: bool = False
    trunking: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    agent: str = pattern(r"\d+\.\d+\.\d+", CURRENT_AGENT, "an agent version such as 1.107.0")
    lacks: frozenset[str] = frozenset()

    @property
    def size(self) -> tuple[int, int, int]:
        """Minimum, desired and maximum, what was left out filled in."""
        desired = self.desired
        if desired is None:
            desired = max(2, self.min) if self.max is None else min(max(2, self.min), self.max)
        return self.min, desired, max(3 * desired, 1) if self.max is None else self.max

    @property
    def launch_types(self) -> tuple[TypeSpec, ...]:
        """What it may launch; the first is what it launches by default."""
        return self.types or (TypeSpec(self.instance_type or USUAL_TYPE),)

    def weight(self, instance_type: str | None) -> int:
        """The units of capacity that an instance of the type counts for; None: of the first type."""
        weights = {one.type: one.weight or 1 for one in self.launch_types}
        return weights[instance_type or self.launch_types[0].type]

    @property
    def own_tags(self) -> tuple[str, ...]:
        """The keys of the tags that the group has without being given them."""
        return (NAME_TAG, *((OPT_IN_TAG,) if self.managed else ()), *((ECS_TAG,) if self.capacity_provider else ()))


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What is special about one instance of a group: its id, or, in launch order, anything but its id.

    ``instance_type``: another than the first of its group's. ``scale_in_protected``: its group does not scale it in.
    ``ec2``: stopped or terminated makes a ghost of it when the story begins: ECS still has it, with its tasks, and no connection.
    """

    id: str | None = pattern(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})", None, "an instance id: i- and 17 hexadecimal digits")
    group: str = ""
    zone: str | None = None
    instance_type: str | None = None
    scale_in_protected: bool = False
    agent: str | None = pattern(r"\d+\.\d+\.\d+", None, "an agent version such as 1.107.0")
    connected: bool = True
    status: Literal["ACTIVE", "DRAINING"] = "ACTIVE"
    ec2: Literal["running", "stopped", "terminated"] = "running"
    cpu: int | None = at_least(1, None)
    memory: int | None = at_least(1, None)
    gpu: int | None = at_least(0, None)
    lacks: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """An ECS service. ``min_healthy`` and ``max_percent`` left out are ECS's defaults: 100 and 200, or 0 and 100 for a daemon.

    ``constraints``: ``distinctInstance`` or a cluster query language expression (memberOf). ``capacity_provider``: the provider, of one
    of the cluster's groups, that its tasks come through: what has no room then waits in PROVISIONING. None: launch type EC2.
    """

    name: str = _name()
    desired: int = at_least(0, 1)
    cpu: int = at_least(0, 256)
    memory: int = at_least(4, 512)
    gpu: int = at_least(0, 0)
    host_ports: tuple[int, ...] = ()
    network: Literal["bridge", "host", "awsvpc", "none"] = "bridge"
    secrets: Literal["ssm", "secretsmanager"] | None = None
    daemon: bool = False
    min_healthy: int | None = at_least(0, None)
    max_percent: int | None = at_least(0, None)
    constraints: tuple[str, ...] = ()
    capacity_provider: str | None = None
    protected: bool = False

    @property
    def bounds(self) -> tuple[int, int]:
        """Minimum healthy and maximum percent, what was left out filled in."""
        least, most = (0, 100) if self.daemon else (100, 200)
        return least if self.min_healthy is None else self.min_healthy, most if self.max_percent is None else self.max_percent


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A standalone task, on the instance whose fixed id ``on`` names, or where ECS places it.

    ``capacity_provider``: as for a service.
    """

    family: str = "task"
    on: str | None = None
    cpu: int = at_least(0, 256)
    memory: int = at_least(4, 512)
    capacity_provider: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """An ECS cluster and what is on it. ``policy`` is put to Parameter Store as it is, unless it is empty."""

    groups: tuple[GroupSpec, ...] = required()
    name: str = _name("default")
    policy: Mapping[str, object] = field(default_factory=dict)
    instances: tuple[InstanceSpec, ...] = ()
    services: tuple[ServiceSpec, ...] = ()
    tasks: tuple[TaskSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole account, at the moment ``start`` (UTC) at which the work of its clusters is running."""

    clusters: tuple[ClusterSpec, ...] = required()
    start: datetime = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


class _Yaml(yaml.SafeLoader):
    """YAML whose truth values are ``true`` and ``false`` only, as in YAML 1.2: a task's field ``on`` is a name, not a truth."""


_Yaml.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))


def read_scenario(data: object, source: str) -> Scenario:
    """The scenario in ``data``, as YAML gives it; ``source`` names it in errors. ScenarioError: one line."""
    try:
        return complete(read_mapping(Scenario, data, ""))
    except ScenarioError as error:
        raise ScenarioError(f"{source}: {error}") from None


def load_scenario(path: str | Path) -> Scenario:
    """The scenario in the YAML file ``path``. ScenarioError names file, field and fix in one line."""
    try:
        data = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Yaml)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise ScenarioError(
            f"{path}: cannot be read ({error.strerror}); name a scenario file, such as those in workbench/scenarios"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ScenarioError(f"{path}: is not YAML ({' '.join(str(error).split())[:160]}); correct it there") from None
    if data is None:
        raise ScenarioError(f"{path}: is empty; it needs at least `clusters:` with one cluster and its `groups:`")
    return read_scenario(data, str(path))
