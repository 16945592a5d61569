"""Our own calls stay within ECS's documented rates."""

import pytest

from bulwark.shell.pace import MODIFY, READ, SHARERS, Pace


class FakeTime:
    """A clock that only ``sleep`` moves."""

    def __init__(self) -> None:
        """Starts at zero seconds."""
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Moves the clock."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(("operation", "bucket"), [("ecs:PutAttributes", MODIFY), ("ecs:ListTasks", READ)])
def test_sharers_together_stay_within_burst_and_rate(operation: str, bucket: object) -> None:
    """As many paced callers as may run at once never have more calls out than burst + rate x time allows."""
    times = []
    for _ in range(SHARERS):
        time = FakeTime()
        pace = Pace(clock=time.clock, sleep=time.sleep)
        for _ in range(300):
            pace.wait(operation)
            times.append(time.now)

    for calls, at in enumerate(sorted(times), start=1):
        assert calls <= bucket.burst + bucket.rate * at + 1e-6  # type: ignore[attr-defined]


def test_fifty_drain_calls_go_out_at_once() -> None:
    """500 instances, ten to a call, fit the burst of one of two sharers: none of them waits."""
    time = FakeTime()
    pace = Pace(clock=time.clock, sleep=time.sleep)

    waits = [pace.wait("ecs:UpdateContainerInstancesState") for _ in range(50)]

    assert [0.0] * 50 == waits
    assert pace.wait("ecs:UpdateContainerInstancesState") > 0


def test_idle_time_refills_the_bucket() -> None:
    """After a pause the whole burst is there again."""
    time = FakeTime()
    pace = Pace(clock=time.clock, sleep=time.sleep)
    for _ in range(60):
        pace.wait("ecs:ListTasks")
    time.now += 60
    time.slept.clear()

    for _ in range(50):
        pace.wait("ecs:ListTasks")

    assert [] == time.slept


def test_a_clock_that_stands_still_holds_no_call_for_ever() -> None:
    """Each wait is computed and slept once."""
    slept: list[float] = []
    pace = Pace(clock=lambda: 0.0, sleep=slept.append)

    for _ in range(60):
        pace.wait("ecs:ListTasks")

    assert 10 == len(slept)


def test_other_services_are_not_paced() -> None:
    """An operation without a documented bucket never waits."""
    pace = Pace(clock=lambda: 0.0, sleep=lambda _: pytest.fail("slept"))

    assert [0.0] * 1000 == [pace.wait("ec2:DescribeInstances") for _ in range(1000)]
