"""template.yaml, read for what EventBridge and Lambda would make of it: which rule wakes which function, and how.

No intrinsic function is evaluated beyond what a function's environment and a rule need (Ref, Sub, Join, GetAtt);
stack parameters take their defaults. Read with PyYAML and a small loader for CloudFormation's tags, because cfn-lint's
loader takes three seconds to import.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml

from workbench.patterns import Pattern, PatternError, compile_pattern

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"
"""The template of this project."""

PSEUDO_PARAMETERS: Mapping[str, str] = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "bulwark",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/bulwark/0",
}
"""CloudFormation's own parameters, as the embedded account has them."""

Node = Mapping[str, Any]


class TemplateError(ValueError):
    """A template that cannot be followed. The message is one line: file, resource and fault."""


@dataclass(frozen=True, slots=True)
class Function:
    """One Lambda function: where its code is, and how it is called. ``timeout`` in seconds, ``memory`` in MB."""

    logical_id: str
    stem: str
    code: Path
    handler: str
    environment: Mapping[str, str]
    timeout: int
    memory: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One way from an event to a function. ``delivery`` is ``sqs`` if the event travels in an SQS batch, else ``direct``."""

    name: str
    pattern: Pattern
    source: Mapping[str, Any]
    function: Function
    delivery: Literal["sqs", "direct"]
    queue: str | None = None


def load_template(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as plain data, tags in their long form (``!Ref X`` as ``{"Ref": "X"}``). ``TemplateError`` if it is none."""
    try:
        with path.open(encoding="utf-8") as stream:
            template = yaml.load(stream, Loader=_Loader)  # noqa: S506  a SafeLoader
    except (OSError, yaml.YAMLError) as error:
        raise TemplateError(f"{path.name}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError(f"{path.name}: Resources: missing")
    return template


def load_rules(path: Path = TEMPLATE) -> tuple[Rule, ...]:
    """Every enabled rule of the template that leads to one of its functions, in the template's order."""
    template = load_template(path)
    try:
        return tuple(_Stack(template, path.resolve().parent).rules())
    except (PatternError, TemplateError) as error:
        raise TemplateError(f"{path.name}: {error}") from None


def rules_for(rules: tuple[Rule, ...], event: Mapping[str, Any]) -> list[Rule]:
    """The rules that this event triggers."""
    return [rule for rule in rules if rule.pattern.matches(event)]


class _Loader(yaml.SafeLoader):
    """YAML, with CloudFormation's short-form tags."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    """``!Suffix value`` as ``{"Fn::Suffix": value}``; Ref and Condition bear no prefix, and GetAtt's dot splits its argument."""
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _as_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    """The scalar as it is written."""
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _long_form)
# Dates stay text: `AWSTemplateFormatVersion: 2010-09-09` and `Version: 2012-10-17` are names, not days.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)


