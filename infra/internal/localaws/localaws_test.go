package localaws_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/localaws"
)

var endpoints = localaws.Endpoints{S3: "http://127.0.0.1:1001", SQS: "http://127.0.0.1:1002", DynamoDB: "http://127.0.0.1:1003", Events: "http://127.0.0.1:1004", STS: "http://127.0.0.1:1005"}

func TestReplace(t *testing.T) {
	got := endpoints.Replace([]string{
		"HOME=/home/u", "AWS_PROFILE=prod", "AWS_ENDPOINT_URL=http://elsewhere", "AWS_ENDPOINT_URL_LAMBDA=http://elsewhere",
		"AWS_SESSION_TOKEN=t", "aws_region=x", "AWS_CA_BUNDLE=/x", "NO_PROXY=intern", "HTTPS_PROXY=http://proxy", "MY_AWS_KEY=kept",
	})
	want := []string{
		"HOME=/home/u", "HTTPS_PROXY=http://proxy", "MY_AWS_KEY=kept",
		"AWS_ACCESS_KEY_ID=test", "AWS_CONFIG_FILE=/dev/null", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:1003", "AWS_ENDPOINT_URL_EVENTBRIDGE=http://127.0.0.1:1004", "AWS_ENDPOINT_URL_S3=http://127.0.0.1:1001",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:1", "AWS_ENDPOINT_URL_SQS=http://127.0.0.1:1002", "AWS_ENDPOINT_URL_STS=http://127.0.0.1:1005", "AWS_REGION=us-east-1", "AWS_SECRET_ACCESS_KEY=test", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"NO_PROXY=127.0.0.1,localhost,intern", "no_proxy=127.0.0.1,localhost,intern",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestEnvironment_OnlyLoopback(t *testing.T) {
	for key, value := range endpoints.Environment() {
		if strings.Contains(key, "ENDPOINT") && !strings.HasPrefix(value, "http://127.0.0.1:") {
			t.Errorf("%s=%s leaves the machine", key, value)
		}
	}
}
