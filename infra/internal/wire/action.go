package wire

import (
	"crypto/md5" //nolint:gosec // SQS answers by it
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// Action is what a rule does to a call.
type Action func(x *Exchange)

// Pass lets the call through.
func Pass(x *Exchange) { x.Reply(x.Forward()) }

// Drop breaks the connection before the service has seen anything.
func Drop(x *Exchange) { x.Hangup() }

// LoseAnswer lets the request through and breaks the connection instead of
// answering it.
func LoseAnswer(x *Exchange) {
	x.Forward()
	x.Hangup()
}

// Hang takes the request and says nothing, until the caller gives up.
func Hang(x *Exchange) {
	_, _ = io.Copy(io.Discard, x.body)
	x.wait(nil)
	x.Hangup()
}

// Refuse answers with an error of the service instead of asking it. The codes
// are the service's own, such as SlowDown or ThrottlingException.
func Refuse(status int, code string) Action {
	return func(x *Exchange) {
		_, _ = io.Copy(io.Discard, x.body)
		x.Reply(refusal(x.Service, status, code))
	}
}

func refusal(service Service, status int, code string) Answer {
	const message = "refused by the test"
	if service == S3 {
		return Answer{
			Status: status, Header: http.Header{"Content-Type": {"application/xml"}},
			Body: fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message),
		}
	}
	body, err := json.Marshal(map[string]string{"__type": "com.amazonaws#" + code, "message": message})
	if err != nil { // two strings always encode
		panic(err)
	}
	return Answer{Status: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: body}
}

// Swallow answers SQS's SendMessage as if the message had been taken.
func Swallow(x *Exchange) {
	var message struct{ MessageBody string }
	if err := json.Unmarshal([]byte(x.Body), &message); err != nil {
		x.Hangup()
	}
	body, err := json.Marshal(map[string]string{
		"MessageId": "00000000-0000-0000-0000-000000000000", "MD5OfMessageBody": fmt.Sprintf("%x", md5.Sum([]byte(message.MessageBody))), //nolint:gosec // as above
	})
	if err != nil { // two strings always encode
		panic(err)
	}
	x.Reply(Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: body})
}

// Change passes the request on and changes the service's answer.
func Change(change func(*Answer)) Action {
	return func(x *Exchange) {
		a := x.Forward()
		a.Header = a.Header.Clone()
		change(&a)
		x.Reply(a)
	}
}

var timestamp = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ`)

// SkewClock makes the caller's clock appear to be off by so much: the times
// that it tells are later, and those that it is told are earlier.
func SkewClock(by time.Duration) Action {
	shift := func(text string, by time.Duration) string {
		return timestamp.ReplaceAllStringFunc(text, func(s string) string {
			t, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return s
			}
			return t.Add(by).Format("2006-01-02T15:04:05.000Z")
		})
	}
	return func(x *Exchange) {
		a := x.ForwardBody(shift(x.Body, by))
		a.Header = a.Header.Clone()
		a.Header.Del("X-Amz-Crc32") // of the body as it was
		a.Body = []byte(shift(string(a.Body), -by))
		x.Reply(a)
	}
}

// Gate stops calls: before the service sees them, or when it has answered and
// the caller doesn't know yet.
type Gate struct {
	after   bool
	arrived chan Call
	open    chan struct{}
	once    sync.Once
}

// Before returns a gate in front of the service.
func Before() *Gate { return &Gate{arrived: make(chan Call, 100), open: make(chan struct{})} }

// After returns a gate behind the service.
func After() *Gate {
	g := Before()
	g.after = true
	return g
}

// Arrived gets each call that stands at the gate.
func (g *Gate) Arrived() <-chan Call { return g.arrived }

// Open lets the calls go on, also those that come later.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// Do is the gate's action.
func (g *Gate) Do(x *Exchange) {
	var a Answer
	if g.after {
		a = x.Forward()
	}
	g.arrived <- x.Call
	if !x.wait(g.open) {
		x.Hangup()
	}
	if !g.after {
		a = x.Forward()
	}
	x.Reply(a)
}
