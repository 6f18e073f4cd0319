package permissions

import (
	"regexp"
	"slices"
	"strings"

	"csvexport/infra/internal/template"
)

// permission is one action on one resource under the conditions of a statement
// of a function's policy.
type permission struct {
	function   string
	action     string // or the word "policy", for one outside of the template
	source     string // the resource as the template has it, or the policy's ARN
	conditions string

	at string // where it is written: template.yaml:12
}

// id tells permissions of different stacks apart, whose ARNs differ.
func (p permission) id() string {
	return strings.Join([]string{p.function, p.action, p.source, p.conditions}, "\n")
}

// exception is what an [Unused] names it by.
func (p permission) exception() string { return p.function + "\n" + p.action + "\n" + p.source }

func (p permission) String() string {
	text := p.action + " on " + p.source
	if p.conditions != "" {
		text += " if " + p.conditions
	}
	return text
}

// policyAction is the action of a permission that is a whole policy.
const policyAction = "policy"

// permissionsOf lists what a statement allows, and the ARNs of each.
func permissionsOf(function, at string, s template.Statement) (all []permission, arns [][]string) {
	if s.Managed != "" {
		return []permission{{function: function, action: policyAction, source: s.Managed, at: at}}, [][]string{nil}
	}
	var conditions []string
	for _, c := range s.Conditions {
		conditions = append(conditions, c.Operator+" "+c.Key+" "+strings.Join(c.Values, ","))
	}
	for _, action := range s.Actions {
		place := map[string]int{}
		for _, r := range s.Resources {
			i, known := place[r.Source]
			if !known { // a list that a parameter holds is one source of several
				i = len(all)
				place[r.Source] = i
				all = append(all, permission{function, action, r.Source, strings.Join(conditions, " and "), at})
				arns = append(arns, nil)
			}
			arns[i] = append(arns[i], r.ARN)
		}
	}
	return all, arns
}

// rule is a permission as one stack resolves it.
type rule struct {
	permission
	does       *regexp.Regexp   // its actions
	on         []*regexp.Regexp // its resources
	conditions []template.PolicyCondition
}

func newRule(p permission, arns []string, conditions []template.PolicyCondition) rule {
	r := rule{permission: p, does: pattern("(?i)", p.action), conditions: conditions}
	for _, arn := range arns {
		r.on = append(r.on, pattern("", arn))
	}
	return r
}

// allows evaluates as IAM does (IAM User Guide, "IAM JSON policy elements").
func (r rule) allows(c Call) bool {
	return r.does.MatchString(c.Action) &&
		slices.ContainsFunc(r.on, func(on *regexp.Regexp) bool { return on.MatchString(c.Resource) }) &&
		!slices.ContainsFunc(r.conditions, func(condition template.PolicyCondition) bool { return !holds(condition, c) })
}

// pattern matches whole texts; * and ? stand for anything.
func pattern(flags, text string) *regexp.Regexp {
	quoted := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(text))
	return regexp.MustCompile(flags + "^(?s:" + quoted + ")$")
}

// holds evaluates StringEquals and StringLike, also ForAllValues of them. A
// condition on what the recording doesn't hold does not hold; IAM would let
// ForAllValues hold then.
func holds(condition template.PolicyCondition, c Call) bool {
	values := c.Keys[condition.Key]
	compare, ok := map[string]func(wanted, value string) bool{
		"StringEquals": func(wanted, value string) bool { return wanted == value },
		"StringLike":   func(wanted, value string) bool { return pattern("", wanted).MatchString(value) },
	}[strings.TrimPrefix(condition.Operator, "ForAllValues:")]
	if !ok || len(values) == 0 {
		return false
	}
	return !slices.ContainsFunc(values, func(value string) bool {
		return !slices.ContainsFunc(condition.Values, func(wanted string) bool { return compare(wanted, value) })
	})
}
