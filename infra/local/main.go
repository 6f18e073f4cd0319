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
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"csvexport/infra/internal/objectstore"
	"csvexport/infra/internal/seed"
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
  cases FILE  print a table of the end-to-end cases whose go test -json is in FILE
  skip LANE   print the end-to-end tests that a lane leaves out, as go test -skip takes them
  run -- CMD  run CMD beside fresh stand-ins, named by TEST_DATABASE_URL,
              TEST_S3_URL, TEST_SQS_URL, TEST_DYNAMODB_URL and TEST_PSQL

"local COMMAND -h" lists the flags.
`

// options are the flags that the commands share.
type options struct {
	root         string
	stack        string
	port         int
	databaseURL  string
	emulatorName string
	emulator     stack.Emulator
	dynamoDBURL  string // of a running emulator that has none itself
	rows         int64
	dataset      string // the example table that seed fills
	datasets     string // the file of datasets, absolute, or s3://BUCKET/KEY; empty for the embedded one
	clean        bool
	ephemeral    bool
	requestsOnly bool
	requests     int
	starts       int
	rounds       int
	seed         int
	write        string
	postgres     string
	pooler       string
	only         string
	minutes      int
	parameters   parameters
}

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
	switch args[0] {
	case "up":
		err = up(ctx, opt, stdout, stderr)
	case "down":
		err = down(ctx, opt, stderr)
	case "seed":
		err = seedRows(ctx, opt, stderr)
	case "dataset":
		err = addDataset(ctx, opt, rest, stdout, stderr)
	case "demo":
		err = runDemo(ctx, opt, stdout, stderr)
	case "bench":
		err = benchCopy(ctx, opt, stdout, stderr)
	case "bench-api":
		err = benchAPI(ctx, opt, stdout, stderr)
	case "bench-start":
		err = benchStart(ctx, opt, stdout, stderr)
	case "bench-memory":
		err = benchMemory(ctx, opt, stdout, stderr)
	case "test-api":
		err = testAPI(ctx, opt, stdout, stderr)
	case "vulnerabilities":
		err = vulnerabilities(ctx, opt, getenv("CI") == "true", stderr)
	case "test-console":
		err = testConsole(ctx, opt, stdout, stderr)
	case "test-faults":
		err = testFaults(ctx, opt, stdout, stderr)
	case "soak":
		err = soak(ctx, opt, stdout, stderr)
	case "load":
		err = crowdLoad(ctx, opt, stdout, stderr)
	case "cases":
		err = printCases(rest, stdout)
	case "skip":
		err = printSkip(rest, stdout)
	case "run":
		err = runCommand(ctx, opt, rest, stdout, stderr)
	}
	return status(err, stderr)
}

func parse(command string, args []string, getenv func(string) string, stderr io.Writer) (opt options, rest []string, err error) {
	fs := flag.NewFlagSet("local "+command, flag.ContinueOnError)
	fs.SetOutput(stderr)
	if err := opt.declare(fs, command, getenv); err != nil {
		return opt, nil, err
	}
	if err := fs.Parse(args); err != nil {
		return opt, nil, err
	}
	if !slices.Contains([]string{"cases", "dataset", "skip", "run"}, command) && fs.NArg() > 0 {
		return opt, nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err := opt.check(command); err != nil {
		return opt, nil, err
	}
	if opt.emulator, err = stack.ParseEmulator(opt.emulatorName); err != nil {
		return opt, nil, fmt.Errorf("-emulator %w", err)
	}
	if opt.datasets != "" && !strings.HasPrefix(opt.datasets, "s3://") {
		if opt.datasets, err = filepath.Abs(opt.datasets); err != nil {
			return opt, nil, err
		}
	}
	opt.root, err = projectRoot(opt.root)
	return opt, fs.Args(), err
}

// declare declares a command's flags.
func (opt *options) declare(fs *flag.FlagSet, command string, getenv func(string) string) error {
	fs.StringVar(&opt.root, "root", "", "project folder; by default the nearest one upwards with a template.yaml")
	name := "local"
	if strings.HasPrefix(command, "bench") || strings.HasPrefix(command, "test-") || command == "soak" || command == "load" {
		name = command
	}
	fs.StringVar(&opt.stack, "stack", name, "name of the stack; its state is in .local/NAME")
	database := func() {
		fs.StringVar(&opt.databaseURL, "database-url", getenv("DATABASE_URL"), "your own database instead of the stack's Postgres")
	}
	datasets := func(value string) {
		fs.StringVar(&opt.datasets, "datasets", value, "YAML file of the datasets, see docs/datasets.md; up and demo also take s3://BUCKET/KEY")
	}
	rows := func(value int64, use string) { fs.Int64Var(&opt.rows, "rows", value, use) }
	port := func() { fs.IntVar(&opt.port, "port", 8080, "port of the routes on 127.0.0.1; 0 for any free one") }
	switch command {
	case "up":
		database()
		opt.declareEmulator(fs, getenv)
		port()
		datasets("")
		fs.Var(&opt.parameters, "param", "`NAME=VALUE` of a parameter of template.yaml, over the stack's own; may be repeated")
		fs.BoolVar(&opt.requestsOnly, "requests-only", false, "deliver no message and follow no schedule: exports stay queued")
		fs.BoolVar(&opt.ephemeral, "ephemeral", false, "start empty and keep nothing")
		rows(0, "seed the users table with so many rows if there is none; 0 for no table")
	case "down":
		fs.BoolVar(&opt.clean, "clean", false, "also remove the stack's data")
	case "seed":
		database()
		fs.StringVar(&opt.dataset, "dataset", "users", "the example table: "+strings.Join(seed.Datasets, ", "))
		rows(100_000, "number of rows")
	case "dataset":
		database()
		datasets("datasets.yaml")
	case "demo":
		database()
		opt.declareEmulator(fs, getenv)
		port()
		datasets("")
		rows(100_000, "number of rows")
	case "bench", "bench-api", "bench-start", "bench-memory", "load":
		benchFlags(fs, command, opt)
	case "test-api":
		fs.IntVar(&opt.seed, "seed", 1, "number that the requests are made of")
	case "vulnerabilities": // takes none
	case "test-console":
		fs.StringVar(&opt.only, "only", "", "words of the names of the cases that are run; empty: all")
	case "test-faults":
		fs.StringVar(&opt.only, "only", "", "numbers of the faults that strike, such as 1,2,14; empty: all")
	case "soak":
		fs.IntVar(&opt.minutes, "minutes", 10, "how long")
		fs.IntVar(&opt.seed, "seed", 1, "number that the disturbances are made of")
	case "cases", "skip": // take an argument
	case "run": // takes arguments
		opt.declareEmulator(fs, getenv)
		fs.StringVar(&opt.postgres, "postgres", "", "another installation of Postgres than the bundled one: a folder with bin, lib and share")
		fs.StringVar(&opt.pooler, "pooler", "", "also start PgBouncer before Postgres, in this mode (session, transaction or statement), and name it in TEST_DATABASE_URL")
	default:
		return fmt.Errorf("unknown command %q\n%s", command, usage)
	}
	return nil
}

// declareEmulator declares what says what stands in for AWS.
func (opt *options) declareEmulator(fs *flag.FlagSet, getenv func(string) string) {
	fs.StringVar(&opt.emulatorName, "emulator", getenv("EMULATOR"),
		"what stands in for AWS: local (versitygw and ministack), localstack (LocalStack and DynamoDB Local), or the URL of one that runs already")
	fs.StringVar(&opt.dynamoDBURL, "dynamodb-url", getenv("DYNAMODB_URL"), "address of DynamoDB, where -emulator is a URL that serves all but that")
}

// benchFlags are those of the commands that measure.
func benchFlags(fs *flag.FlagSet, command string, opt *options) {
	fs.StringVar(&opt.write, "write", "", "also write the tables into this file, between the marker comments of "+command)
	switch command {
	case "bench":
		fs.Int64Var(&opt.rows, "rows", 5_000_000, "number of rows")
		fs.IntVar(&opt.rounds, "rounds", 5, "number of rounds that are measured")
	case "bench-api":
		fs.Int64Var(&opt.rows, "rows", 1_000_000, "number of rows of an export")
		fs.IntVar(&opt.requests, "requests", 1000, "number of requests of each kind under load")
	case "bench-start":
		fs.IntVar(&opt.starts, "starts", 20, "number of cold starts of each kind")
		fs.IntVar(&opt.requests, "requests", 200, "number of warm answers of each kind")
	case "load":
		fs.IntVar(&opt.rounds, "rounds", 2, "number of rounds that are measured")
	case "bench-memory":
		fs.Int64Var(&opt.rows, "rows", 20_000_000, "number of rows of the largest table")
	}
}

// check checks the values of a command's flags.
func (opt options) check(command string) error {
	switch {
	case opt.pooler != "" && opt.pooler != "session" && opt.pooler != "transaction" && opt.pooler != "statement":
		return fmt.Errorf("-pooler %s: want session, transaction or statement", opt.pooler)
	case opt.rows < 0 || opt.rows > 2_000_000_000:
		return fmt.Errorf("-rows %d: want 0 to 2,000,000,000", opt.rows)
	case command == "soak" && (opt.minutes < 1 || opt.minutes > 24*60):
		return fmt.Errorf("-minutes %d: want 1 to 1440", opt.minutes)
	case command == "seed" && !slices.Contains(seed.Datasets, opt.dataset):
		return fmt.Errorf("-dataset %q: want one of %s", opt.dataset, strings.Join(seed.Datasets, ", "))
	case command == "dataset" && strings.HasPrefix(opt.datasets, "s3://"):
		return fmt.Errorf("-datasets %s: want a file", opt.datasets)
	case command == "bench" && (opt.rows < 1 || opt.rounds < 1 || opt.rounds > 100):
		return fmt.Errorf("-rows %d -rounds %d: want at least 1 row, and 1 to 100 rounds", opt.rows, opt.rounds)
	case command == "load" && (opt.rounds < 1 || opt.rounds > 100):
		return fmt.Errorf("-rounds %d: want 1 to 100", opt.rounds)
	case command == "bench-memory" && opt.rows < 2000:
		return fmt.Errorf("-rows %d: want at least 2,000", opt.rows)
	case command == "bench-start" && (opt.starts < 1 || opt.starts > 100 || opt.requests < 1 || opt.requests > 1000):
		return fmt.Errorf("-starts %d -requests %d: want 1 to 100, and 1 to 1,000", opt.starts, opt.requests)
	case command == "bench-api" && (opt.requests < 1 || opt.requests > 5000):
		return fmt.Errorf("-requests %d: want 1 to 5,000", opt.requests)
	}
	return nil
}

// projectRoot checks the given folder, or looks for it upwards from here.
func projectRoot(given string) (string, error) {
	dir, err := filepath.Abs(given) // of "": the working directory
	if err != nil {
		return "", err
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "template.yaml"))
		if err == nil {
			return dir, nil
		}
		if given != "" || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no template.yaml in %s or above: run this inside the project, or name its folder by -root", start)
		}
	}
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
