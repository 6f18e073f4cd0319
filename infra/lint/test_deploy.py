"""What make deploy deploys with GRADUAL=… and USAGE_PLAN=…, by SAM's own translation. Run by make lint-template."""

import pathlib
import re
import sys
import unittest

from samcli.yamlhelper import yaml_parse

from transform import transformed

INFRA = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(INFRA / "deploy"))
import api_keys  # noqa: E402
import gradual  # noqa: E402

BEHIND_ROUTES = {"CreateExport", "GetExport", "DownloadExport", "DeleteExport", "EstimateExport", "Describe", "Health", "ListExports", "Webhooks"}


def template():
    return yaml_parse((INFRA.parent / "template.yaml").read_text(encoding="utf-8"))


def of_gradual(release="1"):
    t = template()
    gradual.make_gradual(t, "Canary10Percent5Minutes", release)
    return transformed(t)["Resources"]


class GradualTest(unittest.TestCase):
    def setUp(self):
        self.resources = of_gradual()

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
            return {name for name, r in of_gradual(release).items() if r["Type"] == "AWS::Lambda::Version"}
        self.assertEqual(len(versions("1")), len(BEHIND_ROUTES))
        self.assertFalse(versions("1") & versions("2"))

    def test_the_alarm_watches_the_aliases(self):
        metrics = self.resources["ReleaseErrorAlarm"]["Properties"]["Metrics"]
        watched = {re.sub("Function$", "", m["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"]) for m in metrics if "MetricStat" in m}
        self.assertEqual(watched, BEHIND_ROUTES)
        self.assertLessEqual(len(metrics), 11)  # CloudWatch's bound: ten metrics in an expression

    def test_without_it_there_are_no_aliases(self):
        self.assertNotIn("AWS::Lambda::Alias", {r["Type"] for r in transformed(template())["Resources"].values()})


class ApiKeysTest(unittest.TestCase):
    def keys(self, resources):
        paths = resources["Api"]["Properties"]["Body"]["paths"]
        return {(verb.upper(), path): any("api_key" in s for s in method.get("security", [])) for path, methods in paths.items() for verb, method in methods.items()}

    def test_all_routes_but_the_public_ones_ask_for_a_key(self):
        t = template()
        api_keys.ask_for_keys(t, 10, 20, 100000)
        resources = transformed(t)["Resources"]
        without = {route for route, key in self.keys(resources).items() if not key and route[0] != "OPTIONS"}
        self.assertEqual(without, {("GET", "/health"), ("GET", "/openapi.yaml"), ("GET", "/")})
        self.assertFalse(any(key for route, key in self.keys(resources).items() if route[0] == "OPTIONS"))
        methods = [m for path in resources["Api"]["Properties"]["Body"]["paths"].values() for verb, m in path.items() if verb != "options"]
        self.assertTrue(all({"Tokens": []} in m["security"] for m in methods), "a route is without its authorizer")
        self.assertFalse(any("api_key_false" in str(m) for m in methods))
        plan = resources["UsagePlan"]["Properties"]
        self.assertEqual((plan["Throttle"], plan["Quota"]), ({"RateLimit": 10, "BurstLimit": 20}, {"Limit": 100000, "Period": "MONTH"}))
        self.assertEqual(plan["ApiStages"][0]["Stage"], {"Ref": "Apiv1Stage"})

    def test_without_it_no_route_does(self):
        self.assertFalse(any(self.keys(transformed(template())["Resources"]).values()))


class PreflightTest(unittest.TestCase):
    def test_a_browser_is_answered_on_every_path_without_a_token(self):
        paths = transformed(template())["Resources"]["Api"]["Properties"]["Body"]["paths"]
        self.assertGreater(len(paths), 10)
        for path, methods in paths.items():
            self.assertEqual(methods["options"]["x-amazon-apigateway-integration"]["type"], "mock", path)
            self.assertNotIn("security", methods["options"], path)


unittest.main()
