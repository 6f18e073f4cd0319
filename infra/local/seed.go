package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"csvexport/infra/internal/psql"
	"csvexport/infra/internal/seed"
)

// seedRows fills an example table of the user's database, of the running stack,
// or of a stack that does not run, whose Postgres it starts for that.
func seedRows(ctx context.Context, opt options, stderr io.Writer) error {
	return withDatabase(ctx, opt, true, stderr, func(db psql.DB) error { return fillTable(ctx, opt, db, opt.dataset, stderr) })
}

func fillUsers(ctx context.Context, opt options, db psql.DB, stderr io.Writer) error {
	return fillTable(ctx, opt, db, "users", stderr)
}

func fillTable(ctx context.Context, opt options, db psql.DB, name string, stderr io.Writer) error {
	fmt.Fprintf(stderr, "seeding %d %s\n", opt.rows, name)
	begin := time.Now()
	if err := seed.Table(ctx, db, opt.root, name, opt.rows); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "seeded in %.1f s\n", time.Since(begin).Seconds())
	return nil
}
