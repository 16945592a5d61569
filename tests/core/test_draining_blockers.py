"""What is said of the work on a leaving instance: what cannot leave in time, and why."""

from typing import Any

import pytest

from bulwark.core.draining_blockers import decide_blockers, healthy_bounds
from bulwark.core.plan import Finding, Plan
from tests.builders import OTHER, SPOT, a_cluster, a_service, a_task, a_warning, an_instance, instance_arn


def codes(plan: Plan) -> list[tuple[str, str]]:
    """Findings by code and subject."""
    return [(f.code, f.subject) for f in plan.findings]


def blockers(*tasks: object, services: tuple[object, ...] = (), **changes: Any) -> Plan:
    """What is said of ``tasks`` on the leaving instance."""
    cluster = a_cluster(tasks=tasks, services=services, **changes)
    return decide_blockers(cluster, {SPOT: a_warning().deadline}, [instance_arn(SPOT)])


def test_a_standalone_task_is_named_with_its_end() -> None:
    """ECS does not move tasks that belong to no service."""
    (finding,) = blockers(a_task("t1", group="family:nightly")).findings

    expected = f"family:nightly belongs to no service, so ECS does not move it: it ends with {SPOT} at 03:02:00 UTC"
    assert Finding("standalone-task", "t1", expected) == finding


def test_a_service_at_100_and_100_is_locked() -> None:
    """With min = max = 100 %, ECS may neither stop first nor start first."""
    service = a_service(desired=2, min_healthy_percent=100, max_percent=100)

    (finding,) = blockers(a_task(), services=(service,), neighbours=(an_instance(OTHER),)).findings

    assert ("service-locked", "web") == (finding.code, finding.subject)
    assert "min 100 %, max 100 %" in finding.message


def test_rounding_locks_a_service_of_one() -> None:
    """With desired 1, min 50 %, max 100 %: half a task rounds up to one, so nothing may stop and nothing may start."""
    service = a_service(desired=1, min_healthy_percent=50, max_percent=100)

    assert [("service-locked", "web")] == codes(blockers(a_task(), services=(service,), neighbours=(an_instance(OTHER),)))


def test_room_elsewhere_is_silent() -> None:
    """A service that can move and has room is no finding; exactly enough room is room."""
    assert Plan() == blockers(a_task(), services=(a_service(),), neighbours=(an_instance(OTHER, cpu=256, memory=512),))


@pytest.mark.parametrize("room", [{"cpu": 255, "memory": 512}, {"cpu": 256, "memory": 511}])
def test_no_room_elsewhere_is_said(room: dict[str, int]) -> None:
    """One unit too little of one resource is no room."""
    plan = blockers(a_task(), services=(a_service(),), neighbours=(an_instance(OTHER, **room),))

    assert [("no-room-elsewhere", "web")] == codes(plan)
    assert "they run until the instance is taken" in plan.findings[0].message


def test_room_is_not_counted_twice() -> None:
    """Two tasks and room for one: the room is taken by the first."""
    plan = blockers(a_task("a"), a_task("b"), services=(a_service(),), neighbours=(an_instance(OTHER, cpu=256, memory=512),))

    assert [("no-room-elsewhere", "web")] == codes(plan)
    assert plan.findings[0].message.startswith("1 task ")


def test_a_sample_without_room_proves_nothing() -> None:
    """Where not all neighbours were looked at, the finding does not claim that there is no room."""
    plan = blockers(a_task(), services=(a_service(),), neighbours=(an_instance(OTHER, cpu=0),), neighbours_whole=False)

    assert [("room-not-proven", "web")] == codes(plan)


def test_a_leaving_or_disconnected_neighbour_is_no_room() -> None:
    """Neither an instance that leaves itself nor one whose agent is away can take work."""
    neighbours = (an_instance(SPOT), an_instance(OTHER, agent_connected=False))

    assert [("no-room-elsewhere", "web")] == codes(blockers(a_task(), services=(a_service(),), neighbours=neighbours))


def test_a_service_that_may_stop_first_leaves_in_time_without_room() -> None:
    """With min < 100 %, the tasks stop in time, and the finding says that they come back later."""
    (finding,) = blockers(a_task(), services=(a_service(desired=4, min_healthy_percent=50),)).findings

    assert "no-room-elsewhere" == finding.code
    assert "they stop in time" in finding.message


def test_daemons_and_ending_tasks_are_no_blockers() -> None:
    """A daemon belongs to its instance; what already stops, or never started, is not waited for."""
    plan = blockers(
        a_task("d", group="service:agent"),
        a_task("s", desired_status="STOPPED"),
        a_task("p", last_status="PENDING"),
        services=(a_service("agent", daemon=True, min_healthy_percent=0, max_percent=100), a_service()),
    )

    assert Plan() == plan


def test_what_could_not_be_looked_at_is_said() -> None:
    """Unread parts, unknown services and sizes, and tasks not examined each have their finding; none is guessed."""
    plan = blockers(
        a_task("a", known_size=False),
        a_task("b", group="service:gone"),
        services=(a_service(),),
        unread={"groups": "Throttling"},
        tasks_unexamined=frozenset({"x"}),
    )

    expected = [("service-unknown", "b"), ("task-size-unknown", "orders"), ("not-observed", "orders"), ("tasks-not-examined", "orders")]
    assert expected == codes(plan)


def test_unread_neighbours_make_no_claim_about_room() -> None:
    """Rule 5: a list that could not be read is not an empty list."""
    plan = blockers(a_task(), services=(a_service(),), unread={"neighbours": "Throttling"})

    assert [("not-observed", "orders")] == codes(plan)


@pytest.mark.parametrize(("eni", "constrained"), [(True, False), (False, True)])
def test_room_that_depends_on_more_than_sizes_is_not_judged(eni: bool, constrained: bool) -> None:
    """Network interfaces and constraints are not read for one warning: the finding says so instead of claiming room."""
    plan = blockers(a_task(eni=eni), services=(a_service(constrained=constrained),), neighbours=(an_instance(OTHER),))

    assert [("room-not-judged", "web")] == codes(plan)


def test_bounds_round_as_ECS_rounds() -> None:
    """The lower bound rounds up, the upper down: 3 tasks at 50/150 are 2 to 4."""
    assert (2, 4) == healthy_bounds(a_service(desired=3, min_healthy_percent=50, max_percent=150))
