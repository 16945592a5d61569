"""How many awsvpc tasks an instance takes: each has a network interface of its own, and the instance keeps one.

Interfaces per type as EC2's DescribeInstanceTypes has them (NetworkInfo.MaximumNetworkInterfaces); tasks with trunking, and which types
have none, from the ECS developer guide (supported instances for increased container network interfaces). With trunking the trunk takes
an interface too, so the tasks are interfaces + branch interfaces - 2.
"""

from collections.abc import Mapping
from types import MappingProxyType

Sizes = Mapping[str, int]
"""A count for each size of a family."""


def _sizes(*rows: tuple[int, str]) -> Sizes:
    """Each row: a count, and the sizes that have it."""
    return MappingProxyType({size: count for count, sizes in rows for size in sizes.split()})


USUAL = _sizes(
    (2, "medium"),
    (3, "large"),
    (4, "xlarge 2xlarge"),
    (8, "4xlarge 8xlarge 9xlarge 10xlarge 12xlarge"),
    (15, "16xlarge 18xlarge 24xlarge 32xlarge 48xlarge metal metal-24xl metal-48xl"),
)
"""Interfaces in most families."""

WIDE = MappingProxyType({**USUAL, "32xlarge": 16, "metal": 16})
"""Interfaces with two network cards on the largest."""

SEVERAL = _sizes(
    (10, "8xlarge"), (12, "12xlarge"), (16, "16xlarge 24xlarge metal-24xl"), (24, "32xlarge 48xlarge 96xlarge metal-48xl metal-96xl")
)
EIGHTH = MappingProxyType({**USUAL, **SEVERAL})
"""Interfaces in the eighth generation of Intel and AMD."""

NINTH = MappingProxyType({**EIGHTH, "24xlarge": 24, "metal-24xl": 24})
"""Interfaces in Graviton's ninth generation, and the eighth with more network."""

BURST = _sizes((2, "nano micro"), (3, "small medium large"), (4, "xlarge 2xlarge"))
BURST_T2 = MappingProxyType({**BURST, "xlarge": 3, "2xlarge": 3})
BURST_T3A = MappingProxyType({**BURST, "small": 2})
"""Interfaces in families that burst."""

SPARSE = _sizes((3, "large"), (4, "xlarge 2xlarge"), (8, "3xlarge 6xlarge"), (15, "12xlarge metal"))
"""Interfaces of m5zn and z1d."""

LARGEST = "16xlarge 18xlarge 24xlarge 32xlarge 48xlarge 96xlarge metal metal-24xl metal-48xl metal-96xl"

TRUNK_FIFTH = _sizes((10, "large"), (20, "xlarge"), (40, "2xlarge"), (60, "4xlarge 8xlarge 9xlarge 12xlarge"), (120, LARGEST))
TRUNK_GRAVITON = MappingProxyType({**TRUNK_FIFTH, "medium": 4})
TRUNK_A1 = MappingProxyType({**TRUNK_FIFTH, "medium": 10})
TRUNK_SIXTH = MappingProxyType({**TRUNK_GRAVITON, "8xlarge": 90, "12xlarge": 120})
TRUNK_FLEX = _sizes((4, "large"), (10, "xlarge"), (20, "2xlarge"), (40, "4xlarge"), (60, "8xlarge"), (120, "12xlarge 16xlarge"))
TRUNK_T8I = _sizes((2, "nano micro"), (4, "small medium"))
"""Tasks with trunking."""

NO_TRUNK = None
NOT_KNOWN = _sizes()
"""For families without trunking, and for those of which it is not known here how much trunking brings."""

Family = tuple[Sizes, Sizes | None]
"""Interfaces by size, and tasks with trunking by size."""


def _families(names: str, interfaces: Sizes, trunk: Sizes | None) -> dict[str, Family]:
    """The same for each of these families."""
    return dict.fromkeys(names.split(), (interfaces, trunk))


