package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"csvexport/infra/internal/seed"
	"csvexport/infra/internal/stack"
)

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
	calls        string // folder of recordings of functions' calls, absolute; empty: none
	part         bool
	parameters   parameters
	functions    string // what runs the functions: processes or sam
	invokeImage  string // of sam's containers; empty for AWS's
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
	if !slices.Contains([]string{"cases", "dataset", "docker", "policies", "skip", "run"}, command) && fs.NArg() > 0 {
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
	if strings.HasPrefix(command, "bench") || strings.HasPrefix(command, "test-") || slices.Contains([]string{"soak", "load", "costs"}, command) {
		name = command
	}
	fs.StringVar(&opt.stack, "stack", name, "name of the stack; its state is in .local/NAME")
	d := declarer{fs, opt, getenv}
	switch command {
	case "up":
		d.database()
		d.emulator()
		d.port()
		d.datasets("")
		d.functions()
		fs.Var(&opt.parameters, "param", "`NAME=VALUE` of a parameter of template.yaml, over the stack's own; may be repeated")
		fs.BoolVar(&opt.requestsOnly, "requests-only", false, "deliver no message and follow no schedule: exports stay queued")
		fs.StringVar(&opt.calls, "calls", getenv("RECORD_CALLS"), "record the functions' calls to AWS in this folder, for local policies")
		fs.BoolVar(&opt.ephemeral, "ephemeral", false, "start empty and keep nothing")
		d.rows(0, "seed the users table with so many rows if there is none; 0 for no table")
	case "down":
		fs.BoolVar(&opt.clean, "clean", false, "also remove the stack's data")
	case "seed":
		d.database()
		fs.StringVar(&opt.dataset, "dataset", "users", "the example table: "+strings.Join(seed.Datasets, ", "))
		d.rows(100_000, "number of rows")
	case "dataset":
		d.database()
		d.datasets("datasets.yaml")
	case "demo":
		d.database()
		d.functions()
		d.emulator()
		d.port()
		d.datasets("")
		d.rows(100_000, "number of rows")
	case "bench", "bench-api", "bench-start", "bench-memory", "load", "costs":
		benchFlags(fs, command, opt)
	case "test-api":
		fs.IntVar(&opt.seed, "seed", 1, "number that the requests are made of")
	case "vulnerabilities": // takes none
	case "lanes":
		fs.StringVar(&opt.write, "write", "docs/lanes.md", "the file that gets the table")
	case "test-console":
		fs.StringVar(&opt.only, "only", "", "words of the names of the cases that are run; empty: all")
	case "test-faults":
		fs.StringVar(&opt.only, "only", "", "numbers of the faults that strike, such as 1,2,14; empty: all")
	case "soak":
		fs.IntVar(&opt.minutes, "minutes", 10, "how long")
		fs.IntVar(&opt.seed, "seed", 1, "number that the disturbances are made of")
	case "policies":
		fs.BoolVar(&opt.part, "part", false, "the folder holds the calls of some tests only: say nothing of what is unused")
	case "cases", "docker", "skip": // take arguments
	case "run": // takes arguments
		d.emulator()
		fs.StringVar(&opt.postgres, "postgres", "", "another installation of Postgres than the bundled one: a folder with bin, lib and share")
		fs.StringVar(&opt.pooler, "pooler", "", "also start PgBouncer before Postgres, in this mode (session, transaction or statement), and name it in TEST_DATABASE_URL")
	default:
		return fmt.Errorf("unknown command %q\n%s", command, usage)
	}
	return nil
}

// declarer declares flags that several commands have.
type declarer struct {
	fs     *flag.FlagSet
	opt    *options
	getenv func(string) string // has defaults of some
}

func (d declarer) database() {
	d.fs.StringVar(&d.opt.databaseURL, "database-url", d.getenv("DATABASE_URL"), "your own database instead of the stack's Postgres")
}

func (d declarer) emulator() {
	d.fs.StringVar(&d.opt.emulatorName, "emulator", d.getenv("EMULATOR"),
		"what stands in for AWS: local (versitygw and ministack), localstack (LocalStack and DynamoDB Local), or the URL of one that runs already")
	d.fs.StringVar(&d.opt.dynamoDBURL, "dynamodb-url", d.getenv("DYNAMODB_URL"), "address of DynamoDB, where -emulator is a URL that serves all but that")
}

func (d declarer) functions() {
	d.fs.StringVar(&d.opt.functions, "functions", cmp.Or(d.getenv("FUNCTIONS"), "processes"), "what runs the functions: processes of this machine, or sam in containers")
	d.opt.invokeImage = d.getenv(invokeImage)
}

func (d declarer) datasets(value string) {
	d.fs.StringVar(&d.opt.datasets, "datasets", value, "YAML file of the datasets, see docs/datasets.md; up and demo also take s3://BUCKET/KEY")
}

func (d declarer) rows(value int64, use string) { d.fs.Int64Var(&d.opt.rows, "rows", value, use) }

func (d declarer) port() {
	d.fs.IntVar(&d.opt.port, "port", 8080, "port of the routes on 127.0.0.1; 0 for any free one")
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
	case "costs":
		fs.Int64Var(&opt.rows, "rows", 5_000_000, "number of rows of the larger of two exports")
	case "bench-memory":
		fs.Int64Var(&opt.rows, "rows", 20_000_000, "number of rows of the largest table")
	}
}

// check checks the values of a command's flags.
func (opt options) check(command string) error {
	switch {
	case opt.pooler != "" && opt.pooler != "session" && opt.pooler != "transaction" && opt.pooler != "statement":
		return fmt.Errorf("-pooler %s: want session, transaction or statement", opt.pooler)
	case opt.functions != "" && opt.functions != "processes" && opt.functions != "sam":
		return fmt.Errorf("-functions %s: want processes or sam", opt.functions)
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
	case command == "costs" && opt.rows < 1_000_000:
		return fmt.Errorf("-rows %d: want at least 1,000,000", opt.rows)
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
