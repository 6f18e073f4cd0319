package permissions

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"csvexport/infra/internal/template"
)

// Config says what to compare.
type Config struct {
	Template   string // path of template.yaml
	Recordings []Recording

	// Whole: the recordings hold all that functions ever call, so what they
	// don't use is unused.
	Whole bool
	// Unseen are parameters of a stack of which there is no recording, with
	// which the template gives what it doesn't with those of the recordings.
	Unseen map[string]string

	// Destinations is the document with the policy of destinations' roles;
	// empty: calls under such roles aren't looked at.
	Destinations string

	Unused    []Unused    // permissions that no recording can show the use of
	Elsewhere []Elsewhere // calls that something else allows
}

// Unused says why permissions are given though no recorded call uses them: each
// of the actions on the resource, of each of the functions.
type Unused struct {
	Functions []string // nil: each that is given them
	Actions   []string
	Resource  string // as the template has it, in the notation of Fn::Sub
	Reason    string
}

// Elsewhere says why calls succeed that the function's policy doesn't allow.
type Elsewhere struct {
	Function string
	Action   string
	Resource string // ARN, with wildcards
	Reason   string
}

// Use is a permission, and how many calls used it.
type Use struct {
	Function, Action, Resource string // the resource as the template has it
	Calls                      int
	Excepted                   bool // there is a reason why there are none
}

// Report is what a check found.
type Report struct {
	Uses      []Use // by function, in the template's order
	Unused    []Unused
	Elsewhere []Elsewhere
	Problems  []string // a sentence each; empty if all is well
}

// check is the state of one Check.
type check struct {
	Config
	report Report

	order     []permission        // each once, by id
	known     map[string]bool     // their ids
	used      map[string]int      // calls that a permission allows
	needed    map[string]bool     // permissions without which a call would not be allowed
	functions map[string]bool     // of the template
	decided   map[string]bool     // conditions that held somewhere
	denied    map[string]*denied  // calls that nothing allows, by function and action
	denials   []*denied           // in their order
	elsewhere []int               // calls, by the entries of Elsewhere
	problems  map[string]struct{} // so that each is told once
}

type denied struct {
	Call
	stack string
	times int
}

// Check compares. The error is about the template; what the comparison finds is
// in the report.
func Check(cfg Config) (Report, error) {
	c := &check{
		Config: cfg, known: map[string]bool{}, used: map[string]int{}, needed: map[string]bool{}, functions: map[string]bool{},
		decided: map[string]bool{}, denied: map[string]*denied{}, elsewhere: make([]int, len(cfg.Elsewhere)), problems: map[string]struct{}{},
	}
	for _, r := range cfg.Recordings {
		policies, err := c.load(r.Stack, r.Parameters)
		if err != nil {
			return Report{}, err
		}
		for _, call := range r.Calls {
			c.call(r.Stack, policies, call)
		}
	}
	if cfg.Whole {
		if _, err := c.load("unseen", cfg.Unseen); err != nil {
			return Report{}, err
		}
	}
	c.conclude()
	c.report.Unused, c.report.Elsewhere = cfg.Unused, cfg.Elsewhere
	return c.report, nil
}

func (c *check) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if _, told := c.problems[text]; !told {
		c.problems[text] = struct{}{}
		c.report.Problems = append(c.report.Problems, text)
	}
}

// load returns the rules of each function, and notes what they are.
func (c *check) load(stack string, parameters map[string]string) (map[string][]rule, error) {
	policies, err := template.LoadPolicies(c.Template, options(stack, parameters))
	if err != nil {
		return nil, err
	}
	for name, holds := range policies.Conditions {
		c.decided[name] = c.decided[name] || holds
	}
	rules := map[string][]rule{}
	for _, function := range slices.Sorted(maps.Keys(policies.Functions)) {
		c.functions[function] = true
		for _, s := range policies.Functions[function] {
			c.add(rules, function, fmt.Sprintf("%s:%d", filepath.Base(c.Template), s.Line), s)
		}
	}
	if c.Destinations == "" {
		return rules, nil
	}
	role, err := destinationPolicy(c.Destinations)
	if err != nil {
		return nil, err
	}
	c.functions[destinationRole] = true
	for _, s := range role {
		c.add(rules, destinationRole, filepath.Base(c.Destinations), s)
	}
	return rules, nil
}

// add adds the rules of a function's statement, and notes what they are.
func (c *check) add(rules map[string][]rule, function, at string, s template.Statement) {
	all, arns := permissionsOf(function, at, s)
	for i, p := range all {
		if slices.ContainsFunc(rules[function], func(r rule) bool { return r.id() == p.id() }) {
			c.problem("%s is given %s twice (%s)", p.function, p, p.at)
		}
		rules[function] = append(rules[function], newRule(p, arns[i], s.Conditions))
		if !c.known[p.id()] {
			c.known[p.id()] = true
			c.order = append(c.order, p)
		}
	}
}

