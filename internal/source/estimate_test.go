package source_test

import (
	"context"
	"testing"
	"time"

	"csvexport/internal/dataset"
	"csvexport/internal/export"
	"csvexport/internal/servertest"
	"csvexport/internal/source"
)

func TestSource_Estimate(t *testing.T) {
	url := servertest.Database(t)
	servertest.Users(t, url, 2000)
	// Whatever the server's own settings are, a literal is one.
	servertest.PSQL(t, url, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database()); END $$`)
	s, err := source.New(url)
	if err != nil {
		t.Fatal(err)
	}
	users := dataset.Selection{Relation: dataset.Relation{Schema: "public", Name: "users"}, Columns: []dataset.Column{{Name: "id"}}}
	where := func(column, value string) dataset.Selection {
		sel := users
		sel.Predicates = []dataset.Predicate{{Column: column, Operator: dataset.In, Type: dataset.Text, Values: []string{value}}}
		return sel
	}
	for _, tt := range []struct {
		name        string
		sel         dataset.Selection
		least, most int64
		code        export.Code
	}{
		{name: "all", sel: users, least: 1900, most: 2100},
		{name: "a third", sel: where("country_code", "DE"), least: 500, most: 850},
		{name: "a value that ends a literal elsewhere", sel: where("name", `\' OR true --`), least: 0, most: 100},
		{name: "no such column", sel: where("nope", "x"), code: export.SourceRejected},
		{name: "no such table", sel: dataset.Selection{Relation: dataset.Relation{Schema: "public", Name: "nope"}}, code: export.SourceRejected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := s.Estimate(t.Context(), tt.sel)
			if tt.code != "" {
				if export.CodeOf(err) != tt.code {
					t.Errorf("error %v, want code %s", err, tt.code)
				}
				return
			}
			if err != nil || n < tt.least || n > tt.most {
				t.Errorf("%d rows, %v; want from %d to %d", n, err, tt.least, tt.most)
			}
		})
	}

	servertest.Lock(t, url, "users")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	if _, err := s.Estimate(ctx, users); export.CodeOf(err) != export.SourceUnavailable || time.Since(began) > 5*time.Second {
		t.Errorf("of a locked table: %v after %v", err, time.Since(began))
	}
}
