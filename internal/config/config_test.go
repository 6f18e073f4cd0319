package config_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/internal/config"
)

func getenv(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestLoad(t *testing.T) {
	got, err := config.Load(getenv(map[string]string{
		"TABLE_NAME": "t", "QUEUE_URL": "https://q.example/1", "FILE_TTL": "24h", "LOG_LEVEL": "debug", "EXPORT_CONNECTIONS": "4",
		"MAXIMUM_CONCURRENCY": "1000", "MAX_CREATES_PER_MINUTE": "7",
		"DATABASE_URL": "postgres://h/d",
	}), config.Table, config.Queue, config.Database)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		TableName: "t", QueueURL: "https://q.example/1", DatabaseURL: "postgres://h/d", DatabaseTLS: config.VerifyFull,
		Concurrency: 1000, Connections: 4, FileTTL: 24 * time.Hour, PresignTTL: 10 * time.Minute, MaxActiveExports: 20, MaxCreatesPerMinute: 7, LogLevel: slog.LevelDebug, StackName: "local", WebhookAddresses: config.PublicAddresses, AuthMode: config.JWT,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

// Whoever sets a function up learns everything at once, by the names they set.
func TestLoad_namesEveryProblem(t *testing.T) {
	_, err := config.Load(getenv(map[string]string{
		"QUEUE_URL": "queue", "FILE_TTL": "a week", "EXPORT_CONNECTIONS": "0", "MAXIMUM_CONCURRENCY": "1001", "MAX_ACTIVE_EXPORTS": "-1", "LOG_LEVEL": "loud", "PRESIGN_TTL": "200h", "ALLOWED_ORIGIN": "https://app.example/",
	}), config.Table, config.Queue, config.Bucket, config.Database)
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{
		"TABLE_NAME isn't set", "BUCKET_NAME isn't set", "DATABASE_URL or DATABASE_SECRET_ARN isn't set",
		"QUEUE_URL", "FILE_TTL", "EXPORT_CONNECTIONS", "MAXIMUM_CONCURRENCY", "MAX_ACTIVE_EXPORTS", "LOG_LEVEL", "PRESIGN_TTL", "ALLOWED_ORIGIN",
	} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error doesn't say %q:\n%v", name, err)
		}
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	log := config.Config{LogLevel: slog.LevelWarn}.Logger(&out)
	log.Info("quiet")
	log.Warn("heard", "exportId", "x")
	log.Log(t.Context(), slog.LevelError+4, "told in any case")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"exportId":"x"`) || !strings.Contains(got, `"level":"AUDIT","msg":"told`) {
		t.Errorf("log: %s", got)
	}
}
