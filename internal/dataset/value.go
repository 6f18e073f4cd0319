package dataset

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const day = "2006-01-02"

// normalize returns the values in normal form, each once and in order, or
// what is wrong with one of them.
func (f Filter) normalize(given []Value) (values []string, problem string) {
	for _, v := range given {
		text, ok := f.normalValue(v)
		if !ok {
			return nil, f.wanted()
		}
		values = append(values, text)
	}
	slices.Sort(values)
	return slices.Compact(values), ""
}

func (f Filter) normalValue(v Value) (text string, ok bool) {
	switch {
	case f.takesBooleans():
		return v.Text, v.IsBoolean
	case v.IsBoolean:
		return "", false
	}
	switch f.Type {
	case Integer:
		return normalInteger(v.Text)
	case Decimal:
		return normalDecimal(v.Text)
	case UUID:
		return strings.ToLower(v.Text), uuidForm.MatchString(v.Text)
	case Date:
		date, err := time.Parse(day, v.Text)
		return v.Text, err == nil && date.Year() > 0
	case Timestamp:
		return f.normalTime(v)
	default:
		return v.Text, !v.IsNumber && f.textFits(v.Text)
	}
}

// wanted says which values the filter takes.
func (f Filter) wanted() string {
	switch {
	case f.takesBooleans():
		return "must be true or false"
	case f.Type == Integer:
		return "must be a whole number of at most 64 bits"
	case f.Type == Decimal:
		return fmt.Sprintf("must be a decimal number without an exponent, of at most %d digits", maxDigits)
	case f.Type == UUID:
		return "must be a UUID such as 0b5f3c1e-8a4d-4f6b-9c2e-7d1a5e8f9b30"
	case f.Type == Date:
		return "must be a date such as 2024-12-31, in the years 1 to 9999"
	case f.Type == Timestamp:
		return "must be a date such as 2024-12-31, or a time such as 2024-12-31T18:30:00Z, in the years 1 to 9999 and exact to the microsecond"
	case f.Hint != "" && f.Operator != Prefix:
		return "must be " + f.Hint
	case f.MaxLength > 0:
		return fmt.Sprintf("must be a text of 1 to %d characters", f.MaxLength)
	case f.Operator == Prefix:
		return "must be a text of one or more characters"
	default:
		return "must be a text"
	}
}

// textFits checks a text. None is no value where a value has a length or a
// form, and no prefix.
func (f Filter) textFits(s string) bool {
	switch {
	case strings.ContainsRune(s, 0): // Postgres has no text with a zero byte
		return false
	case s == "" && (f.MaxLength > 0 || f.Pattern != nil || f.Operator == Prefix):
		return false
	case f.MaxLength > 0 && utf8.RuneCountInString(s) > f.MaxLength:
		return false
	default:
		return f.Pattern == nil || f.Operator == Prefix || f.Pattern.MatchString(s)
	}
}

var uuidForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$`)

var integerForm = regexp.MustCompile(`^-?[0-9]+$`)

// normalInteger returns a whole number without needless zeros.
func normalInteger(s string) (string, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return strconv.FormatInt(n, 10), err == nil && integerForm.MatchString(s)
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
