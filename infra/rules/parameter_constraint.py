"""Every parameter says what it may be, and in words that a person can mend it by."""

from cfnlint.rules import CloudFormationLintRule, RuleMatch


class ParameterConstraint(CloudFormationLintRule):
    id = "E9002"
    shortdesc = "A parameter has a constraint, its description and a description of itself"
    description = "A wrong value is to be refused before anything is deployed, by a sentence that names what is allowed"
    tags = ["thaw", "parameters"]

    def match(self, cfn):
        matches = []
        for name, parameter in cfn.template.get("Parameters", {}).items():
            path = ["Parameters", name]
            numbers = "MinValue" in parameter and "MaxValue" in parameter
            if not (numbers or "AllowedPattern" in parameter or "AllowedValues" in parameter):
                matches.append(RuleMatch(path, f"{name} takes anything: give it AllowedValues, AllowedPattern, or MinValue and MaxValue"))
            for words in ("ConstraintDescription", "Description"):
                if words not in parameter:
                    matches.append(RuleMatch(path, f"{name} has no {words}"))
        return matches
