"""Make the built template shift requests to the new functions gradually. Run by make deploy GRADUAL=….

    gradual.py .aws-sam/build/template.yaml Canary10Percent5Minutes

Each function with a route gets an alias that API Gateway calls, and CodeDeploy
moves the alias from the old version to the new one as the configuration says.
While it does, an error of these functions or the alarm of the API's 5xx answers
brings the old versions back, and the whole deployment with them.

Why not in template.yaml: a version is published when its logical id changes,
which SAM makes of the template's text. A parameter's new value would not reach
the functions then, and AutoPublishAlias can't depend on a parameter. Here each
deployment is a release of its own.
"""

import hashlib
import re
import sys
import time

from samcli.yamlhelper import yaml_dump, yaml_parse

ALIAS = "live"
ALARM = "ReleaseErrorAlarm"
CONFIGURATIONS = re.compile(r"(Canary10Percent(5|10|15|30)Minutes|Linear10PercentEvery(1|2|3|10)Minutes?|AllAtOnce)")


def behind_routes(resource: dict) -> bool:
    """Whether it is a function that API Gateway calls for a route."""
    events = resource.get("Properties", {}).get("Events", {}).values()
    return resource["Type"] == "AWS::Serverless::Function" and any(e["Type"] == "Api" for e in events)


def release_alarm(functions: list[str]) -> dict:
    """An alarm of any error of the functions' aliases, of old and new versions alike."""
    def errors(name: str) -> dict:
        dimensions = [{"Name": "FunctionName", "Value": {"Ref": name}}, {"Name": "Resource", "Value": {"Fn::Sub": f"${{{name}}}:{ALIAS}"}}]
        metric = {"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": dimensions}
        return {"Id": name[0].lower() + name[1:], "ReturnData": False, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}

    total = {"Id": "errors", "Expression": "SUM(METRICS())", "Label": "Errors of the API's functions"}
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": {
        "AlarmDescription": "A function behind the routes crashed, timed out or didn't start. While a deployment is under way it is rolled back.",
        "Metrics": [total, *map(errors, functions)], "EvaluationPeriods": 1, "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching"}}


def make_gradual(template: dict, configuration: str, release: str) -> None:
    resources = template["Resources"]
    functions = [name for name, resource in resources.items() if behind_routes(resource)]
    for name in functions:
        resources[name]["Properties"] |= {
            "AutoPublishAlias": ALIAS,
            # Taken into the version's logical id and the function's description, so that Lambda publishes one in any case.
            "AutoPublishCodeSha256": hashlib.sha256(release.encode()).hexdigest(),
            "DeploymentPreference": {"Type": configuration, "Alarms": [{"Ref": ALARM}, {"Ref": "ApiErrorAlarm"}]},
        }
    resources[ALARM] = release_alarm(functions)
    for dimension in resources["ApiErrorAlarm"]["Properties"]["Dimensions"]:
        if dimension["Name"] == "Stage":  # by its name: a reference would close a circle of alarm, alias and API
            dimension["Value"] = resources["Api"]["Properties"]["StageName"]


def main() -> None:
    path, configuration = sys.argv[1:]
    if not CONFIGURATIONS.fullmatch(configuration):
        sys.exit(f"make deploy: GRADUAL={configuration} is none of CodeDeploy's configurations, such as Canary10Percent5Minutes or Linear10PercentEvery1Minute")
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    make_gradual(template, configuration, str(time.time_ns()))
    with open(path, "w", encoding="utf-8") as file:
        file.write(yaml_dump(template))


if __name__ == "__main__":
    main()
