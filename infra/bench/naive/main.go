// Command naive writes the users table as CSV, which is thrown away, in two
// ways in which a service could do it that wasn't made for large tables. The
// connection is described by PGHOST and so on. See `make bench`.
//
//	naive rows    a query's rows, by encoding/csv and compress/gzip
//	naive pages   pages of 1,000 rows of users_200k, by LIMIT and OFFSET
package main

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	columns = "id, name, email, signup_date, country_code, subscription_tier, lifetime_value"
	page    = 1000
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "naive:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("want one argument, rows or pages")
	}
	conn, err := pgx.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	switch args[0] {
	case "rows":
		return rows(ctx, conn, io.Discard)
	case "pages":
		return pages(ctx, conn, io.Discard)
	}
	return fmt.Errorf("unknown way %q", args[0])
}

// rows writes all users as gzip'd CSV.
func rows(ctx context.Context, conn *pgx.Conn, w io.Writer) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	out := csv.NewWriter(z)
	if _, err := write(ctx, conn, out, "SELECT "+columns+" FROM users ORDER BY id"); err != nil {
		return err
	}
	out.Flush()
	return errors.Join(out.Error(), z.Close())
}

// pages writes users_200k as CSV.
func pages(ctx context.Context, conn *pgx.Conn, w io.Writer) error {
	out := csv.NewWriter(w)
	for offset := 0; ; offset += page {
		n, err := write(ctx, conn, out, "SELECT "+columns+" FROM users_200k ORDER BY id LIMIT $1 OFFSET $2", page, offset)
		if err != nil {
			return err
		}
		if n < page {
			break
		}
	}
	out.Flush()
	return out.Error()
}

// write writes a query's rows and returns how many there were.
func write(ctx context.Context, conn *pgx.Conn, out *csv.Writer, query string, args ...any) (n int, err error) {
	result, err := conn.Query(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	defer result.Close()
	for ; result.Next(); n++ {
		var (
			id                   int64
			name, email, country string
			signedUp             *time.Time
			tier                 *string
			value                *float64
		)
		if err := result.Scan(&id, &name, &email, &signedUp, &country, &tier, &value); err != nil {
			return n, err
		}
		record := []string{strconv.FormatInt(id, 10), name, email, "", country, "", ""}
		if signedUp != nil {
			record[3] = signedUp.UTC().Format(time.RFC3339Nano)
		}
		if tier != nil {
			record[5] = *tier
		}
		if value != nil {
			record[6] = strconv.FormatFloat(*value, 'f', 2, 64)
		}
		if err := out.Write(record); err != nil {
			return n, err
		}
	}
	return n, result.Err()
}
