"""Proves that each rule in infra/rules finds what it forbids, and nothing else. Run by `.ci/run` under cfn-lint's own Python."""

import re
import tempfile
import unittest
from pathlib import Path

from cfnlint import api

ROOT = Path(__file__).parent.parent
LADDER = """{DB_PING_TIMEOUT_MS: 300, DB_CONNECT_TIMEOUT_MS: 1000, DB_ATTEMPT_TIMEOUT_MS: 4500, RETRY_BUDGET_MS: 9000, DEADLINE_RESERVE_MS: 500}"""
GOOD = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Days: {Type: Number, Description: Days., Default: 7, MinValue: 7, MaxValue: 7, ConstraintDescription: must be 7}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: s3://bucket/key
      Timeout: 10
      LoggingConfig: {LogGroup: !Ref G}
      Environment:
        Variables: """ + LADDER + """
  G: {Type: AWS::Logs::LogGroup, Properties: {RetentionInDays: !Ref Days}}
  P:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: '2012-10-17'
        Statement: [{Effect: Allow, Action: sqs:SendMessage, Resource: !Sub 'arn:${AWS::Partition}:sqs:*:*:q'}]
  T:
    Type: AWS::RDS::DBProxyTargetGroup
    Properties:
      DBProxyName: p
      TargetGroupName: default
      ConnectionPoolConfigurationInfo: {ConnectionBorrowTimeout: 2}
"""
SECOND = """
  F2: {Type: AWS::Serverless::Function, Properties: {Runtime: provided.al2023, Handler: bootstrap, CodeUri: s3://bucket/key, LoggingConfig: {LogGroup: !Ref G}}}
  G:"""
# What is changed in the good template, into what, the rule that finds it, and a word of what it says.
CASES = [
    ("LoggingConfig: {LogGroup: !Ref G}", "MemorySize: 512", "E9001", "no log group"),
    ("{LogGroup: !Ref G}", "{LogGroup: /aws/lambda/f}", "E9001", "no log group"),
    ("\n  G:", SECOND, "E9001", "shares"),
    ("{RetentionInDays: !Ref Days}", "{LogGroupName: !Sub 'g-${Days}'}", "E9001", "for ever"),
    ("MinValue: 7, ", "", "E9002", "takes anything"),
    (", ConstraintDescription: must be 7", "", "E9002", "ConstraintDescription"),
    ("Description: Days., ", "", "E9002", "no Description"),
    ("arn:${AWS::Partition}:sqs", "arn:aws:sqs", "E9003", "AWS::Partition"),
    ("DB_PING_TIMEOUT_MS: 300", "DB_PING_TIMEOUT_MS: 1000", "E9004", "DB_PING_TIMEOUT_MS"),
    ("DB_CONNECT_TIMEOUT_MS: 1000", "DB_CONNECT_TIMEOUT_MS: 4500", "E9004", "DB_CONNECT_TIMEOUT_MS"),
    ("DB_ATTEMPT_TIMEOUT_MS: 4500", "DB_ATTEMPT_TIMEOUT_MS: 9001", "E9004", "DB_ATTEMPT_TIMEOUT_MS"),
    ("DEADLINE_RESERVE_MS: 500", "DEADLINE_RESERVE_MS: 1001", "E9004", "Timeout"),
    ("Timeout: 10", "Description: no Timeout of its own", "E9004", "Timeout"),
    ("{ConnectionBorrowTimeout: 2}", "{MaxConnectionsPercent: 90}", "E9004", "120 s"),
    ("{ConnectionBorrowTimeout: 2}", "{ConnectionBorrowTimeout: 30}", "E9004", "API Gateway"),
]


def found(template):
    """The findings of the house's rules in a template's text."""
    config = api.ManualArgs(regions=["eu-central-1"], append_rules=[str(ROOT / "infra" / "rules")])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "template.yaml"
        path.write_text(template)
        matches = api.lint_file(path, config=config)
    return [(match.rule.id, match.message) for match in matches if match.rule.id.startswith("E9")]


class HouseRules(unittest.TestCase):
    def test_a_good_template_is_found_good(self):
        self.assertEqual(found(GOOD), [])

    def test_each_rule_finds_what_it_forbids(self):
        for old, new, rule, word in CASES:
            with self.subTest(f"{old} → {new}"):
                self.assertEqual(GOOD.count(old), 1, "the case changes nothing, or too much")
                findings = found(GOOD.replace(old, new))
                self.assertTrue(any(rule == id and word in message for id, message in findings), findings)

    def test_every_rule_has_a_case(self):
        written = {id for path in (ROOT / "infra" / "rules").glob("*.py") for id in re.findall(r'id = "(E\d+)"', path.read_text())}
        self.assertEqual(written, {rule for _, _, rule, _ in CASES})


if __name__ == "__main__":
    unittest.main()
