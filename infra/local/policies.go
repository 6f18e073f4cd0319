package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"

	"csvexport/infra/internal/permissions"
)

// recordCalls returns a recorder for the stack that opt describes. The caller
// closes it when the stack has stopped.
func recordCalls(opt options) (*permissions.Recorder, error) {
	parameters := map[string]string{"Datasets": opt.datasets}
	maps.Copy(parameters, opt.parameters)
	recorder, err := permissions.NewRecorder(opt.calls, filepath.Join(opt.root, "template.yaml"), opt.stack, parameters)
	if err != nil {
		return nil, fmt.Errorf("record calls: %w", err)
	}
	return recorder, nil
}

// checkPolicies compares the recordings in the folder that args name with the
// template's policies and prints what each function may do and how often it
// did. The error is errReported if something is wrong.
func checkPolicies(opt options, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("policies: no folder; want: local policies FOLDER")
	}
	recordings, err := permissions.Read(args[0])
	if err != nil {
		return err
	}
	if len(recordings) == 0 {
		return fmt.Errorf("policies: no recordings in %s; local up makes them where RECORD_CALLS names a folder", args[0])
	}
	unused, elsewhere := permissions.Exceptions()
	report, err := permissions.Check(permissions.Config{
		Template: filepath.Join(opt.root, "template.yaml"), Recordings: recordings,
		Whole: !opt.part, Unseen: permissions.Unseen(), Destinations: filepath.Join(opt.root, "docs", "datasets.md"), Unused: unused, Elsewhere: elsewhere,
	})
	if err != nil {
		return err
	}
	if err := report.Print(out); err != nil {
		return err
	}
	if len(report.Problems) > 0 {
		return errReported
	}
	return nil
}
