// Command local runs the whole service on this machine, on loopback and
// without Docker: Postgres, stand-ins for AWS, the functions and their routes
// as template.yaml declares them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"csvexport/infra/internal/objectstore"
	"csvexport/infra/internal/stack"
)

const usage = `usage: local COMMAND [flags]

  up          start the stack and serve until Ctrl-C
  down        stop the stack of that name; -clean also removes its data
  seed        fill the users table, or another example's, with -rows rows
  dataset TABLE  write a first entry for a table of a database into the file of datasets
  demo        export the users table and compare the file with psql's
  bench       compare an export with other ways to write CSV, on a stack of its own
  bench-api   measure the routes under load, on a stack of its own
  bench-start  measure cold starts and warm answers of every function, on a stack of its own
  bench-memory  measure the memory of exports of tables of several sizes, on a stack of its own
  test-api    send requests made of the contract to the routes, on a stack of its own
  test-console  use the console in a browser and look at what people would see, on a stack of its own
  vulnerabilities  look for known vulnerabilities that the code of both modules reaches
  test-faults  disturb exports in every way of a list and look whether they end as they must, on a stack of its own
  soak        disturb exports at random for -minutes and look at what becomes of them, on a stack of its own
  load        send 200 creates of 20 owners at once, three of them noisy, and compare what exports wait, on a stack of its own
  cases LANE=FILE …  print a table of the end-to-end cases whose go test -json is in the files
  lanes       write the table of the end-to-end tests and their lanes into docs/lanes.md
  docker -- CMD  run CMD with a Docker engine: the one there is, or as root one that is ended with CMD
  costs       compute what exports and an idle month cost in AWS, from a run on a stack of its own
  policies FOLDER  compare the calls that functions made in end-to-end tests, recorded in FOLDER, with their IAM policies
  skip LANE   print the end-to-end tests that a lane leaves out, as go test -skip takes them
  run -- CMD  run CMD beside fresh stand-ins, named by TEST_DATABASE_URL,
              TEST_S3_URL, TEST_SQS_URL, TEST_DYNAMODB_URL and TEST_PSQL

"local COMMAND -h" lists the flags.
`

func main() {
	ctx, stop := interruptible(os.Stderr)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit status: 0, 1 for an error, 2 for a wrong command line,
// 130 after an interrupt, or that of run's command.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	if args[0] == stack.ObjectStoreCommand {
		return status(objectstore.Serve(ctx, args[1:]), stderr)
	}
	opt, rest, err := parse(args[0], args[1:], getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "local:", err)
		return 2
	}
	err = opt.perform(ctx, args[0], rest, getenv, stdout, stderr)
	return status(err, stderr)
}

// perform runs a command with the flags of its own.
func (opt options) perform(ctx context.Context, command string, rest []string, getenv func(string) string, stdout, stderr io.Writer) error {
	switch command {
	case "up":
		return up(ctx, opt, stdout, stderr)
	case "down":
		return down(ctx, opt, stderr)
	case "seed":
		return seedRows(ctx, opt, stderr)
	case "dataset":
		return addDataset(ctx, opt, rest, stdout, stderr)
	case "demo":
		return runDemo(ctx, opt, stdout, stderr)
	case "vulnerabilities":
		return vulnerabilities(ctx, opt, getenv("CI") == "true", stderr)
	case "cases":
		return printCases(rest, stdout)
	case "lanes":
		return writeLanes(opt.root, opt.write)
	case "docker":
		return runWithDocker(ctx, opt, rest, stdout, stderr)
	case "policies":
		return checkPolicies(opt, rest, stdout)
	case "skip":
		return printSkip(rest, stdout)
	case "run":
		return runCommand(ctx, opt, rest, stdout, stderr)
	default:
		return opt.measure(ctx, command, stdout, stderr)
	}
}

// measure runs a command that tests or measures on a stack of its own.
func (opt options) measure(ctx context.Context, command string, stdout, stderr io.Writer) error {
	switch command {
	case "bench":
		return benchCopy(ctx, opt, stdout, stderr)
	case "bench-api":
		return benchAPI(ctx, opt, stdout, stderr)
	case "bench-start":
		return benchStart(ctx, opt, stdout, stderr)
	case "bench-memory":
		return benchMemory(ctx, opt, stdout, stderr)
	case "test-api":
		return testAPI(ctx, opt, stdout, stderr)
	case "test-console":
		return testConsole(ctx, opt, stdout, stderr)
	case "test-faults":
		return testFaults(ctx, opt, stdout, stderr)
	case "soak":
		return soak(ctx, opt, stdout, stderr)
	case "load":
		return crowdLoad(ctx, opt, stdout, stderr)
	case "costs":
		return computeCosts(ctx, opt, stdout, stderr)
	}
	return nil
}

var errInterrupted = errors.New("interrupted")

// interruptible returns a context that the first SIGINT or SIGTERM cancels; a
// second one ends the program at once. On Linux the kernel ends the children
// then; elsewhere the next start does.
func interruptible(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
			return
		}
		select {
		case <-signals:
			fmt.Fprintln(stderr, "local: interrupted twice, ending at once")
			os.Exit(130)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// status prints err and returns the exit status for it.
func status(err error, stderr io.Writer) int {
	var command *commandError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		fmt.Fprintln(stderr, "local: interrupted")
		return 130
	case errors.Is(err, errReported):
		return 1
	case errors.As(err, &command):
		return command.status
	}
	fmt.Fprintln(stderr, "local:", err)
	return 1
}

// errReported is the error of a command that has said itself what went wrong.
var errReported = errors.New("reported")
