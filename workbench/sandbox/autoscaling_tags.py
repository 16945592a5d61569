"""Auto Scaling's calls about the tags of groups, in AWS's words, and what groups may be filtered by."""

from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.core.responses import EmptyResult

from workbench.sandbox.autoscaling import AutoScalingPhysics
from workbench.sandbox.autoscaling_answers import Call, group_of

MOST_TAGS = 50
"""Tags to a group."""
LONGEST_KEY, LONGEST_VALUE = 128, 256
"""Characters of a tag's key and value."""
TAG_FILTERS = ("tag-key", "tag-value")
"""Filters of DescribeAutoScalingGroups, beside ``tag:NAME``."""


def put_tags(call: Call, physics: AutoScalingPhysics) -> Any:
    """CreateOrUpdateTags: on groups that exist, at most 50 each; all of them or none. A tag without a value has an empty one."""
    given: dict[str, dict[str, dict[str, Any]]] = {}
    for tag in call.get("Tags", []):
        _check(tag)
        life = group_of(physics, tag.get("ResourceId") or "")
        given.setdefault(life.model.name, {})[tag["Key"]] = {**tag, "Value": tag.get("Value") or ""}
    for group, tags in given.items():
        if len({tag["Key"] for tag in physics.life(group).model.tags} | tags.keys()) > MOST_TAGS:
            raise AutoscalingClientError("LimitExceeded", f"AutoScalingGroup {group} can have at most {MOST_TAGS} tags.")
    for group, tags in given.items():
        model = physics.life(group).model
        model.tags = list({**{tag["Key"]: tag for tag in model.tags}, **tags}.values())
    return EmptyResult()


def delete_tags(call: Call, physics: AutoScalingPhysics) -> Any:
    """DeleteTags: by key, on groups that exist; a key that is not there is no error."""
    tags = call.get("Tags", [])
    models = [group_of(physics, tag.get("ResourceId") or "").model for tag in tags]
    for tag, model in zip(tags, models, strict=True):
        model.tags = [held for held in model.tags if held["Key"] != tag["Key"]]
    return EmptyResult()


def check_filters(filters: list[dict[str, Any]]) -> None:
    """Refuse a filter that DescribeAutoScalingGroups does not have; moto would take it for one that every group passes."""
    for one in filters:
        name = one.get("Name") or ""
        if name not in TAG_FILTERS and not name.startswith("tag:"):
            raise ValidationError(f"Filter type {name} is not correct. Allowed Filter types are: {', '.join(TAG_FILTERS)}, tag:<key>")


def _check(tag: dict[str, Any]) -> None:
    """Refuse a tag that no group can have."""
    key, value = tag.get("Key") or "", tag.get("Value") or ""
    if not 1 <= len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
        raise ValidationError(f"A tag key has 1 to {LONGEST_KEY} characters, and a value at most {LONGEST_VALUE}.")
    if key.lower().startswith("aws:"):
        raise ValidationError(f"Tag keys that begin with aws: are reserved: {key}")
