package statemodel

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// services are DynamoDB, S3 and SQS in memory. One request is answered at a
// time.
type services struct {
	mu      sync.Mutex
	table   table
	objects map[string]object
	sent    []string // ids of the exports that messages to workers name
	notices []message
	told    map[string]string         // what each target was told last of each export: "target id" to its event id
	tells   []tell                    // what the receiver was asked
	answer  func(n int) (int, string) // of the receiver to its nth request: a status, and Retry-After; nil: always 204

	asked    func(asked) // told of each request to DynamoDB; nil: nobody is
	busLies  bool        // EventBridge says of every event that it has it
	headLies bool        // S3 says of every key that its object is there, and as it should be
}

type object struct {
	size  int
	token string
}

// tell is a request to the receiver.
type tell struct {
	at time.Time
	id string
}

// message is about an export's end.
type message struct {
	id string
	at time.Time // when it arrives
}

func newServices() *services {
	return &services{table: table{items: map[string]record{}}, objects: map[string]object{}, told: map[string]string{}}
}

func (s *services) do(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	target := r.Header.Get("X-Amz-Target")
	switch {
	case strings.HasPrefix(target, "DynamoDB"):
		status, answer := s.table.do(target, body)
		if s.asked != nil {
			s.asked(asked{target, body, status, answer})
		}
		return reply(r, status, http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, answer), nil
	case target == "AmazonSQS.SendMessage":
		var m struct {
			MessageBody, QueueURL string
			DelaySeconds          int
		}
		decode(body, &m)
		var named struct{ ExportID string }
		decode([]byte(m.MessageBody), &named)
		if strings.HasSuffix(m.QueueURL, noticesQueue) {
			s.notices = append(s.notices, message{named.ExportID, time.Now().Add(time.Duration(m.DelaySeconds) * time.Second)})
		} else {
			s.sent = append(s.sent, named.ExportID)
		}
		return reply(r, http.StatusOK, http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, map[string]string{
			"MessageId": "1", "MD5OfMessageBody": fmt.Sprintf("%x", md5.Sum([]byte(m.MessageBody))),
		}), nil
	case target == "AWSEvents.PutEvents":
		var put struct{ Entries []struct{ Detail string } }
		decode(body, &put)
		var detail struct{ EventID, ExportID string }
		decode([]byte(put.Entries[0].Detail), &detail)
		if !s.busLies {
			s.told["bus "+detail.ExportID] = detail.EventID
		}
		return reply(r, http.StatusOK, http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, map[string]any{
			"FailedEntryCount": 0, "Entries": []map[string]string{{"EventId": "1"}},
		}), nil
	case r.URL.String() == receiver:
		return s.receive(r, body), nil
	default:
		return s.s3(r, body)
	}
}

// receive is a webhook's receiver.
func (s *services) receive(r *http.Request, body []byte) *http.Response {
	s.tells = append(s.tells, tell{time.Now(), r.Header.Get("Webhook-Id")})
	status, retryAfter := http.StatusNoContent, ""
	if s.answer != nil {
		status, retryAfter = s.answer(len(s.tells))
	}
	if status < 300 {
		var m struct{ Data struct{ ExportID string } }
		decode(body, &m)
		s.told["receiver "+m.Data.ExportID] = r.Header.Get("Webhook-Id")
	}
	return reply(r, status, http.Header{"Retry-After": {retryAfter}}, "")
}

// s3 answers a request for an object, or for a list (Amazon S3 API Reference).
func (s *services) s3(r *http.Request, body []byte) (*http.Response, error) {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	old, there := s.objects[key]
	switch {
	case r.Method == http.MethodGet && r.URL.Query().Has("uploads"):
		return reply(r, http.StatusOK, nil, "<ListMultipartUploadsResult></ListMultipartUploadsResult>"), nil
	case r.Method == http.MethodGet && r.URL.Query().Has("list-type"):
		list := "<ListBucketResult>"
		for key := range s.objects {
			if strings.HasPrefix(key, r.URL.Query().Get("prefix")) {
				list += "<Contents><Key>" + key + "</Key></Contents>"
			}
		}
		return reply(r, http.StatusOK, nil, list+"</ListBucketResult>"), nil
	case r.Method == http.MethodPut && there && r.Header.Get("If-None-Match") == "*":
		return reply(r, http.StatusPreconditionFailed, nil, "<Error><Code>PreconditionFailed</Code></Error>"), nil
	case r.Method == http.MethodPut:
		s.objects[key] = object{len(body), r.Header.Get("X-Amz-Meta-Export-Token")}
		return reply(r, http.StatusOK, nil, ""), nil
	case r.Method == http.MethodHead && s.headLies && !there:
		old = object{len(content), exportToken}
		fallthrough
	case r.Method == http.MethodHead && there:
		h := http.Header{"X-Amz-Meta-Export-Token": {old.token}, "Content-Length": {fmt.Sprint(old.size)}}
		resp := reply(r, http.StatusOK, h, "")
		resp.ContentLength = int64(old.size)
		return resp, nil
	case r.Method == http.MethodHead:
		return reply(r, http.StatusNotFound, nil, ""), nil
	case r.Method == http.MethodPost && r.URL.Query().Has("delete"):
		for _, named := range regexp.MustCompile("<Key>([^<]*)</Key>").FindAllSubmatch(body, -1) {
			delete(s.objects, string(named[1]))
		}
		return reply(r, http.StatusOK, nil, "<DeleteResult></DeleteResult>"), nil
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		return reply(r, http.StatusNoContent, nil, ""), nil
	default:
		return nil, fmt.Errorf("S3 is asked for %s %s", r.Method, r.URL)
	}
}

func reply(r *http.Request, status int, h http.Header, body any) *http.Response {
	text, plain := body.(string)
	if !plain {
		b, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		text = string(b)
	}
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{
		StatusCode: status, Header: h, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader([]byte(text))), ContentLength: int64(len(text)),
	}
}

// verdict is what becomes of a request.
type verdict int

const (
	pass       verdict = iota
	loseBefore         // it never arrives
	loseAnswer         // it arrives, and the answer doesn't
)

var errLost = errors.New("connection lost")

// gate holds each request of an actor until a verdict is given.
type gate struct {
	services *services
	verdicts chan verdict
	open     chan struct{} // closed: all requests pass from now on
	dead     chan struct{} // closed: no request arrives any more
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) { return g.Do(r) }

// Do implements the SDK's HTTPClient.
func (g *gate) Do(r *http.Request) (*http.Response, error) {
	select {
	case <-g.dead:
		return nil, errLost
	case <-g.open:
		return g.services.do(r)
	default:
	}
	select {
	case v := <-g.verdicts:
		switch v {
		case loseBefore:
			return nil, errLost
		case loseAnswer:
			_, _ = g.services.do(r)
			return nil, errLost
		default:
			return g.services.do(r)
		}
	case <-g.dead:
		return nil, errLost
	case <-g.open:
		return g.services.do(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}
