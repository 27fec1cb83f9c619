"""Holds what SAM makes of the root template, and what SAM CLI makes of infra/samconfig.toml, to what they mean: both read values otherwise than
they look, and say nothing. Run by `.ci/run` under SAM CLI's own Python."""

import re
import tomllib
import unittest
from pathlib import Path

from samcli.cli.types import CfnParameterOverridesType
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parent.parent
ORIGINS = "https://a.example,https://b.example"
FILL_IN = "FILL-IN"


def transformed():
    """The root template as CloudFormation gets it."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"  # as sam package leaves it
    values = {"JwtIssuer": "https://issuer.example/", "JwtAudience": "thaw", "CorsAllowedOrigins": ORIGINS}

    class Region:
        region_name = "eu-central-1"

    return Translator({}, Parser(), None, Region()).translate(template, values)


def environments():
    """Each environment of samconfig.toml: its name, its template, and its parameters as `sam deploy` reads them."""
    settings = tomllib.loads((ROOT / "infra" / "samconfig.toml").read_text())
    for name, commands in settings.items():
        if not isinstance(commands, dict):
            continue
        deploy = commands["deploy"]["parameters"]
        template = yaml_parse((ROOT / deploy.get("template_file", "template.yaml")).read_text())
        written = deploy.get("parameter_overrides", [])
        yield name, template, written, CfnParameterOverridesType().convert(tuple(written), None, None)


def refusal(parameter, value):
    """Why CloudFormation would refuse the value; None where it would not."""
    items = value.split(",") if parameter["Type"] == "CommaDelimitedList" else [value]
    for item in items:
        if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], item):
            return f"{item!r} is not {parameter['AllowedPattern']}"
        if "AllowedValues" in parameter and item not in [str(allowed) for allowed in parameter["AllowedValues"]]:
            return f"{item!r} is none of {parameter['AllowedValues']}"
        if "MinValue" in parameter and not parameter["MinValue"] <= float(item) <= parameter["MaxValue"]:
            return f"{item!r} is out of range"
    return None


class Transformed(unittest.TestCase):
    def test_cors_has_all_of_its_settings_and_none_without_origins(self):
        name, chosen, otherwise = transformed()["Resources"]["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]["Fn::If"]
        self.assertEqual((name, otherwise), ("HasCors", {"Ref": "AWS::NoValue"}))
        self.assertEqual(chosen["allowOrigins"], {"Fn::Split": [",", ORIGINS]})
        written = {"allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"}
        self.assertEqual(set(chosen), written, "a name that SAM does not translate, or one that it lost")

    def test_nothing_has_a_name_that_another_stack_of_the_account_would_have(self):
        """CloudFormation makes a name of its own where there is none. One that is given has to differ by stack."""
        names = {"Name", "AlarmName", "FunctionName", "LogGroupName", "RoleName", "ManagedPolicyName", "QueueName", "TopicName"}
        found = 0
        for logical_id, resource in transformed()["Resources"].items():
            for key in names & set(resource.get("Properties", {})):
                text = resource["Properties"][key]
                # What refers to something that is named elsewhere; an alias is named in its function, and a record in its zone.
                if (isinstance(text, dict) and "Ref" in text) or resource["Type"] in ("AWS::Lambda::Alias", "AWS::Route53::RecordSet"):
                    continue
                found += 1
                text = str(text)
                self.assertTrue("${AWS::StackName}" in text or "${Prefix}" in text, f"{key} of {logical_id} is {text} in every stack")
        self.assertGreater(found, 20, "nothing was looked at")

    def test_each_function_has_its_own_role_and_no_role_of_sams(self):
        resources = transformed()["Resources"]
        roles = [resource["Properties"]["Role"]["Fn::GetAtt"][0] for resource in resources.values() if resource["Type"] == "AWS::Lambda::Function"]
        self.assertGreaterEqual(len(roles), 6)
        self.assertEqual(len(roles), len(set(roles)))
        written = set(yaml_parse((ROOT / "template.yaml").read_text())["Resources"])
        made = {name for name, resource in resources.items() if resource["Type"] == "AWS::IAM::Role"} - written
        self.assertEqual(made, set(), "SAM's roles may write to every log group")


class Settings(unittest.TestCase):
    def test_sam_reads_each_parameter_whole(self):
        for name, _, written, read in environments():
            with self.subTest(name):
                self.assertEqual([f"{key}={value}" for key, value in read.items()], written)

    def test_each_value_is_one_that_its_template_takes_and_what_is_to_be_filled_in_is_none(self):
        for name, template, _, read in environments():
            for key, value in read.items():
                with self.subTest(f"{name}: {key}"):
                    why = refusal(template["Parameters"][key], value)
                    if value == FILL_IN:
                        self.assertIsNotNone(why, "it would be deployed as it is")
                    else:
                        self.assertIsNone(why)

    def test_what_has_no_default_is_given(self):
        for name, template, _, read in environments():
            needed = {key for key, parameter in template["Parameters"].items() if "Default" not in parameter}
            with self.subTest(name):
                self.assertEqual(needed - set(read), set())


if __name__ == "__main__":
    unittest.main()
