"""Print the CloudFormation template that SAM makes of a SAM template.

    transform.py template.yaml [GRADUAL's configuration]

That is what is deployed: it has the roles, permissions and event source
mappings that SAM adds, which checkov can't see in the template itself.
Nothing is asked of AWS; parameters have their defaults.
"""

import json
import logging
import pathlib
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "deploy"))
import gradual  # noqa: E402


class NoManagedPolicies:
    """Stands in for IAM's list of managed policies, by whose names the template may not refer to them."""

    def load(self) -> dict[str, str]:
        return {}


def transformed(path: str, configuration: str = "", release: str = "1") -> dict:
    logging.disable(logging.WARNING)  # SAM tells what its feature toggles lack
    template = yaml_parse(pathlib.Path(path).read_text(encoding="utf-8"))
    if configuration:
        gradual.make_gradual(template, configuration, release)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"  # where sam deploy would put the code
    return transform(template, {}, NoManagedPolicies())


if __name__ == "__main__":
    json.dump(transformed(*sys.argv[1:]), sys.stdout, indent=1)
