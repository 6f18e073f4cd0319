package stack

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"

	"csvexport/infra/internal/psql"
)

// DB is the stack's database as psql reaches it.
func (s State) DB() psql.DB { return client(s.DatabaseURL, s.PSQL, s.OwnDatabase) }

// UserDB is a database of the user's own as psql reaches it.
func UserDB(ctx context.Context, root, url string, out io.Writer) (psql.DB, error) {
	_, install, err := packages(ctx, root, out)
	return client(url, filepath.Join(install, "bin", "psql"), false), err
}

// client chooses the psql: the bundled one for the stack's own server. It knows
// no TLS, so for another server the user's own is better, if there is one.
func client(url, bundled string, own bool) psql.DB {
	db := psql.DB{Path: bundled, URL: url, Own: own}
	if installed, err := exec.LookPath("psql"); err == nil && !own {
		db.Path = installed
	}
	return db
}

// WithPostgres calls f with the database of a stack whose own Postgres it
// starts and, afterwards, stops.
func WithPostgres(ctx context.Context, folder *Folder, out io.Writer, f func(psql.DB) error) error {
	_, install, err := packages(ctx, folder.Root, out)
	if err != nil {
		return err
	}
	server, err := folder.startPostgres(ctx, install, "")
	if err != nil {
		return err
	}
	err = f(psql.DB{Path: server.PSQL, URL: server.URL, Own: true})
	if stopped := server.Stop(context.WithoutCancel(ctx)); stopped != nil && err == nil {
		err = fmt.Errorf("after the work: %w", stopped)
	}
	return err
}
