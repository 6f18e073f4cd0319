package template

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

// Options says for which stack a template is read.
type Options struct {
	StackName  string                   // letters, digits and hyphens, a letter first
	Region     string                   // empty: us-east-1
	AccountID  string                   // empty: 000000000000
	Parameters map[string]string        // values of parameters; the others have their defaults
	QueueURL   func(name string) string // the URL of the queue with this physical name
}

var (
	stackName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)
	logicalID = regexp.MustCompile(`^[A-Za-z0-9]+$`)

	colonsInFlow = regexp.MustCompile(`\{.*[A-Za-z]::`)
)

// Load reads the SAM template at path. Its error has one line for everything
// that is wrong, such as "template.yaml:12: what, and what is understood".
//
// Resources whose condition is false are left out. Physical names are
// STACK-LogicalID, in lower case for buckets, unless the template gives one.
func Load(path string, opt Options) (*Stack, error) {
	l, err := read(path, opt, (*loader).build)
	if err != nil {
		return nil, err
	}
	return l.stack, nil
}

// read reads the template and calls then, unless something is wrong already.
func read(path string, opt Options, then func(l *loader, top map[string]*node)) (*loader, error) {
	if !stackName.MatchString(opt.StackName) {
		return nil, fmt.Errorf("stack name %q: use letters, digits and hyphens, a letter first", opt.StackName)
	}
	if opt.Region == "" {
		opt.Region = "us-east-1"
	}
	if opt.AccountID == "" {
		opt.AccountID = "000000000000"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	l := &loader{
		errorList: errorList{file: filepath.Base(path)}, opt: opt, stack: &Stack{Outputs: map[string]string{}},
		parameters: map[string]value{}, conditions: map[string]*condition{}, resources: map[string]*resource{},
		authorizers: map[string]string{},
	}
	l.types = l.resourceTypes()
	if root := l.parse(text); root != nil && len(l.list) == 0 {
		then(l, l.declarations(root))
	}
	if err := l.err(); err != nil {
		return nil, err
	}
	return l, nil
}

// loader is the state of one Load.
type loader struct {
	errorList
	opt        Options
	stack      *Stack
	parameters map[string]value
	types      map[string]*resourceType
	conditions map[string]*condition
	resources  map[string]*resource
	order      []*resource // as in the template

	authorizers map[string]string // logical ID of the function that authorizes requests, by API

	referAbsent bool            // what the local stack doesn't have may be referred to
	decided     map[string]bool // the conditions that were asked for since this was made, and whether they hold
}

// parse reads the one document of a template; nil if there is none.
func (l *loader) parse(text []byte) *node {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var at yaml.Error
		if !errors.As(err, &at) || at.GetToken() == nil {
			l.add(1, "not YAML: %v", err)
			return nil
		}
		line, hint := at.GetToken().Position.Line, ""
		// goccy/go-yaml 1.19 takes some unquoted double colons in a flow mapping for the end of a key.
		if colonsInFlow.MatchString(strings.Split(string(text), "\n")[line-1]) {
			hint = "; inside { } write names that hold :: in quotes"
		}
		l.add(line, "not YAML: %s%s", at.GetMessage(), hint)
		return nil
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		l.add(1, "a template is one YAML document; this file has %d", len(file.Docs))
		return nil
	}
	r := reader{errors: &l.errorList, anchors: map[string]*node{}}
	return r.read(file.Docs[0].Body)
}

var (
	sections = []string{"Transform", "Parameters", "Conditions", "Globals", "Resources", "Outputs"}
	// Rules say which parameters a deployment must be given together.
	ignoredSections = []string{"AWSTemplateFormatVersion", "Description", "Metadata", "Rules"}
)

// declarations reads what everything else may refer to, and returns the
// template's sections.
func (l *loader) declarations(root *node) map[string]*node {
	top := l.object(root, "the template", sections, ignoredSections)
	if transform := top["Transform"]; transform == nil || l.text(transform) != "AWS::Serverless-2016-10-31" {
		l.add(root.line, "the template must have Transform: AWS::Serverless-2016-10-31")
	}
	l.readParameters(top["Parameters"])
	for _, f := range l.entries(top["Conditions"], "Conditions") {
		l.conditions[f.key] = &condition{expression: f.value}
	}
	globals := l.readGlobals(top["Globals"])
	for _, f := range l.entries(top["Resources"], "Resources") {
		l.declare(f, globals)
	}
	for _, name := range sortedKeys(l.conditions) {
		l.condition(name, l.conditions[name].expression.line)
	}
	return top
}

// build adds the resources to the stack.
func (l *loader) build(top map[string]*node) {
	for _, r := range l.order { // before the functions, whose routes need them
		if r.typ.stage != nil && l.exists(r) {
			l.authorizer(r)
		}
	}
	for _, r := range l.order {
		if l.exists(r) && !r.typ.absent {
			r.typ.build(r, r.properties)
		}
	}
	l.readOutputs(top["Outputs"])
}

// readGlobals returns the Globals section's mappings by the type they are for.
func (l *loader) readGlobals(n *node) map[string]*node {
	known := map[string]string{}
	var names []string
	for _, name := range sortedKeys(l.types) {
		if g := l.types[name].globals; g != "" {
			known[g] = name
			names = append(names, g)
		}
	}
	globals := map[string]*node{}
	for name, n := range l.object(n, "Globals", names, nil) {
		globals[known[name]] = n
	}
	return globals
}

// declare notes a resource, so that others may refer to it.
func (l *loader) declare(f field, globals map[string]*node) {
	if !logicalID.MatchString(f.key) {
		l.add(f.line, "the logical ID %s may hold letters and digits only", f.key)
		return
	}
	r := &resource{id: f.key, line: f.line}
	attributes := l.object(f.value, "resource "+f.key, []string{"Type", "Properties", "Condition"},
		[]string{"Metadata", "DeletionPolicy", "UpdateReplacePolicy", "DependsOn"})
	typ := attributes["Type"]
	if typ == nil {
		l.add(f.line, "resource %s has no Type", f.key)
		return
	}
	name := l.text(typ)
	if r.typ = l.types[name]; r.typ == nil {
		l.add(typ.line, "resource type %s is not understood; understood are %s", name, strings.Join(sortedKeys(l.types), ", "))
		return
	}
	r.condition = attributes["Condition"]
	r.properties = merge(globals[name], attributes["Properties"])
	if r.properties == nil {
		r.properties = &node{kind: object, line: f.line}
	}
	l.resources[r.id] = r
	l.order = append(l.order, r)
}

func (l *loader) readOutputs(n *node) {
	for _, f := range l.entries(n, "Outputs") {
		output := l.object(f.value, "output "+f.key, []string{"Value", "Condition"}, []string{"Description", "Export"})
		if c := output["Condition"]; c != nil && !l.condition(l.text(c), c.line) {
			continue
		}
		l.stack.Outputs[f.key] = l.text(l.required(output, f.line, "output "+f.key, "Value"))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
