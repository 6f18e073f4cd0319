package functions_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// entry is a resource of template.yaml, without its intrinsic functions' names:
// of !If [Condition, A, B] the list is left, of !Ref Name the name.
type entry struct {
	Type                string         `yaml:"Type"`
	Condition           string         `yaml:"Condition"`
	DeletionPolicy      string         `yaml:"DeletionPolicy"`
	UpdateReplacePolicy string         `yaml:"UpdateReplacePolicy"`
	Properties          map[string]any `yaml:"Properties"`
}

type document struct {
	Metadata struct {
		Interface struct {
			ParameterGroups []struct {
				Parameters []string `yaml:"Parameters"`
			} `yaml:"ParameterGroups"`
		} `yaml:"AWS::CloudFormation::Interface"`
	} `yaml:"Metadata"`
	Parameters map[string]struct {
		Description string `yaml:"Description"`
	} `yaml:"Parameters"`
	Globals struct {
		Function map[string]any `yaml:"Function"`
	} `yaml:"Globals"`
	Resources map[string]entry `yaml:"Resources"`
}

func wholeTemplate(t *testing.T) document {
	t.Helper()
	var d document
	if err := yaml.Unmarshal([]byte(read(t, "../template.yaml")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// property returns what stands at a path of property names, as text.
func (e entry) property(path ...string) string {
	var at any = e.Properties
	for _, name := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return ""
		}
		at = m[name]
	}
	if at == nil {
		return ""
	}
	return fmt.Sprint(at)
}

func (d document) of(types ...string) map[string]entry {
	found := map[string]entry{}
	for name, e := range d.Resources {
		if slices.Contains(types, e.Type) {
			found[name] = e
		}
	}
	return found
}

// ifKey is how !If [HasKmsKey, !Ref KmsKeyArn, …] reads.
const ifKey = "[HasKmsKey KmsKeyArn AWS::NoValue]"

// Whatever keeps data is encrypted by the key that somebody gave, and the roles
// of all functions that reach it may use that key.
func TestHardening_key(t *testing.T) {
	d := wholeTemplate(t)
	at := map[string][]string{
		"AWS::DynamoDB::Table": {"SSESpecification", "KMSMasterKeyId"},
		"AWS::SQS::Queue":      {"KmsMasterKeyId"},
		"AWS::Logs::LogGroup":  {"KmsKeyId"},
	}
	for name, e := range d.of(slices.Collect(maps.Keys(at))...) {
		if got := e.property(at[e.Type]...); got != ifKey {
			t.Errorf("%s: the key is %q, want %q", name, got, ifKey)
		}
	}
	if got := fmt.Sprint(d.Globals.Function["KmsKeyArn"]); got != ifKey {
		t.Errorf("the functions' settings: the key is %q", got)
	}
	if got := d.Resources["AlarmTopic"].property("KmsMasterKeyId"); got != "[HasKmsKey KmsKeyArn AlarmKey.Arn]" {
		t.Errorf("the topic's key is %q", got)
	}
	for name, e := range d.of("AWS::S3::Bucket") {
		if got := e.property("BucketEncryption"); !strings.Contains(got, "[HasKmsKey map[KMSMasterKeyID:KmsKeyArn SSEAlgorithm:aws:kms] map[SSEAlgorithm:AES256]]") {
			t.Errorf("%s: encrypted as %s", name, got)
		}
	}
	for name, e := range d.of("AWS::Serverless::Function") {
		policies := e.property("Policies")
		if role, _, own := strings.Cut(e.property("Role"), "."); own {
			policies = d.Resources[role].property("ManagedPolicyArns")
		}
		may := strings.Contains(policies, "[HasKmsKey KeyAccess AWS::NoValue]")
		if wants := name != "AuthorizeFunction"; may != wants { // which asks for nothing in AWS
			t.Errorf("%s may use the key: %v, want %v", name, may, wants)
		}
	}
}

// What callers and their exports leave outlives the stack. Logs, messages and
// alarms' mails don't.
func TestHardening_kept(t *testing.T) {
	var kept []string
	d := wholeTemplate(t)
	for name, e := range d.Resources {
		if e.DeletionPolicy != "" || e.UpdateReplacePolicy != "" {
			kept = append(kept, name+" "+e.DeletionPolicy+" "+e.UpdateReplacePolicy)
		}
	}
	slices.Sort(kept)
	if diff := cmp.Diff([]string{"Bucket Retain Retain", "BucketByTlsOnly Retain Retain", "Table Retain Retain"}, kept); diff != "" {
		t.Errorf("what outlives the stack (-want +got):\n%s", diff)
	}
	table := d.Resources["Table"]
	if table.property("DeletionProtectionEnabled") != "true" || table.property("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") != "true" {
		t.Error("the table isn't protected from its deletion, or can't be brought back to a point in time")
	}
}

// Every function writes into a log group of its own, whose lines end some day.
func TestHardening_logs(t *testing.T) {
	d := wholeTemplate(t)
	groups := d.of("AWS::Logs::LogGroup")
	for name, e := range groups {
		if e.property("RetentionInDays") != "LogRetentionDays" {
			t.Errorf("%s is kept for %q days", name, e.property("RetentionInDays"))
		}
	}
	used := map[string]string{}
	for name, e := range d.of("AWS::Serverless::Function") {
		group := e.property("LoggingConfig", "LogGroup")
		if _, there := groups[group]; !there || used[group] != "" {
			t.Errorf("%s logs into %q, as %s does", name, group, used[group])
		}
		used[group] = name
	}
}

// Each alarm tells both the topic that was given and the stack's own, also of its end.
func TestHardening_alarms(t *testing.T) {
	const topics = "[[HasAlarmTopic AlarmTopicArn AWS::NoValue] [HasAlarmEmail AlarmTopic AWS::NoValue]]"
	for name, e := range wholeTemplate(t).of("AWS::CloudWatch::Alarm") {
		for _, when := range []string{"AlarmActions", "OKActions"} {
			if got := e.property(when); got != topics {
				t.Errorf("%s: %s are %s", name, when, got)
			}
		}
	}
}

// Endpoints are reached by the functions only, and lead to what the stack uses only.
func TestHardening_endpoints(t *testing.T) {
	for name, e := range wholeTemplate(t).of("AWS::EC2::VPCEndpoint") {
		if !strings.HasPrefix(e.Condition, "Has") || !strings.HasSuffix(e.Condition, "Endpoint") && !strings.HasSuffix(e.Condition, "Endpoints") {
			t.Errorf("%s is made on the condition %q", name, e.Condition)
		}
		if e.property("VpcEndpointType") == "Interface" && (e.property("SecurityGroupIds") != "[EndpointSecurityGroup]" || e.property("PrivateDnsEnabled") != "true") {
			t.Errorf("%s: security groups %s, private DNS %s", name, e.property("SecurityGroupIds"), e.property("PrivateDnsEnabled"))
		}
		statements, _ := e.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any)
		for _, s := range statements {
			if text := fmt.Sprint(s); strings.Contains(text, "Resource:*") && !strings.Contains(text, "Condition:map[ArnEquals:map[aws:PrincipalArn:") {
				t.Errorf("%s lets everything through: %v", name, s)
			}
		}
		if len(statements) == 0 {
			t.Errorf("%s has no policy", name)
		}
	}
}

