"""Print the CloudFormation template that SAM makes of a SAM template.

That is what is deployed: it has the roles, permissions and event source
mappings that SAM adds, which checkov can't see in the template itself.
Nothing is asked of AWS; parameters have their defaults.
"""

import json
import logging
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """Stands in for IAM's list of managed policies, by whose names the template may not refer to them."""

    def load(self) -> dict[str, str]:
        return {}


def transformed(template: dict) -> dict:
    logging.disable(logging.WARNING)  # SAM tells what its feature toggles lack
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"  # where sam deploy would put the code
    return transform(template, {}, NoManagedPolicies())


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        json.dump(transformed(yaml_parse(source.read())), sys.stdout, indent=1)
