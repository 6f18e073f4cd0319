package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"csvexport/infra/internal/psql"
	"csvexport/infra/internal/seed"
	"csvexport/infra/internal/stack"
)

// seedRows fills the users table of the user's database, of the running stack,
// or of a stack that does not run, whose Postgres it starts for that.
func seedRows(ctx context.Context, opt options, stderr io.Writer) (err error) {
	fill := func(db psql.DB) error { return fillUsers(ctx, opt, db, stderr) }
	if opt.databaseURL != "" {
		db, err := stack.UserDB(ctx, opt.root, opt.databaseURL, stderr)
		if err != nil {
			return err
		}
		return fill(db)
	}
	state, err := stack.Find(opt.root, opt.stack)
	switch {
	case err == nil && !state.OwnDatabase:
		return fmt.Errorf("the stack %q uses a database of yours: to seed it, say so with DATABASE_URL=…", opt.stack)
	case err == nil:
		return fill(state.DB())
	case !errors.Is(err, stack.ErrNotRunning):
		return err
	}
	folder, err := stack.Open(opt.root, opt.stack, false)
	if err != nil {
		return err
	}
	return errors.Join(stack.WithPostgres(ctx, folder, stderr, fill), folder.Close())
}

func fillUsers(ctx context.Context, opt options, db psql.DB, stderr io.Writer) error {
	fmt.Fprintf(stderr, "seeding %d users\n", opt.rows)
	begin := time.Now()
	if err := seed.Users(ctx, db, opt.root, opt.rows); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "seeded in %.1f s\n", time.Since(begin).Seconds())
	return nil
}
