// Package template reads a SAM template as far as the local stack can honor it.
//
// Everything that the local stack does - which routes exist, which function
// serves them, which settings it gets, which table, queues and bucket there
// are - is read from the project's template.yaml, so that local and cloud do
// not drift apart. The package knows a closed list of resource types,
// properties and intrinsic functions; whatever is outside of it is an error
// that names the line, never something silently left out.
package template

import "time"

// Stack is a template with parameters, conditions, references and
// pseudo-parameters resolved to plain values.
type Stack struct {
	Functions    []Function
	Routes       []Route
	EventSources []EventSource
	Schedules    []Schedule
	Queues       []Queue
	Tables       []Table
	Buckets      []Bucket
	Outputs      map[string]string

	GatewayResponses map[string]GatewayResponse // the API's own answers, by their type
	// Preflight holds the headers of the answer that SAM's Cors gives to OPTIONS
	// on every path that has no such route; nil for none.
	Preflight map[string]string
}

// Function is an AWS::Serverless::Function.
type Function struct {
	LogicalID   string
	Name        string // physical name, STACK-LogicalID
	ARN         string
	CodeURI     string // as in the template, relative to it
	Handler     string
	MemoryMB    int
	Timeout     time.Duration
	Environment map[string]string
	Concurrency int // ReservedConcurrentExecutions; 0: the host's own bound
}

// Route is an Api event of a function.
type Route struct {
	Function string // logical ID
	Method   string // upper case; ANY for every method
	Path     string // with {parameters}
	Stage    string
	// Authorizer is the logical ID of the function that is asked before each
	// request, without a cache; empty for none.
	Authorizer string
}

// EventSource is an SQS event of a function.
type EventSource struct {
	Function                string // logical ID
	QueueARN                string
	BatchSize               int
	MaximumConcurrency      int // 0: the service's own bound
	ReportBatchItemFailures bool
}

// Schedule is a Schedule or ScheduleV2 event of a function with a rate.
type Schedule struct {
	Function  string // logical ID
	Name      string
	ARN       string // of the rule or schedule
	Rate      time.Duration
	Input     string // JSON; empty for the service's own event
	Scheduler bool   // by EventBridge Scheduler (ScheduleV2), whose own event differs from a rule's
}

// Queue is an AWS::SQS::Queue.
type Queue struct {
	LogicalID         string
	Name              string
	ARN               string
	URL               string
	VisibilityTimeout time.Duration
	RetentionPeriod   time.Duration
	DeadLetterARN     string // empty: none
	MaxReceiveCount   int
}

// Table is an AWS::DynamoDB::Table.
type Table struct {
	LogicalID    string
	Name         string
	ARN          string
	Attributes   []Attribute
	Key          []KeyElement
	Indexes      []Index
	TTLAttribute string // empty: none
}

// Attribute is one entry of a table's AttributeDefinitions.
type Attribute struct{ Name, Type string }

// KeyElement is one entry of a KeySchema; Type is HASH or RANGE.
type KeyElement struct{ Name, Type string }

// Index is a global secondary index.
type Index struct {
	Name       string
	Key        []KeyElement
	Projection string   // ALL, KEYS_ONLY or INCLUDE
	Include    []string // non-key attributes of INCLUDE
}

// Bucket is an AWS::S3::Bucket.
type Bucket struct {
	LogicalID string
	Name      string
	ARN       string
	CORS      []CORSRule
}

// CORSRule says pages of which origins may use a bucket, and how.
type CORSRule struct {
	Origins, Methods, Headers, Exposed []string
	MaxAge                             int // seconds, 86400 at most
}
