package dataset

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"time"

	"csvexport/internal/export"
)

// Filter is one way to choose rows by a column.
type Filter struct {
	Name     string // in a request
	Column   string // of the relation
	Operator Operator
	Type     Type

	// For Text: at most so many characters (0: any number), and, for a whole
	// value, what Pattern matches (nil: anything), which Hint puts in words.
	MaxLength int
	Pattern   *regexp.Regexp
	Hint      string
}

// Operator says how a row's value stands to the filter's.
type Operator string

// The operators. In takes one value or a list, the others one value.
const (
	Equals  Operator = "equals"
	In      Operator = "in"       // equal to one of them
	AtLeast Operator = "at_least" // the same or greater
	AtMost  Operator = "at_most"  // the same or less
	Prefix  Operator = "prefix"   // begins with it
	IsNull  Operator = "is_null"  // has no value, or has one
	Before  Operator = "before"   // less; only of predicates: made of AtMost and a whole day
)

// Type says what a filter's values are.
type Type string

// The types.
const (
	Text      Type = "text"
	Integer   Type = "integer"   // of 64 bits
	Decimal   Type = "decimal"   // exact, of at most maxDigits digits
	Boolean   Type = "boolean"   // JSON's
	UUID      Type = "uuid"      // in lower case
	Date      Type = "date"      // a day
	Timestamp Type = "timestamp" // a date, or a time as RFC 3339 has it
)

const (
	maxValues = 100 // of a list
	maxDigits = 30  // of a decimal
)

// GivenFilter is a filter as a caller gives it.
type GivenFilter struct {
	Name   string
	Values []Value
	IsList bool
}

// Value is a JSON string, number or boolean; Text is a number's or boolean's
// text as it was written.
type Value struct {
	Text      string
	IsNumber  bool
	IsBoolean bool
}

// Predicate is a condition that a column's value must meet.
type Predicate struct {
	Column   string // of the relation
	Operator Operator
	// Type is the values'; empty for whatever the column's type reads.
	Type Type
	// Values are as Postgres reads them for the column's type; of IsNull one,
	// "true" or "false"; of Prefix one, in which every character is only itself.
	Values []string
}

// predicate is the filter with values in normal form.
func (f Filter) predicate(values []string) Predicate {
	p := Predicate{Column: f.Column, Operator: f.Operator, Type: f.Type, Values: values}
	switch {
	case f.Operator == Equals:
		p.Operator = In
	case f.Type == Timestamp && f.Operator == AtMost:
		if date, err := time.Parse(day, values[0]); err == nil {
			p.Operator, p.Values = Before, []string{formatTime(date.AddDate(0, 0, 1))}
		}
	}
	return p
}

func (f Filter) pattern() string {
	if f.Pattern == nil {
		return ""
	}
	return f.Pattern.String()
}

func (f Filter) takesBooleans() bool { return f.Type == Boolean || f.Operator == IsNull }

// normalize checks the given filters and returns their values in normal form.
func (d Dataset) normalize(given []GivenFilter) (map[string][]string, []export.FieldError) {
	var filters map[string][]string
	var problems []export.FieldError
	for _, g := range given {
		problem := func(message string) {
			problems = append(problems, export.FieldError{Field: "filters." + g.Name, Message: message})
		}
		i := slices.IndexFunc(d.Filters, func(f Filter) bool { return f.Name == g.Name })
		if i < 0 {
			problem("there is no filter of this name")
			continue
		}
		f := d.Filters[i]
		if f.Operator != In && g.IsList {
			problem("takes one value, not a list")
			continue
		}
		if len(g.Values) == 0 || len(g.Values) > maxValues {
			problem(fmt.Sprintf("a list has from 1 to %d values", maxValues))
			continue
		}
		values, err := f.normalize(g.Values)
		if err != "" {
			problem(err)
			continue
		}
		if filters == nil {
			filters = map[string][]string{}
		}
		filters[f.Name] = values
	}
	return filters, append(problems, d.emptyRanges(filters)...)
}

// emptyRanges finds the columns whose least value is above the greatest: no
// row could ever match.
func (d Dataset) emptyRanges(filters map[string][]string) []export.FieldError {
	var problems []export.FieldError
	for _, least := range d.Filters {
		for _, most := range d.Filters {
			low, hasLow := filters[least.Name]
			high, hasHigh := filters[most.Name]
			if !hasLow || !hasHigh || least.Column != most.Column || least.Operator != AtLeast || most.Operator != AtMost {
				continue
			}
			if above(least.Type, low[0], most.predicate(high)) {
				problems = append(problems, export.FieldError{Field: "filters." + most.Name, Message: "is less than " + least.Name})
			}
		}
	}
	return problems
}

// above reports whether low is beyond what the upper bound allows.
func above(t Type, low string, high Predicate) bool {
	switch t {
	case Integer, Decimal:
		a, okA := new(big.Rat).SetString(low)
		b, okB := new(big.Rat).SetString(high.Values[0])
		return okA && okB && a.Cmp(b) > 0
	case Date:
		return low > high.Values[0] // years have four digits
	default:
		// Times in normal form are compared as times: fractions have no fixed width.
		a, errA := time.Parse(time.RFC3339Nano, low)
		b, errB := time.Parse(time.RFC3339Nano, high.Values[0])
		return errA == nil && errB == nil && (a.After(b) || high.Operator == Before && a.Equal(b))
	}
}

// quote shows a caller's own word in a message, shortened.
func quote(s string) string {
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return strconv.Quote(s)
}
