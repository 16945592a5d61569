"""What Auto Scaling's answers have in common: the account's clock, AWS's refusals, and pages."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError

from workbench.sandbox.autoscaling import AutoScalingPhysics, GroupLife

Call = Mapping[str, Any]
"""A call's parameters by their AWS names, as botocore's model types them."""

MOST_RECORDS = 100
"""The largest page of groups or activities."""


def now() -> datetime:
    """The account's present moment, in UTC."""
    return datetime.now(UTC)


def group_of(physics: AutoScalingPhysics, name: str) -> GroupLife:
    """The group of that name, or AWS's error that there is none."""
    if name not in physics.backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return physics.life(name)


def too_many(field: str, count: int, most: int) -> None:
    """Raise the error of a list that is too long."""
    if count > most:
        raise ValidationError(
            f"1 validation error detected: Value at '{field}' failed to satisfy constraint: "
            f"Member must have length less than or equal to {most}"
        )


def page_of(call: Call, items: list[Any], default: int, most: int = MOST_RECORDS) -> tuple[list[Any], str | None]:
    """The page of ``items`` that MaxRecords and NextToken ask for, and the token of the next one."""
    size = call.get("MaxRecords", default)
    if not 1 <= size <= most:
        raise ValidationError(
            f"1 validation error detected: Value '{size}' at 'maxRecords' failed to satisfy constraint: "
            f"Member must have value less than or equal to {most}"
        )
    token = call.get("NextToken")
    if token is not None and not str(token).isdigit():
        raise AutoscalingClientError("InvalidNextToken", f"The token '{token}' is invalid.")
    start = int(token or 0)
    return items[start : start + size], str(start + size) if start + size < len(items) else None


def check_sizes(least: int, desired: int | None, most: int) -> None:
    """Raise AWS's error if the sizes are not in order."""
    if least > most:
        raise ValidationError(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
    if desired is not None and not least <= desired <= most:
        raise ValidationError(f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}")
