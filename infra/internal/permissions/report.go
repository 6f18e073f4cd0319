package permissions

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Print writes what each function may do and how often it did, and then what is
// wrong.
func (r Report) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nfunction\taction\tresource\tcalls")
	used, excepted := 0, 0
	for _, u := range r.Uses {
		calls := fmt.Sprint(u.Calls)
		if u.Calls > 0 {
			used++
		} else if u.Reason != "" {
			excepted++
			calls = "none: " + u.Reason
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", u.Function, u.Action, u.Resource, calls)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, problem := range r.Problems {
		fmt.Fprintln(out, "policies:", problem)
	}
	_, err := fmt.Fprintf(out, "policies: %d permissions, %d used, %d unused for a reason; %d calls under roles of destinations; %d problems\n",
		len(r.Uses), used, excepted, r.Sessions, len(r.Problems))
	return err
}
