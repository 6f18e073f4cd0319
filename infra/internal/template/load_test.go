package template_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"csvexport/infra/internal/template"
)

func queueURL(name string) string { return "http://127.0.0.1:4566/000000000000/" + name }

// load reads a template given as text; the first line of text is line 1.
func load(t *testing.T, text string, parameters map[string]string) (*template.Stack, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return template.Load(path, template.Options{StackName: "test", Parameters: parameters, QueueURL: queueURL})
}

// find returns the one element that matches.
func find[T any](t *testing.T, list []T, matches func(T) bool) T {
	t.Helper()
	var found []T
	for _, e := range list {
		if matches(e) {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d elements match, want 1: %+v", len(found), found)
	}
	return found[0]
}

func TestLoad_ProjectTemplate(t *testing.T) {
	const database = "postgres://exporter@127.0.0.1:5432/exports"
	stack, err := template.Load("../../../template.yaml", template.Options{
		StackName: "Local", Parameters: map[string]string{"DatabaseUrl": database}, QueueURL: queueURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := find(t, stack.Functions, func(f template.Function) bool { return f.LogicalID == "RunExportFunction" })
	want := map[string]string{
		"LOG_LEVEL": "info", "TABLE_NAME": "Local-Table", "QUEUE_URL": queueURL("Local-Queue"), "BUCKET_NAME": "local-bucket",
		"DATABASE_URL": database, "EXPORT_CONNECTIONS": "2", "DATABASE_SECRET_ARN": "",
	}
	for name, value := range want {
		if got, ok := f.Environment[name]; !ok || got != value {
			t.Errorf("%s = %q (set: %t), want %q", name, got, ok, value)
		}
	}
	if f.Name != "Local-RunExportFunction" || f.ARN != "arn:aws:lambda:us-east-1:000000000000:function:Local-RunExportFunction" ||
		f.CodeURI != "functions/run-export/" || f.Handler != "bootstrap" || f.MemoryMB != 1769 || f.Timeout != 900*time.Second {
		t.Errorf("run-export: %+v", f)
	}
	health := find(t, stack.Functions, func(f template.Function) bool { return f.LogicalID == "HealthFunction" })
	if health.MemoryMB != 256 || health.Timeout != 10*time.Second || health.Environment["LOG_LEVEL"] != "info" {
		t.Errorf("health has not the Globals: %+v", health)
	}
	for _, want := range []template.Route{
		{Function: "CreateExportFunction", Method: "POST", Path: "/exports/csv", Stage: "v1", Authorizer: "AuthorizeFunction"},
		{Function: "GetExportFunction", Method: "GET", Path: "/exports/{id}/status", Stage: "v1", Authorizer: "AuthorizeFunction"},
		{Function: "DownloadExportFunction", Method: "GET", Path: "/exports/{id}/download", Stage: "v1", Authorizer: "AuthorizeFunction"},
	} {
		find(t, stack.Routes, func(r template.Route) bool { return r == want })
	}
	source := find(t, stack.EventSources, func(s template.EventSource) bool { return s.Function == "RunExportFunction" })
	if diff := cmp.Diff(template.EventSource{
		Function: "RunExportFunction", QueueARN: "arn:aws:sqs:us-east-1:000000000000:Local-Queue",
		BatchSize: 1, MaximumConcurrency: 3, ReportBatchItemFailures: true,
	}, source); diff != "" {
		t.Errorf("event source (-want +got):\n%s", diff)
	}
	sweep := find(t, stack.Schedules, func(s template.Schedule) bool { return s.Function == "SweepFunction" })
	if sweep.Rate != time.Minute || !sweep.Scheduler {
		t.Errorf("sweep's schedule: %+v", sweep)
	}
	queue := find(t, stack.Queues, func(q template.Queue) bool { return q.LogicalID == "Queue" })
	if diff := cmp.Diff(template.Queue{
		LogicalID: "Queue", Name: "Local-Queue", ARN: "arn:aws:sqs:us-east-1:000000000000:Local-Queue", URL: queueURL("Local-Queue"),
		VisibilityTimeout: 5400 * time.Second, RetentionPeriod: 14 * 24 * time.Hour,
		DeadLetterARN: "arn:aws:sqs:us-east-1:000000000000:Local-DeadLetterQueue", MaxReceiveCount: 10,
	}, queue); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
	table := find(t, stack.Tables, func(table template.Table) bool { return table.LogicalID == "Table" })
	if table.Name != "Local-Table" || table.TTLAttribute != "ttl" {
		t.Errorf("table: %+v", table)
	}
	if diff := cmp.Diff([]template.KeyElement{{Name: "pk", Type: "HASH"}, {Name: "sk", Type: "RANGE"}}, table.Key); diff != "" {
		t.Errorf("table's key (-want +got):\n%s", diff)
	}
	index := find(t, table.Indexes, func(i template.Index) bool { return i.Name == "by-due-time" })
	if index.Projection != "KEYS_ONLY" || len(index.Key) != 2 || index.Key[0].Name != "dueShard" {
		t.Errorf("index: %+v", index)
	}
	if got, want := stack.Outputs["ApiUrl"], "https://api.execute-api.us-east-1.amazonaws.com/v1"; got != want {
		t.Errorf("ApiUrl = %q, want %q", got, want)
	}
}

// head is a valid start of a template, of 8 lines; what a test adds begins at line 9.
const head = `Transform: AWS::Serverless-2016-10-31
Parameters:
  Mode: {Type: String, Default: plain, AllowedValues: [plain, secret]}
  Size: {Type: Number, Default: 2, MinValue: 1, MaxValue: 16}
  Names: {Type: CommaDelimitedList, Default: "a, b"}
Conditions:
  IsSecret: !Equals [!Ref Mode, secret]
  IsSmall: !Not [{'Fn::Equals': [{Ref: Size}, 16]}]
`

func TestLoad_Values(t *testing.T) {
	tests := map[string]struct {
		expression string // YAML after "Value: "
		parameters map[string]string
		want       string
	}{
		"number":              {"!Ref Size", nil, "2"},
		"given parameter":     {"!Ref Mode", map[string]string{"Mode": "secret"}, "secret"},
		"long Ref":            {"{Ref: Mode}", nil, "plain"},
		"queue is a URL":      {"!Ref Queue", nil, queueURL("test-Queue")},
		"bucket is a name":    {"!Ref Bucket", nil, "test-bucket"},
		"given name":          {"!Ref Named", nil, "plain-jobs"},
		"GetAtt":              {"!GetAtt Queue.Arn", nil, "arn:aws:sqs:us-east-1:000000000000:test-Queue"},
		"GetAtt list":         {"{'Fn::GetAtt': [Bucket, Arn]}", nil, "arn:aws:s3:::test-bucket"},
		"Sub":                 {"!Sub 'x-${AWS::Region}-${Queue.QueueName}-${!Literal}'", nil, "x-us-east-1-test-Queue-${Literal}"},
		"Sub with variables":  {"!Sub ['${A}/${Mode}', {A: !Ref Size}]", nil, "2/plain"},
		"stage":               {"!Sub '${Api}/${Api.Stage}'", nil, "api/v1"},
		"Ref stage":           {"!Ref Api.Stage", nil, "v1"},
		"Join":                {"!Join ['-', [a, !Ref AWS::NoValue, !Ref Size]]", nil, "a-2"},
		"Select of Split":     {"!Select [1, !Split ['s3://', !Sub '${Mode}s3://b/k']]", nil, "b/k"},
		"Join of list":        {"!Join ['+', !Ref Names]", nil, "a+b"},
		"If false":            {"!If [IsSecret, 'yes', !Ref Mode]", nil, "plain"},
		"If true":             {"{'Fn::If': [IsSecret, 'yes', 'no']}", map[string]string{"Mode": "secret"}, "yes"},
		"And, Or, Condition":  {"!If [Both, 'yes', 'no']", map[string]string{"Mode": "secret"}, "yes"},
		"other branch unread": {"!If [IsSmall, small, !Ref Optional]", nil, "small"},
		"pseudo":              {"!Sub '${AWS::Partition} ${AWS::AccountId} ${AWS::StackName} ${AWS::URLSuffix}'", nil, "aws 000000000000 test amazonaws.com"},
		"block scalar":        {"!Sub |\n      ${Mode}\n      two", nil, "plain\ntwo\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stack, err := load(t, head+`  Both: !And [!Condition IsSecret, !Or [{Condition: IsSmall}, !Condition IsSecret]]
Resources:
  Api: {Type: AWS::Serverless::Api, Properties: {StageName: v1}}
  Queue: {Type: AWS::SQS::Queue}
  Bucket: {Type: AWS::S3::Bucket, DeletionPolicy: Retain}
  Named: {Type: AWS::DynamoDB::Table, Properties: {TableName: !Sub "${Mode}-jobs", AttributeDefinitions: [{AttributeName: pk, AttributeType: S}], KeySchema: [{AttributeName: pk, KeyType: HASH}]}}
  Optional: {Type: AWS::SQS::Queue, Condition: IsSecret}
Outputs:
  Out:
    Value: `+tt.expression+"\n", tt.parameters)
			if err != nil {
				t.Fatal(err)
			}
			if got := stack.Outputs["Out"]; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if secret := tt.parameters["Mode"] == "secret"; len(stack.Queues) == 2 != secret {
				t.Errorf("%d queues; the optional one must be there: %t", len(stack.Queues), secret)
			}
		})
	}
}

func TestLoad_Globals(t *testing.T) {
	stack, err := load(t, head+`Globals:
  Function: {Runtime: provided.al2023, Handler: bootstrap, Timeout: 20, Environment: {Variables: {BOTH: global, GLOBAL: "1"}}}
Resources:
  Fast:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/fast/
      Timeout: 7
      Environment: {Variables: {BOTH: local, DROPPED: !Ref 'AWS::NoValue'}}
      Policies: [!ImportValue policy]
  Slow: {Type: AWS::Serverless::Function, Properties: {CodeUri: functions/slow/}}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	fast, slow := stack.Functions[0], stack.Functions[1]
	if fast.Timeout != 7*time.Second || slow.Timeout != 20*time.Second {
		t.Errorf("timeouts %v and %v, want 7s and 20s", fast.Timeout, slow.Timeout)
	}
	if diff := cmp.Diff(map[string]string{"BOTH": "local", "GLOBAL": "1"}, fast.Environment); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestLoad_Errors(t *testing.T) {
	const function = "Resources:\n  Queue: {Type: AWS::SQS::Queue}\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n" +
		"      CodeUri: f/\n      Handler: bootstrap\n      Runtime: provided.al2023\n"
	tests := map[string]struct {
		text       string // after head, from line 9
		parameters map[string]string
		want       []string // the start of each line, after "template.yaml:"
	}{
		"syntax":          {"Resources: [\n", nil, []string{"9: not YAML: "}},
		"unquoted Fn":     {"Outputs:\n  O: {Value: {Fn::Sub: [x, {}]}}\n", nil, []string{"10: not YAML: ',' or '}' must be specified; inside { } write names that hold :: in quotes"}},
		"unknown tag":     {"Description: !Unknown x\n", nil, []string{"9: the tag !Unknown is not understood; understood are Ref, "}},
		"duplicate key":   {"Resources:\n  A: {Type: AWS::SQS::Queue}\n  A: {Type: AWS::SQS::Queue}\n", nil, []string{"11: not YAML: "}},
		"section":         {"Mappings: {}\n", nil, []string{"9: the template has Mappings, which is not understood; understood are Transform, "}},
		"resource type":   {"Resources:\n  A:\n    Type: AWS::Kinesis::Stream\n", nil, []string{"11: resource type AWS::Kinesis::Stream is not understood; understood are AWS::CloudWatch::Alarm, AWS::CloudWatch::Dashboard, AWS::DynamoDB::Table, "}},
		"absent":          {"Resources:\n  A: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !ImportValue x}}\nOutputs:\n  O: {Value: !Ref A}\n", nil, []string{"12: A is of a type that the local stack does not have"}},
		"property":        {"Resources:\n  A:\n    Type: AWS::SQS::Queue\n    Properties:\n      FifoQueue: true\n", nil, []string{"13: queue A has FifoQueue, which is not understood; understood are QueueName, "}},
		"attribute":       {"Resources:\n  A:\n    Type: AWS::SQS::Queue\n    CreationPolicy: {}\n", nil, []string{"12: resource A has CreationPolicy, "}},
		"global":          {"Globals:\n  Function:\n    Layers: [x]\n" + function, nil, []string{"11: function F has Layers, "}},
		"runtime":         {strings.Replace(function, "provided.al2023", "python3.13", 1), nil, []string{"16: Runtime python3.13 is not understood; understood are provided.al2023, provided.al2"}},
		"function call":   {"Resources:\n  A:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: !GetAZs us-east-1\n", nil, []string{"13: the function Fn::GetAZs is not understood; understood are Ref, "}},
		"Select":          {"Resources:\n  A:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: !Select [1, [a]]\n", nil, []string{"13: Fn::Select takes the index of an item, from 0, and a list that has it"}},
		"Split":           {"Resources:\n  A:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: !Select [0, !Split [a]]\n", nil, []string{"13: Fn::Split takes a list of 2"}},
		"unknown name":    {"Outputs:\n  O: {Value: !Ref Nobody}\n", nil, []string{"10: Nobody is neither a parameter nor a resource of this template"}},
		"unknown in Sub":  {"Outputs:\n  O:\n    Value: !Sub ${Nobody.Arn}\n", nil, []string{"11: Nobody is neither"}},
		"GetAtt":          {"Resources:\n  A: {Type: AWS::SQS::Queue}\nOutputs:\n  O: {Value: !GetAtt A.Color}\n", nil, []string{"12: attribute Color of A is not understood; understood: Arn, QueueName, QueueUrl"}},
		"left out":        {"Resources:\n  A: {Type: AWS::SQS::Queue, Condition: IsSecret}\nOutputs:\n  O: {Value: !Ref A}\n", nil, []string{"12: A is left out by its condition"}},
		"no condition":    {"Resources:\n  A: {Type: AWS::SQS::Queue, Condition: Nope}\n", nil, []string{"10: Nope is not a condition of this template"}},
		"circle":          {"  X: !Not [!Condition Y]\n  Y: !Not [!Condition X]\n", nil, []string{"9: condition X depends on itself"}},
		"circular name":   {"Resources:\n  A: {Type: AWS::S3::Bucket, Properties: {BucketName: !Ref A}}\n", nil, []string{"10: the name of A depends on itself"}},
		"misplaced":       {"Outputs:\n  O: {Value: !Equals [a, b]}\n", nil, []string{"10: Fn::Equals is allowed in Conditions only"}},
		"event type":      {function + "      Events:\n        E: {Type: SNS, Properties: {}}\n", nil, []string{"18: event type SNS is not understood; understood are Api, SQS, Schedule, ScheduleV2"}},
		"cron":            {function + "      Events:\n        E:\n          Type: ScheduleV2\n          Properties:\n            ScheduleExpression: cron(0 * * * ? *)\n", nil, []string{"21: ScheduleExpression cron(0 * * * ? *) is not understood; understood are rate(1 minute), "}},
		"implicit API":    {function + "      Events:\n        E: {Type: Api, Properties: {Method: get, Path: /x}}\n", nil, []string{"18: event E has no RestApiId"}},
		"path":            {function + "      Events:\n        E: {Type: Api, Properties: {Method: get, Path: '/x{y}', RestApiId: !Ref Api}}\n  Api: {Type: AWS::Serverless::Api, Properties: {StageName: v1}}\n", nil, []string{"18: path /x{y} is not understood"}},
		"visibility":      {function + "      Timeout: 60\n      Events:\n        E: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn}}\n", nil, []string{"19: event E: the queue's VisibilityTimeout (30 s) is less than the function's Timeout (60 s)"}},
		"number":          {function + "      Timeout: soon\n", nil, []string{`17: Timeout must be a whole number from 1 to 900, not "soon"`}},
		"allowed":         {"", map[string]string{"Mode": "loud"}, []string{`3: parameter Mode = "loud": allowed are plain, secret`}},
		"bound":           {"", map[string]string{"Size": "17"}, []string{`4: parameter Size = "17": the greatest value is 16`}},
		"not a number":    {"", map[string]string{"Size": "many"}, []string{`4: parameter Size = "many": not a number`}},
		"unknown given":   {"", map[string]string{"Color": "red"}, []string{"3: the template has no parameter Color, which was given a value"}},
		"several at once": {"Resources:\n  A: {Type: AWS::Kinesis::Stream}\n  B: {Type: AWS::SQS::Queue, Properties: {Color: red}}\n", nil, []string{"10: resource type AWS::Kinesis::Stream", "11: queue B has Color"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, head+tt.text, tt.parameters)
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d lines, want %d:\n%v", len(lines), len(tt.want), err)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], "template.yaml:"+want) {
					t.Errorf("got  %s\nwant template.yaml:%s", lines[i], want)
				}
			}
		})
	}
}

func TestLoad_ParameterWithoutValue(t *testing.T) {
	_, err := load(t, "Transform: AWS::Serverless-2016-10-31\nParameters:\n  P:\n    Type: String\n    AllowedPattern: '[a-z]+'\n", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "template.yaml:3: parameter P has no default and was given no value") {
		t.Errorf("error %v", err)
	}
	_, err = load(t, "Transform: AWS::Serverless-2016-10-31\nParameters:\n  P:\n    Type: String\n    Default: a1\n    AllowedPattern: '[a-z]+'\n", nil)
	if err == nil || err.Error() != `template.yaml:5: parameter P = "a1": it does not match the pattern [a-z]+` {
		t.Errorf("error %v", err)
	}
}
