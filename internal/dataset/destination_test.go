package dataset_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
)

const withDestinations = `datasets: [{name: users, relation: public.users, columns: [id]}]
destinations:
  - {name: archive, bucket: our-archive}
  - name: finance
    description: What finance reads.
    bucket: acme-finance
    prefix: exports/csv/
    region: eu-central-1
    role: arn:aws:iam::111122223333:role/csvexport-delivery
    externalId: ours
    requires: finance.write
`

func parsed(t *testing.T, text string) *dataset.Catalog {
	t.Helper()
	c, err := dataset.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var finance = dataset.Access{Scopes: []string{"finance.write"}}

func TestParse_destinations(t *testing.T) {
	want := []dataset.Destination{
		{Name: "archive", Bucket: "our-archive"},
		{
			Name: "finance", Description: "What finance reads.", Bucket: "acme-finance", Prefix: "exports/csv/", Region: "eu-central-1",
			Role: "arn:aws:iam::111122223333:role/csvexport-delivery", ExternalID: "ours", Requires: "finance.write",
		},
	}
	c := parsed(t, withDestinations)
	if diff := cmp.Diff(want, c.Destinations(finance)); diff != "" {
		t.Errorf("destinations (-want +got):\n%s", diff)
	}
	if got := c.Destinations(dataset.Access{}); len(got) != 1 || got[0].Name != "archive" {
		t.Errorf("without the scope: %v, want the archive", got)
	}
}

func TestParse_destinationProblems(t *testing.T) {
	const text = `datasets: [{name: users, relation: public.users, columns: [id]}]
destinations:
  - {name: Finance, bucket: Acme, prefix: /exports, region: Frankfurt, role: delivery, externalId: "a b", requires: "a b"}
  - {description: nowhere}
  - {name: twice, bucket: abc, prefix: a/../b/, externalId: ours}
  - {name: twice, bucket: abc, prefix: "", key: x}
  - archive
`
	want := `f.yaml:3: the name "Finance" must be a lower-case letter and then lower-case letters, digits, _ and -, 63 characters at most
f.yaml:3: the bucket "Acme" must be a bucket's name, of 3 to 63 lower-case letters, digits, . and -
f.yaml:3: the prefix "/exports" must be names of letters, digits, -, _, . and =, each followed by /, none of them of dots alone; 512 characters at most
f.yaml:3: the region "Frankfurt" must be a region's name, such as eu-central-1
f.yaml:3: the role "delivery" must be the ARN of an IAM role, such as arn:aws:iam::111122223333:role/csvexport-delivery
f.yaml:3: the externalId "a b" must be two or more letters, digits and characters of _+=,.@:/-
f.yaml:3: the scope "a b" must be of ASCII characters without a space, " and \
f.yaml:4: the destination has no name
f.yaml:4: the destination has no bucket
f.yaml:5: the prefix "a/../b/" must be names of letters, digits, -, _, . and =, each followed by /, none of them of dots alone; 512 characters at most
f.yaml:5: the externalId is for a role, and the destination has none
f.yaml:6: a destination has no key "key"; its keys are name, description, bucket, prefix, region, role, externalId, requires
f.yaml:6: there is a destination twice already
f.yaml:7: a destination must be a mapping, not a text`
	_, err := dataset.Parse("f.yaml", []byte(text))
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestCatalog_Spec_destination(t *testing.T) {
	c := parsed(t, withDestinations)
	at := func(prefix string) *export.Destination {
		return &export.Destination{
			Name: "finance", Prefix: prefix, Bucket: "acme-finance", Root: "exports/csv/", Region: "eu-central-1",
			Role: "arn:aws:iam::111122223333:role/csvexport-delivery", ExternalID: "ours",
		}
	}
	for prefix, want := range map[string]string{"": "", "2026/11/": "2026/11/", "2026/11": "2026/11/", "day=27/.x/..y": "day=27/.x/..y/", strings.Repeat("a", 256): strings.Repeat("a", 256) + "/"} {
		spec, err := c.Spec(dataset.Request{Dataset: "users", Destination: &dataset.GivenDestination{Name: "finance", Prefix: prefix}}, finance)
		if err != nil {
			t.Fatalf("prefix %q: %v", prefix, err)
		}
		if diff := cmp.Diff(at(want), spec.Destination); diff != "" {
			t.Errorf("prefix %q (-want +got):\n%s", prefix, diff)
		}
		e := export.Export{ID: "0190-id", Owner: "anna", Spec: spec}
		if key := e.Key(2); key != "exports/csv/"+want+"0190-id/2.csv.gz" || e.AttemptOf(key) != 2 {
			t.Errorf("key %s of attempt %d", key, e.AttemptOf(key))
		}
	}
	for _, test := range []struct {
		given  dataset.GivenDestination
		fields []string
	}{
		{dataset.GivenDestination{Name: "elsewhere"}, []string{"destination.name"}},
		{dataset.GivenDestination{Name: "elsewhere", Prefix: "/"}, []string{"destination.name", "destination.prefix"}},
		{dataset.GivenDestination{Name: "finance", Prefix: "/a"}, []string{"destination.prefix"}},
		{dataset.GivenDestination{Name: "finance", Prefix: "a//b"}, []string{"destination.prefix"}},
		{dataset.GivenDestination{Name: "finance", Prefix: "a/../b"}, []string{"destination.prefix"}},
		{dataset.GivenDestination{Name: "finance", Prefix: "./b"}, []string{"destination.prefix"}},
		{dataset.GivenDestination{Name: "finance", Prefix: "a b"}, []string{"destination.prefix"}},
		{dataset.GivenDestination{Name: "finance", Prefix: "a\n"}, []string{"destination.prefix"}},
		{dataset.GivenDestination{Name: "finance", Prefix: "ä"}, []string{"destination.prefix"}},
		{dataset.GivenDestination{Name: "finance", Prefix: strings.Repeat("a", 257)}, []string{"destination.prefix"}},
	} {
		_, err := c.Spec(dataset.Request{Dataset: "users", Destination: &test.given}, finance)
		wantFields(t, test.given, err, test.fields)
	}
	if _, err := c.Spec(dataset.Request{Dataset: "users", Destination: &dataset.GivenDestination{Name: "finance"}}, dataset.Access{}); export.CodeOf(err) != export.Forbidden {
		t.Errorf("without the scope: %v, want %s", err, export.Forbidden)
	}
}

func wantFields(t *testing.T, of any, err error, want []string) {
	t.Helper()
	var got []string
	if e, ok := err.(*export.Error); ok && e.Code == export.InvalidRequest { //nolint:errorlint // Spec's own
		for _, f := range e.Fields {
			got = append(got, f.Field)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%+v: %v; problems (-want +got):\n%s", of, err, diff)
	}
}

// What runs must be what was allowed, wherever that was: a destination that was
// defined anew gets nothing of an earlier request, and a retry goes to the new
// one.
func TestCatalog_Resolve_destination(t *testing.T) {
	c := parsed(t, withDestinations)
	spec, err := c.Spec(dataset.Request{Dataset: "users", Destination: &dataset.GivenDestination{Name: "finance", Prefix: "a"}}, finance)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := c.Find("users")
	resolve := func(text string) error {
		_, err := parsed(t, text).Resolve(spec, d.Fingerprint())
		return err
	}
	for old, unlike := range map[string]string{
		"bucket: acme-finance": "bucket: other-bucket", "exports/csv/": "exports/tsv/", "eu-central-1": "eu-west-1",
		"role/csvexport-delivery": "role/other", "externalId: ours": "externalId: theirs", "name: finance": "name: finances",
	} {
		if err := resolve(strings.Replace(withDestinations, old, unlike, 1)); export.CodeOf(err) != export.DatasetChanged || !strings.Contains(err.Error(), "destination finance") {
			t.Errorf("%s: %v, want %s that names the destination", unlike, err, export.DatasetChanged)
		}
	}
	for old, unlike := range map[string]string{"What finance reads.": "Another.", "finance.write": "another.scope"} {
		if err := resolve(strings.Replace(withDestinations, old, unlike, 1)); err != nil {
			t.Errorf("%s: %v, want it to count at the request only", unlike, err)
		}
	}
	renewed, err := parsed(t, strings.Replace(withDestinations, "acme-finance", "other-bucket", 1)).Renew(spec, finance)
	if err != nil || renewed.Destination.Bucket != "other-bucket" || renewed.Destination.Prefix != "a/" {
		t.Errorf("renewed: %+v (%v)", renewed.Destination, err)
	}
}
