package sam

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"csvexport/infra/internal/localaws"
)

// door serves the emulators of all services at one address, which containers
// reach: AWS_ENDPOINT_URL has room for one.
//
// Which service a request is for stands in the credential scope of its
// signature (AWS General Reference, "Elements of an AWS API request signature").
type door struct {
	URL string // as containers reach it

	server *http.Server
	work   sync.WaitGroup
}

// openDoor serves on a free port of the address, which containers call by the
// given name, until close.
func openDoor(address, name string, endpoints localaws.Endpoints) (*door, error) {
	targets := map[string]*httputil.ReverseProxy{}
	transport := &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Second, DisableCompression: true}
	for service, endpoint := range map[string]string{
		"s3": endpoints.S3, "sqs": endpoints.SQS, "dynamodb": endpoints.DynamoDB, "events": endpoints.Events, "sts": endpoints.STS,
		"secretsmanager": endpoints.SecretsManager,
	} {
		if endpoint == "" {
			continue
		}
		to, err := url.Parse(endpoint)
		if err != nil {
			return nil, fmt.Errorf("endpoint of %s: %w", service, err)
		}
		targets[service] = &httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(to)
				p.Out.Host = p.In.Host // it is signed
			},
		}
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen where containers reach it: %w", err)
	}
	d := &door{URL: "http://" + net.JoinHostPort(name, port(listener.Addr().String()))}
	d.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := targets[service(r)]
		if target == nil {
			http.Error(w, "the request's signature names no service that is here", http.StatusBadRequest)
			return
		}
		target.ServeHTTP(w, r)
	})}
	d.work.Go(func() { _ = d.server.Serve(listener) }) // ends by close
	return d, nil
}

// service is what "Credential=KEY/20261128/us-east-1/SERVICE/aws4_request,"
// names, and the query of a presigned URL likewise.
func service(r *http.Request) string {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, after, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential, _, _ = strings.Cut(after, ",")
	}
	scope := strings.Split(credential, "/")
	if len(scope) < 4 {
		return ""
	}
	return scope[len(scope)-2] // an access key may hold a slash
}

func (d *door) close() error {
	err := d.server.Close()
	d.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func port(address string) string {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return p
}
