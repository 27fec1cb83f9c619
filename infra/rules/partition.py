"""ARNs hold in every partition: those of China and of GovCloud do not begin with arn:aws:."""

from cfnlint.rules import CloudFormationLintRule, RuleMatch

PREFIX = "arn:"
VARIABLE = "${AWS::Partition}:"


class PartitionInArn(CloudFormationLintRule):
    id = "E9003"
    shortdesc = "An ARN takes its partition from AWS::Partition"
    description = "An ARN that is written with a partition of its own does not exist in the others"
    tags = ["thaw", "arn"]

    def match(self, cfn):
        matches = []
        for section in ("Conditions", "Resources", "Outputs"):
            self._walk(cfn.template.get(section, {}), [section], matches)
        return matches

    def _walk(self, node, path, matches):
        if isinstance(node, dict):
            for key, value in node.items():
                self._walk(value, [*path, key], matches)
        elif isinstance(node, list):
            for index, value in enumerate(node):
                self._walk(value, [*path, index], matches)
        elif isinstance(node, str):
            start = node.find(PREFIX)
            while start >= 0:
                if not node.startswith(VARIABLE, start + len(PREFIX)):
                    matches.append(RuleMatch(path, f"write arn:{VARIABLE}… in place of {node[start:start + 40]!r}"))
                start = node.find(PREFIX, start + 1)
