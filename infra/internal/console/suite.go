// Package console uses the service's console as people do, in a browser
// without a window, and looks at what they would see, hear and get.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"csvexport/infra/internal/link"
	"csvexport/infra/internal/stack"
)

// caseTimeout bounds a case with all its waits.
const caseTimeout = 4 * time.Minute

// Suite is a running stack and a browser before it.
type Suite struct {
	Stack    stack.State
	Browser  string // path of Chromium, or of a browser made of it
	Axe      string // path of axe.min.js
	Contract string // path of openapi.yaml
	Folder   string // where screenshots go
	Log      io.Writer
	// Token signs a caller in for the given time.
	Token func(subject string, lasts time.Duration) (string, error)
	// Database is the way from the functions to Postgres.
	Database *link.Link

	front *front
}

// useCase is one thing that people do, or meet.
type useCase struct {
	name string
	run  func(v *visit)
}

func useCases() []useCase {
	return slices.Concat(exportCases(), listCases(), errorCases(), signInCases(), pageCases())
}

// Run runs the cases whose names contain only, all if it is empty, and reports
// a line for each.
func (s *Suite) Run(ctx context.Context, only string, out io.Writer) (passed, failed int, err error) {
	chosen := slices.DeleteFunc(useCases(), func(c useCase) bool { return !strings.Contains(c.name, only) })
	if len(chosen) == 0 {
		return 0, 0, fmt.Errorf("no case's name contains %q", only)
	}
	if err := errors.Join(os.RemoveAll(s.Folder), os.MkdirAll(s.Folder, 0o755)); err != nil {
		return 0, 0, err
	}
	if s.front, err = newFront(s.Stack.BaseURL); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.front.close()) }()
	profile, err := os.MkdirTemp("", "csvexport-console-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(profile)) }()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(s.Browser), chromedp.UserDataDir(filepath.Join(profile, "profile")), chromedp.WindowSize(1280, 960),
		chromedp.NoSandbox, // it only meets pages of ours, and can't have one under root or in most containers
		chromedp.Flag("lang", "en-US"),
	)
	allocator, end := chromedp.NewExecAllocator(ctx, options...)
	defer end()
	browser, quit := chromedp.NewContext(allocator)
	defer quit()
	if err := chromedp.Do(browser); err != nil { // starts it
		return 0, 0, fmt.Errorf("start %s: %w", s.Browser, err)
	}
	for i, c := range chosen {
		begin := time.Now()
		problems := s.try(browser, filepath.Join(profile, fmt.Sprintf("downloads-%d", i)), c)
		if ctx.Err() != nil {
			return 0, 0, context.Cause(ctx)
		}
		verdict := "ok"
		if len(problems) == 0 {
			passed++
		} else {
			failed++
			verdict = "FAILED: " + strings.Join(problems, "; ")
		}
		fmt.Fprintf(out, "console %s: %s (%.1f s)\n", c.name, verdict, time.Since(begin).Seconds())
	}
	return passed, failed, nil
}

// The rows of the tables that cases export.
const (
	usersRows  = 400_000
	ordersRows = 20_000
)

// Rows are the tables that must be there, with their numbers of rows.
func Rows() map[string]int64 { return map[string]int64{"users": usersRows, "orders": ordersRows} }

// Datasets is the catalog that cases are about.
func Datasets() string {
	return `destinations:
  - {name: elsewhere, description: Another bucket., bucket: delivery, prefix: csv/, role: "arn:aws:iam::000000000000:role/delivery"}
datasets:
  - name: users
    description: Customers, one row each.
    relation: public.users
    key: [id]
    columns: [{name: id, type: integer}, {name: name, type: varchar(255)}, {name: email, type: varchar(255)}, {name: signup_date, type: timestamptz},
      {name: country_code, type: char(2)}, {name: subscription_tier, type: varchar(50)}, {name: lifetime_value, type: "numeric(10,2)"}]
    filters:
      - {column: country_code, type: text, by: [in], pattern: "^[A-Z]{2}$", hint: two capital letters}
      - {column: subscription_tier, type: text, by: [in], max_length: 50}
      - {column: lifetime_value, type: decimal, by: [min, max]}
      - {column: signup_date, type: timestamp, by: [from, to]}
  - name: orders
    description: Orders of a shop, by day.
    relation: public.orders
    key: [ordered_on, id]
    columns: [id, ordered_on, tenant_id, customer_id, status, paid, total, note]
    filters:
      - {column: id, type: integer, by: [in, min, max]}
      - {column: ordered_on, type: date, by: [from, to]}
      - {column: tenant_id, type: integer, by: [in]}
      - {column: status, type: text, by: [in]}
      - {column: paid, type: boolean, by: [equals]}
      - {column: total, type: decimal, by: [min, max]}
      - {column: note, type: text, by: [prefix, is_null]}
    limits: {rows: 1000000, bytes: 1GiB, age: 10m}
  - name: gone
    description: A table that isn't there any more.
    relation: public.gone
    columns: [id]
`
}
