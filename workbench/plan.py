"""What the next sweep would do in a cluster, about its drains and its size: seen and decided by the code on Lambda, and not done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bulwark.core.plan import Finding, Plan
from bulwark.shell.aws import Aws, explain
from bulwark.shell.capacity_plan import plan_sizing
from bulwark.shell.draining_line import Line
from bulwark.shell.draining_plan import UnknownClusterError, plan_cluster
from bulwark.shell.ledger import Ledger
from bulwark.shell.observe import READ_ERRORS
from bulwark.shell.policy_book import PolicyBook
from bulwark.shell.settings import Settings, SettingsError
from workbench.drains import Drain, Step, drains_in, findings_document, steps_of
from workbench.events import InputError
from workbench.replay import DONE, FAILED, Mode, World
from workbench.sizing import Sized, sized
from workbench.view import ViewError

UNREAD = frozenset({"not-observed", "policy-unreadable", "cluster-missing"})
"""Findings that say that something could not be read."""

UNSEEN = frozenset({"cluster-missing", "cluster-denied"})
"""Findings that say that nothing of the cluster could be read."""

DEFAULTS: Mapping[str, str] = {"BULWARK_MODE": "observe", "BULWARK_PARAMETERS": "/bulwark"}
"""What template.yaml gives a stack that is told nothing else."""

NAMED = 10
"""Clusters that are named where the one asked for is none."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What was seen and decided. ``mode``: whether stack and policy would let it be done. ``complete``: all could be read.

    ``steps`` and ``findings`` are about what is no drain in progress. ``groups``: the groups that were looked at.
    ``sizing``: None where nothing is sized, and ``findings`` say why.
    """

    cluster: str
    mode: Mode
    seen_at: datetime
    groups: tuple[str, ...]
    drains: tuple[Drain, ...]
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    calls: Mapping[str, int]
    complete: bool = True
    sizing: Sized | None = None

    @property
    def exit_code(self) -> int:
        """1 if something could not be read, else 0."""
        return DONE if self.complete else FAILED

    def document(self) -> dict[str, Any]:
        """What ``plan --json`` prints."""
        return {
            "cluster": self.cluster,
            "mode": self.mode,
            "drains": [drain.document() for drain in self.drains],
            "next": [step.document() for step in self.steps],
            "findings": findings_document(self.findings),
            "sizing": self.sizing.document() if self.sizing else None,
            "calls": dict(sorted(self.calls.items())),
        }


def plan(world: World, name: str, stack: Mode | None = None, aws: Aws | None = None) -> Planned:
    """Look at cluster ``name`` and decide as a sweep would. ``stack``: the stack's mode; None: what BULWARK_MODE says.

    ``aws`` defaults to clients of the ambient session, which on the embedded account are the account's.

    Raises InputError if there is no such cluster or the environment is wrong, and ViewError if nothing could be read.
    """
    given = {**DEFAULTS, **world.environment} | ({"BULWARK_MODE": stack} if stack else {})
    table = given.get("BULWARK_TABLE", "")
    try:
        settings = Settings.from_env({**given, "BULWARK_TABLE": table or "not-known"})
    except SettingsError as error:
        raise InputError(str(error)) from None
    aws = aws or Aws()
    line = Line(aws, PolicyBook(aws.ssm, settings.parameters, settings.mode), Ledger(aws, settings.table), world.now, "plan")
    line.policies.refresh()
    unread: list[Finding] = []
    try:
        notes = line.ledger.raised() if table else {}
    except READ_ERRORS as error:
        notes = {}
        unread.append(Finding("not-observed", name, f"what was lent to services could not be read: {explain(error)}"))
    try:
        decision, cluster = plan_cluster(line, name, notes)
    except UnknownClusterError as error:
        raise InputError(_no_such(name, error.there_are)) from None
    except READ_ERRORS as error:
        raise ViewError(f"the account could not be read: {explain(error)}") from error
    standing = line.policies.standing(name)[0]
    seen = decision.error is None and not any(f.code in UNSEEN for f in decision.plan.findings)
    looked = plan_sizing(line, table, name, cluster.groups if cluster.groups or seen else None)
    decision.count(aws.take_calls())
    decision.count(looked.decision.calls)
    sizing = sized(looked, decision.plan.findings)
    # Where nothing is sized, there is nowhere else to say why.
    unsized = () if sizing else tuple(f for f in looked.decision.plan.findings if f not in decision.plan.findings)
    drains, rest = drains_in(cluster, decision.plan + Plan(findings=tuple(unread)), standing.policy)
    found = (*decision.plan.findings, *looked.decision.plan.findings, *unread)
    complete = decision.error is None and not any(f.code in UNREAD for f in found)
    findings = (*rest.findings, *unsized, *_not_told(name, world.environment, stack))
    groups = tuple(g.name for g in cluster.groups)
    steps = steps_of(rest.actions)
    return Planned(name, standing.mode, cluster.seen_at, groups, drains, steps, findings, decision.calls, complete, sizing)


def _not_told(name: str, environment: Mapping[str, str], stack: Mode | None) -> list[Finding]:
    """What the environment would have to tell about the stack. It is no failure: what is decided is sound without it."""
    told = []
    if not environment.get("BULWARK_TABLE"):
        message = (
            "what was lent to services and when it is given back, what was needed in the last minutes and which groups rest is not known: "
            "set BULWARK_TABLE to the name of the stack's table"
        )
        told.append(Finding("not-observed", name, message))
    if stack is None and not environment.get("BULWARK_MODE"):
        message = "whether the stack acts is not known, so it is taken to observe: set BULWARK_MODE to its parameter Mode"
        told.append(Finding("not-observed", name, message))
    return told


def _no_such(name: str, there_are: tuple[str, ...]) -> str:
    """The line about a cluster that is none, or none of ours."""
    named = ", ".join(there_are[:NAMED]) + (f" and {len(there_are) - NAMED} more" if len(there_are) > NAMED else "")
    fix = f"name one of {named}" if named else "none of the account's groups carries it"
    return f"CLUSTER: {name[:100]}: no Auto Scaling group opted in for it with the tag bulwark:cluster: {fix}"
