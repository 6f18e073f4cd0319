package stack

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"csvexport/infra/internal/sam"
	"csvexport/infra/internal/template"
)

func (s *Stack) samConfig(cfg *SAM) sam.Config {
	return sam.Config{
		Python: cfg.Python, InvokeImage: cfg.InvokeImage, Root: s.folder.Root, Dir: s.folder.Path("sam"), LogDir: s.folder.Path("logs"),
		Started: s.folder.Started,
	}
}

// reachFromContainers opens ways from containers to the stack's servers, and
// puts them into the template's parameters.
func (s *Stack) reachFromContainers(ctx context.Context, cfg *SAM, reader string, parameters map[string]string) error {
	config := s.samConfig(cfg)
	config.Endpoints, config.DatabaseURL = s.servers.Endpoints, reader
	var err error
	if s.sam, err = sam.New(ctx, config); err != nil {
		return err
	}
	maps.Copy(parameters, s.sam.Parameters())
	return nil
}

// shareDatasets puts a file of datasets, which containers can't read, into the
// stack's bucket, and names that place in the parameters.
func (s *Stack) shareDatasets(ctx context.Context, declared *template.Stack, parameters map[string]string) (*template.Stack, error) {
	file := parameters["Datasets"]
	if file == "" || strings.HasPrefix(file, "s3://") {
		return declared, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the file of datasets: %w", err)
	}
	bucket, key := declared.Buckets[0].Name, "datasets.yaml"
	_, err = s.servers.Endpoints.S3Client().PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(text)})
	if err != nil {
		return nil, fmt.Errorf("put the file of datasets where containers can read it: %w", err)
	}
	parameters["Datasets"] = "s3://" + bucket + "/" + key
	return s.folder.load(s.servers.Endpoints, parameters)
}

// runSAM has the SAM CLI run the functions and serve the routes, on the port of
// the given listener, which it closes. It returns the base URL of the Invoke API.
func (s *Stack) runSAM(ctx context.Context, declared *template.Stack, parameters map[string]string, routes net.Listener) (string, error) {
	port := routes.Addr().(*net.TCPAddr).Port
	if err := routes.Close(); err != nil {
		return "", err
	}
	if err := s.sam.Start(ctx, port, declared.Functions, parameters); err != nil {
		return "", err
	}
	return s.sam.LambdaURL, nil
}
