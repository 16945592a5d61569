"""ECS's documented request rates, and how full its token buckets would have been for a given series of calls.

The table is AWS's, written here a second time on purpose: measuring the function against its own copy would prove nothing.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket per account and Region: ``burst`` calls at once, refilled by ``rate`` per second."""

    name: str
    burst: int
    rate: float


MODIFY = Bucket("cluster resource modify", 100, 40)
READ = Bucket("cluster resource read", 100, 20)
SERVICE_READ = Bucket("service read", 100, 20)
PROVIDER_READ = Bucket("capacity provider read", 50, 20)
SERVICE_MODIFY = Bucket("service modify", 50, 5)
DEFINITION_READ = Bucket("task definition read", 50, 20)
PROTECTION = Bucket("task protection", 200, 80)

MODIFYING = ("UpdateContainerInstancesState", "PutAttributes", "DeleteAttributes", "StopTask", "RunTask", "DeregisterContainerInstance")

DOCUMENTED: dict[str, Bucket] = {
    **dict.fromkeys(MODIFYING, MODIFY),
    **dict.fromkeys(("DescribeContainerInstances", "ListContainerInstances", "DescribeTasks", "ListTasks", "ListAttributes"), READ),
    **dict.fromkeys(("DescribeServices", "ListServices"), SERVICE_READ),
    "DescribeCapacityProviders": PROVIDER_READ,
    "UpdateService": SERVICE_MODIFY,
    "DescribeTaskDefinition": DEFINITION_READ,
    "GetTaskProtection": PROTECTION,
}
"""ECS operation to the bucket it draws from."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a series of calls did to one bucket. ``peak``: most tokens missing at once; ``refused``: calls that found it empty."""

    bucket: Bucket
    calls: int
    peak: float
    refused: int


def use_of_buckets(calls: Iterable[tuple[float, str]]) -> tuple[Use, ...]:
    """Replay ``calls``, each a time in seconds and an operation (``ecs:PutAttributes``), on full buckets.

    A refused call takes no token, as AWS's does. Raises KeyError for an ECS operation that is missing in DOCUMENTED: a new
    call must not escape the count. Other services' calls have no documented bucket here and are passed over.
    """
    used: dict[str, float] = {}
    at: dict[str, float] = {}
    seen: dict[str, Use] = {}
    for time_s, operation in sorted(calls, key=lambda call: call[0]):
        service, _, name = operation.partition(":")
        if service != "ecs":
            continue
        bucket = DOCUMENTED[name]
        before = seen.get(bucket.name, Use(bucket, 0, 0.0, 0))
        missing = max(0.0, used.get(bucket.name, 0.0) - (time_s - at.get(bucket.name, time_s)) * bucket.rate)
        # A hundred-millionth of a token: times are floats, and an exact fit is not a refusal.
        refused = missing + 1 > bucket.burst + 1e-8
        used[bucket.name] = missing if refused else missing + 1
        at[bucket.name] = time_s
        seen[bucket.name] = Use(bucket, before.calls + 1, max(before.peak, used[bucket.name]), before.refused + refused)
    return tuple(seen.values())
