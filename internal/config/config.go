// Package config reads a function's settings from its environment.
package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Config holds the settings of all functions; each function gets those that
// it needs, by template.yaml.
type Config struct {
	TableName         string `env:"TABLE_NAME"`
	QueueURL          string `env:"QUEUE_URL"`
	BucketName        string `env:"BUCKET_NAME"`
	DatabaseURL       string `env:"DATABASE_URL"`
	DatabaseSecretARN string `env:"DATABASE_SECRET_ARN"`
	// DatabaseIAMUser is the ARN of the database user of DatabaseURL who signs in
	// by IAM; empty for a password. See ParseIAMUser.
	DatabaseIAMUser string `env:"DATABASE_IAM_USER"`
	// DatabaseCA names the certificates that the database's is checked by: the
	// path of a PEM file, or s3://BUCKET/KEY; empty for the system's own.
	DatabaseCA  string      `env:"DATABASE_CA"`
	DatabaseTLS DatabaseTLS `env:"DATABASE_TLS" envDefault:"verify-full"`

	S3PublicURL string        `env:"S3_PUBLIC_URL"`
	Concurrency int           `env:"MAXIMUM_CONCURRENCY" envDefault:"3"` // exports at the same time
	Connections int           `env:"EXPORT_CONNECTIONS" envDefault:"2"`
	FileTTL     time.Duration `env:"FILE_TTL" envDefault:"168h"`
	PresignTTL  time.Duration `env:"PRESIGN_TTL" envDefault:"10m"`
	// Datasets names the catalog: the path of a file, or s3://BUCKET/KEY; empty
	// for the one that the service comes with.
	Datasets string `env:"DATASETS"`
	// What one owner may have: exports that aren't done, and creates in a minute.
	MaxActiveExports    int        `env:"MAX_ACTIVE_EXPORTS" envDefault:"20"`
	MaxCreatesPerMinute int        `env:"MAX_CREATES_PER_MINUTE" envDefault:"60"`
	LogLevel            slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	StackName           string     `env:"STACK_NAME" envDefault:"local"`

	// Who is told of exports that come to their end, beside the webhooks that
	// owners register.
	NotifyQueueURL string `env:"NOTIFY_QUEUE_URL"`
	EventBusName   string `env:"EVENT_BUS_NAME"` // empty for none
	// WebhookURLs are told of all exports. What is sent there is signed with
	// WebhookSecret, or with what the secret WebhookSecretARN holds.
	WebhookURLs      []string         `env:"WEBHOOK_URLS"`
	WebhookSecret    string           `env:"WEBHOOK_SECRET"`
	WebhookSecretARN string           `env:"WEBHOOK_SECRET_ARN"`
	WebhookAddresses WebhookAddresses `env:"WEBHOOK_ADDRESSES" envDefault:"public"`

	AuthMode       AuthMode `env:"AUTH_MODE" envDefault:"jwt"`
	AuthIssuer     string   `env:"AUTH_ISSUER"`
	AuthAudience   string   `env:"AUTH_AUDIENCE"`
	AuthScope      string   `env:"AUTH_SCOPE"`
	AuthClaims     []string `env:"AUTH_CLAIMS"`
	AllowAnonymous bool     `env:"ALLOW_ANONYMOUS"`
	// AllowedOrigin is the one other origin whose pages may call the routes, as
	// scheme://host[:port] (the Fetch standard's CORS protocol); empty for none.
	AllowedOrigin string `env:"ALLOWED_ORIGIN"`
}

// DatabaseTLS says who decides how a connection to Postgres is protected.
type DatabaseTLS string

// The values of DATABASE_TLS.
const (
	VerifyFull DatabaseTLS = "verify-full" // it is encrypted, and the server's name is proven
	ByURL      DatabaseTLS = "url"         // as the database URL's sslmode says
)

// Setting names a setting that a function can't do without.
type Setting string

// The settings that functions require. Database stands for one of
// DATABASE_URL and DATABASE_SECRET_ARN.
// Authorizer stands for all that the authorizer needs, by AUTH_MODE.
const (
	Table      Setting = "TABLE_NAME"
	Queue      Setting = "QUEUE_URL"
	Bucket     Setting = "BUCKET_NAME"
	Database   Setting = "DATABASE_URL or DATABASE_SECRET_ARN"
	Authorizer Setting = "AUTH_MODE"
	Notices    Setting = "NOTIFY_QUEUE_URL"
)

// maxPresignTTL is what Signature Version 4 allows.
const maxPresignTTL = 7 * 24 * time.Hour

