package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
)

const (
	// Timeout bounds an attempt, from the name's resolution to the answer.
	Timeout = 15 * time.Second
	// maxRetryAfter bounds what a receiver may ask for.
	maxRetryAfter = 24 * time.Hour
	// maxAnswer is how much of an answer's body is read, to be thrown away, and
	// maxHeader how large its header may be.
	maxAnswer = 4 << 10
	maxHeader = 64 << 10
)

// Message is what is sent.
type Message struct {
	ID   string // the same at each attempt
	Body []byte // JSON
}

// Failure is the error of an attempt that failed. Its text may be shown to whom
// the webhook belongs: it tells nothing about our network.
type Failure struct {
	Reason string
	Gone   bool // the receiver wants nothing any more (410)
	// RetryAfter is how long the receiver wants to be left alone; 0 if it
	// doesn't say.
	RetryAfter time.Duration
	Err        error // for the log; may be nil
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Reason
	}
	return f.Reason + ": " + f.Err.Error()
}

func (f *Failure) Unwrap() error { return f.Err }

// Sender sends webhooks. It is safe for concurrent use.
type Sender struct {
	addresses Addresses
	client    *http.Client
}

// NewSender returns a sender to the given addresses. It follows no redirect, asks
// no proxy, and keeps no connection. An address is looked at when it is
// connected to, whatever name it was found by, so a name that stands for another
// address a moment later gains nothing.
func NewSender(a Addresses) *Sender {
	return NewSenderOver(a, transport(a, &net.Dialer{}))
}

func transport(a Addresses, dialer *net.Dialer) *http.Transport {
	if a != Any {
		dialer.Control = public.Safe
	}
	return &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader}
}

// NewSenderOver is NewSender with requests that go another way: looking at the
// address that is connected to is that way's duty.
func NewSenderOver(a Addresses, t http.RoundTripper) *Sender {
	return &Sender{addresses: a, client: &http.Client{
		Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Send makes one attempt, within Timeout. The error is a *Failure unless the
// receiver answered by a 2xx.
func (s *Sender) Send(ctx context.Context, address string, secrets Secrets, m Message) error {
	if err := s.addresses.Check(address); err != nil {
		return &Failure{Reason: "The address isn't one that webhooks go to.", Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(m.Body))
	if err != nil {
		return &Failure{Reason: "The address isn't one that webhooks go to.", Err: err}
	}
	now := time.Now()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "csvexport-webhook/1")
	r.Header.Set(idHeader, m.ID)
	r.Header.Set(timestampHeader, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(signatureHeader, secrets.signature(m.ID, now, m.Body))
	resp, err := s.client.Do(r)
	if err != nil {
		return unanswered(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return nil // whatever becomes of the body
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // a receiver that is cut off may log an error
	return &Failure{
		Reason: fmt.Sprintf("The receiver answered %d.", resp.StatusCode), Gone: resp.StatusCode == http.StatusGone,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now),
	}
}

// unanswered is the failure of a request without an answer.
func unanswered(err error) *Failure {
	var timeout net.Error
	reason := "The receiver can't be reached."
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrInvalidHostPort):
		reason = "The receiver has no public address."
	case errors.As(err, &timeout) && timeout.Timeout():
		reason = fmt.Sprintf("The receiver didn't answer within %d seconds.", int(Timeout.Seconds()))
	}
	var inner *url.Error
	if errors.As(err, &inner) { // its text has the whole URL, which may hold a secret of the receiver's
		err = inner.Err
	}
	return &Failure{Reason: reason, Err: err}
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) { // then it is the bound
		return time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
