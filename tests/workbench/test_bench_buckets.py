"""The token buckets that the benchmark replays its calls on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.shell.pace import BUCKETS, Pace
from workbench.bench.buckets import DOCUMENTED, MODIFY, READ, use_of_buckets
from workbench.bench.storm import VirtualClock

UPDATE, LIST_TASKS, DESCRIBE = "ecs:UpdateContainerInstancesState", "ecs:ListTasks", "ecs:DescribeContainerInstances"


def test_a_burst_fits_and_one_more_is_refused() -> None:
    """A hundred modifying calls at one moment empty the bucket; the next is refused and takes no token."""
    (full,) = use_of_buckets((0.0, UPDATE) for _ in range(100))
    assert (full.bucket, full.calls, full.peak, full.refused) == (MODIFY, 100, 100, 0)
    (over,) = use_of_buckets((0.0, UPDATE) for _ in range(101))
    assert (over.peak, over.refused) == (100, 1)


def test_tokens_come_back_at_the_documented_rate() -> None:
    """After one second, twenty reads fit into the emptied bucket, and no more."""
    burst = [(0.0, LIST_TASKS)] * 100
    (fits,) = use_of_buckets(burst + [(1.0, LIST_TASKS)] * 20)
    (over,) = use_of_buckets(burst + [(1.0, LIST_TASKS)] * 21)
    assert (fits.refused, over.refused) == (0, 1)


def test_operations_share_their_bucket_and_not_each_others() -> None:
    """ListTasks and DescribeContainerInstances draw from one bucket, UpdateContainerInstancesState from another."""
    used = {use.bucket: use for use in use_of_buckets([(0.0, LIST_TASKS), (0.0, DESCRIBE), (0.0, UPDATE)])}
    assert used[READ].peak == 2
    assert used[MODIFY].peak == 1


def test_calls_are_replayed_in_the_order_of_their_times() -> None:
    """Two environments' calls come one list after the other; their times decide."""
    (use,) = use_of_buckets([(10.0, UPDATE)] * 100 + [(0.0, UPDATE)] * 100)
    assert (use.peak, use.refused) == (100, 0)


def test_an_unknown_ecs_operation_cannot_escape_the_count() -> None:
    """An ECS call without a documented bucket is an error; other services' calls are passed over."""
    assert use_of_buckets([(0.0, "autoscaling:DetachInstances")]) == ()
    with pytest.raises(KeyError, match="NoSuchCall"):
        use_of_buckets([(0.0, "ecs:NoSuchCall")])


def test_the_functions_own_table_says_what_aws_documents() -> None:
    """The two tables were written independently: they agree on burst and rate of every call the function paces."""
    ours = {operation: (bucket.name, bucket.burst, bucket.rate) for operation, bucket in BUCKETS.items()}
    documented = {f"ecs:{name}": (bucket.name, bucket.burst, bucket.rate) for name, bucket in DOCUMENTED.items()}
    assert ours == {operation: documented[operation] for operation in ours}


def test_environments_that_do_not_share_are_found_out() -> None:
    """Two environments that each take the whole of a bucket do find it empty: the property below can fail."""
    calls = []
    for _ in range(2):
        clock = VirtualClock()
        pace = Pace(clock=clock.read, sleep=clock.sleep, sharers=1)
        for _ in range(100):
            pace.wait(LIST_TASKS)
            calls.append((clock.now, LIST_TASKS))
    (use,) = use_of_buckets(calls)
    assert use.refused == 100


@given(operations=st.lists(st.sampled_from(sorted(BUCKETS)), max_size=400), sharers=st.integers(1, 4))
def test_paced_calls_never_find_a_bucket_empty(operations: list[str], sharers: int) -> None:
    """Whatever is called, by as many environments as share the account, at no time per call: no token is missing."""
    calls = []
    for _ in range(sharers):
        clock = VirtualClock()
        pace = Pace(clock=clock.read, sleep=clock.sleep, sharers=sharers)
        for operation in operations:
            pace.wait(operation)
            calls.append((clock.now, operation))
    assert all(use.refused == 0 for use in use_of_buckets(calls))
