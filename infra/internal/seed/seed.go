// Package seed fills the users table by the scripts in the project's seeds folder.
package seed

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"csvexport/infra/internal/psql"
)

// Users makes the users table hold exactly the given number of rows. It does
// next to nothing if it does already, and changes nothing if there is a table of that
// name that the script did not make.
func Users(ctx context.Context, db psql.DB, root string, rows int64) error {
	script := filepath.Join(root, "seeds", "generate-users.sql")
	if err := db.File(ctx, script, "rows="+strconv.FormatInt(rows, 10)); err != nil {
		return fmt.Errorf("seed the users table: %w", err)
	}
	return nil
}