FAMILIES: Mapping[str, Family] = MappingProxyType(
    _families("m5 m5a m5ad m5d c5 c5a c5ad c5d r5 r5a r5ad r5d", USUAL, TRUNK_FIFTH)
    | _families("m6a m6i m6id c6a c6i c6id r6a r6i r6id m7a m7i c7a c7i r7a r7i", USUAL, TRUNK_SIXTH)
    | _families("m6in m6idn c6in r6in r6idn", WIDE, TRUNK_SIXTH)
    | _families("m6g m6gd c6g c6gd c6gn r6g r6gd m7g m7gd c7g c7gd c7gn r7g r7gd", USUAL, TRUNK_GRAVITON)
    | _families("m8g m8gd c8g c8gd r8g r8gd", USUAL, TRUNK_GRAVITON)
    | _families("m8gb m8gn c8gb c8gn r8gb r8gn m9g m9gd c9g c9gd r9g r9gd", NINTH, TRUNK_GRAVITON)
    | _families("m8a m8i m8id c8a c8i c8id r8a r8i r8id", EIGHTH, TRUNK_SIXTH)
    | _families("m7i-flex c7i-flex", USUAL, TRUNK_FLEX)
    | _families("m8i-flex c8i-flex r8i-flex", EIGHTH, TRUNK_FLEX)
    | {"a1": (MappingProxyType({**USUAL, "metal": 8}), TRUNK_A1), "t8i": (BURST, TRUNK_T8I)}
    | {"t2": (BURST_T2, NO_TRUNK), "t3a": (BURST_T3A, NO_TRUNK)}
    | _families("t3 t4g", BURST, NO_TRUNK)
    | _families("c4 r4 c5n i3 m5n m5dn r5b r5n r5dn p3dn", USUAL, NO_TRUNK)
    | _families("m5zn z1d", SPARSE, NO_TRUNK)
    | {
        "m4": (MappingProxyType({**USUAL, "large": 2, "16xlarge": 8}), NO_TRUNK),
        "i3en": (MappingProxyType({**USUAL, "3xlarge": 4, "6xlarge": 8}), NO_TRUNK),
        "d3": (_sizes((3, "8xlarge"), (4, "xlarge 2xlarge 4xlarge")), NO_TRUNK),
        "d3en": (_sizes((3, "12xlarge"), (4, "xlarge 2xlarge 4xlarge 6xlarge 8xlarge")), NO_TRUNK),
        "g4dn": (_sizes((3, "xlarge 2xlarge 4xlarge"), (4, "8xlarge 16xlarge"), (8, "12xlarge"), (15, "metal")), NO_TRUNK),
        "inf1": (_sizes((4, "xlarge 2xlarge"), (8, "6xlarge"), (11, "24xlarge")), NO_TRUNK),
        "g5": (MappingProxyType({**USUAL, "12xlarge": 15, "16xlarge": 8, "48xlarge": 7}), NOT_KNOWN),
        "g6": (USUAL, NOT_KNOWN),
    }
)
"""Every family that is known here."""

UNTRUNKED = frozenset(
    {"a1.metal", "c5.metal", "c5a.8xlarge", "c5ad.8xlarge", "c5d.metal", "m5.metal", "r5.metal", "r5.8xlarge", "r5d.metal"},
)
"""Types without trunking in families that have it."""


def task_enis(instance_type: str, *, trunked: bool) -> int | None:
    """How many awsvpc tasks an instance of that type takes; None if that is not known here.

    ``trunked``: its interfaces come off a trunk. Of a type for which ECS has no trunking that makes no difference.
    """
    family, _, size = instance_type.partition(".")
    interfaces, trunk = FAMILIES.get(family, (NOT_KNOWN, NO_TRUNK))
    if trunked and trunk is not None and instance_type not in UNTRUNKED:
        return trunk.get(size) if size in interfaces else None
    return interfaces[size] - 1 if size in interfaces else None
