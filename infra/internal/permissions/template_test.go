package permissions_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/permissions"
	"csvexport/infra/internal/template"
)

const (
	projectTemplate = "../../../template.yaml"
	deliveredFile   = "arn:aws:s3:::delivery/csv/x"
)

// fullUse is a recording of a stack with everything, in which each function
// makes use of each permission that has no exception, and nothing else. It is
// made of the template as it is.
func fullUse(t *testing.T) permissions.Recording {
	t.Helper()
	parameters := permissions.Unseen()
	policies, err := template.LoadPolicies(projectTemplate, template.Options{
		StackName: "full", Region: localaws.Region, AccountID: localaws.AccountID, Parameters: parameters,
		QueueURL: func(name string) string { return name },
	})
	if err != nil {
		t.Fatal(err)
	}
	unused, elsewhere := permissions.Exceptions()
	excepted := func(function, action, resource string) bool {
		return slices.ContainsFunc(unused, func(e permissions.Unused) bool {
			return (e.Functions == nil || slices.Contains(e.Functions, function)) && slices.Contains(e.Actions, action) && e.Resource == resource
		})
	}
	concrete := strings.NewReplacer("*", "x", "?", "x")
	recording := permissions.Recording{Stack: "full", Parameters: parameters}
	for function, statements := range policies.Functions {
		for _, s := range statements {
			keys := map[string][]string{}
			for _, c := range s.Conditions {
				keys[c.Key] = []string{concrete.Replace(c.Values[0])}
			}
			for _, action := range s.Actions {
				for _, r := range s.Resources {
					if !excepted(function, action, r.Source) {
						recording.Calls = append(recording.Calls, permissions.Call{
							Function: function, Action: action, Resource: concrete.Replace(r.ARN), Keys: keys,
						})
					}
				}
			}
		}
	}
	for _, e := range elsewhere {
		recording.Calls = append(recording.Calls, permissions.Call{Function: e.Function, Action: e.Action, Resource: concrete.Replace(e.Resource)})
	}
	for action, resource := range map[string]string{
		"s3:PutObject": deliveredFile, "s3:GetObject": deliveredFile, "s3:DeleteObject": deliveredFile, "s3:AbortMultipartUpload": deliveredFile,
		"s3:ListBucket": "arn:aws:s3:::delivery", "s3:ListBucketMultipartUploads": "arn:aws:s3:::delivery",
	} {
		recording.Calls = append(recording.Calls, permissions.Call{Function: "sweep", Action: action, Resource: resource, Session: true})
	}
	return recording
}

// problems compares the recording with a template.
func problems(t *testing.T, path string, r permissions.Recording) []string {
	t.Helper()
	unused, elsewhere := permissions.Exceptions()
	report, err := permissions.Check(permissions.Config{
		Template: path, Recordings: []permissions.Recording{r}, Whole: true,
		Unseen: permissions.Unseen(), Destinations: "../../../docs/datasets.md", Unused: unused, Elsewhere: elsewhere,
	})
	if err != nil {
		t.Fatal(err)
	}
	return report.Problems
}

