// Package seed fills the example tables by the scripts in the project's seeds folder.
package seed

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"csvexport/infra/internal/psql"
)

// Datasets are the example tables that there is a script for.
var Datasets = []string{"users", "events", "orders"}

// Table makes one of the example tables hold exactly the given number of rows.
// It does next to nothing if it does already, and changes nothing if there is a
// table of that name that the script did not make.
func Table(ctx context.Context, db psql.DB, root, name string, rows int64) error {
	script := filepath.Join(root, "seeds", "generate-"+name+".sql")
	if err := db.File(ctx, script, "rows="+strconv.FormatInt(rows, 10)); err != nil {
		return fmt.Errorf("seed the %s table: %w", name, err)
	}
	return nil
}

// Users is Table of users.
func Users(ctx context.Context, db psql.DB, root string, rows int64) error {
	return Table(ctx, db, root, "users", rows)
}
