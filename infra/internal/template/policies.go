package template

import (
	"path/filepath"
	"strings"
)

// Policies say what the functions of a template may do, by its IAM policies.
type Policies struct {
	Functions map[string][]Statement // by the folder of its code; also those without any

	// Conditions are those of the template that decided over a policy or a part
	// of one, and whether they held.
	Conditions map[string]bool
}

// Statement is one of a policy that is attached to a function's role.
type Statement struct {
	Line       int
	Actions    []string // as written: s3:GetObject
	Resources  []PolicyResource
	Conditions []PolicyCondition

	// Managed is the ARN or name of a policy outside of the template; then the
	// rest is empty.
	Managed string
}

// PolicyResource is one resource of a statement.
type PolicyResource struct {
	ARN    string // resolved, with wildcards
	Source string // as the template has it, in the notation of Fn::Sub: ${Table.Arn}/index/by-owner
}

// PolicyCondition is one key of a statement's Condition.
type PolicyCondition struct {
	Operator string // such as ForAllValues:StringLike
	Key      string
	Values   []string
}

// LoadPolicies reads the policies of the template's functions: those in the
// function's Policies, or those of the role that its Role names, each with the
// managed policies of the template. What SAM adds to a role of its own making
// (logs, and the rights for a VPC and for a queue) isn't in it. Only Allow is
// understood, with Action and Resource. Errors are as of [Load].
func LoadPolicies(path string, opt Options) (Policies, error) {
	out := Policies{Functions: map[string][]Statement{}}
	l, err := read(path, opt, func(l *loader, _ map[string]*node) {
		l.referAbsent, l.decided = true, map[string]bool{}
		for _, r := range l.order {
			if r.typ == l.types["AWS::Serverless::Function"] && l.exists(r) {
				folder := filepath.Base(l.text(r.properties.get("CodeUri")))
				out.Functions[folder] = l.functionPolicies(r)
			}
		}
	})
	if err != nil {
		return Policies{}, err
	}
	out.Conditions = l.decided
	return out, nil
}

func (l *loader) functionPolicies(r *resource) []Statement {
	if role := l.head(r.properties.get("Role")); role != nil {
		return l.rolePolicies(r, role)
	}
	var out []Statement
	for _, p := range l.items(r.properties.get("Policies")) {
		if p.kind == scalar {
			out = append(out, l.managedPolicy(p)...)
			continue
		}
		out = append(out, l.policyDocument(p)...)
	}
	return out
}

// rolePolicies are those of an AWS::IAM::Role of the template.
func (l *loader) rolePolicies(function *resource, arn *node) []Statement {
	role := l.byARN("AWS::IAM::Role", l.text(arn))
	if role == nil {
		l.add(arn.line, "the role of %s is none of this template", function.id)
		return nil
	}
	p := l.object(role.properties, "role "+role.id, []string{"Policies", "ManagedPolicyArns"},
		[]string{"AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "Path", "PermissionsBoundary", "RoleName", "Tags"})
	var out []Statement
	for _, policy := range l.items(p["Policies"]) {
		what := "policy of " + role.id
		fields := l.object(policy, what, []string{"PolicyDocument"}, []string{"PolicyName"})
		out = append(out, l.policyDocument(l.required(fields, policy.line, what, "PolicyDocument"))...)
	}
	for _, policy := range l.items(p["ManagedPolicyArns"]) {
		out = append(out, l.managedPolicy(policy)...)
	}
	return out
}

// managedPolicy is one of the template's, or one outside of it.
func (l *loader) managedPolicy(arn *node) []Statement {
	name := l.text(arn)
	policy := l.byARN("AWS::IAM::ManagedPolicy", name)
	if policy == nil {
		return []Statement{{Line: arn.line, Managed: name}}
	}
	what := "managed policy " + policy.id
	fields := l.object(policy.properties, what, []string{"PolicyDocument"}, []string{"Description", "ManagedPolicyName", "Path"})
	return l.policyDocument(l.required(fields, policy.line, what, "PolicyDocument"))
}

func (l *loader) policyDocument(n *node) []Statement {
	if n == nil {
		return nil
	}
	fields := l.object(n, "a policy", []string{"Statement"}, []string{"Version", "Id"})
	var out []Statement
	for _, s := range l.items(l.required(fields, n.line, "a policy", "Statement")) {
		out = append(out, l.statement(s))
	}
	return out
}

func (l *loader) statement(n *node) Statement {
	const what = "a statement"
	fields := l.object(n, what, []string{"Effect", "Action", "Resource", "Condition"}, []string{"Sid"})
	l.oneOf(l.required(fields, n.line, what, "Effect"), "Effect", "Allow")
	s := Statement{Line: n.line, Actions: l.oneOrMore(l.required(fields, n.line, what, "Action"))}
	if l.required(fields, n.line, what, "Resource") != nil {
		s.Resources = l.policyResources(n.get("Resource"))
	}
	for _, operator := range l.entries(fields["Condition"], "Condition") {
		for _, key := range l.entries(operator.value, operator.key) {
			s.Conditions = append(s.Conditions, PolicyCondition{operator.key, key.key, l.oneOrMore(key.value)})
		}
	}
	return s
}

// oneOrMore resolves a text or a list of texts.
func (l *loader) oneOrMore(n *node) []string {
	n = l.head(n)
	if n != nil && n.kind == scalar {
		return []string{l.text(n)}
	}
	return l.texts(n)
}

func (l *loader) policyResources(n *node) []PolicyResource {
	for n != nil && n.kind == call && n.text == "Fn::If" {
		n = l.call(n)
	}
	switch resolved := l.head(n); {
	case resolved == nil:
		return nil
	case resolved.kind != list:
		return []PolicyResource{{l.text(resolved), source(n)}}
	case n.kind == call: // a list that a function makes
		var out []PolicyResource
		for _, arn := range l.texts(resolved) {
			out = append(out, PolicyResource{arn, source(n)})
		}
		return out
	default:
		var out []PolicyResource
		for _, item := range resolved.items {
			out = append(out, l.policyResources(item)...)
		}
		return out
	}
}

// source is an unresolved text in the notation of Fn::Sub; for what isn't a
// text, that of its main part.
func source(n *node) string {
	if n.kind == scalar {
		return n.text
	}
	if n.kind != call {
		return n.describe()
	}
	arg := n.items[0]
	switch {
	case n.text == "Ref", n.text == "Fn::GetAtt" && arg.kind == scalar:
		return "${" + arg.text + "}"
	case n.text == "Fn::Sub" && arg.kind == scalar:
		return arg.text
	case n.text == "Fn::Sub" && arg.kind == list && len(arg.items) == 2:
		text := source(arg.items[0])
		for _, v := range arg.items[1].fields { // the first parameter that the variable is made of
			text = strings.ReplaceAll(text, "${"+v.key+"}", variable.FindString(source(v.value)))
		}
		return text
	case arg.kind == list && len(arg.items) == 2: // Fn::Split, Fn::Join, Fn::Select
		return source(arg.items[1])
	}
	return strings.TrimPrefix(n.text, "Fn::")
}
