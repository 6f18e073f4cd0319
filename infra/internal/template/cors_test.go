package template_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/template"
)

const cors = "      Cors: {AllowOrigin: \"'https://app.example'\", AllowMethods: \"'GET,POST'\", MaxAge: \"'60'\"}\n"

func TestLoad_Cors(t *testing.T) {
	stack, err := load(t, api+cors+guarded, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Allow-Methods": "GET,POST", "Access-Control-Max-Age": "60",
	}
	if diff := cmp.Diff(want, stack.Preflight); diff != "" {
		t.Errorf("preflight (-want +got):\n%s", diff)
	}
	if stack, err = load(t, api+guarded, nil); err != nil || stack.Preflight != nil {
		t.Errorf("without Cors: %v, %v", stack.Preflight, err)
	}
	const auth = "      Auth:\n        DefaultAuthorizer: Mine\n        Authorizers:\n          Mine: {FunctionArn: !GetAtt A.Arn, FunctionPayloadType: REQUEST, Identity: {ReauthorizeEvery: 0}}\n"
	for name, test := range map[string]struct{ text, want string }{
		"no quotes":              {strings.Replace(cors, "\"'60'\"", "60", 1), `7: MaxAge must be a text in single quotes, such as "'GET'", not "60"`},
		"credentials":            {strings.Replace(cors, "MaxAge: \"'60'\"", "AllowCredentials: true", 1), "7: Cors has AllowCredentials, which is not understood"},
		"preflight asks for one": {cors + auth, "9: API Api has Cors, so Auth must have AddDefaultAuthorizerToCorsPreflight: false"},
		"preflight with a token": {cors + auth + "        AddDefaultAuthorizerToCorsPreflight: true\n", "12: AddDefaultAuthorizerToCorsPreflight true is not understood; understood are false"},
	} {
		if _, err := load(t, api+test.text+guarded, nil); err == nil || !strings.HasPrefix(err.Error(), "template.yaml:"+test.want) {
			t.Errorf("%s: error %v\nwant template.yaml:%s", name, err, test.want)
		}
	}
}

// The project's own: off by default, and one parameter turns on preflights, what
// API Gateway answers itself, the functions' setting and the bucket's rule.
func TestLoad_AllowedOrigin(t *testing.T) {
	const origin, header = "https://app.example", "Access-Control-Allow-Origin"
	for _, given := range []string{"", origin} {
		stack, err := template.Load("../../../template.yaml", template.Options{
			StackName: "Local", Parameters: map[string]string{"AllowedOrigin": given}, QueueURL: queueURL,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := stack.Preflight[header]; got != given {
			t.Errorf("%q: preflights allow %q", given, got)
		}
		for typ, r := range stack.GatewayResponses {
			if got := r.Headers[header]; got != given {
				t.Errorf("%q: %s allows %q", given, typ, got)
			}
		}
		for _, f := range stack.Functions {
			if got := f.Environment["ALLOWED_ORIGIN"]; got != given {
				t.Errorf("%q: %s has %q", given, f.LogicalID, got)
			}
		}
		if rules := stack.Buckets[0].CORS; given == "" && rules != nil || given != "" && (len(rules) != 1 || !cmp.Equal(rules[0].Origins, []string{given})) {
			t.Errorf("%q: the bucket's rules are %v", given, rules)
		}
	}
}

// What protects a stack in AWS doesn't keep it from being served locally.
func TestLoad_everythingOn(t *testing.T) {
	const key, account = "arn:aws:kms:us-east-1:123456789012:key/k", "123456789012"
	parameters := map[string]string{
		"KmsKeyArn": key, "AlarmEmail": "ops@example.com", "AlarmTopicArn": "arn:aws:sns:us-east-1:" + account + ":ops", "ApiAccessLog": "true",
		"VpcEndpoints": "true", "VpcId": "vpc-1a", "VpcSubnetIds": "subnet-1a,subnet-2b", "VpcSecurityGroupIds": "sg-1a", "VpcRouteTableIds": "rtb-1a",
		"Architecture": "x86_64", "DeliveryRoles": "arn:aws:iam::" + account + ":role/r", "Datasets": "s3://bucket/datasets.yaml",
	}
	plain, err := template.Load("../../../template.yaml", template.Options{StackName: "Local", QueueURL: queueURL})
	if err != nil {
		t.Fatal(err)
	}
	stack, err := template.Load("../../../template.yaml", template.Options{StackName: "Local", Parameters: parameters, QueueURL: queueURL})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain.Tables, stack.Tables) + cmp.Diff(plain.Queues, stack.Queues) + cmp.Diff(plain.Routes, stack.Routes); diff != "" {
		t.Errorf("(-plain +all on):\n%s", diff)
	}
}
