"""Make the built template ask for API keys, under a usage plan. Run by make deploy USAGE_PLAN=….

    api_keys.py .aws-sam/build/template.yaml 10:20:100000

Requests a second, requests at once and requests a month, of each key. The
public routes need no key, since they are for whoever has none yet.

Why not in template.yaml: whether a method asks for a key can't depend on a
parameter where others never do (SAM refuses ApiKeyRequired: false unless the
API asks for keys), and a usage plan binds only methods that ask for one.
"""

import re
import sys

from samcli.yamlhelper import yaml_dump, yaml_parse

PUBLIC = {("GET", "/health"), ("GET", "/openapi.yaml"), ("GET", "/")}


def ask_for_keys(template: dict, rate: int, burst: int, month: int) -> None:
    resources = template["Resources"]
    resources["Api"]["Properties"]["Auth"] |= {"ApiKeyRequired": True, "AddApiKeyRequiredToCorsPreflight": False}
    events = [event["Properties"] for resource in resources.values() for event in resource.get("Properties", {}).get("Events", {}).values()]
    for event in events:
        if (event.get("Method"), event.get("Path")) in PUBLIC:
            event["Auth"] = {"ApiKeyRequired": False}
    resources["UsagePlan"] = {"Type": "AWS::ApiGateway::UsagePlan", "Properties": {
        "UsagePlanName": {"Ref": "AWS::StackName"}, "ApiStages": [{"ApiId": {"Ref": "Api"}, "Stage": {"Ref": "Api.Stage"}}],
        "Throttle": {"RateLimit": rate, "BurstLimit": burst}, "Quota": {"Limit": month, "Period": "MONTH"}}}


def main() -> None:
    path, limits = sys.argv[1:]
    if not (match := re.fullmatch(r"([1-9]\d*):([1-9]\d*):([1-9]\d*)", limits)):
        sys.exit(f"make deploy: USAGE_PLAN={limits} is not RATE:BURST:MONTH, such as 10:20:100000")
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    ask_for_keys(template, *map(int, match.groups()))
    with open(path, "w", encoding="utf-8") as file:
        file.write(yaml_dump(template))


if __name__ == "__main__":
    main()