// call looks for what allows a call.
func (c *check) call(stack string, rules map[string][]rule, call Call) {
	if call.Session && c.Destinations == "" {
		return
	}
	if call.Session {
		call.Function = destinationRole
	}
	if !c.functions[call.Function] {
		c.problem("stack %s: %s on %s was called by %q, which is no function's folder: its settings want AWS_SDK_UA_APP_ID",
			stack, call.Action, call.Resource, call.Function)
		return
	}
	var by []rule
	for _, r := range rules[call.Function] {
		if r.allows(call) {
			by = append(by, r)
			c.used[r.id()]++
		}
	}
	switch len(by) {
	case 0:
		c.deny(stack, call)
	case 1:
		c.needed[by[0].id()] = true
	}
}

func (c *check) deny(stack string, call Call) {
	for i, e := range c.Elsewhere {
		if e.Function == call.Function && e.Action == call.Action && pattern("", e.Resource).MatchString(call.Resource) {
			c.elsewhere[i]++
			return
		}
	}
	key := call.Function + " " + call.Action
	d := c.denied[key]
	if d == nil {
		d = &denied{Call: call, stack: stack}
		c.denied[key] = d
		c.denials = append(c.denials, d)
	}
	d.times++
}

// conclude says what is wrong with all that was seen.
func (c *check) conclude() {
	for _, d := range c.denials {
		text := ""
		for _, key := range slices.Sorted(maps.Keys(d.Keys)) {
			text += fmt.Sprintf(", %s %s", key, strings.Join(d.Keys[key], ","))
		}
		c.problem("%s calls %s, which its policy does not allow: %d times, first in stack %s on %s%s", d.Function, d.Action, d.times, d.stack, d.Resource, text)
	}
	exceptions := c.exceptions()
	slices.SortStableFunc(c.order, func(a, b permission) int { return strings.Compare(a.function, b.function) })
	for _, p := range c.order {
		excepted := exceptions[p.exception()]
		if c.Whole {
			c.judge(p, excepted)
		}
		c.report.Uses = append(c.report.Uses, Use{p.function, p.action, p.source, c.used[p.id()], excepted})
	}
	if !c.Whole {
		return
	}
	for i, e := range c.Elsewhere {
		if c.elsewhere[i] == 0 {
			c.problem("the exception for %s, %s on %s is not needed: no such call needed it", e.Function, e.Action, e.Resource)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.decided)) {
		if !c.decided[name] {
			c.problem("condition %s decides over a policy, but holds in none of the stacks: give parameters with which it holds (Unseen in exceptions.go)", name)
		}
	}
}

// judge tells of a permission that isn't needed, or whose exception isn't.
func (c *check) judge(p permission, excepted bool) {
	switch used := c.used[p.id()]; {
	case excepted && used > 0:
		c.problem("the exception for %s, %s is not needed: it is used, %d times", p.function, p, used)
	case excepted:
	case strings.ContainsAny(p.action, "*?"):
		c.problem("%s is given %s (%s): name the actions, or nobody can tell which of them are used", p.function, p, p.at)
	case used == 0:
		c.problem("%s is given %s (%s), but never uses it: remove it, have a test use it, or say why in exceptions.go", p.function, p, p.at)
	case !c.needed[p.id()]:
		c.problem("%s is given %s (%s), but whatever it calls by that it may also call by another statement: one of them is too much", p.function, p, p.at)
	}
}

// exceptions are the permissions that need no use.
func (c *check) exceptions() map[string]bool {
	holders := map[string][]string{} // functions, by action and resource
	for _, p := range c.order {
		key := permission{action: p.action, source: p.source}.exception()
		holders[key] = append(holders[key], p.function)
	}
	excepted := map[string]bool{}
	for _, e := range c.Unused {
		for _, action := range e.Actions {
			p := permission{action: action, source: e.Resource}
			given := holders[p.exception()]
			functions := e.Functions
			if functions == nil {
				functions = given
			}
			if c.Whole && len(functions) == 0 {
				c.problem("the exception for %s is not needed: the template gives it to nobody", p)
			}
			for _, p.function = range functions {
				if c.Whole && !slices.Contains(given, p.function) {
					c.problem("the exception for %s, %s is not needed: the template doesn't give it", p.function, p)
				}
				excepted[p.exception()] = true
			}
		}
	}
	return excepted
}
