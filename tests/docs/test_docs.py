"""The documentation says what is there: every finding, field, parameter, permission and figure, and no other."""

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import pytest

from bulwark.core import plan
from bulwark.core.capacity_figures import Figures, GroupFigures
from bulwark.core.policies import Policy
from bulwark.shell.ledger import JOURNAL_DAYS
from bulwark.shell.observe_work import EXAMINED
from bulwark.shell.policy_book import MAX_AGE
from tests.docs import source
from tests.docs.markdown import CODE, named, page, rows
from workbench.bench.calls import measure_calls
from workbench.template import load_rules, load_template

README = page("README.md")
OPERATIONS = page("docs/operations.md")

KINDS = {action.__name__ for action in get_args(plan.Action)}
"""Every action."""


def leaves(shape: type, prefix: str = "") -> set[str]:
    """The fields of a policy as dotted names."""
    hints = get_type_hints(shape)
    nested = {f.name for f in fields(shape) if is_dataclass(hints[f.name])}
    plain = {f"{prefix}{f.name}" for f in fields(shape)} - {f"{prefix}{name}" for name in nested}
    return plain.union(*(leaves(hints[name], f"{prefix}{name}.") for name in nested))


def of_type(kind: str) -> set[str]:
    """The logical ids of the template's resources of one type."""
    return {name for name, node in load_template()["Resources"].items() if node["Type"] == kind}


def test_every_finding_is_documented_and_every_documented_one_exists() -> None:
    """Whoever sees a code in a log finds it in docs/findings.md, once, with what to do."""
    documented = list(rows(page("docs/findings.md").prose, heading="code"))

    assert sorted(source.finding_codes()) == sorted(code for cells in documented for code in CODE.findall(cells[0]))
    assert all(len(cells) == 4 and all(cells) for cells in documented)


def test_every_field_of_a_policy_is_documented() -> None:
    """An operator reads of every field, and of none that would be refused."""
    assert named(OPERATIONS.section("Policies"), heading="field") == leaves(Policy)


def test_every_parameter_of_the_stack_is_documented_with_its_default() -> None:
    """The README's table is what `sam deploy --guided` asks."""
    parameters: dict[str, Any] = load_template()["Parameters"]
    documented = {CODE.findall(cells[0])[0]: cells[1].strip("`") for cells in rows(README.section("Deploy"), heading="parameter")}

    assert documented == {name: str(spec["Default"]) or "none" for name, spec in parameters.items()}


def test_every_variable_of_a_function_is_documented() -> None:
    """What the template sets is what the page lists, and what the code reads is among it."""
    documented = named(OPERATIONS.section("Environment of the function"), heading="variable")

    assert documented == set().union(*(rule.function.environment for rule in load_rules()))
    assert source.variables_read() <= documented


def test_every_permission_is_in_the_readme() -> None:
    """Whoever reviews the stack sees all that its roles may do, and nothing they may not."""
    assert named(README.section("Permissions"), heading="permission") == source.granted(load_template())


def test_every_function_rule_and_action_is_in_the_readme() -> None:
    """The tables of functions and actions are complete."""
    section = README.section("What is in it")
    functions = {cell for cells in rows(section, heading="function") for cell in CODE.findall(" ".join(cells))}

    assert named(section, heading="function") == {rule.function.stem for rule in load_rules()}
    assert {rule.name for rule in load_rules()} | KINDS <= functions
    assert named(section, heading="action") == KINDS


def test_every_alarm_and_output_is_documented() -> None:
    """Nobody is woken by an alarm that no page explains."""
    outputs = OPERATIONS.prose.partition("Outputs:")[2].partition("\n\n")[0]

    assert named(OPERATIONS.section("Alarms"), heading="alarm") == of_type("AWS::CloudWatch::Alarm")
    assert set(CODE.findall(outputs)) == set(load_template()["Outputs"])


def test_every_metric_is_documented() -> None:
    """Names for dashboards come from the page, so they are those the function writes."""
    statuses = get_args(get_type_hints(plan.Outcome)["status"])
    of_actions = {f"{kind}{status.capitalize()}" for kind in KINDS for status in statuses}

    of_figures = {name for metrics in Figures((GroupFigures("g", 1, 1, 0),), 1, 0, 0, 1.0, 1, 1.0).measured().values() for name in metrics}

    assert named(OPERATIONS.section("Metrics"), heading="metric") == of_actions | of_figures | source.fixed_metrics()


def test_every_log_message_is_documented() -> None:
    """A query that filters by message finds what the code writes."""
    assert named(OPERATIONS.section("Logs"), heading="message") == source.log_messages()


def test_the_calls_of_one_warning_are_those_that_are_made() -> None:
    """The table of calls, in its order, is what the real handler does on the account in memory."""
    documented = [CODE.findall(cells[2])[0] for cells in rows(page("docs/draining.md").section("Three rounds"), heading="round")]

    measured = measure_calls(clusters=1, instances=3)

    assert documented == list(measured.order)
    assert measured.draining_after == documented.index("ecs:UpdateContainerInstancesState") + 1
    assert list(measured.at_start) == ["ssm:GetParametersByPath"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("README.md", f"within {MAX_AGE:.0f} s"),
        ("docs/operations.md", f"within {MAX_AGE:.0f} seconds"),
        ("docs/draining.md", f"older than {MAX_AGE:.0f} seconds"),
        ("docs/operations.md", f"after {JOURNAL_DAYS} days"),
        ("docs/draining.md", f"first {EXAMINED} instances"),
        ("docs/findings.md", f"More than {EXAMINED} instances"),
        ("docs/draining.md", f"{load_template()['Resources']['DrainingQueue']['Properties']['VisibilityTimeout']} seconds"),
        ("README.md", f"in {load_template()['Resources']['DrainingFunction']['Properties']['Timeout']} s at most"),
    ],
)
def test_a_figure_is_the_code_s(name: str, says: str) -> None:
    """Figures that operators rely on follow the constants they come from."""
    assert says in page(name).prose
