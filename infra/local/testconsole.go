package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"

	"csvexport/infra/internal/console"
	"csvexport/infra/internal/psql"
	"csvexport/infra/internal/seed"
	"csvexport/infra/internal/stack"
)

// browsers are the names of programs that the console is tested in, the first
// one that is there.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// testConsole uses the console in a browser, on a stack of its own, and prints
// a line for each case. The error is errReported if one of them ended badly.
func testConsole(ctx context.Context, opt options, stdout, stderr io.Writer) (err error) {
	browser, err := findBrowser()
	if err != nil {
		return err
	}
	signIn, err := startIssuer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, signIn.close()) }()
	tests := filepath.Join(opt.root, ".local", ".tests")
	catalog := filepath.Join(tests, opt.stack+".yaml")
	if err := os.MkdirAll(tests, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(catalog, []byte(console.Datasets()), 0o644); err != nil {
		return err
	}
	suite := &console.Suite{
		Browser: browser, Log: stderr, Token: signIn.tokenFor,
		Axe:      filepath.Join(opt.root, ".local", ".tools", "console", "node_modules", "axe-core", "axe.min.js"),
		Contract: filepath.Join(opt.root, "internal", "api", "openapi.yaml"),
		Folder:   filepath.Join(opt.root, ".local", "screenshots"),
	}
	parameters := signIn.parameters()
	parameters["MaxActiveExports"], parameters["MaxCreatesPerMinute"] = plenty["MaxActiveExports"], plenty["MaxCreatesPerMinute"]
	return onOwnStack(ctx, opt, stack.Config{
		Out: stderr, Datasets: catalog, Parameters: parameters,
		InterceptDatabase: func(address string) (string, error) {
			u, err := url.Parse(address)
			if err != nil {
				return "", err
			}
			if suite.Database, err = console.SlowDatabase(u.Host); err != nil {
				return "", err
			}
			u.Host = suite.Database.Listen
			return u.String(), nil
		},
	}, func(s *stack.Stack) error {
		defer suite.Database.Stop()
		if err := fillConsole(ctx, opt, s.State.DB()); err != nil {
			return err
		}
		suite.Stack = s.State
		passed, failed, err := suite.Run(ctx, opt.only, stdout)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "console: %d passed, %d failed; screenshots are in .local/screenshots\n", passed, failed)
		if failed > 0 {
			return errReported
		}
		return nil
	})
}

// fillConsole makes the tables that the cases export, with some values that a
// shell would take for its own.
func fillConsole(ctx context.Context, opt options, db psql.DB) error {
	for table, rows := range console.Rows() {
		if err := seed.Table(ctx, db, opt.root, table, rows); err != nil {
			return err
		}
	}
	for _, statement := range []string{"UPDATE users SET subscription_tier = 'it''s' WHERE id % 1000 = 0", "ANALYZE"} {
		if _, err := db.Value(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func findBrowser() (string, error) {
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no browser to test in; install one of %v", browsers)
}