// Load reads the settings by getenv, which is os.Getenv outside of tests. Its
// error names every setting that is missing or wrong, and what would be right.
func Load(getenv func(string) string, required ...Setting) (Config, error) {
	var c Config
	fields := reflect.TypeFor[Config]()
	environment := map[string]string{}
	for field := range fields.Fields() {
		if name := field.Tag.Get("env"); getenv(name) != "" {
			environment[name] = getenv(name)
		}
	}
	var problems []error
	if err := env.ParseWithOptions(&c, env.Options{Environment: environment}); err != nil {
		problems = append(problems, parseProblems(fields, err)...)
	}
	for _, s := range required {
		if s == Authorizer {
			problems = append(problems, c.checkAuthorizer()...)
		} else if !c.has(s) {
			problems = append(problems, fmt.Errorf("%s isn't set", s))
		}
	}
	problems = append(problems, c.check()...)
	if len(problems) > 0 {
		return Config{}, fmt.Errorf("settings: %w", errors.Join(problems...))
	}
	return c, nil
}

// parseProblems names the settings that can't be read by their variables; env
// names the struct's fields.
func parseProblems(fields reflect.Type, err error) []error {
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return []error{err}
	}
	var problems []error
	for _, err := range all.Errors {
		if parse, ok := errors.AsType[env.ParseError](err); ok {
			if field, ok := fields.FieldByName(parse.Name); ok {
				err = fmt.Errorf("%s: %w", field.Tag.Get("env"), parse.Err)
			}
		}
		problems = append(problems, err)
	}
	return problems
}

func (c Config) has(s Setting) bool {
	switch s {
	case Table:
		return c.TableName != ""
	case Queue:
		return c.QueueURL != ""
	case Notices:
		return c.NotifyQueueURL != ""
	case Bucket:
		return c.BucketName != ""
	case Database:
		return c.DatabaseURL != "" || c.DatabaseSecretARN != ""
	default:
		return false
	}
}

func (c Config) check() []error {
	var problems []error
	for name, value := range map[string]string{"QUEUE_URL": c.QueueURL, "NOTIFY_QUEUE_URL": c.NotifyQueueURL, "S3_PUBLIC_URL": c.S3PublicURL} {
		if value == "" {
			continue
		}
		if u, err := url.Parse(value); err != nil || !strings.HasPrefix(u.Scheme, "http") || u.Host == "" {
			problems = append(problems, fmt.Errorf("%s must be an http or https URL", name))
		}
	}
	if c.Concurrency < 2 || c.Concurrency > 1000 { // Lambda's own bounds
		problems = append(problems, errors.New("MAXIMUM_CONCURRENCY must be from 2 to 1000"))
	}
	if c.Connections < 1 || c.Connections > 16 {
		problems = append(problems, errors.New("EXPORT_CONNECTIONS must be from 1 to 16"))
	}
	for name, value := range map[string]int{"MAX_ACTIVE_EXPORTS": c.MaxActiveExports, "MAX_CREATES_PER_MINUTE": c.MaxCreatesPerMinute} {
		if value < 1 || value > 1_000_000 {
			problems = append(problems, fmt.Errorf("%s must be from 1 to 1000000", name))
		}
	}
	if c.DatabaseTLS != VerifyFull && c.DatabaseTLS != ByURL {
		problems = append(problems, errors.New("DATABASE_TLS must be verify-full or url"))
	}
	if c.FileTTL <= 0 {
		problems = append(problems, errors.New("FILE_TTL must be a positive duration such as 168h"))
	}
	if !slices.Contains([]AuthMode{JWT, NoAuth, IAM}, c.AuthMode) {
		problems = append(problems, errors.New("AUTH_MODE must be jwt, none or iam"))
	}
	if u, err := url.Parse(c.AllowedOrigin); err != nil || c.AllowedOrigin != "" && c.AllowedOrigin != u.Scheme+"://"+u.Host {
		problems = append(problems, errors.New("ALLOWED_ORIGIN must be an origin such as https://app.example.com"))
	}
	if c.PresignTTL <= 0 || c.PresignTTL > maxPresignTTL {
		problems = append(problems, errors.New("PRESIGN_TTL must be a positive duration of at most 168h"))
	}
	problems = append(problems, c.checkIAM()...)
	return append(problems, c.checkWebhooks()...)
}

// Logger returns the function's log: one JSON object a line, each with the
// stack's name.
func (c Config) Logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: c.LogLevel, ReplaceAttr: nameLevel})).With("stack", c.StackName)
}

// levels are above that of errors, and none: they are told whatever the log's
// level is. See api's audit and package metrics.
var levels = map[slog.Level]string{slog.LevelError + 4: "AUDIT", slog.LevelError + 8: "METRIC"}

func nameLevel(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey && levels[level] != "" {
		a.Value = slog.StringValue(levels[level])
	}
	return a
}
