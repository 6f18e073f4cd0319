package dataset

import (
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"csvexport/internal/export"
)

// Destination is a bucket of somebody else's that files may go to.
type Destination struct {
	Name        string
	Description string
	Bucket      string
	Prefix      string // what every key there begins with; ends in / unless it is empty
	Region      string // empty for the service's
	Role        string // ARN of the IAM role to assume; empty for the functions' own rights
	ExternalID  string // that the role's trust policy asks for; empty for none
	// Requires is the scope that a caller needs for the destination; empty for none.
	Requires string
}

// GivenDestination is where a caller wants the file.
type GivenDestination struct {
	Name   string
	Prefix string // behind the destination's own; empty for none
}

// The bounds of prefixes, in bytes. S3's keys have 1,024 at most (Amazon S3 User
// Guide, "Naming Amazon S3 objects"); what the service puts behind a prefix
// takes some 60.
const (
	maxRoot   = 512
	maxPrefix = 256

	maxExternalID = 1224 // characters, as AssumeRole's (AWS STS API Reference)
)

var (
	// prefixForm is segments of plain characters, none of them empty or of dots
	// alone: some tools take those for the folder itself, or the one above.
	prefixForm = regexp.MustCompile(`^(\.*[A-Za-z0-9_=-][A-Za-z0-9_.=-]*/)*(\.*[A-Za-z0-9_=-][A-Za-z0-9_.=-]*)?$`)
	// bucketForm is that of general purpose buckets (Amazon S3 User Guide,
	// "General purpose bucket naming rules").
	bucketForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	regionForm   = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	roleForm     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=.@/-]+$`) // no comma: that separates them in DeliveryRoles
	externalForm = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
)

// Destinations returns those that the caller may use, in the catalog's order.
func (c *Catalog) Destinations(a Access) []Destination {
	return slices.DeleteFunc(slices.Clone(c.destinations), func(d Destination) bool { return !a.has(d.Requires) })
}

func (c *Catalog) destination(name string) (Destination, bool) {
	i := slices.IndexFunc(c.destinations, func(d Destination) bool { return d.Name == name })
	if i < 0 {
		return Destination{}, false
	}
	return c.destinations[i], true
}

// normalizeDestination resolves where a caller wants the file; nil for nil.
func (c *Catalog) normalizeDestination(given *GivenDestination) (*export.Destination, []export.FieldError) {
	if given == nil {
		return nil, nil
	}
	var problems []export.FieldError
	d, known := c.destination(given.Name)
	if !known {
		problems = append(problems, export.FieldError{Field: "destination.name", Message: "there is no destination of this name"})
	}
	prefix := given.Prefix
	if len(prefix) > maxPrefix || !prefixForm.MatchString(prefix) {
		problems = append(problems, export.FieldError{
			Field: "destination.prefix", Message: "must be names of letters, digits, -, _, . and =, each followed by /, none of them of dots alone; at most 256 characters",
		})
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	resolved := d.at(prefix)
	return &resolved, problems
}

// at is the destination as a spec keeps it, with the request's prefix.
func (d Destination) at(prefix string) export.Destination {
	return export.Destination{
		Name: d.Name, Prefix: prefix, Bucket: d.Bucket, Root: d.Prefix, Region: d.Region, Role: d.Role, ExternalID: d.ExternalID,
	}
}

// permitDestination returns the error, with the code Forbidden, for a caller
// who may not use the destination.
func (c *Catalog) permitDestination(to *export.Destination, a Access) error {
	if to == nil {
		return nil
	}
	if d, _ := c.destination(to.Name); !a.has(d.Requires) {
		return export.Errorf(export.Forbidden, "The destination %s needs the scope %s.", d.Name, quote(d.Requires))
	}
	return nil
}

// resolvesTo reports whether the catalog still says what it said when the spec
// of this destination was made.
func (c *Catalog) resolvesTo(to export.Destination) bool {
	d, known := c.destination(to.Name)
	return known && d.at(to.Prefix) == to
}

func (p *catalogParser) destinations(n ast.Node) (all []Destination) {
	for _, item := range p.list(n, "destinations") {
		d := p.destination(item)
		if d.Name != "" && slices.ContainsFunc(all, func(other Destination) bool { return other.Name == d.Name }) {
			p.problem(item, "there is a destination %s already", d.Name)
		}
		all = append(all, d)
	}
	return all
}

func (p *catalogParser) destination(n ast.Node) (d Destination) {
	m := p.mapping(n, "a destination", "name", "description", "bucket", "prefix", "region", "role", "externalId", "requires")
	if m == nil {
		return d
	}
	for _, needed := range []string{"name", "bucket"} {
		if _, given := m[needed]; !given {
			p.problem(n, "the destination has no %s", needed)
		}
	}
	d.Name = p.name(m["name"])
	d.Description = p.optionalText(m["description"], "description")
	d.Bucket = p.formed(m["bucket"], "bucket", bucketForm, "a bucket's name, of 3 to 63 lower-case letters, digits, . and -")
	if v, isText := m["prefix"].(*ast.StringNode); !isText || v.Value != "" { // which says that there is none
		d.Prefix = p.root(m["prefix"])
	}
	d.Region = p.formed(m["region"], "region", regionForm, "a region's name, such as eu-central-1")
	d.Role = p.formed(m["role"], "role", roleForm, "the ARN of an IAM role, such as arn:aws:iam::111122223333:role/csvexport-delivery")
	d.ExternalID = p.formed(m["externalId"], "externalId", externalForm, "two or more letters, digits and characters of _+=,.@:/-")
	if len(d.ExternalID) > maxExternalID {
		p.problem(m["externalId"], "the externalId is longer than %d characters", maxExternalID)
	}
	if d.Role == "" && d.ExternalID != "" && m["role"] == nil {
		p.problem(m["externalId"], "the externalId is for a role, and the destination has none")
	}
	d.Requires = p.scope(m["requires"])
	return d
}

// root reads what all keys of a destination begin with.
func (p *catalogParser) root(n ast.Node) string {
	prefix := p.optionalText(n, "prefix")
	if prefix != "" && (len(prefix) > maxRoot || !prefixForm.MatchString(prefix) || !strings.HasSuffix(prefix, "/")) {
		p.problem(n, "the prefix %s must be names of letters, digits, -, _, . and =, each followed by /, none of them of dots alone; %d characters at most", quote(prefix), maxRoot)
	}
	return prefix
}

// formed reads an optional text that must match form, which want says in words.
func (p *catalogParser) formed(n ast.Node, what string, form *regexp.Regexp, want string) string {
	text := p.optionalText(n, what)
	if text != "" && !form.MatchString(text) {
		p.problem(n, "the %s %s must be %s", what, quote(text), want)
		return ""
	}
	return text
}
