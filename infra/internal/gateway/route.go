package gateway

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"csvexport/infra/internal/template"
)

// resource is one path of a stage, with the function of each method.
type resource struct {
	stage    string
	path     string // with {parameters}
	segments []segment
	methods  map[string]method // ANY stands for the others
}

// method holds the logical IDs of functions.
type method struct {
	function, authorizer string
	preflight            bool // answered without any
}

type segment struct {
	kind kind
	text string // the literal, or the parameter's name
}

// kind orders the segments by precedence: a literal wins over a parameter.
type kind int

const (
	literal kind = iota
	parameter
	greedy // {name+}, which takes the rest of the path
)

// newResources groups routes by stage and path, the most specific path first.
func newResources(routes []template.Route) []*resource {
	var resources []*resource
	for _, route := range routes {
		i := slices.IndexFunc(resources, func(r *resource) bool { return r.stage == route.Stage && r.path == route.Path })
		if i < 0 {
			i = len(resources)
			resources = append(resources, &resource{
				stage: route.Stage, path: route.Path, segments: parse(route.Path), methods: map[string]method{},
			})
		}
		resources[i].methods[route.Method] = method{function: route.Function, authorizer: route.Authorizer}
	}
	slices.SortStableFunc(resources, func(a, b *resource) int {
		return slices.CompareFunc(a.segments, b.segments, func(a, b segment) int { return cmp.Compare(a.kind, b.kind) })
	})
	return resources
}

func parse(path string) []segment {
	var segments []segment
	for _, text := range split(path) {
		s := segment{text: text}
		if inner, ok := strings.CutPrefix(text, "{"); ok {
			s.kind, s.text = parameter, strings.TrimSuffix(inner, "}")
			if name, ok := strings.CutSuffix(s.text, "+"); ok {
				s.kind, s.text = greedy, name
			}
		}
		segments = append(segments, s)
	}
	return segments
}

// split cuts a path into its segments; the root has none.
func split(path string) []string {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// match returns the parameters if the resource has this path, whose segments
// are still escaped.
func (r *resource) match(path []string) (parameters map[string]string, ok bool) {
	for i, s := range r.segments {
		if i >= len(path) {
			return nil, false
		}
		text := path[i]
		if s.kind == greedy {
			text = strings.Join(path[i:], "/")
		}
		text, err := url.PathUnescape(text)
		switch {
		case err != nil, text == "", s.kind == literal && text != s.text:
			return nil, false
		case s.kind == literal:
			continue
		case parameters == nil:
			parameters = map[string]string{}
		}
		parameters[s.text] = text
		if s.kind == greedy {
			return parameters, true
		}
	}
	return parameters, len(path) == len(r.segments)
}

// target is where a request goes.
type target struct {
	*resource
	method
	parameters map[string]string
	path       string // decoded, without the stage
	prefix     string // /STAGE, or empty for a request at the root
}

// find looks a request up, first below its stage, as in AWS, then at the root.
func find(resources []*resource, r *http.Request) (target, bool) {
	path := split(r.URL.EscapedPath())
	if len(path) > 0 {
		stage, rest := path[0], path[1:]
		if len(rest) == 1 && rest[0] == "" { // the stage's root, with or without a slash
			rest = nil
		}
		if t, ok := lookUp(resources, rest, r.Method, func(r *resource) bool { return r.stage == stage }); ok {
			t.prefix = "/" + stage
			t.path = strings.TrimPrefix(r.URL.Path, t.prefix)
			if t.path == "" {
				t.path = "/"
			}
			return t, true
		}
	}
	t, ok := lookUp(resources, path, r.Method, func(*resource) bool { return true })
	t.path = r.URL.Path
	return t, ok
}

func lookUp(resources []*resource, path []string, verb string, in func(*resource) bool) (target, bool) {
	for _, r := range resources {
		if !in(r) {
			continue
		}
		parameters, ok := r.match(path)
		if !ok {
			continue
		}
		m, ok := r.methods[verb]
		if !ok {
			m, ok = r.methods["ANY"]
		}
		return target{resource: r, method: m, parameters: parameters}, ok
	}
	return target{}, false
}
