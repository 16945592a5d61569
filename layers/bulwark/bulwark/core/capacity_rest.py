"""A group whose launches fail for want of capacity rests, and the need goes to the next group; when it launches again, it is back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SHORTEST, LONGEST = timedelta(minutes=5), timedelta(minutes=30)
"""How long a group rests at first, and at most: it doubles with each failure that follows a rest."""

FORGOTTEN = timedelta(minutes=30)
"""How long after a rest another failure still counts as the next in a row."""

NO_CAPACITY = (
    "not have sufficient",
    "no spot capacity available",
    "unfulfillablecapacity",
    "insufficientinstancecapacity",
    "maxspotinstancecountexceeded",
    "vcpulimitexceeded",
    "vcpu capacity",
    "lower than the minimum required spot request fulfillment price",
    "not supported in your requested availability zone",
)
"""Parts of the texts, in lower case, by which EC2 Auto Scaling says that there is no capacity to be had (user guide, troubleshooting).

The texts are cut off after 255 characters, and their wording varies around these parts.
"""


@dataclass(frozen=True, slots=True)
class Rest:
    """A group that could not launch for want of capacity is asked for nothing until ``until``.

    ``failed_at``: the failure it rests for; ``strikes``: how often in a row; ``because``: AWS's own text.
    """

    until: datetime
    failed_at: datetime
    strikes: int = 1
    because: str = ""


@dataclass(frozen=True, slots=True)
class Activity:
    """One scaling activity that launched, or tried to. ``at``: when it began; ``failed`` with ``message``, AWS's own text."""

    at: datetime
    failed: bool
    message: str = ""


def lacks_capacity(message: str) -> bool:
    """Whether AWS's text says that there is no capacity, rather than that something is set up wrong."""
    text = message.lower()
    return any(part in text for part in NO_CAPACITY)


def trouble_of(activities: Sequence[Activity]) -> str | None:
    """Why a group launches nothing though there may be capacity: AWS's text about its last try. None: that worked, or lacked capacity."""
    last = max(activities, key=lambda a: a.at, default=None)
    if last is None or not last.failed or lacks_capacity(last.message):
        return None
    return " ".join(last.message.split())[:120] or "no reason given"


def decide_rest(activities: Sequence[Activity], before: Rest | None, now: datetime) -> Rest | None:
    """Whether a group rests, and until when. ``before``: the rest that was noted; None: it may be asked again.

    A launch that worked after the failure ends a rest at once. Auto Scaling goes on trying by itself what it was asked for: a failure
    of which no rest knows yet begins the next one, and that one is longer.
    """
    ordered = sorted(activities, key=lambda a: a.at)
    failed = next((a for a in reversed(ordered) if a.failed and lacks_capacity(a.message)), None)
    worked = next((a for a in reversed(ordered) if not a.failed), None)
    if worked is not None and (failed is None or worked.at > failed.at):
        return None
    known = before if before is not None and now <= before.until + FORGOTTEN else None
    if failed is None or now - failed.at > LONGEST:
        return known
    if known is not None and (now < known.until or failed.at <= known.failed_at):
        return known
    strikes = known.strikes + 1 if known is not None else 1
    return Rest(now + _span(strikes), failed.at, strikes, " ".join(failed.message.split())[:120])


def _span(strikes: int) -> timedelta:
    """How long the rest after so many failures in a row is."""
    longer: int = 2 ** min(strikes - 1, 8)
    return min(LONGEST, SHORTEST * longer)
