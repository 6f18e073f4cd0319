package permissions

import (
	"sync"
	"time"

	"csvexport/infra/internal/wire"
)

// abortWait is how long an abort waits for parts at most: less than it may take
// in the end-to-end tests.
const abortWait = time.Second

// parts keeps the order of a worker's requests, which go to S3 on several
// connections: a proxy may still be passing a part on that the worker has given
// up when its abort comes by. versitygw (1.8.0) makes an upload anew of a part
// that comes after the abort.
type parts struct {
	mu       sync.Mutex
	underWay map[string]int           // parts, by upload id
	none     map[string]chan struct{} // closed when there are none any more
}

func isOperation(name string) func(wire.Call) bool {
	return func(c wire.Call) bool { return c.Service == wire.S3 && c.Operation == name }
}

// upload passes a part on to its end.
func (p *parts) upload(x *wire.Exchange) {
	id := x.Query.Get("uploadId")
	p.begin(id)
	defer p.end(id)
	x.Reply(x.Settle())
}

// abort passes an abort on when no part of the upload is under way.
func (p *parts) abort(x *wire.Exchange) {
	p.mu.Lock()
	none := p.none[x.Query.Get("uploadId")]
	p.mu.Unlock()
	if none != nil {
		select {
		case <-none:
		case <-time.After(abortWait):
		}
	}
	wire.Pass(x)
}

func (p *parts) begin(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.underWay == nil {
		p.underWay, p.none = map[string]int{}, map[string]chan struct{}{}
	}
	if p.underWay[id] == 0 {
		p.none[id] = make(chan struct{})
	}
	p.underWay[id]++
}

func (p *parts) end(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.underWay[id]--; p.underWay[id] == 0 {
		close(p.none[id])
		delete(p.underWay, id)
		delete(p.none, id)
	}
}
