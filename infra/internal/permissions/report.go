package permissions

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes what each function may do and how often it did, the exceptions,
// and what is wrong.
func (r Report) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nfunction\taction\tresource\tcalls")
	used, excepted := 0, 0
	for _, u := range r.Uses {
		if u.Calls > 0 {
			used++
		} else if u.Excepted {
			excepted++
			continue // below
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%6d\n", u.Function, u.Action, u.Resource, u.Calls)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nnot used, for a reason:")
	for _, e := range r.Unused {
		functions := strings.Join(e.Functions, ", ")
		if e.Functions == nil {
			functions = "whoever has it"
		}
		fmt.Fprintf(out, "  %s: %s on %s: %s\n", functions, strings.Join(e.Actions, ", "), e.Resource, e.Reason)
	}
	fmt.Fprintln(out, "allowed by something else than the function's policy:")
	for _, e := range r.Elsewhere {
		fmt.Fprintf(out, "  %s: %s on %s: %s\n", e.Function, e.Action, e.Resource, e.Reason)
	}
	for _, problem := range r.Problems {
		fmt.Fprintln(out, "policies:", problem)
	}
	_, err := fmt.Fprintf(out, "policies: %d permissions, %d used, %d not, for a reason; %d problems\n",
		len(r.Uses), used, excepted, len(r.Problems))
	return err
}
