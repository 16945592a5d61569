"""What a sweep of the capacity line looks after beside the clusters: Bulwark's own alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulwark.core.capacity_alarms import PREFIX, decide_alarms
from bulwark.core.plan import Finding, Plan
from bulwark.shell import translate_capacity
from bulwark.shell.act import act
from bulwark.shell.aws import explain
from bulwark.shell.observe import READ_ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulwark.core.capacity_alarms import Alarm
    from bulwark.core.cluster import Group
    from bulwark.core.policies import Policy
    from bulwark.shell.aws import Aws
    from bulwark.shell.draining_line import Line
    from bulwark.shell.report import Decision

BEGINNING = "capacity-sweep"
"""Partition of the note where the next sweep begins."""

EVERY = 10
"""Minutes between two looks at the alarms: they change with policies, and a sweep sees each minute what they would tell."""


def look_after_alarms(line: Line, groups: Sequence[Group], about: Decision) -> None:
    """Every EVERY minutes: bring Bulwark's alarms to what the policies ask for. Who is uncertain, or observed, keeps what there is."""
    if line.now.minute % EVERY:
        return
    policies: dict[str, Policy] = {}
    unsure: set[str] = set()
    for name in sorted({g.cluster for g in groups if g.cluster}):
        standing, findings = line.policies.standing(name)
        policies[name] = standing.policy
        if findings or standing.mode != line.policies.stack_mode():
            unsure.add(name)
    try:
        existing = _alarms(line.aws)
    except READ_ERRORS as error:
        about.plan += Plan(findings=(Finding("not-observed", "sweep", f"Bulwark's alarms could not be read: {explain(error)}"),))
        return
    known = [a for a in existing if a.cluster not in unsure]
    plan = decide_alarms({n: p for n, p in policies.items() if n not in unsure}, known)
    about.plan += plan
    about.outcomes += act(line.aws, plan, line.policies.stack_mode(), line.ledger, line.now)


def _alarms(aws: Aws) -> list[Alarm]:
    """Every metric alarm that is named as Bulwark names its own. Raises what AWS raised."""
    pages = aws.cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=PREFIX, AlarmTypes=["MetricAlarm"])
    return [translate_capacity.alarm(a) for page in pages for a in page["MetricAlarms"]]
