package gateway

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"
)

// event is the proxy event of the request with this id. Its error is an [http.MaxBytesError]
// for a body that is too large.
func (g *gateway) event(w http.ResponseWriter, r *http.Request, t target, id string) (*events.APIGatewayProxyRequest, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	sourceIP, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		sourceIP = r.RemoteAddr
	}
	prefix, _, _ := strings.Cut(r.Host, ".")
	event := &events.APIGatewayProxyRequest{
		Resource:       t.resource.path,
		Path:           t.path,
		HTTPMethod:     r.Method,
		PathParameters: t.parameters,
		RequestContext: events.APIGatewayProxyRequestContext{
			AccountID: g.config.AccountID, APIID: g.config.APIID, Stage: t.stage,
			RequestID: id, ExtendedRequestID: uuid.NewString(),
			RequestTime: now.Format("02/Jan/2006:15:04:05 -0700"), RequestTimeEpoch: now.UnixMilli(),
			HTTPMethod: r.Method, Path: t.prefix + t.path, ResourcePath: t.resource.path, Protocol: r.Proto,
			DomainName: r.Host, DomainPrefix: prefix,
			Identity: events.APIGatewayRequestIdentity{SourceIP: sourceIP, UserAgent: r.UserAgent()},
		},
	}
	event.Headers, event.MultiValueHeaders = bothForms(headers(r, sourceIP))
	if len(r.URL.RawQuery) > 0 {
		event.QueryStringParameters, event.MultiValueQueryStringParameters = bothForms(r.URL.Query())
	}
	event.Body = string(body)
	if !utf8.Valid(body) {
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return event, nil
}

// headers are the client's, with those that API Gateway adds.
func headers(r *http.Request, sourceIP string) http.Header {
	all := r.Header.Clone()
	all.Set("Host", r.Host)
	all.Set("X-Forwarded-For", strings.Join(append(all.Values("X-Forwarded-For"), sourceIP), ", "))
	all.Set("X-Forwarded-Proto", "http")
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		all.Set("X-Forwarded-Port", port)
	}
	return all
}

// bothForms gives the last value of each name, and all of them.
func bothForms(all map[string][]string) (last map[string]string, every map[string][]string) {
	last = make(map[string]string, len(all))
	for name, values := range all {
		last[name] = values[len(values)-1]
	}
	return last, all
}
