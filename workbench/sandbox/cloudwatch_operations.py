"""CloudWatch's answers about alarms where moto's are wrong, put on moto's own response class: in process and over HTTP alike.

moto answers with every alarm at once, and a new alarm is OK in it before anything was measured.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

USUAL_PAGE, MOST = 50, 100
"""Alarms to a page of DescribeAlarms, and at most to a page or a call that names them (API reference, DescribeAlarms and DeleteAlarms)."""

_moto_describe_alarms = CloudWatchResponse.describe_alarms
_moto_put_metric_alarm = CloudWatchResponse.put_metric_alarm
_moto_delete_alarms = CloudWatchResponse.delete_alarms


def describe_alarms(self: Any) -> ActionResult:
    """DescribeAlarms: by name or prefix, in the order of their names, in pages. Only metric alarms: moto makes no others."""
    if self._get_param("AlarmNames") and self._get_param("AlarmNamePrefix"):
        raise ValidationError("AlarmNames and AlarmNamePrefix cannot be specified together.")
    size = int(self._get_param("MaxRecords") or USUAL_PAGE)
    if not 1 <= size <= MOST:
        raise ValidationError(f"MaxRecords must be between 1 and {MOST}.")
    _at_most(self._get_param("AlarmNames") or [])
    result: Any = _moto_describe_alarms(self).result
    found = sorted(result["MetricAlarms"], key=lambda alarm: alarm.name)
    begin = _offset(self._get_param("NextToken"))
    answer: dict[str, Any] = {"MetricAlarms": found[begin : begin + size], "CompositeAlarms": []}
    if begin + size < len(found):
        answer["NextToken"] = urlsafe_b64encode(f"at:{begin + size}".encode()).decode()
    return ActionResult(answer)


def put_metric_alarm(self: Any) -> ActionResult:
    """PutMetricAlarm: a new alarm has INSUFFICIENT_DATA; one that is there keeps its state and its tags, whatever the call says of tags."""
    backend, name = self.cloudwatch_backend, self._get_param("AlarmName")
    before = backend.alarms.get(name)
    tags = backend.tagger.get_tag_dict_for_resource(before.alarm_arn) if before is not None else None
    answer: ActionResult = _moto_put_metric_alarm(self)
    alarm = backend.alarms[name]
    if before is None:
        alarm.state_value, alarm.state_updated_timestamp = "INSUFFICIENT_DATA", utcnow()
        return answer
    for field in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history"):
        setattr(alarm, field, getattr(before, field))
    backend.tagger.delete_all_tags_for_resource(alarm.alarm_arn)
    backend.tagger.tag_resource(alarm.alarm_arn, [{"Key": key, "Value": value} for key, value in (tags or {}).items()])
    return answer


def delete_alarms(self: Any) -> ActionResult:
    """DeleteAlarms: at most 100; those that are not there are no error."""
    _at_most(self._get_param("AlarmNames") or [])
    answer: ActionResult = _moto_delete_alarms(self)
    return answer


def _at_most(names: list[str]) -> None:
    """Refuse more names than a call takes."""
    if len(names) > MOST:
        raise ValidationError(f"AlarmNames can have at most {MOST} items.")


def _offset(token: str | None) -> int:
    """Where a page begins."""
    if not token:
        return 0
    try:
        return int(urlsafe_b64decode(token.encode()).decode().removeprefix("at:"))
    except (Base64Error, ValueError):
        raise ValidationError("The NextToken is invalid.") from None


def install() -> None:
    """Put these operations onto moto's response class. Doing it again changes nothing."""
    for operation in (describe_alarms, put_metric_alarm, delete_alarms):
        setattr(CloudWatchResponse, operation.__name__, operation)
