"""What make deploy GRADUAL=… deploys, by SAM's own translation. Run by make lint-template."""

import pathlib
import re
import unittest

from transform import transformed

TEMPLATE = str(pathlib.Path(__file__).parent.parent.parent / "template.yaml")
BEHIND_ROUTES = {"CreateExport", "GetExport", "DownloadExport", "DeleteExport", "EstimateExport", "Describe", "Health", "ListExports", "Webhooks"}


class GradualTest(unittest.TestCase):
    def setUp(self):
        self.resources = transformed(TEMPLATE, "Canary10Percent5Minutes")["Resources"]

    def of(self, kind):
        return {name: r for name, r in self.resources.items() if r["Type"] == kind}

    def test_functions_behind_routes_have_an_alias_that_codedeploy_moves(self):
        aliases = self.of("AWS::Lambda::Alias")
        self.assertEqual(set(aliases), {f"{name}FunctionAliaslive" for name in BEHIND_ROUTES})
        for name, alias in aliases.items():
            update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
            group = self.resources[update["DeploymentGroupName"]["Ref"]]["Properties"]
            self.assertEqual(group["AlarmConfiguration"]["Alarms"], [{"Name": {"Ref": "ReleaseErrorAlarm"}}, {"Name": {"Ref": "ApiErrorAlarm"}}], name)
            self.assertIn("DEPLOYMENT_STOP_ON_ALARM", group["AutoRollbackConfiguration"]["Events"])
            self.assertEqual(group["DeploymentConfigName"]["Fn::Sub"][1]["ConfigName"], "Canary10Percent5Minutes")

    def test_routes_call_the_aliases(self):
        routes = [m for path in self.resources["Api"]["Properties"]["Body"]["paths"].values() for m in path.values()]
        self.assertGreaterEqual(len(routes), 16)
        for route in routes:
            uri = route["x-amazon-apigateway-integration"].get("uri")
            if uri:  # a preflight has none
                self.assertRegex(uri["Fn::Sub"], r"functions/\$\{[A-Za-z]+FunctionAliaslive\}/invocations$")

    def test_queues_call_the_functions_themselves(self):
        for name, mapping in self.of("AWS::Lambda::EventSourceMapping").items():
            self.assertRegex(mapping["Properties"]["FunctionName"]["Ref"], r"Function$", name)

    def test_each_deployment_is_a_release(self):
        def versions(release):
            return {name for name, r in transformed(TEMPLATE, "Canary10Percent5Minutes", release)["Resources"].items() if r["Type"] == "AWS::Lambda::Version"}
        self.assertEqual(len(versions("1")), len(BEHIND_ROUTES))
        self.assertFalse(versions("1") & versions("2"))

    def test_the_alarm_watches_the_aliases(self):
        metrics = self.resources["ReleaseErrorAlarm"]["Properties"]["Metrics"]
        watched = {re.sub("Function$", "", m["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"]) for m in metrics if "MetricStat" in m}
        self.assertEqual(watched, BEHIND_ROUTES)
        self.assertLessEqual(len(metrics), 11)  # CloudWatch's bound: ten metrics in an expression

    def test_without_it_there_are_no_aliases(self):
        self.assertNotIn("AWS::Lambda::Alias", {r["Type"] for r in transformed(TEMPLATE)["Resources"].values()})


unittest.main()
