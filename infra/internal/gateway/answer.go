package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/aws/aws-lambda-go/events"
)

// answer is what a function answered, checked.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// notPassedOn are headers that belong to the connection; API Gateway sets them itself.
var notPassedOn = []string{"Connection", "Content-Length", "Keep-Alive", "Trailer", "Transfer-Encoding", "Upgrade"}

// decode reads a function's answer as strictly as API Gateway does: a key that
// is not of the format makes it malformed.
func decode(payload []byte) (answer, error) {
	var in events.APIGatewayProxyResponse
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return answer{}, fmt.Errorf("malformed proxy response: %w", err)
	}
	if in.StatusCode < 200 || in.StatusCode > 599 {
		return answer{}, errors.New("malformed proxy response: no valid statusCode")
	}
	out := answer{status: in.StatusCode, header: http.Header{}, body: []byte(in.Body)}
	if in.IsBase64Encoded {
		var err error
		if out.body, err = base64.StdEncoding.DecodeString(in.Body); err != nil {
			return answer{}, fmt.Errorf("malformed proxy response: body: %w", err)
		}
	}
	for name, values := range in.MultiValueHeaders {
		for _, value := range values {
			out.header.Add(name, value)
		}
	}
	for name, value := range in.Headers {
		if !slices.Contains(out.header.Values(name), value) {
			out.header.Add(name, value)
		}
	}
	for _, name := range notPassedOn {
		out.header.Del(name)
	}
	if out.header.Get("Content-Type") == "" {
		out.header.Set("Content-Type", "application/json")
	}
	return out, nil
}

// preflight answers as the mock integration does that SAM's Cors makes.
func (g *gateway) preflight(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	for name, value := range g.config.Preflight {
		w.Header().Set(name, value)
	}
	_, _ = io.WriteString(w, "{}\n") // the client may be gone
}

// write sends the answer. net/http leaves the body out where there can be none.
func (a answer) write(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may be gone
}