// The project's template with one change of a policy, and functions that call
// what it allowed before: each change is told, by the function and the action.
func TestCheck_changedTemplate(t *testing.T) {
	text, err := os.ReadFile(projectTemplate)
	if err != nil {
		t.Fatal(err)
	}
	calls := fullUse(t)
	if found := problems(t, projectTemplate, calls); len(found) > 0 {
		t.Fatalf("without a change:\n%s", strings.Join(found, "\n"))
	}
	tests := map[string]struct {
		resource, old, changed string // the first old text within the resource
		want                   []string
	}{
		"permission removed": {
			"RunExportRole", "s3:AbortMultipartUpload, ", "",
			[]string{`^run-export calls s3:AbortMultipartUpload, which its policy does not allow: 1 times, first in stack full on arn:aws:s3:::full-bucket/exports/x$`},
		},
		"statement's only action exchanged": {
			"ListExportsFunction", "dynamodb:Query", "dynamodb:Scan",
			[]string{`^list-exports calls dynamodb:Query, which`, `^list-exports is given dynamodb:Scan on \$\{Table.Arn\}/index/by-owner \(template.yaml:\d+\), but never uses it`},
		},
		"unused permission added": {
			"RunExportRole", "sqs:SendMessage]", "sqs:SendMessage, sqs:PurgeQueue]",
			[]string{`^run-export is given sqs:PurgeQueue on \$\{Queue.Arn\} \(template.yaml:\d+\), but never uses it`},
		},
		"other index": {
			"GetExportFunction", "/index/by-queue", "/index/by-owner",
			[]string{`^get-export calls dynamodb:Query, .* on arn:aws:dynamodb:us-east-1:000000000000:table/full-Table/index/by-queue$`, `^get-export is given dynamodb:Query on .*/by-owner .* never uses it`},
		},
		"smaller prefix": {
			"DeleteExportFunction", "${Bucket.Arn}/exports/*", "${Bucket.Arn}/exports/y*",
			[]string{`^delete-export calls s3:DeleteObject, which`, `^delete-export is given s3:DeleteObject on .*/exports/y\* .* never uses it`},
		},
		"other condition": {
			"WebhooksFunction", "owner#*", "export#*",
			[]string{
				`^webhooks calls dynamodb:GetItem, which .*, dynamodb:LeadingKeys owner#x$`, `^webhooks calls dynamodb:UpdateItem, which`,
				`^webhooks is given dynamodb:GetItem on \$\{Table.Arn\} if ForAllValues:StringLike dynamodb:LeadingKeys export#\* .* never uses it`, `^webhooks is given dynamodb:UpdateItem .* never uses it`,
			},
		},
		"wildcard": {
			"HealthRole", "sqs:GetQueueAttributes", "sqs:*",
			[]string{`^health is given sqs:\* on \$\{Queue.Arn\} .*: name the actions`},
		},
		"the same, wider": {
			"RunExportRole", "Resource: !GetAtt NotifyQueue.Arn", "Resource: [!GetAtt NotifyQueue.Arn, '*']",
			[]string{
				`^run-export is given sqs:SendMessage on \$\{NotifyQueue.Arn\} .* by another statement`, `^run-export is given sqs:SendMessage on \$\{Queue.Arn\} .* by another statement`,
				`^run-export is given sqs:SendMessage on \* .* by another statement`,
			},
		},
		"excepted permission removed": {
			"NotifyRole", "sqs:DeleteMessage, ", "",
			[]string{`^the exception for notify, sqs:DeleteMessage on \$\{NotifyQueue.Arn\} is not needed: the template doesn't give it$`},
		},
		"policy of AWS's own added": {
			"DeleteExportFunction", "      Policies:\n", "      Policies:\n        - arn:aws:iam::aws:policy/AmazonS3FullAccess\n",
			[]string{`^delete-export is given policy on arn:aws:iam::aws:policy/AmazonS3FullAccess \(template.yaml:\d+\), but never uses it`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "template.yaml")
			begin := strings.Index(string(text), "\n  "+tt.resource+":\n")
			if begin < 0 || !strings.Contains(string(text[begin:]), tt.old) {
				t.Fatalf("template.yaml has no %q in %s", tt.old, tt.resource)
			}
			changed := string(text[:begin]) + strings.Replace(string(text[begin:]), tt.old, tt.changed, 1)
			if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			checkProblems(t, problems(t, path, calls), tt.want)
		})
	}
}

// checkProblems compares with patterns, in any order.
func checkProblems(t *testing.T, found, want []string) {
	t.Helper()
	left := slices.Clone(found)
	for _, pattern := range want {
		i := slices.IndexFunc(left, regexp.MustCompile(pattern).MatchString)
		if i < 0 {
			t.Errorf("nothing says %s", pattern)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 || t.Failed() {
		t.Errorf("says:\n%s\nof which was not expected:\n%s", strings.Join(found, "\n"), strings.Join(left, "\n"))
	}
}

// What is done under a destination's role is compared with the policy that
// docs/datasets.md has for it.
func TestCheck_destination(t *testing.T) {
	tests := map[string]struct {
		more permissions.Call
		less string // an action
		want []string
	}{
		"as documented":    {},
		"one more action":  {more: permissions.Call{Action: "s3:PutObjectTagging", Resource: deliveredFile}, want: []string{"^a destination's role calls s3:PutObjectTagging, which its policy does not allow"}},
		"another prefix":   {more: permissions.Call{Action: "s3:PutObject", Resource: "arn:aws:s3:::delivery/x"}, want: []string{"^a destination's role calls s3:PutObject, which .* on arn:aws:s3:::delivery/x$"}},
		"one action never": {less: "s3:GetObject", want: []string{`^a destination's role is given s3:GetObject on arn:aws:s3:::acme-finance/csv/\* \(datasets.md\), but never uses it`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			recording := fullUse(t)
			recording.Calls = slices.DeleteFunc(recording.Calls, func(c permissions.Call) bool { return c.Session && c.Action == tt.less })
			if tt.more.Action != "" {
				tt.more.Function, tt.more.Session = "run-export", true
				recording.Calls = append(recording.Calls, tt.more)
			}
			checkProblems(t, problems(t, projectTemplate, recording), tt.want)
		})
	}
}
