package permissions

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/template"
	"csvexport/infra/internal/wire"
)

// suffix is how the names of recordings end.
const suffix = ".calls"

// Recording is what the functions of one stack called.
type Recording struct {
	Stack      string            `json:"stack"`
	Parameters map[string]string `json:"parameters"` // of template.yaml that its policies may depend on
	Calls      []Call            `json:"calls,omitempty"`
}

// Recorder writes the calls of a stack's functions into a file: a line of JSON
// for the stack, then one for each call as soon as it is answered, so that
// nothing is lost when the stack is killed.
type Recorder struct {
	wire  *wire.Wire
	keys  map[string]string // names of the tables' partition keys
	parts parts

	mu   sync.Mutex
	file *os.File
	err  error
}

// NewRecorder makes a file of its own in the folder, which it makes, too, for
// a stack of the template with the given parameters. End the recorder by Close.
func NewRecorder(folder, path, stack string, parameters map[string]string) (*Recorder, error) {
	declared, err := template.Load(path, options(stack, parameters))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(folder, stack+"-*"+suffix)
	if err != nil {
		return nil, err
	}
	r := &Recorder{wire: wire.New(), file: file, keys: map[string]string{}}
	for _, table := range declared.Tables {
		for _, key := range table.Key {
			if key.Type == "HASH" {
				r.keys[table.Name] = key.Name
			}
		}
	}
	r.wire.Watch(r.watch)
	r.wire.Add(&wire.Rule{Match: isOperation("UploadPart"), Do: r.parts.upload})
	r.wire.Add(&wire.Rule{Match: isOperation("AbortMultipartUpload"), Do: r.parts.abort})
	r.write(Recording{Stack: stack, Parameters: parameters})
	return r, r.err
}

// options are those of a local stack, without its servers' addresses.
func options(stack string, parameters map[string]string) template.Options {
	return template.Options{
		StackName: stack, Region: localaws.Region, AccountID: localaws.AccountID, Parameters: parameters,
		QueueURL: func(name string) string { return name },
	}
}

// Intercept puts the recorder's proxies before the stand-ins.
func (r *Recorder) Intercept(e localaws.Endpoints) (localaws.Endpoints, error) {
	return r.wire.Intercept(e, wire.S3, wire.SQS, wire.DynamoDB, wire.EventBridge, wire.STS)
}

func (r *Recorder) watch(c wire.Call, a wire.Answer) {
	calls, err := callsOf(c, a, r.keys)
	if err != nil {
		r.mu.Lock()
		r.err = errors.Join(r.err, err)
		r.mu.Unlock()
		return
	}
	for _, call := range calls {
		r.write(call)
	}
}

func (r *Recorder) write(line any) {
	text, err := json.Marshal(line)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		_, err = r.file.Write(append(text, '\n'))
	}
	r.err = errors.Join(r.err, err)
}

// Close ends the proxies and the calls in flight. Its error also tells of what
// could not be recorded.
func (r *Recorder) Close() error {
	err := r.wire.Close()
	return errors.Join(err, r.err, r.file.Close())
}

// Read returns the recordings in a folder, ordered by their files' names.
func Read(folder string) ([]Recording, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"+suffix))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []Recording
	for _, name := range files {
		recording, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, recording)
	}
	return all, nil
}

func readFile(name string) (r Recording, err error) {
	file, err := os.Open(name)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lines := json.NewDecoder(bufio.NewReader(file))
	if err := lines.Decode(&r); err != nil {
		return r, err
	}
	for {
		var call Call
		err := lines.Decode(&call)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the latter: killed while it wrote
			return r, nil
		}
		if err != nil {
			return r, err
		}
		r.Calls = append(r.Calls, call)
	}
}
