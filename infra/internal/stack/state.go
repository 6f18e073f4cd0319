package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/process"
)

const stateFile = "stack.json"

// State is ROOT/.local/NAME/stack.json: what another program needs to use a
// running stack. It exists only while the stack serves.
type State struct {
	Name               string             `json:"name"`
	BaseURL            string             `json:"baseUrl"`     // of the routes
	Functions          string             `json:"functions"`   // what runs them: processes or sam
	HostAddress        string             `json:"hostAddress"` // of this machine, as the functions reach it
	Endpoints          localaws.Endpoints `json:"endpoints"`
	Emulator           Emulator           `json:"emulator"`
	DatabaseURL        string             `json:"databaseUrl"`    // superuser of the stack's own Postgres, or the user's DATABASE_URL
	OwnDatabase        bool               `json:"ownDatabase"`    // the stack started it, and may seed it
	ReaderURL          string             `json:"readerUrl"`      // what the functions use
	Datasets           string             `json:"datasets"`       // the file of datasets, or its place in S3; empty: the service's own
	PSQL               string             `json:"psql"`           // path of the bundled psql
	Table              string             `json:"table"`          // physical name
	QueueURL           string             `json:"queueUrl"`       // the queue that run-export is fed from
	NotifyQueueURL     string             `json:"notifyQueueUrl"` // that notify is fed from
	DeadLetterQueueURL string             `json:"deadLetterQueueUrl"`
	Bucket             string             `json:"bucket"`
	Logs               string             `json:"logs"` // folder; one folder per function below it
	Temp               string             `json:"temp"` // the functions' TMPDIR, empty at the start
	PID                int                `json:"pid"`
	Identity           string             `json:"identity"`
	Processes          []Process          `json:"processes"` // servers; the functions' are listed by the Lambda endpoint
}

// LogFiles lists the files that a function, named by its folder, has logged to
// so far. With the SAM CLI all functions log to the same ones.
func (s State) LogFiles(function string) ([]string, error) {
	if s.Functions == "sam" {
		return filepath.Glob(filepath.Join(s.Logs, "sam-*.log"))
	}
	return filepath.Glob(filepath.Join(s.Logs, function, "*.log"))
}

// ErrNotRunning is returned by Find.
var ErrNotRunning = errors.New("the stack does not run")

// Find reads the state of a running stack. The error is ErrNotRunning if it
// does not run or does not serve yet.
func Find(root, name string) (State, error) {
	var s State
	err := readJSON(filepath.Join(local(root), name, stateFile), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, fmt.Errorf("stack %q: %w", name, ErrNotRunning)
	}
	if err != nil {
		return State{}, err
	}
	if !process.Running(s.PID, s.Identity) {
		return State{}, fmt.Errorf("stack %q: %w", name, ErrNotRunning)
	}
	return s, nil
}
