package template

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// errorList collects what is wrong with a template, so that one run names everything.
type errorList struct {
	file string
	list []lineError
}

type lineError struct {
	line int
	text string
}

func (e *errorList) add(line int, format string, args ...any) {
	e.list = append(e.list, lineError{line, fmt.Sprintf(format, args...)})
}

// err joins the errors, in the template's order; nil if there are none. A line
// of the template gets one error, its first: those after it are often consequences.
func (e *errorList) err() error {
	slices.SortStableFunc(e.list, func(a, b lineError) int { return cmp.Compare(a.line, b.line) })
	var all []error
	for _, l := range slices.CompactFunc(e.list, func(a, b lineError) bool { return a.line == b.line }) {
		all = append(all, fmt.Errorf("%s:%d: %s", e.file, l.line, l.text))
	}
	return errors.Join(all...)
}
