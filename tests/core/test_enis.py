"""How many awsvpc tasks an instance takes, with ENI trunking and without."""

import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPES

from bulwark.core.enis import FAMILIES, UNTRUNKED, task_enis


@pytest.mark.parametrize(
    ("instance_type", "plain", "trunked"),
    [
        ("c5.large", 2, 10),
        ("m5.xlarge", 3, 20),
        ("m5.2xlarge", 3, 40),
        ("r5.4xlarge", 7, 60),
        ("m5.8xlarge", 7, 60),
        ("c5.9xlarge", 7, 60),
        ("m5.12xlarge", 7, 60),
        ("m5.16xlarge", 14, 120),
        ("m6i.large", 2, 10),
        ("m6i.8xlarge", 7, 90),
        ("r7i.12xlarge", 7, 120),
        ("m7a.medium", 1, 4),
        ("c6in.32xlarge", 15, 120),
        ("m6g.medium", 1, 4),
        ("c7g.8xlarge", 7, 60),
        ("m8g.24xlarge", 14, 120),
        ("m8gn.8xlarge", 9, 60),
        ("m9g.8xlarge", 9, 60),
        ("m7i-flex.large", 2, 4),
        ("c7i-flex.4xlarge", 7, 40),
        ("m8i-flex.8xlarge", 9, 60),
        ("m8i-flex.12xlarge", 11, 120),
        ("m8i.8xlarge", 9, 90),
        ("c8a.12xlarge", 11, 120),
        ("m8i.16xlarge", 15, 120),
        ("m8i.96xlarge", 23, 120),
        ("a1.medium", 1, 10),
        ("t8i.nano", 1, 2),
        ("t8i.medium", 2, 4),
    ],
)
def test_trunking_makes_room_for_more(instance_type: str, plain: int, trunked: int) -> None:
    """The developer guide's figures, one for each size and each kind of family."""
    assert (task_enis(instance_type, trunked=False), task_enis(instance_type, trunked=True)) == (plain, trunked)


@pytest.mark.parametrize(
    ("instance_type", "count"),
    [
        ("t2.micro", 1),
        ("t3.medium", 2),
        ("t3a.small", 1),
        ("t4g.large", 2),
        ("g4dn.xlarge", 2),
        ("g4dn.16xlarge", 3),
        ("c5n.large", 2),
        ("m5n.16xlarge", 14),
        ("z1d.3xlarge", 7),
        ("inf1.24xlarge", 10),
        ("m4.large", 1),
        ("m5.metal", 14),
        ("a1.metal", 7),
        ("c5a.8xlarge", 7),
        ("r5.8xlarge", 7),
        ("p3dn.24xlarge", 14),
    ],
)
def test_a_type_without_trunking_takes_as_many_when_it_is_asked_for(instance_type: str, count: int) -> None:
    """Families that have none, and single types of families that have it."""
    assert task_enis(instance_type, trunked=True) == task_enis(instance_type, trunked=False) == count


@pytest.mark.parametrize("instance_type", ["z9.large", "m5.nano", "m5", "m5.", ".large", "", "t8i.48xlarge"])
@pytest.mark.parametrize("trunked", [False, True])
def test_a_type_nobody_has_heard_of_is_not_known(instance_type: str, trunked: bool) -> None:
    """No number is better than a wrong one."""
    assert task_enis(instance_type, trunked=trunked) is None


def test_where_trunking_is_known_to_be_but_not_how_much_nothing_is_said() -> None:
    """GPU types of the fifth generation: without trunking EC2's limit, with it nothing."""
    assert task_enis("g5.xlarge", trunked=False) == 3
    assert task_enis("g5.xlarge", trunked=True) is None


def test_every_size_has_what_ec2_says() -> None:
    """DescribeInstanceTypes, as moto carries it: one interface less than its maximum, for every type of every family known here."""
    ours = {name: found for name, found in INSTANCE_TYPES.items() if name.partition(".")[0] in FAMILIES}
    assert len(ours) > 500
    wrong = {
        name: task_enis(name, trunked=False)
        for name, found in ours.items()
        if task_enis(name, trunked=False) != found["NetworkInfo"]["MaximumNetworkInterfaces"] - 1
    }
    assert not wrong
    assert ours.keys() >= UNTRUNKED


def test_trunking_never_takes_room_away() -> None:
    """At least as many with it, wherever both are known."""
    names = [name for name in INSTANCE_TYPES if task_enis(name, trunked=True) is not None]
    assert len(names) > 500
    assert all((task_enis(name, trunked=True) or 0) >= (task_enis(name, trunked=False) or 0) for name in names)
