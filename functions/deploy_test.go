package functions_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// Whoever follows docs/deploy.md gives parameters that template.yaml has, and
// reads outputs that it has: another name stops the deployment.
func TestDeploy(t *testing.T) {
	var template struct {
		Parameters map[string]struct {
			AllowedValues  []any  `yaml:"AllowedValues"`
			AllowedPattern string `yaml:"AllowedPattern"`
		} `yaml:"Parameters"`
		Outputs map[string]any `yaml:"Outputs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "../template.yaml")), &template); err != nil {
		t.Fatal(err)
	}
	manual := read(t, "../docs/deploy.md")
	var given []string
	for line := range strings.Lines(manual) {
		if strings.HasPrefix(line, "$ ") && strings.Contains(line, "aws ") { // the AWS CLI's own options
			continue
		}
		for _, m := range regexp.MustCompile("\\b([A-Z][a-z][A-Za-z]+)=([^\\s`\"]*)").FindAllStringSubmatch(line, -1) {
			name, value := m[1], m[2]
			given = append(given, name)
			parameter, there := template.Parameters[name]
			if !there {
				t.Errorf("docs/deploy.md gives the parameter %s, which template.yaml doesn't have", name)
			}
			if parameter.AllowedPattern == "" || strings.ContainsAny(value, "$…") {
				continue
			}
			if !regexp.MustCompile(parameter.AllowedPattern).MatchString(strings.TrimRight(value, ".,;:")) {
				t.Errorf("docs/deploy.md gives %s=%s, which template.yaml refuses", name, value)
			}
		}
	}
	for _, name := range []string{"AuthIssuer", "AuthAudience", "DatabaseSecretArn", "DatabaseUrl", "DatabaseIamUserArn", "DatabaseCa", "Datasets", "VpcSubnetIds", "VpcSecurityGroupIds"} {
		if !slices.Contains(given, name) {
			t.Errorf("docs/deploy.md doesn't give %s", name)
		}
	}
	keys := read(t, "../infra/deploy/api_keys.py")
	outputs := matches(`\bout ([A-Za-z]+)\)`, manual+read(t, "../docs/operations.md"))
	for _, name := range outputs {
		// make deploy with API keys adds one.
		if _, there := template.Outputs[name]; !there && !strings.Contains(keys, `template["Outputs"]["`+name+`"]`) {
			t.Errorf("the manuals ask for the output %s, which template.yaml doesn't have", name)
		}
	}
	if len(outputs) < 5 {
		t.Errorf("the manuals ask for the outputs %v only", outputs)
	}
}
