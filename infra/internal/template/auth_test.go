package template_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// guarded is an API with an authorizer, to which a test adds from line 7 on.
const guarded = `  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: f/
      Handler: bootstrap
      Runtime: provided.al2023
      Events:
        Get: {Type: Api, Properties: {RestApiId: !Ref Api, Method: GET, Path: /f}}
  A: {Type: AWS::Serverless::Function, Properties: {CodeUri: a/, Handler: bootstrap, Runtime: provided.al2023}}
`

func TestLoad_Auth(t *testing.T) {
	const good = "      Auth:\n        DefaultAuthorizer: Mine\n        Authorizers:\n          Mine: {FunctionArn: !GetAtt A.Arn, FunctionPayloadType: REQUEST, Identity: {ReauthorizeEvery: 0}}\n"
	for name, test := range map[string]struct{ auth, want string }{"none": {"", ""}, "default": {good, "A"}} {
		stack, err := load(t, api+test.auth+guarded, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := stack.Routes[0].Authorizer; got != test.want || len(stack.Routes) != 1 {
			t.Errorf("%s: the authorizer is %q, want %q", name, got, test.want)
		}
	}
	for name, test := range map[string]struct{ from, to, want string }{
		"no default":    {"        DefaultAuthorizer: Mine\n", "", "8: Auth has no DefaultAuthorizer"},
		"unknown":       {"DefaultAuthorizer: Mine", "DefaultAuthorizer: Other", "8: the authorizer Other is not understood; understood are those in Authorizers: Mine."},
		"signatures":    {"DefaultAuthorizer: Mine", "DefaultAuthorizer: AWS_IAM", "8: the authorizer AWS_IAM is not understood; "},
		"key":           {"DefaultAuthorizer: Mine", "DefaultAuthorizer: Mine\n        ApiKeyRequired: true", "9: Auth has ApiKeyRequired, which is not understood"},
		"token":         {"REQUEST", "TOKEN", "10: FunctionPayloadType TOKEN is not understood; understood are REQUEST"},
		"no type":       {"FunctionPayloadType: REQUEST, ", "", "10: authorizer Mine has no FunctionPayloadType"},
		"cache":         {"ReauthorizeEvery: 0", "ReauthorizeEvery: 300", "10: ReauthorizeEvery 300 is not understood; understood are 0"},
		"default cache": {", Identity: {ReauthorizeEvery: 0}", "", "10: authorizer Mine has no Identity: ReauthorizeEvery; "},
		"sources":       {"ReauthorizeEvery: 0", "ReauthorizeEvery: 0, Headers: [Authorization]", "10: Identity has Headers, which is not understood"},
		"no function":   {"!GetAtt A.Arn", "arn:aws:lambda:x", "10: authorizer Mine: arn:aws:lambda:x is no function of this template"},
	} {
		t.Run(name, func(t *testing.T) {
			auth := strings.Replace(good, test.from, test.to, 1)
			_, err := load(t, api+auth+guarded, nil)
			if err == nil || !strings.HasPrefix(err.Error(), "template.yaml:"+test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v\nwant template.yaml:%s", err, test.want)
			}
		})
	}
}

// No route is without its API's authorizer (decision 29).
func TestLoad_AuthOfRoute(t *testing.T) {
	exempt := strings.Replace(guarded, "Path: /f}", "Path: /f, Auth: {Authorizer: NONE}}", 1)
	_, err := load(t, api+exempt, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "template.yaml:14: event Get has Auth, which is not understood") {
		t.Errorf("error %v", err)
	}
}

// What docs/operations.md says to change for IAM can be changed so, and all
// but the signatures, which only AWS can check, is understood.
func TestLoad_iamVariant(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	variant := read("../../../template.yaml")
	_, diff, _ := strings.Cut(read("../../../docs/operations.md"), "```diff\n")
	diff, _, _ = strings.Cut(diff, "```")
	var removed, added []string
	for line := range strings.Lines(diff) {
		switch line[0] {
		case '-':
			removed = append(removed, line[1:])
		case '+':
			added = append(added, line[1:])
		default:
			t.Errorf("a line that neither goes nor comes: %q", line)
		}
	}
	from, to := strings.Join(removed, ""), strings.Join(added, "")
	if from == "" || to == "" || strings.Count(variant, from) != 1 {
		t.Fatalf("template.yaml doesn't hold, once, the lines that docs/operations.md takes out:\n%s", from)
	}
	variant = strings.Replace(variant, from, to, 1)
	before, _, _ := strings.Cut(variant, "DefaultAuthorizer: AWS_IAM")
	line := strings.Count(before, "\n") + 1
	_, err := load(t, variant, map[string]string{"AuthMode": "iam"})
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "AWS_IAM") || !strings.HasPrefix(err.Error(), "template.yaml:"+strconv.Itoa(line)+": ") {
		t.Errorf("error %v, want one: that signatures can't be checked, at line %d", err, line)
	}
}
