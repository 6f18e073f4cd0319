package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	quietOwners, quietCreates = 17, 4
	noisyOwners, noisyCreates = 3, 44 // more than an owner may have at once
)

// loadFaults are of many requests at once.
func loadFaults() []fault {
	return []fault{{20, "200 creates at once from 20 owners", []point{{name: "3 of them noisy", alone: true, run: crowd}}}}
}

// crowd has many owners ask at the same moment. Each request is taken on or
// refused by 429, none that was taken on is lost, and every quiet owner's are.
func crowd(t *trial) {
	content, err := t.remember(t.ctx, smallTable)
	t.must(err)
	var mu sync.Mutex
	var all sync.WaitGroup
	codes := map[int]int{}
	accepted := map[string]string{} // token by export
	start := make(chan struct{})
	ask := func(owner string, creates int, quiet bool) {
		token, err := t.Token(owner)
		t.must(err)
		for range creates {
			all.Go(func() {
				<-start
				code, text, err := t.request(token, http.MethodPost, "/exports/csv", `{"dataset":"`+smallTable+`"}`)
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
				var s status
				switch {
				case err != nil:
					t.errorf("create: %v", err)
				case code == http.StatusAccepted && json.Unmarshal(text, &s) == nil:
					accepted[s.ExportID] = token
				case code != http.StatusTooManyRequests || quiet:
					t.errorf("create answers %d: %s", code, text)
				}
			})
		}
	}
	for i := range quietOwners {
		ask(fmt.Sprintf("%s-quiet-%d", t.trace, i), quietCreates, true)
	}
	for i := range noisyOwners {
		ask(fmt.Sprintf("%s-noisy-%d", t.trace, i), noisyCreates, false)
	}
	close(start)
	all.Wait()
	if codes[http.StatusTooManyRequests] == 0 || codes[http.StatusAccepted] < quietOwners*quietCreates {
		t.fatalf("answers by status: %v", codes)
	}
	t.strike()
	for id, token := range accepted {
		t.exports = append(t.exports, id)
		t.content[id] = content
		t.token = token
		t.end(id, "completed", 1)
	}
	fmt.Fprintf(t.Log, "200 creates at once: %v, all accepted ones completed after %.1f s\n", codes, time.Since(t.struck).Seconds())
}
