"""One model of ECS placement: what fits, why not, and who gets the task."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulwark.core.cluster import ContainerInstance, Resources, Task
from bulwark.core.packing import DEFAULT_STRATEGY, Need, Space, Strategy, _biggest_first, fits, misfits, place, place_all, place_many
from bulwark.core.query import QueryError

ROOMY = Space(
    "arn/1", "i-1", cpu=1024, memory=2048, gpu=1, enis=1, ports=frozenset({22}), zone="us-east-1a", attributes={"a": None, "b": "1"}
)


@pytest.mark.parametrize(
    ("need", "reason", "detail"),
    [
        (Need(cpu=1025), "RESOURCE:CPU", "needs 1025 CPU units, 1024 left"),
        (Need(memory=2049), "RESOURCE:MEMORY", "needs 2049 MiB, 2048 left"),
        (Need(gpu=2), "RESOURCE:GPU", "needs 2 GPUs, 1 left"),
        (Need(enis=2), "RESOURCE:ENI", "needs 2 network interface, 1 left"),
        (Need(ports=frozenset({22, 80})), "RESOURCE:PORTS", "host port 22/tcp is taken"),
        (Need(ports=frozenset(range(8000, 8100))), "RESOURCE:PORTS", "101 host ports on one instance, 100 allowed"),
        (Need(attributes=(("c", None),)), "ATTRIBUTE", "the instance lacks c"),
        (Need(attributes=(("b", "2"),)), "ATTRIBUTE", "b is 1, the task asks for 2"),
        (Need(zones=frozenset({"us-east-1b"})), "LOCATION", "the instance is in us-east-1a, the task's subnets are in us-east-1b"),
        (Need(expressions=("attribute:b == 2",)), "MemberOf placement constraint unsatisfied.", "attribute:b == 2"),
    ],
)
def test_each_shortage_has_ecs_own_word_and_the_numbers(need: Need, reason: str, detail: str) -> None:
    """One thing is wrong, and one misfit says it."""
    (misfit,) = misfits(need, ROOMY)
    assert (misfit.reason, misfit.detail) == (reason, detail)
    assert not fits(need, ROOMY)


def test_t18_an_exact_fit_fits() -> None:
    """A task that takes all that is left has room; one unit more has not."""
    need = Need(
        cpu=1024, memory=2048, gpu=1, enis=1, ports=frozenset({80}), attributes=(("a", None), ("b", "1")), zones=frozenset({"us-east-1a"})
    )
    assert misfits(need, ROOMY) == ()
    assert fits(need, ROOMY)
    assert not fits(replace(need, cpu=1025), ROOMY)


def test_a_host_port_is_taken_per_protocol() -> None:
    """UDP 22 is free where TCP 22 is not."""
    assert fits(Need(ports_udp=frozenset({22})), ROOMY)
    after = ROOMY.take(Need(ports_udp=frozenset({53})))
    assert [m.detail for m in misfits(Need(ports_udp=frozenset({53})), after)] == ["host port 53/udp is taken"]
    assert not fits(Need(ports_udp=frozenset({53})), after)


def test_an_instance_that_drains_or_is_out_of_touch_takes_nothing() -> None:
    """DRAINING and a disconnected agent are reasons of their own, both named."""
    gone = replace(ROOMY, status="DRAINING", agent_connected=False)
    assert [m.reason for m in misfits(Need(), gone)] == ["DRAINING", "AGENT"]


def test_distinct_instance_looks_at_the_tasks_own_group_only() -> None:
    """A second task of the group is refused; one of another group is not."""
    held = ROOMY.take(Need(group="service:web"))
    assert [m.reason for m in misfits(Need(group="service:web", distinct=True), held)] == [
        "DistinctInstance placement constraint unsatisfied."
    ]
    assert fits(Need(group="service:api", distinct=True), held)


def test_network_interfaces_limit_nothing_where_they_are_not_known() -> None:
    """ECS reports no remaining interfaces: unknown is not zero."""
    assert fits(Need(enis=1), replace(ROOMY, enis=None))
    assert not fits(Need(enis=1), replace(ROOMY, enis=0))


def test_a_space_and_a_need_come_from_what_was_observed() -> None:
    """The remaining resources of a container instance, and what a task reserves."""
    instance = ContainerInstance(
        "arn/9", "i-9", zone="us-east-1c", agent_version="1.107.0", remaining=Resources(512, 1000, 1, frozenset({22})), running=2
    )
    space = Space.of(instance, groups={"service:web": 1}, enis=1)
    assert (space.cpu, space.memory, space.gpu, space.ports, space.zone, space.running) == (512, 1000, 1, frozenset({22}), "us-east-1c", 2)
    need = Need.of(Task("arn/t", "arn/9", "service:web", cpu=512, memory=1000, ports=frozenset({80})))
    assert (need.key, need.group, need.cpu, need.memory, need.ports) == ("arn/t", "service:web", 512, 1000, frozenset({80}))
    assert fits(need, space)


def spaces(count: int, zones: str = "abc", cpu: int = 1024, memory: int = 2048) -> list[Space]:
    """So many equal instances, dealt over the zones."""
    return [Space(f"arn/{i}", f"i-{i:03}", cpu, memory, zone=zones[i % len(zones)]) for i in range(count)]


def test_the_default_strategy_spreads_over_zones_and_then_over_instances() -> None:
    """Seven tasks on four instances in three zones: no zone has two more than another, no instance of a zone either."""
    chosen = place_many(Need(cpu=100, group="service:web"), 7, spaces(4))
    assert sorted(Counter(s.zone for s in chosen).values()) == [2, 2, 3]
    assert [s.ec2_id for s in chosen] == ["i-000", "i-001", "i-002", "i-003", "i-001", "i-002", "i-000"]


def test_spread_counts_the_groups_tasks_on_full_instances_too() -> None:
    """A zone that is ahead does not get the next task because its busy instance is full."""
    full = Space("arn/0", "i-000", 0, 0, zone="a", groups={"service:web": 2})
    free = [Space("arn/1", "i-001", 1024, 2048, zone="a"), Space("arn/2", "i-002", 1024, 2048, zone="b", groups={"service:web": 1})]
    chosen = place(Need(cpu=1, group="service:web"), [full, *free])
    assert chosen is not None
    assert chosen.ec2_id == "i-002"


def test_binpack_takes_the_fullest_instance_that_has_room() -> None:
    """Least CPU left, or least memory left, as the strategy says; too full is passed over."""
    several = [Space("a", "i-1", 100, 900), Space("b", "i-2", 300, 500), Space("c", "i-3", 500, 700)]
    by_cpu, by_memory = (place(Need(cpu=200, memory=100), several, (Strategy("binpack", field),)) for field in ("cpu", "memory"))
    assert by_cpu == several[1]
    assert by_memory == several[1]
    assert place(Need(cpu=200, memory=600), several, (Strategy("binpack", "cpu"),)) == several[2]


def test_random_is_replaced_by_the_lowest_instance_id() -> None:
    """The same question has the same answer."""
    assert place(Need(cpu=1), list(reversed(spaces(5))), (Strategy("random"),)) == spaces(5)[0]


def test_what_fits_nowhere_is_not_placed() -> None:
    """Nothing is chosen, not the least bad."""
    assert place(Need(cpu=2000), spaces(5)) is None
    assert place_many(Need(cpu=2000), 3, spaces(5)) == ()
    assert place_all([Need(cpu=2000)], spaces(5)) == ((), (Need(cpu=2000),))


def test_t19_room_that_is_only_there_in_sum_is_no_room() -> None:
    """Three instances with 400 units each hold no task of 600, though 1,200 are free."""
    placed, unplaced = place_all([Need(cpu=600, key="big")], spaces(3, cpu=400))
    assert not placed
    assert [need.key for need in unplaced] == ["big"]


def test_the_biggest_goes_first_so_that_small_ones_do_not_take_its_place() -> None:
    """A task that fits only one instance is not shut out by those that fit anywhere."""
    two = [Space("arn/0", "i-0", 1000, 1000), Space("arn/1", "i-1", 400, 1000)]
    placed, unplaced = place_all([Need(cpu=400, key="small"), Need(cpu=1000, key="big")], two)
    assert {need.key: space.ec2_id for need, space in placed} == {"big": "i-0", "small": "i-1"}
    assert not unplaced


NEEDS = st.builds(
    Need,
    cpu=st.integers(0, 600),
    memory=st.integers(0, 600),
    gpu=st.sampled_from([0, 0, 0, 1]),
    ports=st.frozensets(st.sampled_from([80, 443]), max_size=1),
    ports_udp=st.frozensets(st.sampled_from([53, 80]), max_size=1),
    enis=st.integers(0, 1),
    attributes=st.lists(st.sampled_from([("rack", None), ("rack", "a"), ("rack", "b"), ("ssd", None)]), max_size=2).map(tuple),
    expressions=st.lists(
        st.sampled_from(
            [
                "attribute:rack == a",
                "attribute:ssd !exists",
                "task:group == service:web",
                "runningTasksCount < 2",
                "not (task:group exists)",
            ]
        ),
        max_size=2,
    ).map(tuple),
    distinct=st.booleans(),
    zones=st.sampled_from([frozenset[str](), frozenset({"a"}), frozenset({"a", "b"})]),
    group=st.sampled_from(["", "service:web", "service:api"]),
)
SPACES = st.lists(
    st.tuples(
        st.integers(0, 1200),
        st.integers(0, 1200),
        st.integers(0, 2),
        st.sampled_from("ab"),
        st.sampled_from([None, 0, 1, 2]),
        st.sampled_from([True, True, True, False]),
        st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "DRAINING"]),
        st.frozensets(st.sampled_from([80, 443, *range(1000, 1099)]), max_size=3) | st.just(frozenset(range(1000, 1099))),
        st.sampled_from([{}, {"ssd": None}]),
        st.sampled_from([{}, {"service:web": 1}]),
    ),
    max_size=7,
).map(
    lambda rows: [
        Space(
            f"arn/{i}",
            f"i-{i}",
            cpu,
            memory,
            gpu,
            ports,
            enis=enis,
            zone=zone,
            attributes={"rack": zone, **more},
            status=status,
            agent_connected=connected,
            running=len(groups),
            groups=groups,
        )
        for i, (cpu, memory, gpu, zone, enis, connected, status, ports, more, groups) in enumerate(rows)
    ]
)
STRATEGIES = st.lists(
    st.sampled_from([*DEFAULT_STRATEGY, Strategy("spread", "attribute:rack"), Strategy("binpack", "cpu"), Strategy("random")]), max_size=3
)


@given(NEEDS, SPACES)
def test_fits_says_the_same_as_no_misfits(need: Need, several: Sequence[Space]) -> None:
    """The quick answer and the explained one never differ."""
    assert [fits(need, space) for space in several] == [not misfits(need, space) for space in several]


@given(NEEDS, st.integers(0, 12), SPACES, STRATEGIES)
def test_placing_many_is_placing_one_many_times(need: Need, count: int, several: list[Space], strategy: list[Strategy]) -> None:
    """The quick way to place equal tasks chooses what the plain way chooses, one after the other."""
    left: list[Space] = list(several)
    chosen: list[Space] = []
    while len(chosen) < count and (space := place(need, left, strategy)) is not None:
        chosen.append(space)
        left[left.index(space)] = space.take(need)
    assert place_many(need, count, several, strategy) == tuple(chosen)


@given(st.lists(NEEDS, max_size=12), SPACES)
def test_what_was_placed_really_fits_together(needs: list[Need], several: list[Space]) -> None:
    """Played back, every placed task has room when its turn comes; nothing is lost; what was not placed fits on nothing that is left."""
    placed, unplaced = place_all(needs, several)
    assert Counter([need for need, _ in placed]) + Counter(unplaced) == Counter(needs)
    left = {space.arn: space for space in several}
    for need, before in placed:
        assert left[before.arn] == before
        assert fits(need, before)
        left[before.arn] = before.take(need)
    for space in left.values():
        assert space.cpu >= 0
        assert space.memory >= 0
        assert not any(fits(need, space) for need in unplaced)


@given(st.lists(NEEDS, max_size=8), SPACES)
def test_a_callers_own_key_plays_no_part_in_who_gets_room(needs: list[Need], several: list[Space]) -> None:
    """Equal needs are equal whatever they are called."""
    named = [replace(need, key=str(index)) for index, need in enumerate(needs)]
    assert place_all(named, several) == place_all(needs, several)


def asking_each(needs: Sequence[Need], several: Sequence[Space]) -> tuple[list[tuple[Need, Space]], list[Need]]:
    """First fit, biggest first, with the plain question of every instance for every need."""
    left = list(several)
    placed: list[tuple[Need, Space]] = []
    unplaced: list[Need] = []
    for need in _biggest_first(list(needs)):
        at = next((n for n, space in enumerate(left) if not misfits(need, space)), None)
        if at is None:
            unplaced.append(need)
        else:
            placed.append((need, left[at]))
            left[at] = left[at].take(need)
    return placed, unplaced


@settings(max_examples=400)
@given(st.lists(NEEDS, min_size=1, max_size=6), st.data(), SPACES)
def test_what_is_remembered_changes_no_place(kinds: list[Need], data: st.DataObject, several: list[Space]) -> None:
    """Placing all at once, without asking everything of everyone, gives what asking does; several needs of a kind, and kinds alike."""
    needs = data.draw(st.lists(st.sampled_from(kinds), max_size=14))
    placed, unplaced = place_all(needs, several)
    assert (list(placed), list(unplaced)) == asking_each(needs, several)


ELSEWHERE = frozenset({"us-east-1b"})


@pytest.mark.parametrize(
    ("needs", "placed_cpu"),
    [
        ([Need(cpu=2, zones=ELSEWHERE), Need(cpu=1)], [1]),
        ([Need(cpu=2, attributes=(("c", None),)), Need(cpu=1)], [1]),
        ([Need(cpu=2, expressions=("attribute:b == 2",)), Need(cpu=1)], [1]),
        ([Need(cpu=2, expressions=("runningTasksCount < 1",))] * 2, [2]),
        ([Need(cpu=3, expressions=("task:group == b",)), Need(cpu=2, group="b"), Need(cpu=1, expressions=("task:group == b",))], [2, 1]),
        ([Need(cpu=3, expressions=("runningTasksCount > 0",)), Need(cpu=2), Need(cpu=1, expressions=("runningTasksCount > 0",))], [2, 1]),
    ],
)
def test_what_one_need_is_told_is_not_what_another_hears(needs: list[Need], placed_cpu: list[int]) -> None:
    """Needs that ask for something else, or for what a task between them has changed, are answered for themselves."""
    placed, unplaced = place_all(needs, [ROOMY])
    assert (list(placed), list(unplaced)) == asking_each(needs, [ROOMY])
    assert [need.cpu for need, _ in placed] == placed_cpu


def test_a_bad_expression_is_an_error_wherever_there_is_room() -> None:
    """Whatever else keeps the task away; where nothing has room for it, nobody asks."""
    bad = Need(cpu=1, expressions=("attribute:b == 2", "attribute:b ==="), attributes=(("c", None),))
    with pytest.raises(QueryError):
        fits(bad, replace(ROOMY, status="DRAINING"))
    with pytest.raises(QueryError):
        place_all([bad], [ROOMY])
    assert place_all([replace(bad, cpu=1025)], [ROOMY]) == ((), (replace(bad, cpu=1025),))


def test_each_instance_is_asked_once_by_all_that_ask_the_same() -> None:
    """What an instance can never take is found out once: more kinds of tasks cost no more questions."""
    asked: list[str] = []

    class Watched(dict[str, str | None]):
        """Attributes that notice being asked for."""

        def __contains__(self, name: object) -> bool:
            """Note the question."""
            asked.append(str(name))
            return super().__contains__(name)

    several = [Space(f"arn/{n}", f"i-{n}", 1000, 1000, attributes=Watched(a=None)) for n in range(30)]
    needs = [Need(cpu=100 + n, attributes=(("b", None),)) for n in range(40)]
    assert place_all(needs, several) == ((), tuple(reversed(needs)))
    assert len(asked) == 30
