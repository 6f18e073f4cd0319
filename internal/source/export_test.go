package source

import "time"

// SetStallAfter lets a test wait less.
func (s *Source) SetStallAfter(d time.Duration) { s.stallAfter = d }
