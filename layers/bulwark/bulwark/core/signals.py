"""What woke us: one small class per kind of event, holding ids and times and nothing that is trusted beyond them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

SPOT_NOTICE = timedelta(seconds=120)
"""Lead of a Spot interruption warning: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""

InterruptionAction = Literal["terminate", "stop", "hibernate"]


@dataclass(frozen=True, slots=True)
class SpotInterruption:
    """EC2 will take a Spot Instance back: ``at`` is when it said so, ``action`` what it will do to the instance.

    ``redelivered``: an earlier delivery of this warning was left unfinished, so what it began may be ours to end.
    """

    instance_id: str
    at: datetime
    action: InterruptionAction = "terminate"
    redelivered: bool = False

    @property
    def deadline(self) -> datetime:
        """When the instance is gone. Hibernation starts with the warning itself: it has no lead."""
        return self.at if self.action == "hibernate" else self.at + SPOT_NOTICE


Signal = SpotInterruption
"""Every kind of event Bulwark acts on; a closed union once there are more."""
