package permissions_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"csvexport/infra/internal/permissions"
)

const smallTemplate = `Transform: AWS::Serverless-2016-10-31
Parameters:
  Key: { Type: String, Default: "" }
Conditions:
  HasKey: !Not [!Equals [!Ref Key, ""]]
Resources:
  Queue: { Type: "AWS::SQS::Queue" }
  Bucket: { Type: "AWS::S3::Bucket" }
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/f/
      Handler: bootstrap
      Runtime: provided.al2023
      Policies:
        - Statement:
            - { Effect: Allow, Action: "sqs:SendMessage", Resource: !GetAtt Queue.Arn }
            - { Effect: Allow, Action: "s3:GetObject", Resource: !Sub "${Bucket.Arn}/a/*" }
            - !If [HasKey, { Effect: Allow, Action: "kms:Decrypt", Resource: !Ref Key }, !Ref "AWS::NoValue"]
        - AWSLambdaBasicExecutionRole
`

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(path, []byte(smallTemplate), 0o600); err != nil {
		t.Fatal(err)
	}
	const queue, object = "arn:aws:sqs:us-east-1:000000000000:s-Queue", "arn:aws:s3:::s-bucket/a/b"
	send := permissions.Call{Function: "f", Action: "sqs:SendMessage", Resource: queue}
	get := permissions.Call{Function: "f", Action: "s3:GetObject", Resource: object}
	kms := permissions.Unused{[]string{"f"}, []string{"kms:Decrypt"}, "${Key}", "S3 decrypts"}
	logs := permissions.Unused{[]string{"f"}, []string{"policy"}, "AWSLambdaBasicExecutionRole", "logs"}
	key := map[string]string{"Key": "arn:aws:kms:us-east-1:000000000000:key/1"}
	tests := map[string]struct {
		calls     []permissions.Call
		unused    []permissions.Unused
		elsewhere []permissions.Elsewhere
		unseen    map[string]string
		part      bool
		want      []string
	}{
		"all well":              {calls: []permissions.Call{send, get, get}, unused: []permissions.Unused{kms, logs}, unseen: key},
		"nothing called":        {unused: []permissions.Unused{kms, logs}, unseen: key, want: []string{"^f is given sqs:SendMessage .* never", "^f is given s3:GetObject .* never"}},
		"nothing called, part":  {part: true},
		"condition never holds": {calls: []permissions.Call{send, get}, unused: []permissions.Unused{logs}, want: []string{"^condition HasKey decides over a policy, but holds in none"}},
		"no exceptions": {
			calls: []permissions.Call{send, get}, unseen: key,
			want: []string{`^f is given kms:Decrypt on \$\{Key\} .* never`, "^f is given policy on AWSLambdaBasicExecutionRole .* never"},
		},
		"exception is used": {
			calls: []permissions.Call{send, get}, unseen: key,
			unused: []permissions.Unused{kms, logs, {[]string{"f"}, []string{"sqs:SendMessage"}, "${Queue.Arn}", "x"}},
			want:   []string{`^the exception for f, sqs:SendMessage on \$\{Queue.Arn\} is not needed: it is used, 1 times$`},
		},
		"exception for everybody": {calls: []permissions.Call{send, get}, unseen: key, unused: []permissions.Unused{{nil, []string{"kms:Decrypt"}, "${Key}", "x"}, logs}},
		"exception for nobody": {
			calls: []permissions.Call{send, get}, unseen: key, unused: []permissions.Unused{kms, logs, {nil, []string{"kms:Sign"}, "${Key}", "x"}},
			want: []string{`^the exception for kms:Sign on \$\{Key\} is not needed: the template gives it to nobody$`},
		},
		"exception is gone": {
			calls: []permissions.Call{send, get}, unseen: key,
			unused: []permissions.Unused{kms, logs, {[]string{"f"}, []string{"sqs:PurgeQueue"}, "${Queue.Arn}", "x"}},
			want:   []string{`^the exception for f, sqs:PurgeQueue on \$\{Queue.Arn\} is not needed: the template doesn't give it$`},
		},
		"other object, allowed elsewhere": {
			calls:  []permissions.Call{send, get, {Function: "f", Action: "s3:GetObject", Resource: "arn:aws:s3:::other/a/b"}},
			unused: []permissions.Unused{kms, logs}, unseen: key,
			elsewhere: []permissions.Elsewhere{{"f", "s3:GetObject", "arn:aws:s3:::other/*", "its policy"}},
		},
		"nothing needed elsewhere": {
			calls: []permissions.Call{send, get}, unused: []permissions.Unused{kms, logs}, unseen: key,
			elsewhere: []permissions.Elsewhere{{"f", "s3:GetObject", "arn:aws:s3:::other/*", "its policy"}},
			want:      []string{"^the exception for f, s3:GetObject on arn:aws:s3:::other/\\* is not needed"},
		},
		"other prefix, in a part of the tests": {
			calls: []permissions.Call{{Function: "f", Action: "s3:GetObject", Resource: "arn:aws:s3:::s-bucket/b/a"}}, part: true,
			want: []string{"^f calls s3:GetObject, which its policy does not allow: 1 times, first in stack s on arn:aws:s3:::s-bucket/b/a$"},
		},
		"caller without a name": {
			calls: []permissions.Call{{Action: "sqs:SendMessage", Resource: queue}}, part: true, want: []string{`was called by "", which is no function's folder`},
		},
		"under a role":    {calls: []permissions.Call{{Function: "f", Action: "s3:PutObject", Resource: object, Session: true}}, part: true},
		"unknown request": {calls: []permissions.Call{{Function: "f", Action: "unknown:s3:GetBucketAcl"}}, part: true, want: []string{"^f calls unknown:s3:GetBucketAcl, which"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			report, err := permissions.Check(permissions.Config{
				Template: path, Recordings: []permissions.Recording{{Stack: "s", Calls: tt.calls}}, Whole: !tt.part,
				Unseen: tt.unseen, Unused: tt.unused, Elsewhere: tt.elsewhere,
			})
			if err != nil {
				t.Fatal(err)
			}
			checkProblems(t, report.Problems, tt.want)
		})
	}
}

func TestReport_Print(t *testing.T) {
	var out strings.Builder
	err := permissions.Report{
		Uses: []permissions.Use{
			{Function: "f", Action: "sqs:SendMessage", Resource: "${Queue.Arn}", Calls: 12},
			{Function: "f", Action: "kms:Decrypt", Resource: "${Key}", Excepted: true},
			{Function: "g", Action: "s3:GetObject", Resource: "*"},
		},
		Unused:   []permissions.Unused{{[]string{"f"}, []string{"kms:Decrypt"}, "${Key}", "S3 decrypts"}},
		Problems: []string{"g is given too much"},
	}.Print(&out)
	const want = `
function  action           resource      calls
f         sqs:SendMessage  ${Queue.Arn}      12
g         s3:GetObject     *                  0

not used, for a reason:
  f: kms:Decrypt on ${Key}: S3 decrypts
allowed by something else than the function's policy:
policies: g is given too much
policies: 3 permissions, 1 used, 1 not, for a reason; 1 problems
`
	if err != nil || out.String() != want {
		t.Errorf("prints (%v)\n%s\nwant\n%s", err, out.String(), want)
	}
}
