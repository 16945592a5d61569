"""template.yaml as CloudFormation gets it: SAM's transform applied in process, and intrinsic functions resolved.

``python -m tests.template.translated act`` prints the transformed template for cfn-lint.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from workbench.template import PSEUDO_PARAMETERS, load_template

ACCOUNT = f"{PSEUDO_PARAMETERS['AWS::Region']}:{PSEUDO_PARAMETERS['AWS::AccountId']}"
ABSENT = object()
"""AWS::NoValue."""

ARN_FORMS: Mapping[str, str] = {
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{ACCOUNT}:table/{{}}",
    "AWS::Events::Rule": f"arn:aws:events:{ACCOUNT}:rule/{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{PSEUDO_PARAMETERS['AWS::AccountId']}:role/{{}}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{ACCOUNT}:function:{{}}",
    # CloudFormation's attribute of a log group ends so, and covers its streams.
    "AWS::Logs::LogGroup": f"arn:aws:logs:{ACCOUNT}:log-group:{{}}:*",
    "AWS::SNS::Topic": f"arn:aws:sns:{ACCOUNT}:{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{ACCOUNT}:{{}}",
}
"""The ARN of a resource by its type and physical name."""

NAME_PROPERTIES = ("LogGroupName", "TableName", "QueueName", "TopicName", "FunctionName", "RoleName")


def translate(**parameters: str) -> dict[str, Any]:
    """The template after SAM's transform, intrinsic functions untouched. ``parameters`` are given by name (``Mode="act"``)."""
    template = load_template()
    for resource in template["Resources"].values():
        for key in ("CodeUri", "ContentUri"):
            if key in resource.get("Properties", {}):
                # What `sam package` puts here.
                resource["Properties"][key] = {"Bucket": "artifacts", "Key": "built.zip"}
    session = boto3.session.Session(region_name=PSEUDO_PARAMETERS["AWS::Region"])
    translated: dict[str, Any] = Translator({}, Parser(), boto_session=session).translate(template, parameters)
    return translated


@dataclass(frozen=True, slots=True)
class Stack:
    """The stack that ``parameters`` make. ``names`` gives resources physical names; the others are called by their logical ids."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    template: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "template", translate(**self.parameters))

    def resources(self, kind: str | None = None) -> dict[str, dict[str, Any]]:
        """Properties of the resources that exist, resolved, by logical id; only those of type ``kind`` if one is given."""
        return {
            name: self.resolve(node.get("Properties", {}))
            for name, node in self.template["Resources"].items()
            if (kind is None or node["Type"] == kind) and self.holds(node.get("Condition"))
        }

    def holds(self, condition: str | None) -> bool:
        """Whether the condition of that name is true; None is no condition."""
        return condition is None or bool(self.resolve(self.template["Conditions"][condition]))

    def name(self, resource: str) -> str:
        """The physical name of a resource."""
        if resource in self.names:
            return self.names[resource]
        given = self.template["Resources"][resource].get("Properties", {})
        return next((str(self.resolve(given[key])) for key in NAME_PROPERTIES if key in given), resource)

    def arn(self, resource: str) -> str:
        """The ARN of a resource. KeyError for a type without one in ARN_FORMS."""
        return ARN_FORMS[self.template["Resources"][resource]["Type"]].format(self.name(resource))

    def resolve(self, value: Any) -> Any:
        """``value`` with every intrinsic function evaluated; what is AWS::NoValue vanishes from its list or object."""
        if isinstance(value, list):
            return [inner for inner in map(self.resolve, value) if inner is not ABSENT]
        if not isinstance(value, dict):
            return value
        if set(value) == {"Ref"}:
            return self._reference(value["Ref"])
        if any(key.startswith("Fn::") for key in value):
            return self._call(value)
        resolved = {key: self.resolve(inner) for key, inner in value.items()}
        return {key: inner for key, inner in resolved.items() if inner is not ABSENT}

    def _call(self, node: dict[str, Any]) -> Any:
        """One intrinsic function. NotImplementedError for one the template did not use so far."""
        result: Any
        match node:
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                result = self.arn(name) if attribute == "Arn" else self.name(name)
            case {"Fn::Sub": str(text)}:
                result = re.sub(r"\$\{([^}]+)\}", lambda found: str(self._substitute(found[1])), text)
            case {"Fn::If": [str(condition), then, otherwise]}:
                result = self.resolve(then if self.holds(condition) else otherwise)
            case {"Fn::Equals": [left, right]}:
                result = self.resolve(left) == self.resolve(right)
            case {"Fn::Not": [inner]}:
                result = not self.resolve(inner)
            case _:
                raise NotImplementedError(f"{sorted(node)}: teach tests/template/translated.py this function")
        return result

    def _reference(self, name: str) -> Any:
        """What Ref gives: a parameter's value, a pseudo parameter, or a resource's name; a topic's is its ARN."""
        if name == "AWS::NoValue":
            return ABSENT
        if name in self.template["Parameters"]:
            return self.parameters.get(name, self.template["Parameters"][name].get("Default"))
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        return self.arn(name) if self.template["Resources"][name]["Type"] == "AWS::SNS::Topic" else self.name(name)

    def _substitute(self, inner: str) -> Any:
        """What ``${inner}`` stands for in Fn::Sub."""
        name, dot, attribute = inner.partition(".")
        return self.resolve({"Fn::GetAtt": [name, attribute]} if dot else {"Ref": name})


if __name__ == "__main__":
    json.dump(translate(Mode=sys.argv[1]), sys.stdout, indent=1)
