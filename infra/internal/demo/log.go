package demo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	shownLines = 12  // of a log
	shownWidth = 200 // bytes of a line
)

// showLog prints which lines of log files name an export, and their beginnings.
// It is an error if none does: something else made the file then.
func showLog(out io.Writer, files []string, id string) error {
	found := false
	for _, path := range files {
		first, last, lines, err := linesWith(path, id)
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			continue
		}
		found = true
		fmt.Fprintf(out, "run-export's log: %s:%d-%d\n", path, first, last)
		for _, l := range lines[:min(len(lines), shownLines)] {
			fmt.Fprintf(out, "  %.*s\n", shownWidth, l)
		}
	}
	if !found {
		return fmt.Errorf("none of the logs %v names export %s", files, id)
	}
	return nil
}

// linesWith returns the lines of a file that hold text, and the numbers of the first and the last.
func linesWith(path, text string) (first, last int, lines []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for n := 1; scan.Scan(); n++ {
		if !strings.Contains(scan.Text(), text) {
			continue
		}
		if first == 0 {
			first = n
		}
		last = n
		lines = append(lines, scan.Text())
	}
	return first, last, lines, scan.Err()
}