// What the functions in the VPC may ask of SQS, they can ask through the
// endpoint. Messages are received by Lambda, which does it outside of the VPC.
func TestHardening_queueEndpoint(t *testing.T) {
	d := wholeTemplate(t)
	var want []string
	for _, e := range d.of("AWS::Serverless::Function") {
		if e.property("VpcConfig") == "" {
			continue
		}
		role, _, _ := strings.Cut(e.property("Role"), ".")
		want = append(want, matches(`(sqs:[A-Za-z]+)`, d.Resources[role].property("Policies"))...)
	}
	slices.Sort(want)
	want = slices.DeleteFunc(slices.Compact(want), func(a string) bool { return a == "sqs:ReceiveMessage" || a == "sqs:DeleteMessage" })
	if got := matches(`(sqs:[A-Za-z]+)`, d.Resources["QueueEndpoint"].property("PolicyDocument")); !slices.Equal(want, got) || len(got) == 0 {
		t.Errorf("the endpoint lets %v through, the functions ask for %v", got, want)
	}
}

// Who deploys finds each parameter in the console's form and in the manual.
func TestParameters(t *testing.T) {
	d := wholeTemplate(t)
	var grouped []string
	for _, g := range d.Metadata.Interface.ParameterGroups {
		grouped = append(grouped, g.Parameters...)
	}
	slices.Sort(grouped)
	all := slices.Sorted(maps.Keys(d.Parameters))
	if diff := cmp.Diff(all, grouped); diff != "" {
		t.Errorf("parameters in the groups of Metadata (-parameters +groups):\n%s", diff)
	}
	_, settings, _ := strings.Cut(read(t, "../docs/operations.md"), "\n## Settings\n")
	settings, _, _ = strings.Cut(settings, "\n## ")
	for _, name := range all {
		if d.Parameters[name].Description == "" {
			t.Errorf("%s has no description", name)
		}
		if !strings.Contains(settings, "`"+name+"`") {
			t.Errorf("docs/operations.md doesn't say what %s is", name)
		}
	}
}