class _Stack:
    """A template with its parameters at their defaults. ``root`` is the folder that CodeUri is relative to."""

    def __init__(self, template: Mapping[str, Any], root: Path) -> None:
        self.resources: Mapping[str, Node] = template["Resources"]
        self.root = root
        self.globals: Node = (template.get("Globals") or {}).get("Function") or {}
        self.parameters = {name: str(spec.get("Default", "")) for name, spec in (template.get("Parameters") or {}).items()}
        self.functions = {name: self._function(name, node) for name, node in self._of_type("AWS::Serverless::Function")}

    def rules(self) -> Iterator[Rule]:
        """Rules of both kinds: resources of their own, and events of a function."""
        for name, node in self._of_type("AWS::Events::Rule"):
            properties = node.get("Properties") or {}
            if self.resolve(properties.get("State", "ENABLED")) != "DISABLED":
                for target in properties.get("Targets") or ():
                    yield from self._reached(name, properties, target)
        for function_id, node in self._of_type("AWS::Serverless::Function"):
            for event_id, event in (node.get("Properties", {}).get("Events") or {}).items():
                properties = event.get("Properties") or {}
                if event.get("Type") in ("EventBridgeRule", "CloudWatchEvent", "Schedule") and properties.get("Enabled", True):
                    yield self._rule(f"{function_id}{event_id}", properties, properties, self.functions[function_id], "direct", None)

    def resolve(self, value: Any) -> str:
        """A scalar of the template as text. A resource's Ref is its logical id, its attribute ``Id.Attribute``: stand-ins."""
        match value:
            case {"Ref": str(name)}:
                return self.parameters.get(name) or PSEUDO_PARAMETERS.get(name) or ("" if name in self.parameters else name)
            case {"Fn::GetAtt": [str(name), *attributes]}:
                return ".".join([name, *map(str, attributes)])
            case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), dict()]}:
                return self._substitute(text, {} if text == value["Fn::Sub"] else value["Fn::Sub"][1])
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(self.resolve(part) for part in parts)
            case dict() | list():
                raise TemplateError(f"{value!r}: replay cannot evaluate this here; use Ref, Sub, Join or GetAtt")
            case bool():
                return str(value).lower()
            case _:
                return str(value)

    def _substitute(self, text: str, names: Node) -> str:
        """``Fn::Sub``: ``${Name}``, ``${Name.Attribute}`` and ``${!Literal}``."""

        def one(found: re.Match[str]) -> str:
            """The text for one placeholder."""
            name = found[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in names:
                return self.resolve(names[name])
            return name if "." in name else self.resolve({"Ref": name})

        return re.sub(r"\$\{([^}]+)\}", one, text)

    def _of_type(self, kind: str) -> Iterator[tuple[str, Node]]:
        """The resources of one type, with their logical ids."""
        return ((name, node) for name, node in self.resources.items() if node.get("Type") == kind)

    def _function(self, name: str, node: Node) -> Function:
        """One SAM function, its environment merged from Globals and its own."""
        properties = {**self.globals, **(node.get("Properties") or {})}
        if "CodeUri" not in properties or "Handler" not in properties:
            raise TemplateError(f"{name}: CodeUri and Handler are needed to wake it")
        code = (self.root / str(properties["CodeUri"])).resolve()
        variables = [(source.get("Environment") or {}).get("Variables") or {} for source in (self.globals, node.get("Properties") or {})]
        environment = {key: self.resolve(value) for source in variables for key, value in source.items()}
        # 3 s and 128 MB are Lambda's own defaults.
        timeout, memory = (int(self.resolve(properties.get(key, default))) for key, default in (("Timeout", 3), ("MemorySize", 128)))
        return Function(name, code.name, code, str(properties["Handler"]), environment, timeout, memory)

    def _reached(self, name: str, rule: Node, target: Node) -> Iterator[Rule]:
        """The functions that one target of a rule leads to: itself, or those that read the queue."""
        reached = self._resource(target.get("Arn"))
        make = partial(self._rule, name, rule, target)
        if reached in self.functions:
            yield make(self.functions[reached], "direct", None)
        for function_id, function in self.functions.items():
            events = (self.resources[function_id]["Properties"].get("Events") or {}).values()
            queues = [self._resource((event.get("Properties") or {}).get("Queue")) for event in events if event.get("Type") == "SQS"]
            if reached is not None and reached in queues:
                yield make(function, "sqs", reached)

    def _resource(self, arn: Any) -> str | None:
        """The logical id in ``!GetAtt Resource.Arn`` or ``!Ref Resource``; None for an ARN from elsewhere."""
        match arn:
            case {"Fn::GetAtt": [str(name), *_]} | {"Ref": str(name)} if name in self.resources:
                return name
            case _:
                return None

    def _rule(self, name: str, rule: Node, target: Node, function: Function, delivery: Literal["sqs", "direct"], queue: str | None) -> Rule:
        """One rule with its pattern compiled. A schedule has none: it is recognised by its own name in the event it sends."""
        if reshaping := {"Input", "InputPath", "InputTransformer"}.intersection(target):
            raise TemplateError(f"{name}: {', '.join(sorted(reshaping))}: replay delivers events whole; take it out")
        pattern = rule.get("EventPattern") or rule.get("Pattern")
        if pattern is None:
            # The envelope of a scheduled rule's event. The rule's physical name holds its logical id.
            own = {"wildcard": f"*:rule/*{name}*"}
            pattern = {"source": ["aws.events"], "detail-type": ["Scheduled Event"], "resources": [own]}
        try:
            return Rule(name, compile_pattern(pattern), pattern, function, delivery, queue)
        except PatternError as error:
            raise TemplateError(f"{name}: {error}") from None
