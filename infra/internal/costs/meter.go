package costs

import (
	"sync"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/wire"
)

// Meter notes the calls of a stack's functions.
type Meter struct {
	wire *wire.Wire

	mu    sync.Mutex
	calls []wire.Call
}

// NewMeter returns a meter; end it by Close.
func NewMeter() *Meter {
	m := &Meter{wire: wire.New()}
	m.wire.Add(&wire.Rule{
		Match: func(c wire.Call) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.calls = append(m.calls, c)
			return false // and let it through
		},
		Do: wire.Pass,
	})
	return m
}

// Intercept has the functions reach S3, SQS and DynamoDB by way of the meter.
func (m *Meter) Intercept(seen localaws.Endpoints) (_ localaws.Endpoints, err error) {
	for service, endpoint := range map[wire.Service]*string{wire.S3: &seen.S3, wire.SQS: &seen.SQS, wire.DynamoDB: &seen.DynamoDB} {
		if *endpoint, err = m.wire.Proxy(service, *endpoint); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// Close ends the meter and the calls in flight.
func (m *Meter) Close() error { return m.wire.Close() }

// take returns the calls since the last time, and forgets them.
func (m *Meter) take() []wire.Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = nil
	return calls
}

// use is what a function's calls are billed as.
type use struct {
	reads, writes float64 // DynamoDB's units
	sends         int     // to SQS
	puts, gets    int     // of S3; deletes cost nothing
	operations    map[string]int
}

// s3Puts are S3's dear requests (S3 pricing, "Requests & data retrievals").
var s3Puts = map[string]bool{
	"PutObject": true, "CreateMultipartUpload": true, "UploadPart": true, "CompleteMultipartUpload": true,
	"ListObjectsV2": true, "ListMultipartUploads": true, "ListParts": true,
}

// s3Free are those that cost nothing.
var s3Free = map[string]bool{"DeleteObject": true, "DeleteObjects": true, "AbortMultipartUpload": true}

// bill sums up calls by function.
func bill(calls []wire.Call, sizes map[string]int) (map[string]use, error) {
	total := map[string]use{}
	for _, c := range calls {
		u := total[c.Function]
		if u.operations == nil {
			u.operations = map[string]int{}
		}
		u.operations[c.Operation]++
		switch {
		case c.Service == wire.DynamoDB:
			reads, writes, err := units(c.Operation, c.Body, sizes)
			if err != nil {
				return nil, err
			}
			u.reads, u.writes = u.reads+reads, u.writes+writes
		case c.Service == wire.SQS:
			u.sends++
		case s3Puts[c.Operation]:
			u.puts++
		case !s3Free[c.Operation]:
			u.gets++
		}
		total[c.Function] = u
	}
	return total, nil
}
