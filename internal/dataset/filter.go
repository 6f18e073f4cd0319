package dataset

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"csvexport/internal/export"
)

// Filter is one way to choose rows by a column.
type Filter struct {
	Name     string   `json:"name"`
	Column   string   `json:"column"`
	Operator Operator `json:"operator"`
	Type     Type     `json:"type"`

	// For Text: at most so many characters (0: any number), and of the form
	// of the regular expression Pattern, which Hint puts in words.
	MaxLength int    `json:"maxLength,omitempty"`
	Pattern   string `json:"pattern,omitempty"`
	Hint      string `json:"hint,omitempty"`
}

// Operator says how a row's value stands to the filter's.
type Operator string

// The operators. All but In take one value.
const (
	In      Operator = "in"       // equal to one of them
	AtLeast Operator = "at_least" // the same or greater
	AtMost  Operator = "at_most"  // the same or less
	Before  Operator = "before"   // less; made of AtMost and a whole day
)

// Type says what a filter's values are.
type Type string

// The types.
const (
	Text      Type = "text"
	Decimal   Type = "decimal"   // exact, of at most maxDigits digits
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

// Value is a JSON string or number; Text is a number's text as it was written.
type Value struct {
	Text     string
	IsNumber bool
}

// Predicate is a condition that a column's value must meet.
type Predicate struct {
	Column   string
	Operator Operator
	Values   []string // as Postgres reads them for the column's type
}

const day = "2006-01-02"

// predicate is the filter with values in normal form.
func (f Filter) predicate(values []string) Predicate {
	if f.Type == Timestamp && f.Operator == AtMost {
		if date, err := time.Parse(day, values[0]); err == nil {
			return Predicate{Column: f.Column, Operator: Before, Values: []string{formatTime(date.AddDate(0, 0, 1))}}
		}
	}
	return Predicate{Column: f.Column, Operator: f.Operator, Values: values}
}

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

// normalize returns the values in normal form, each once and in order, or
// what is wrong with one of them.
func (f Filter) normalize(given []Value) (values []string, problem string) {
	for _, v := range given {
		text, ok := "", false
		switch f.Type {
		case Text:
			text, ok = v.Text, !v.IsNumber && f.textFits(v.Text)
		case Decimal:
			text, ok = normalDecimal(v.Text)
		case Timestamp:
			text, ok = f.normalTime(v)
		}
		if !ok {
			return nil, f.wanted()
		}
		values = append(values, text)
	}
	slices.Sort(values)
	return slices.Compact(values), ""
}

// wanted says which values the filter takes.
func (f Filter) wanted() string {
	switch {
	case f.Type == Decimal:
		return fmt.Sprintf("must be a decimal number without an exponent, of at most %d digits", maxDigits)
	case f.Type == Timestamp:
		return "must be a date such as 2024-12-31, or a time such as 2024-12-31T18:30:00Z, in the years 1 to 9999 and exact to the microsecond"
	case f.Hint != "":
		return "must be " + f.Hint
	case f.MaxLength > 0:
		return fmt.Sprintf("must be a text of 1 to %d characters", f.MaxLength)
	default:
		return "must be a text"
	}
}

func (f Filter) textFits(s string) bool {
	switch {
	case s == "" || strings.ContainsRune(s, 0): // Postgres has no text with a zero byte
		return false
	case f.MaxLength > 0 && utf8.RuneCountInString(s) > f.MaxLength:
		return false
	default:
		return f.Pattern == "" || regexp.MustCompile(f.Pattern).MatchString(s)
	}
}

var decimalForm = regexp.MustCompile(`^(-?)0*([0-9]+?)(?:\.([0-9]*?)0*)?$`)

// normalDecimal returns a decimal without needless zeros.
func normalDecimal(s string) (string, bool) {
	m := decimalForm.FindStringSubmatch(s)
	if m == nil || strings.HasSuffix(s, ".") || len(s) > 2*maxDigits {
		return "", false
	}
	sign, whole, fraction := m[1], m[2], m[3]
	if len(whole)+len(fraction) > maxDigits {
		return "", false
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if whole == "0" {
		sign = ""
	}
	return sign + whole, true
}

// normalTime returns a time in UTC. A date alone begins its day, except for
// AtMost, where it stands for the whole day and stays a date.
func (f Filter) normalTime(v Value) (string, bool) {
	if v.IsNumber {
		return "", false
	}
	if date, err := time.Parse(day, v.Text); err == nil && date.Year() > 0 {
		if f.Operator == AtMost {
			return v.Text, date.AddDate(0, 0, 1).Year() <= 9999
		}
		return formatTime(date), true
	}
	t, err := time.Parse(time.RFC3339Nano, v.Text)
	t = t.UTC()
	if err != nil || t.Year() < 1 || t.Year() > 9999 || t.Nanosecond()%1000 != 0 || strings.Contains(v.Text, ",") {
		return "", false
	}
	return formatTime(t), true
}

func formatTime(t time.Time) string { return t.Format("2006-01-02T15:04:05.999999Z") }

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
	if t == Decimal {
		a, okA := new(big.Rat).SetString(low)
		b, okB := new(big.Rat).SetString(high.Values[0])
		return okA && okB && a.Cmp(b) > 0
	}
	// Times in normal form are compared as times: fractions have no fixed width.
	a, errA := time.Parse(time.RFC3339Nano, low)
	b, errB := time.Parse(time.RFC3339Nano, high.Values[0])
	return errA == nil && errB == nil && (a.After(b) || high.Operator == Before && a.Equal(b))
}

// quote shows a caller's own word in a message, shortened.
func quote(s string) string {
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return strconv.Quote(s)
}
