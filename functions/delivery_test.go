package functions_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who writes, removes or signs files may assume the roles of destinations, if
// the stack has any, and nobody else may. Health looks at the service's own
// bucket only.
func TestDeliveryRoles(t *testing.T) {
	var want []string
	for name, clients := range builds {
		if name != "health" && (slices.Contains(clients, "bucket") || slices.Contains(clients, "wiring")) {
			want = append(want, name)
		}
	}
	text := read(t, "../template.yaml")
	names := regexp.MustCompile(`(?m)^  ([A-Za-z]+):$`)
	code := regexp.MustCompile(`(?m)^      CodeUri: functions/([a-z-]+)/$`)
	role := regexp.MustCompile(`(?m)^      Role: !GetAtt ([A-Za-z]+)\.Arn$`)
	const grant = `- !If
- HasDeliveryRoles
- { Effect: Allow, Action: sts:AssumeRole, Resource: !Split [",", !Ref DeliveryRoles] }
- !Ref AWS::NoValue
`
	resources, grants := map[string]string{}, map[string]bool{}
	for _, at := range names.FindAllStringSubmatchIndex(text, -1) {
		end := len(text)
		if next := names.FindStringIndex(text[at[1]:]); next != nil {
			end = at[1] + next[0]
		}
		name, body := text[at[2]:at[3]], text[at[1]:end]
		resources[name] = body
		grants[name] = strings.Contains(regexp.MustCompile(`(?m)^ +`).ReplaceAllString(body, ""), grant)
	}
	var got []string
	for name, body := range resources {
		m := code.FindStringSubmatch(body)
		if m == nil {
			continue
		}
		holder := name
		if r := role.FindStringSubmatch(body); r != nil {
			holder = r[1]
		}
		if grants[holder] {
			got = append(got, m[1])
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions that may assume the roles (-want +got):\n%s", diff)
	}
	if n := strings.Count(text, "!Ref DeliveryRoles] }"); n != len(want) {
		t.Errorf("the roles are granted %d times, want %d", n, len(want))
	}
}
