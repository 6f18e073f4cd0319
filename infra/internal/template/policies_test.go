package template_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/template"
)

const policiesTemplate = `Transform: AWS::Serverless-2016-10-31
Parameters:
  Roles: { Type: String, Default: "" }
  File: { Type: String, Default: "" }
Conditions:
  HasRoles: !Not [!Equals [!Ref Roles, ""]]
  HasFile: !Not [!Equals [!Ref File, ""]]
Globals:
  Function: { Runtime: provided.al2023, Handler: bootstrap }
Resources:
  Bucket: { Type: "AWS::S3::Bucket" }
  Queue: { Type: "AWS::SQS::Queue" }
  Logs: { Type: "AWS::Logs::LogGroup" }
  Inline:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/in-line/
      Policies:
        - AWSLambdaBasicExecutionRole
        - !Ref Shared
        - Statement:
            - Effect: Allow
              Action: sqs:SendMessage
              Resource: !GetAtt Queue.Arn
              Condition: { StringEquals: { "a:b": [c, d], "e:f": g } }
            - !If
              - HasRoles
              - { Effect: Allow, Action: "sts:AssumeRole", Resource: !Split [",", !Ref Roles] }
              - !Ref AWS::NoValue
  WithRole:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: functions/with-role/, Role: !GetAtt Role.Arn }
  Without:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: functions/without/ }
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {}
      ManagedPolicyArns: !If [HasFile, [!Ref Files], !Ref "AWS::NoValue"]
      Policies:
        - PolicyName: own
          PolicyDocument:
            Statement:
              - { Effect: Allow, Action: ["logs:PutLogEvents", "logs:CreateLogStream"], Resource: !GetAtt Logs.Arn }
  Shared:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Statement: [{ Effect: Allow, Action: ["s3:GetObject"], Resource: [!GetAtt Bucket.Arn, !Sub "${Bucket.Arn}/*"] }]
  Files:
    Type: AWS::IAM::ManagedPolicy
    Condition: HasFile
    Properties:
      PolicyDocument:
        Statement:
          - Effect: Allow
            Action: s3:GetObject
            Resource: !Sub ["arn:${AWS::Partition}:s3:::${Object}", { Object: !Select [1, !Split ["s3://", !Sub "${File}s3://"]] }]
`

func loadPolicies(t *testing.T, text string, parameters map[string]string) (template.Policies, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return template.LoadPolicies(path, template.Options{
		StackName: "s", Parameters: parameters, QueueURL: func(name string) string { return name },
	})
}

func TestLoadPolicies(t *testing.T) {
	shared := template.Statement{
		Line: 50, Actions: []string{"s3:GetObject"},
		Resources: []template.PolicyResource{{ARN: "arn:aws:s3:::s-bucket", Source: "${Bucket.Arn}"}, {ARN: "arn:aws:s3:::s-bucket/*", Source: "${Bucket.Arn}/*"}},
	}
	send := template.Statement{
		Line: 22, Actions: []string{"sqs:SendMessage"}, Resources: []template.PolicyResource{{ARN: "arn:aws:sqs:us-east-1:000000000000:s-Queue", Source: "${Queue.Arn}"}},
		Conditions: []template.PolicyCondition{{Operator: "StringEquals", Key: "a:b", Values: []string{"c", "d"}}, {Operator: "StringEquals", Key: "e:f", Values: []string{"g"}}},
	}
	logs := template.Statement{
		Line: 45, Actions: []string{"logs:PutLogEvents", "logs:CreateLogStream"},
		Resources: []template.PolicyResource{{ARN: "absent:s-Logs", Source: "${Logs.Arn}"}},
	}
	aws := template.Statement{Line: 19, Managed: "AWSLambdaBasicExecutionRole"}
	assume := template.Statement{
		Line: 28, Actions: []string{"sts:AssumeRole"},
		Resources: []template.PolicyResource{{ARN: "arn:aws:iam::1:role/a", Source: "${Roles}"}, {ARN: "arn:aws:iam::1:role/b", Source: "${Roles}"}},
	}
	file := template.Statement{
		Line: 57, Actions: []string{"s3:GetObject"}, Resources: []template.PolicyResource{{ARN: "arn:aws:s3:::bucket/key", Source: "arn:${AWS::Partition}:s3:::${File}"}},
	}
	tests := map[string]struct {
		parameters map[string]string
		want       template.Policies
	}{
		"without": {nil, template.Policies{
			Functions:  map[string][]template.Statement{"in-line": {aws, shared, send}, "with-role": {logs}, "without": nil},
			Conditions: map[string]bool{"HasRoles": false, "HasFile": false},
		}},
		"with": {map[string]string{"Roles": "arn:aws:iam::1:role/a,arn:aws:iam::1:role/b", "File": "s3://bucket/key"}, template.Policies{
			Functions:  map[string][]template.Statement{"in-line": {aws, shared, send, assume}, "with-role": {logs, file}, "without": nil},
			Conditions: map[string]bool{"HasRoles": true, "HasFile": true},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := loadPolicies(t, policiesTemplate, tt.parameters)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("policies (-want +got):\n%s", diff)
			}
		})
	}
}

// What isn't understood is an error and never passed over: it would be a right
// that nobody looks at.
func TestLoadPolicies_errors(t *testing.T) {
	tests := map[string]struct{ old, changed, want string }{
		"deny":               {"{ Effect: Allow, Action: [\"logs", "{ Effect: Deny, Action: [\"logs", "template.yaml:45: Effect Deny is not understood"},
		"NotAction":          {"Action: sqs:SendMessage", "NotAction: sqs:SendMessage", "template.yaml:23: a statement has NotAction, which is not understood"},
		"NotResource":        {"Resource: !GetAtt Queue.Arn", "NotResource: x", "template.yaml:24: a statement has NotResource, which is not understood"},
		"SAM's own template": {"- AWSLambdaBasicExecutionRole", "- SQSSendMessagePolicy: { QueueName: x }", "template.yaml:19: a policy has SQSSendMessagePolicy, which is not understood"},
		"role elsewhere":     {"Role: !GetAtt Role.Arn", "Role: arn:aws:iam::1:role/x", "template.yaml:32: the role of WithRole is none of this template"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(policiesTemplate, tt.old, tt.changed, 1)
			if _, err := loadPolicies(t, changed, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v\nwant %s", err, tt.want)
			}
		})
	}
}
