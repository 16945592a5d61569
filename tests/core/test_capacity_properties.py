"""The rules of sizing, as properties over many clusters, workloads and policies."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bulwark.core.capacity import Sizing, decide_capacity
from bulwark.core.plan import DrainInstance, SetDesiredCapacity
from bulwark.core.policies import CapacityPolicy, DisruptionPolicy, Policy
from tests.sizing_world import Pool, SizingWorld, Work, a_shape

SLOW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])

works = st.builds(
    Work,
    cpu=st.sampled_from([0, 128, 256, 700, 1024, 1500, 2048]),
    memory=st.sampled_from([64, 512, 1100, 2048, 4000, 7000, 9216]),
    desired=st.integers(0, 12),
    distinct=st.booleans(),
    ports=st.sampled_from([frozenset[int](), frozenset({8080})]),
)
pools = st.builds(
    lambda least, extra, market, big: Pool(
        a_shape(cpu=4096, memory=15700, instance_type="m5.xlarge") if big else a_shape(), least, least + extra, market=market
    ),
    st.integers(0, 3),
    st.integers(0, 15),
    st.sampled_from(["spot", "on-demand"]),
    st.booleans(),
)
policies = st.builds(
    lambda budget, **capacity: Policy(disruption=DisruptionPolicy(budget_percent=budget), capacity=CapacityPolicy(**capacity)),
    st.sampled_from([0, 10, 50, 100]),
    headroom_percent=st.sampled_from([0, 0, 25]),
    headroom_largest=st.integers(0, 2),
    headroom_tasks=st.sampled_from([{}, {"a": 2}]),
    reservation_cpu=st.sampled_from([0, 0, 70]),
    reservation_memory=st.sampled_from([0, 0, 80]),
    window_minutes=st.sampled_from([0, 3]),
)


@st.composite
def worlds(draw: st.DrawFn) -> SizingWorld:
    """A cluster of one or two groups, some instances up, up to three services and sometimes a daemon."""
    first, second = draw(pools), draw(st.none() | pools)
    named = {"one": first} | ({"two": second} if second else {})
    for name, pool in named.items():
        pool.shape = replace(pool.shape, group=name)
    work = {name: draw(works) for name in draw(st.sampled_from(["a", "ab", "abc"]))}
    if draw(st.booleans()):
        work["logs"] = Work(64, 128, daemon=True)
    world = SizingWorld(named, work, draw(policies), boot=draw(st.integers(1, 3)))
    for name, pool in named.items():
        world.start(name, [{} for _ in range(draw(st.integers(pool.min, min(pool.max, pool.min + 6))))])
    if draw(st.booleans()):
        world.pass_time()
    return world


def asked(sizing: Sizing) -> dict[str, int]:
    """More units asked for, by group."""
    return {a.target: a.desired - a.before for a in sizing.plan.actions if isinstance(a, SetDesiredCapacity)}


@SLOW
@given(worlds())
def test_never_outside_min_and_max(world: SizingWorld) -> None:
    """Rule 1: whatever happens, no group is asked for less than its minimum or more than its maximum, and none gets there."""
    for _ in range(10):
        sizing = world.decide()
        for action in sizing.plan.actions:
            if isinstance(action, SetDesiredCapacity):
                assert world.pools[action.target].min <= action.desired <= world.pools[action.target].max
        world.apply(sizing.plan)
        world.pass_time()
        assert all(p.min <= p.desired <= p.max for p in world.pools.values())


@SLOW
@given(worlds())
def test_constant_demand_comes_to_rest_and_stays_there(world: SizingWorld) -> None:
    """No flapping: from any start, after a while nothing more is done, and nothing is done again."""
    plans = world.live(60)

    assert [p.actions for p in plans[45:]] == [()] * 15


@SLOW
@given(worlds(), st.data())
def test_more_demand_never_asks_for_fewer_instances(world: SizingWorld, data: Any) -> None:
    """The same cluster, a service that wants more: in sum at least as much is asked for."""
    before = world.decide()
    name = data.draw(st.sampled_from(sorted(n for n, w in world.work.items() if not w.daemon)))
    world.work[name] = replace(world.work[name], desired=world.work[name].desired + data.draw(st.integers(1, 5)))

    after = decide_capacity(world.snapshot(), world.policy)

    assert sum(asked(after).values()) >= sum(asked(before).values())


@SLOW
@given(worlds())
def test_what_is_removed_leaves_a_place_for_everything_that_ran(world: SizingWorld) -> None:
    """Every drain that is begun ends with its instance empty and gone, and no task that ran is without a place."""
    for _ in range(25):
        sizing = world.decide()
        waited = world.waiting
        world.apply(sizing.plan)
        world.pass_time()
        if any(isinstance(a, DrainInstance) for a in sizing.plan.actions):
            assert world.waiting <= waited


@SLOW
@given(worlds())
def test_the_budget_holds(world: SizingWorld) -> None:
    """Rule 6: of instances that hold work, no more drain at a time than the budget allows."""
    for _ in range(12):
        sizing = world.decide()
        world.apply(sizing.plan)
        busy = [m for m in world.machines if m.mark and any(c and not world.work[n].daemon for n, c in m.tasks.items())]
        share = world.policy.disruption.budget_percent
        up = len([m for m in world.machines if not m.left])
        assert len(busy) <= (max(1, up * share // 100) if share else 0)
        world.pass_time()


@SLOW
@given(worlds())
def test_the_same_look_twice_decides_the_same(world: SizingWorld) -> None:
    """Rule 7, and that no order of events matters: a decision knows only what was seen."""
    cluster = world.snapshot()
    other = replace(
        cluster,
        instances=tuple(reversed(cluster.instances)),
        tasks=tuple(reversed(cluster.tasks)),
        services=tuple(reversed(cluster.services)),
        groups=tuple(reversed(cluster.groups)),
    )

    one, two = decide_capacity(cluster, world.policy), decide_capacity(other, world.policy)

    assert set(one.plan.actions) == set(two.plan.actions)
    assert one.figures == two.figures
