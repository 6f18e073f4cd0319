// Package localaws holds clients and environments that reach the local
// stand-ins for AWS and nothing else.
//
// Nothing here reads the shell: endpoints, credentials and region are fixed
// values, so that no profile, key or endpoint of the user's is ever used.
package localaws

import (
	"cmp"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// What the stand-ins take for the caller. The keys open nothing anywhere else.
const (
	Region    = "us-east-1"
	AccountID = "000000000000"
	AccessKey = "test"
	SecretKey = "test"
)

// DeliveryBucket is a bucket that isn't the service's, and DeliveryRole a role
// that may write there: for destinations of a catalog.
const (
	DeliveryBucket = "delivery"
	DeliveryRole   = "arn:aws:iam::" + AccountID + ":role/delivery"
)

// Endpoints are the base URLs of the stand-ins.
type Endpoints struct {
	S3             string `json:"s3"`
	SQS            string `json:"sqs"`
	DynamoDB       string `json:"dynamodb"`
	Events         string `json:"events"` // EventBridge
	STS            string `json:"sts"`
	SecretsManager string `json:"secretsManager,omitempty"` // empty where there is none
	Lambda         string `json:"lambda,omitempty"`         // Invoke API; empty where no functions run
}

func config(endpoint string) aws.Config {
	return aws.Config{
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
		BaseEndpoint: aws.String(endpoint),
		HTTPClient:   &httpClient{awshttp.NewBuildableClient()},
	}
}

// httpClient hides WriteTo of smithy-go's request bodies from net/http, which
// else may break a connection before the answer is read: a received message
// would be lost for its visibility timeout. See the product's awsconfig.
type httpClient struct {
	*awshttp.BuildableClient
}

// Do implements the SDK's HTTPClient.
func (c *httpClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.BuildableClient.Do(r)
}

// S3Client returns a client that uses path-style addresses.
func (e Endpoints) S3Client() *s3.Client {
	return s3.NewFromConfig(config(e.S3), func(o *s3.Options) { o.UsePathStyle = true })
}

// SQSClient returns a client.
func (e Endpoints) SQSClient() *sqs.Client { return sqs.NewFromConfig(config(e.SQS)) }

// DynamoDBClient returns a client.
func (e Endpoints) DynamoDBClient() *dynamodb.Client {
	return dynamodb.NewFromConfig(config(e.DynamoDB))
}

// EventsClient returns a client of EventBridge.
func (e Endpoints) EventsClient() *eventbridge.Client {
	return eventbridge.NewFromConfig(config(e.Events))
}

// SecretsManagerClient returns a client of Secrets Manager, which not every
// emulator has.
func (e Endpoints) SecretsManagerClient() *secretsmanager.Client {
	return secretsmanager.NewFromConfig(config(e.SecretsManager))
}

// QueueURL is the address of a queue by its physical name.
func (e Endpoints) QueueURL(name string) string { return e.SQS + "/" + AccountID + "/" + name }

// Environment is what an AWS SDK in a child process must find in its
// environment to reach the stand-ins. A service without one gets an address
// that refuses, instead of AWS.
func (e Endpoints) Environment() map[string]string {
	const refuses = "http://127.0.0.1:1"
	secrets := cmp.Or(e.SecretsManager, refuses)
	return map[string]string{
		"AWS_ACCESS_KEY_ID":                AccessKey,
		"AWS_SECRET_ACCESS_KEY":            SecretKey,
		"AWS_REGION":                       Region,
		"AWS_DEFAULT_REGION":               Region,
		"AWS_ENDPOINT_URL":                 refuses,
		"AWS_ENDPOINT_URL_S3":              e.S3,
		"AWS_ENDPOINT_URL_SQS":             e.SQS,
		"AWS_ENDPOINT_URL_DYNAMODB":        e.DynamoDB,
		"AWS_ENDPOINT_URL_EVENTBRIDGE":     e.Events,
		"AWS_ENDPOINT_URL_STS":             e.STS,
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets,
		"AWS_EC2_METADATA_DISABLED":        "true",
		"AWS_CONFIG_FILE":                  "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE":      "/dev/null",
	}
}

// Replace returns the environment env (KEY=value) with every AWS setting
// removed and Environment's put in their place. Loopback is kept away from proxies.
func (e Endpoints) Replace(env []string) []string {
	var kept []string
	exempt := "127.0.0.1,localhost"
	for _, entry := range env {
		key, value, _ := strings.Cut(entry, "=")
		switch upper := strings.ToUpper(key); {
		case strings.HasPrefix(upper, "AWS_"):
		case upper == "NO_PROXY" && value != "":
			exempt += "," + value
		case upper == "NO_PROXY":
		default:
			kept = append(kept, entry)
		}
	}
	ours := e.Environment()
	for _, key := range slices.Sorted(maps.Keys(ours)) {
		kept = append(kept, key+"="+ours[key])
	}
	return append(kept, "NO_PROXY="+exempt, "no_proxy="+exempt)
}
