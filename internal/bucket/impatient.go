package bucket

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// patience is for how long a request with a body may stand still before it is
// given up, so that the SDK sends it again.
const patience = 20 * time.Second

var errStandstill = errors.New("the storage has taken nothing and said nothing for 20 s")

// impatient has the requests of a call given up that stand still: TCP alone
// would wait for minutes, and bodyTimeout bounds all tries together.
func impatient(o *s3.Options) {
	o.HTTPClient = &impatientClient{client: o.HTTPClient, patience: patience}
}

type impatientClient struct {
	client   aws.HTTPClient
	patience time.Duration
}

// Do implements the SDK's HTTPClient.
func (c *impatientClient) Do(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(c.patience, func() { cancel(errStandstill) })
	moved := func() { timer.Reset(c.patience) }
	done := func() {
		timer.Stop()
		cancel(nil)
	}
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &movingBody{r.Body, moved, func() {}}
	}
	resp, err := c.client.Do(r)
	if err != nil {
		done()
		return nil, err
	}
	resp.Body = &movingBody{resp.Body, moved, done}
	return resp, nil
}

// movingBody tells of each read.
type movingBody struct {
	io.ReadCloser
	moved, closed func()
}

func (b *movingBody) Read(p []byte) (int, error) {
	b.moved()
	return b.ReadCloser.Read(p)
}

func (b *movingBody) Close() error {
	b.closed()
	return b.ReadCloser.Close()
}
