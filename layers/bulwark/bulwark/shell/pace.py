"""Keeps our own calls within ECS's documented rates, so that a storm of warnings is not slowed down by throttling.

Rates per account and Region (burst, sustained per second):
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: ``burst`` calls at once, ``rate`` per second after that."""

    name: str
    burst: int
    rate: float


MODIFY = Bucket("cluster resource modify", 100, 40)
READ = Bucket("cluster resource read", 100, 20)
SERVICE_READ = Bucket("service read", 100, 20)
SERVICE_MODIFY = Bucket("service modify", 50, 5)
DEFINITION_READ = Bucket("task definition read", 50, 20)
PROVIDER_READ = Bucket("capacity provider read", 50, 20)
PROTECTION = Bucket("task protection", 200, 80)

BUCKETS: Mapping[str, Bucket] = MappingProxyType(
    {
        "ecs:UpdateContainerInstancesState": MODIFY,
        "ecs:PutAttributes": MODIFY,
        "ecs:DeleteAttributes": MODIFY,
        "ecs:DeregisterContainerInstance": MODIFY,
        "ecs:StopTask": MODIFY,
        "ecs:RunTask": MODIFY,
        "ecs:DescribeContainerInstances": READ,
        "ecs:ListContainerInstances": READ,
        "ecs:ListTasks": READ,
        "ecs:DescribeTasks": READ,
        "ecs:DescribeServices": SERVICE_READ,
        "ecs:ListServices": SERVICE_READ,
        "ecs:UpdateService": SERVICE_MODIFY,
        "ecs:DescribeTaskDefinition": DEFINITION_READ,
        "ecs:DescribeCapacityProviders": PROVIDER_READ,
        "ecs:GetTaskProtection": PROTECTION,
    }
)

SHARERS = 2
"""Invocations that may run at once (MaximumConcurrency in template.yaml): each takes its part of every bucket."""


class Pace:
    """Delays a call until its bucket allows it.

    The generic cell rate algorithm: one number per bucket, the time at which it would be full again. The delay is
    computed, slept once and taken as slept, so that a clock that stands still cannot hold a call for ever.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep, sharers: int = SHARERS
    ) -> None:
        """``clock`` returns seconds, ``sleep`` waits that many; ``sharers`` divide burst and rate among them."""
        self._clock = clock
        self._sleep = sleep
        self._sharers = sharers
        self._full_at: dict[str, float] = {}

    def wait(self, operation: str) -> float:
        """Wait until ``operation`` (``ecs:PutAttributes``) may be called; returns the seconds waited."""
        bucket = BUCKETS.get(operation)
        if bucket is None:
            return 0.0
        interval = self._sharers / bucket.rate
        tolerance = (bucket.burst // self._sharers - 1) * interval
        now = self._clock()
        full_at = max(self._full_at.get(bucket.name, now), now)
        delay = full_at - tolerance - now
        if delay > 0:
            self._sleep(delay)
        else:
            delay = 0.0
        self._full_at[bucket.name] = full_at + interval
        return delay
