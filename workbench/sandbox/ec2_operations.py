"""EC2's answers where moto's are slow or wrong, put on moto's own response class: they work in process and over HTTP alike.

An operation without an account behind it (somebody else's use of moto in the same process) goes to moto untouched.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.spot_instances import SpotInstances
from moto.ec2.utils import filter_reservations

INSTANCE_ID = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})\Z")
"""EC2's instance ids: the old 8 and the present 17 hexadecimal digits."""

Operation = Callable[[Any], Any]

_moto_describe: Operation = InstanceResponse.describe_instances
_moto_terminate: Operation = InstanceResponse.terminate_instances
_moto_describe_requests: Operation = SpotInstances.describe_spot_instance_requests

MARKED = {"terminate": "marked-for-termination", "stop": "marked-for-stop"}
"""Status codes of a Spot request between the warning and the end (EC2 user guide, Spot request status), by what EC2 announced."""


def install() -> None:
    """Put this module's operations on moto's EC2 response class. Doing it twice changes nothing."""
    InstanceResponse.describe_instances = _describe_instances  # type: ignore[method-assign]
    InstanceResponse.terminate_instances = _terminate_instances  # type: ignore[method-assign]
    SpotInstances.describe_spot_instance_requests = _describe_spot_instance_requests  # type: ignore[method-assign]


def _physics(response: Any) -> Any:
    """The account's EC2 half, or None where there is none."""
    return getattr(response.ec2_backend, "physics", None)


def _known(physics: Any, instance_ids: list[str]) -> None:
    """Raise EC2's own error if an id is malformed or unknown."""
    for instance_id in instance_ids:
        if not INSTANCE_ID.match(instance_id):
            raise EC2ClientError("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')
    unknown = [i for i in instance_ids if physics.find(i) is None]
    if unknown:
        raise InvalidInstanceIdError(unknown)


def _describe_instances(self: Any) -> Any:
    """DescribeInstances: by id (parameter or ``instance-id`` filter) at once, otherwise as moto does."""
    physics = _physics(self)
    if physics is None:
        return _moto_describe(self)
    filters: dict[str, list[str]] = self._filters_from_querystring()
    instance_ids: list[str] = self._get_param("InstanceIds", [])
    if not instance_ids and "instance-id" not in filters:
        return _moto_describe(self)
    if instance_ids and self._get_param("MaxResults") is not None:
        message = "The parameter instancesSet cannot be used with the parameter maxResults"
        raise EC2ClientError("InvalidParameterCombination", message)
    _known(physics, instance_ids)
    wanted = instance_ids or _spelled_out(physics, filters["instance-id"])
    filters |= {"instance-id": wanted} if "instance-id" in filters and not instance_ids else {}
    reservations = filter_reservations(physics.reservations_of(wanted), filters)
    return ActionResult({"Reservations": reservations, "NextToken": None})


def _spelled_out(physics: Any, patterns: list[str]) -> list[str]:
    """The ids that a filter's values mean: ``*`` and ``?`` stand for any characters and any one."""
    plain = [p for p in patterns if "*" not in p and "?" not in p]
    wild = [p for p in patterns if p not in plain]
    return plain + [i for i in physics.ids if any(fnmatchcase(i, p) for p in wild)] if wild else plain


def _terminate_instances(self: Any) -> Any:
    """TerminateInstances: the host is gone for ECS at once; its group notices at its next health check, as on AWS."""
    physics = _physics(self)
    if physics is None:
        return _moto_terminate(self)
    self.error_on_dryrun()
    instance_ids: list[str] = self._get_param("InstanceIds", [])
    _known(physics, instance_ids)
    ended = []
    for instance_id in instance_ids:
        before = physics.find(instance_id).instance_state
        previous = {"Code": before.code, "Name": before.name}
        physics.terminate(instance_id, datetime.now(UTC))
        now = previous if previous["Name"] == "terminated" else {"Code": 32, "Name": "shutting-down"}
        ended.append({"InstanceId": instance_id, "CurrentState": now, "PreviousState": previous})
    return ActionResult({"TerminatingInstances": ended})


def _describe_spot_instance_requests(self: Any) -> Any:
    """DescribeSpotInstanceRequests by ``status-code``: the requests of instances that have had their warning; else as moto does."""
    physics = _physics(self)
    codes = set(self._filters_from_querystring().get("status-code", ()))
    if physics is None or not codes:
        return _moto_describe_requests(self)
    requests = [
        {
            "SpotInstanceRequestId": f"sir-{instance_id[-8:]}",
            "InstanceId": instance_id,
            "State": "active",
            "Status": {"Code": MARKED[action], "UpdateTime": at, "Message": "Your Spot Instance is marked to be interrupted."},
        }
        for instance_id, (at, action) in physics.condemned.items()
        if MARKED.get(action) in codes and physics.find(instance_id).state in ("running", "pending")
    ]
    return ActionResult({"SpotInstanceRequests": requests, "NextToken": None})
