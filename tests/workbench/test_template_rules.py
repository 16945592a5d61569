"""What replay reads from a template: rules, the functions they reach, and the environment these run in."""

from pathlib import Path

import pytest

from workbench.template import Rule, TemplateError, load_rules, load_template, rules_for

TEMPLATE = """
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Mode: {Type: String, Default: observe}
  Empty: {Type: String}
Globals:
  Function:
    Handler: app.lambda_handler
    Timeout: 60
    Environment:
      Variables:
        BULWARK_MODE: !Ref Mode
        BULWARK_TABLE: !Ref Table
Resources:
  Table: {Type: AWS::DynamoDB::Table}
  Queue: {Type: AWS::SQS::Queue}
  Topic: {Type: AWS::SNS::Topic}
  Spot:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        source: [aws.ec2]
        detail-type: [EC2 Spot Instance Interruption Warning]
      Targets:
        - {Id: topic, Arn: !Ref Topic}
        - {Id: queue, Arn: !GetAtt Queue.Arn}
  Silent:
    Type: AWS::Events::Rule
    Properties:
      State: DISABLED
      EventPattern: {source: [aws.ec2]}
      Targets: [{Id: queue, Arn: !GetAtt Queue.Arn}]
  Straight:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {source: [aws.ecs]}
      Targets: [{Id: function, Arn: !GetAtt Placing.Arn}]
  Draining:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/draining/
      MemorySize: 256
      Environment:
        Variables:
          BULWARK_PARAMETERS: !Sub "/${AWS::StackName}"
          NAME: !Join ["-", [!Ref "AWS::Region", !Sub ["${A}.${!B}.${Table.Arn}", {A: !Ref Mode}]]]
          NOTHING: !Ref Empty
          LOUD: true
      Events:
        Warnings:
          Type: SQS
          Properties: {Queue: !GetAtt Queue.Arn, BatchSize: 10}
  Placing:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/placement/
      Handler: main.handle
      Events:
        Alarm:
          Type: EventBridgeRule
          Properties: {Pattern: {source: [aws.cloudwatch]}}
        Sweep:
          Type: Schedule
          Properties: {Schedule: rate(1 minute)}
"""


def rules_of(tmp_path: Path, text: str = TEMPLATE) -> dict[str, Rule]:
    """The rules of a template with this text, by name."""
    path = tmp_path / "template.yaml"
    path.write_text(text, encoding="utf-8")
    return {rule.name: rule for rule in load_rules(path)}


def test_a_rule_reaches_its_function_through_the_queue(tmp_path: Path) -> None:
    """A target that is a queue leads to the function that reads it; a target that is nobody's leads nowhere."""
    rule = rules_of(tmp_path)["Spot"]
    assert (rule.function.logical_id, rule.function.stem, rule.delivery, rule.queue) == ("Draining", "draining", "sqs", "Queue")
    assert rule.function.code == tmp_path.resolve() / "functions" / "draining"


def test_a_rule_reaches_its_function_directly(tmp_path: Path) -> None:
    """A target that is a function, and an event of a function, deliver the event itself."""
    rules = rules_of(tmp_path)
    for name in ("Straight", "PlacingAlarm", "PlacingSweep"):
        assert (rules[name].function.stem, rules[name].delivery, rules[name].queue) == ("placement", "direct", None)
    assert rules["Straight"].function.handler == "main.handle"


def test_a_disabled_rule_wakes_nothing(tmp_path: Path) -> None:
    """EventBridge does not evaluate a disabled rule, and neither does replay."""
    assert "Silent" not in rules_of(tmp_path)


def test_the_environment_is_resolved(tmp_path: Path) -> None:
    """A function's variables are Globals' and its own, parameters at their defaults, Ref, Sub and Join evaluated."""
    function = rules_of(tmp_path)["Spot"].function
    assert dict(function.environment) == {
        "BULWARK_MODE": "observe",
        "BULWARK_TABLE": "Table",
        "BULWARK_PARAMETERS": "/bulwark",
        "NAME": "us-east-1-observe.${B}.Table.Arn",
        "NOTHING": "",
        "LOUD": "true",
    }
    assert (function.timeout, function.memory) == (60, 256)


def test_an_event_finds_its_rules(tmp_path: Path) -> None:
    """Only rules whose pattern matches are triggered; a schedule is recognised by its rule's name."""
    rules = tuple(rules_of(tmp_path).values())
    scheduled = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
    sweep = {**scheduled, "resources": ["arn:aws:events:us-east-1:123456789012:rule/bulwark-PlacingSweep-1ABC"]}
    other = {**scheduled, "resources": ["arn:aws:events:us-east-1:123456789012:rule/backup"]}
    assert [rule.name for rule in rules_for(rules, sweep)] == ["PlacingSweep"]
    assert rules_for(rules, other) == []
    assert [rule.name for rule in rules_for(rules, {"source": "aws.cloudwatch"})] == ["PlacingAlarm"]


TWO = """
  Sizes: {Type: AWS::SQS::Queue}
  Minute:
    Type: AWS::Events::Rule
    Properties:
      ScheduleExpression: rate(1 minute)
      Targets:
        - {Id: draining, Arn: !GetAtt Queue.Arn}
        - {Id: capacity, Arn: !GetAtt Sizes.Arn}
  Sizing:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/capacity/
      Timeout: 120
      Events:
        Demand: {Type: SQS, Properties: {Queue: !GetAtt Sizes.Arn}}
  Clearing:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/cleanup/}
  Cleared:
    Type: Custom::Cleared
    Properties: {ServiceToken: !GetAtt Clearing.Arn}
"""


def test_one_rule_can_reach_two_functions_through_a_queue_each(tmp_path: Path) -> None:
    """A rule with two targets is a way to either; CloudFormation's own function is on none, as no event leads there."""
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE + TWO, encoding="utf-8")
    rules = load_rules(path)
    minute = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}, "resources": ["arn:aws:events:r:1:rule/s-Minute-1"]}
    woken = [(rule.function.stem, rule.queue, rule.function.timeout) for rule in rules_for(rules, minute)]
    assert woken == [("draining", "Queue", 60), ("capacity", "Sizes", 120)]
    assert "cleanup" not in {rule.function.stem for rule in rules}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("source: [aws.ecs]", "source: aws.ecs", "Straight: source: must be an object or an array"),
        ("BULWARK_TABLE: !Ref Table", "BULWARK_TABLE: !FindInMap [A, B, C]", "replay cannot evaluate"),
        ("CodeUri: functions/placement/", "Runtime: python3.13", "Placing: CodeUri"),
        ("Arn: !GetAtt Placing.Arn}", "Arn: !GetAtt Placing.Arn, Input: '{}'}", "Straight: Input"),
        ("Resources:", "Things:", "Resources: missing"),
        ("Resources:", "Resources: [", "cannot be read"),
    ],
)
def test_a_template_that_cannot_be_followed_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    """Whatever replay cannot do as AWS would is an error of one line that names file and resource, not a guess."""
    assert old in TEMPLATE
    with pytest.raises(TemplateError, match=r"^template\.yaml: ") as caught:
        rules_of(tmp_path, TEMPLATE.replace(old, new))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_template_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A missing template is said in one line."""
    with pytest.raises(TemplateError, match=r"nowhere\.yaml: cannot be read"):
        load_template(tmp_path / "nowhere.yaml")
