package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"csvexport/infra/internal/psql"
	"csvexport/infra/internal/stack"
)

// addDataset writes a first entry for the table that args name at the end of
// the file of datasets. What is in the file stays as it is.
func addDataset(ctx context.Context, opt options, args []string, stdout, stderr io.Writer) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("dataset: no table; want: make dataset TABLE=schema.table")
	}
	var t table
	err := withDatabase(ctx, opt, false, stderr, func(db psql.DB) (err error) {
		t, err = lookUp(ctx, db, args[0])
		return err
	})
	if err != nil {
		return err
	}
	text, err := os.ReadFile(opt.datasets)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	name := t.datasetName()
	file := filepath.Base(opt.datasets)
	addition, err := addition(file, text, name, t)
	if err != nil {
		return err
	}
	if err := appendText(opt.datasets, addition); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, `%s: added the dataset %s, which is the table %s. Look it through, then start the stack with make up, and export it:

  curl -i -X POST http://127.0.0.1:8080/exports/csv -H 'Content-Type: application/json' -d '{"dataset":"%s"}'
`, file, name, t.relation(), name)
	return err
}

// appendText writes text at the end of a file, which need not be there yet.
func appendText(path, text string) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return errors.Join(err, out.Close())
}

// withDatabase calls f with the user's database, that of the running stack, or
// that of a stack that does not run, whose Postgres it starts for that.
// Whoever writes to a database of the user's must have been given it for that.
func withDatabase(ctx context.Context, opt options, writes bool, stderr io.Writer, f func(psql.DB) error) error {
	if opt.databaseURL != "" {
		db, err := stack.UserDB(ctx, opt.root, opt.databaseURL, stderr)
		if err != nil {
			return err
		}
		return f(db)
	}
	state, err := stack.Find(opt.root, opt.stack)
	switch {
	case err == nil && writes && !state.OwnDatabase:
		return fmt.Errorf("the stack %q uses a database of yours: to seed it, say so with DATABASE_URL=…", opt.stack)
	case err == nil:
		return f(state.DB())
	case !errors.Is(err, stack.ErrNotRunning):
		return err
	}
	folder, err := stack.Open(opt.root, opt.stack, false)
	if err != nil {
		return err
	}
	return errors.Join(stack.WithPostgres(ctx, folder, stderr, f), folder.Close())
}
