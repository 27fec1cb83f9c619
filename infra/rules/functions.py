"""What holds for every function: a log group of its own, and waits that end in order. (cfn-lint loads each file by itself: what two rules
share stands with them.)"""

from cfnlint.rules import CloudFormationLintRule, RuleMatch

# Inner and outer wait, by their variables.
ORDER = [
    ("DB_PING_TIMEOUT_MS", "DB_CONNECT_TIMEOUT_MS"),
    ("DB_CONNECT_TIMEOUT_MS", "DB_ATTEMPT_TIMEOUT_MS"),
    ("DB_ATTEMPT_TIMEOUT_MS", "RETRY_BUDGET_MS"),
]
# AWS: what an HTTP API waits for an integration at most.
GATEWAY_MS = 30_000


def functions(cfn):
    """The properties of each function by its name, those of Globals merged in as SAM merges them: mappings key by key."""
    shared = cfn.template.get("Globals", {}).get("Function", {})
    found = {name: merged(shared, resource.get("Properties", {})) for name, resource in cfn.get_resources("AWS::Serverless::Function").items()}
    found.update({name: resource.get("Properties", {}) for name, resource in cfn.get_resources("AWS::Lambda::Function").items()})
    return found


def merged(shared, own):
    if not (isinstance(shared, dict) and isinstance(own, dict)):
        return own
    return {**shared, **{key: merged(shared[key], value) if key in shared else value for key, value in own.items()}}


def number(value):
    """The value as a number, or None where it is an intrinsic function or no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


class LogGroupPerFunction(CloudFormationLintRule):
    """Every function writes to a log group of the template's own, which ends logs after a time and which its role can be held to."""

    id = "E9001"
    shortdesc = "A function has a log group of its own, with a retention"
    description = "Lambda makes a log group that keeps everything for ever, unless the template names one"
    tags = ["thaw", "logs"]

    def match(self, cfn):
        matches = []
        groups = cfn.get_resources("AWS::Logs::LogGroup")
        for name, group in groups.items():
            if "RetentionInDays" not in group.get("Properties", {}):
                matches.append(RuleMatch(["Resources", name], f"the log group {name} keeps everything for ever: give it RetentionInDays"))
        seen = {}
        for name, properties in functions(cfn).items():
            path = ["Resources", name, "Properties"]
            group = properties.get("LoggingConfig", {}).get("LogGroup")
            target = group.get("Ref") if isinstance(group, dict) else None
            if target not in groups:
                matches.append(RuleMatch(path, f"{name} has no log group of this template: LoggingConfig.LogGroup is to be a !Ref to one"))
            elif target in seen:
                matches.append(RuleMatch(path, f"{name} shares the log group {target} with {seen[target]}: give it one of its own"))
            else:
                seen[target] = name
        return matches


class TimeLadder(CloudFormationLintRule):
    """The time ladder as far as templates have it: each wait ends before the one around it. What the database's roles have, and the order
    across templates, is computed by tests/it/time_ladder.rs."""

    id = "E9004"
    shortdesc = "Each wait ends before the one around it"
    description = "A response leaves before the deadline, and the innermost wait is the one that says what went wrong"
    tags = ["thaw", "timeouts"]

    def match(self, cfn):
        matches = []
        for name, properties in functions(cfn).items():
            variables = properties.get("Environment", {}).get("Variables", {})
            path = ["Resources", name, "Properties"]
            ms = {key: number(value) for key, value in variables.items()}
            for inner, outer in ORDER:
                if None not in (ms.get(inner), ms.get(outer)) and ms[inner] >= ms[outer]:
                    matches.append(RuleMatch(path, f"{inner} ({ms[inner]:.0f}) of {name} is not below {outer} ({ms[outer]:.0f})"))
            budget, reserve, timeout = ms.get("RETRY_BUDGET_MS"), ms.get("DEADLINE_RESERVE_MS"), number(properties.get("Timeout", 3))
            if None not in (budget, reserve, timeout) and budget + reserve > timeout * 1000:
                matches.append(RuleMatch(path, f"RETRY_BUDGET_MS and DEADLINE_RESERVE_MS of {name} are more than its Timeout, {timeout:.0f} s"))
        for name, targets in cfn.get_resources("AWS::RDS::DBProxyTargetGroup").items():
            path = ["Resources", name, "Properties"]
            pool = targets.get("Properties", {}).get("ConnectionPoolConfigurationInfo", {})
            borrow = number(pool.get("ConnectionBorrowTimeout"))
            if borrow is None:
                matches.append(RuleMatch(path, f"{name} has no ConnectionBorrowTimeout in numbers, and its default is 120 s"))
            elif borrow * 1000 >= GATEWAY_MS:
                matches.append(RuleMatch(path, f"ConnectionBorrowTimeout of {name} ({borrow:.0f} s) is past what API Gateway waits"))
        return matches
