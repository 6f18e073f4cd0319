package compose_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/compose"
)

const root = "../../.."

func load(t *testing.T, file string) map[string]compose.Service {
	t.Helper()
	t.Setenv("ROWS", "7") // of this process, which isn't asked
	services, err := compose.Load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return services
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the containers are is what the header of docker-compose.yml says.
func TestLoad(t *testing.T) {
	services := load(t, filepath.Join(root, "docker-compose.yml"))
	if diff := cmp.Diff([]string{"dynamodb", "localstack", "postgres"}, slices.Sorted(maps.Keys(services))); diff != "" {
		t.Fatalf("services (-want +got):\n%s", diff)
	}
	want := map[string]string{
		"SERVICES": "s3,sqs,events,secretsmanager", "EAGER_SERVICE_LOADING": "1", "S3_SKIP_SIGNATURE_VALIDATION": "0",
		"SQS_ENDPOINT_STRATEGY": "off", "LOCALSTACK_HOST": "127.0.0.1:4566", "DISABLE_EVENTS": "1",
	}
	if diff := cmp.Diff(want, services["localstack"].Environment); diff != "" {
		t.Errorf("LocalStack's settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"-jar", "DynamoDBLocal.jar", "-inMemory", "-sharedDb", "-disableTelemetry"}, services["dynamodb"].Command); diff != "" {
		t.Errorf("DynamoDB Local's command (-want +got):\n%s", diff)
	}
	if rows := services["postgres"].Environment["ROWS"]; rows != "100000" {
		t.Errorf("Postgres gets %s rows, want the file's default", rows)
	}
	published := map[string]map[uint32]string{
		"postgres": {5432: "127.0.0.1:5432"}, "localstack": {4566: "127.0.0.1:4566"}, "dynamodb": {8000: "127.0.0.1:8000"},
	}
	for name, want := range published {
		if diff := cmp.Diff(want, services[name].Published); diff != "" {
			t.Errorf("ports of %s (-want +got):\n%s", name, diff)
		}
	}
}

// The host runs the versions that the containers have.
func TestVersions(t *testing.T) {
	services := load(t, filepath.Join(root, "docker-compose.yml"))
	for _, tt := range []struct{ service, image, text, pattern string }{
		{"localstack", "localstack/localstack", read(t, "infra", "localstack", "requirements.in"), `(?m)^localstack-core\[runtime\]==(.+)$`},
		{"localstack", "localstack/localstack", read(t, "infra", "localstack", "requirements.txt"), `(?m)^localstack-core(?:\[runtime\])?==(\S+)`},
		{"dynamodb", "amazon/dynamodb-local", read(t, "infra", "dynamodb", "pom.xml"), `(?s)<artifactId>DynamoDBLocal</artifactId>\s*<version>(.+?)</version>`},
	} {
		found := regexp.MustCompile(tt.pattern).FindStringSubmatch(tt.text)
		if found == nil {
			t.Errorf("%s: no version on the host", tt.service)
		} else if want := tt.image + ":" + found[1]; services[tt.service].Image != want {
			t.Errorf("%s is %s in a container, %s on the host", tt.service, services[tt.service].Image, want)
		}
	}
}

// A file that docker compose refuses is refused.
func TestLoad_wrong(t *testing.T) {
	whole := read(t, "docker-compose.yml")
	for name, change := range map[string][2]string{
		"an unknown property": {"healthcheck:", "healthchecks:"},
		"no such volume":      {"\nvolumes:\n  postgres:", "\nvolumes:\n  postgresql:"},
		"no image":            {"image: amazon/", "user: amazon/"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(whole, change[0], change[1], 1)
			if text == whole {
				t.Fatal("nothing was changed")
			}
			file := filepath.Join(t.TempDir(), "docker-compose.yml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := compose.Load(t.Context(), file); err == nil {
				t.Error("it is taken")
			}
		})
	}
}
