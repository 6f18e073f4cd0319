// Package permissions compares the calls that functions make to AWS with what
// their IAM policies in template.yaml allow, in both directions: each call is
// allowed, and each permission is used.
//
// A stack's [Recorder] writes its functions' calls into a file. [Check]
// compares the files of many stacks with the template, each with its own
// parameters. What can't be shown by calls stands in a table with its reason.
package permissions

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/wire"
)

// Call is one thing that a request must be allowed to do. Actions, resources
// and condition keys are those of the Service Authorization Reference.
type Call struct {
	Function string              `json:"function"` // the folder of its code; empty if the request doesn't say
	Action   string              `json:"action"`   // such as s3:PutObject
	Resource string              `json:"resource"` // ARN
	Keys     map[string][]string `json:"keys,omitempty"`

	// Session: it is signed by the session of a role that was assumed. That
	// role's policy counts, not the function's.
	Session bool `json:"session,omitempty"`
}

// Condition keys that calls have.
const (
	leadingKeys = "dynamodb:LeadingKeys"
	eventSource = "events:source"
)

// unknown is what the action of an operation begins with that the tables below
// don't have. No policy allows it.
const unknown = "unknown:"

// callsOf returns what a request must be allowed to do. keys are the names of
// the tables' partition keys. A request that is refused for want of a
// permission (which only the stand-in of STS does) needs none: that is what it
// was made for.
func callsOf(c wire.Call, a wire.Answer, keys map[string]string) ([]Call, error) {
	var calls []Call
	var err error
	switch c.Service {
	case wire.S3:
		calls, err = callsOfS3(c, a)
	case wire.DynamoDB:
		calls, err = callsOfDynamoDB(c, keys)
	case wire.SQS:
		calls, err = callsOfSQS(c)
	case wire.EventBridge:
		calls, err = callsOfEventBridge(c)
	case wire.STS:
		if a.Status != http.StatusForbidden {
			calls, err = callsOfSTS(c)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s of %s: %w", c.Service, c.Operation, c.Function, err)
	}
	for i := range calls {
		calls[i].Function, calls[i].Session = c.Function, c.AccessKey != "" && c.AccessKey != localaws.AccessKey
	}
	return calls, nil
}

// actionsOfS3 are the permissions of S3's operations (Amazon S3 User Guide,
// "Required permissions for Amazon S3 API operations"). onBucket are those of
// the bucket, the others of the object.
var (
	actionsOfS3 = map[string]string{
		"PutObject": "PutObject", "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject", "CompleteMultipartUpload": "PutObject",
		"GetObject": "GetObject", "HeadObject": "GetObject", "DeleteObject": "DeleteObject",
		"AbortMultipartUpload": "AbortMultipartUpload", "ListParts": "ListMultipartUploadParts",
	}
	onBucket = map[string]string{
		"HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket", "ListMultipartUploads": "ListBucketMultipartUploads",
	}
	// headers that take one more permission.
	headersOfS3 = map[string]string{
		"X-Amz-Tagging": "PutObjectTagging", "X-Amz-Acl": "PutObjectAcl", "X-Amz-Object-Lock-Mode": "PutObjectRetention",
		"X-Amz-Object-Lock-Legal-Hold": "PutObjectLegalHold",
	}
)

func callsOfS3(c wire.Call, a wire.Answer) ([]Call, error) {
	bucket, key, _ := strings.Cut(strings.Trim(c.Path, "/"), "/")
	bucket = "arn:aws:s3:::" + bucket
	object := bucket + "/" + key
	if action, ok := onBucket[c.Operation]; ok {
		return []Call{{Action: "s3:" + action, Resource: bucket}}, nil
	}
	if c.Operation == "DeleteObjects" {
		return deletions(c, bucket)
	}
	action, ok := actionsOfS3[c.Operation]
	switch {
	case !ok, c.Header.Get("X-Amz-Copy-Source") != "":
		return []Call{{Action: unknown + "s3:" + c.Operation, Resource: object}}, nil
	case c.Query.Has("versionId"):
		action += "Version"
	}
	calls := []Call{{Action: "s3:" + action, Resource: object}}
	for header, more := range headersOfS3 {
		if c.Header.Get(header) != "" {
			calls = append(calls, Call{Action: "s3:" + more, Resource: object})
		}
	}
	if match := c.Header.Get("If-Match"); match != "" && match != "*" { // S3 User Guide, "How to prevent object overwrites with conditional writes"
		calls = append(calls, Call{Action: "s3:GetObject", Resource: object})
	}
	if a.Status == http.StatusNotFound && action == "GetObject" {
		// Without it the answer would be 403 (S3 API Reference, HeadObject and GetObject).
		calls = append(calls, Call{Action: "s3:ListBucket", Resource: bucket})
	}
	return calls, nil
}

// deletions are those of DeleteObjects, which has no permission of its own.
func deletions(c wire.Call, bucket string) ([]Call, error) {
	var request struct {
		Object []struct{ Key, VersionId string } //nolint:revive // the API's name
	}
	if err := xml.Unmarshal([]byte(c.Body), &request); err != nil {
		return nil, err
	}
	var calls []Call
	for _, o := range request.Object {
		action := "s3:DeleteObject"
		if o.VersionId != "" {
			action += "Version"
		}
		calls = append(calls, Call{Action: action, Resource: bucket + "/" + o.Key})
	}
	return calls, nil
}

func arn(service, resource string) string {
	return "arn:aws:" + service + ":" + localaws.Region + ":" + localaws.AccountID + ":" + resource
}

// callsOfSQS understands the JSON protocol. The batch operations have no
// permissions of their own (Amazon SQS Developer Guide, "Amazon SQS API
// permissions").
func callsOfSQS(c wire.Call) ([]Call, error) {
	var request struct{ QueueUrl string } //nolint:revive // the API's name
	if err := json.Unmarshal([]byte(c.Body), &request); err != nil {
		return nil, err
	}
	name := request.QueueUrl[strings.LastIndex(request.QueueUrl, "/")+1:]
	return []Call{{Action: "sqs:" + strings.TrimSuffix(c.Operation, "Batch"), Resource: arn("sqs", name)}}, nil
}

func callsOfEventBridge(c wire.Call) ([]Call, error) {
	if c.Operation != "PutEvents" {
		return []Call{{Action: unknown + "events:" + c.Operation}}, nil
	}
	var request struct {
		Entries []struct{ EventBusName, Source string }
	}
	if err := json.Unmarshal([]byte(c.Body), &request); err != nil {
		return nil, err
	}
	var calls []Call
	for _, e := range request.Entries {
		bus := e.EventBusName
		if bus == "" {
			bus = "default"
		}
		calls = append(calls, Call{
			Action: "events:PutEvents", Resource: arn("events", "event-bus/"+bus), Keys: map[string][]string{eventSource: {e.Source}},
		})
	}
	return calls, nil
}

func callsOfSTS(c wire.Call) ([]Call, error) {
	form, err := url.ParseQuery(c.Body)
	if err != nil {
		return nil, err
	}
	return []Call{{Action: "sts:" + c.Operation, Resource: form.Get("RoleArn")}}, nil
}

// sameNamed are DynamoDB's operations on one table or index, whose permission
// has the operation's name.
var sameNamed = []string{"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "DescribeTable"}

// transactional are the permissions of what a transaction holds (Amazon
// DynamoDB Developer Guide, "Using IAM with DynamoDB transactions").
var transactional = map[string]string{
	"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem", "Get": "GetItem",
}

// onItem is the part of requests that names an item.
type onItem struct {
	TableName, IndexName string
	Key, Item            map[string]json.RawMessage
}

func callsOfDynamoDB(c wire.Call, keys map[string]string) ([]Call, error) {
	body := []byte(c.Body)
	switch {
	case slices.Contains(sameNamed, c.Operation):
		var request onItem
		err := json.Unmarshal(body, &request)
		return []Call{request.call(c.Operation, keys)}, err
	case c.Operation == "BatchGetItem":
		var request struct {
			RequestItems map[string]struct{ Keys []map[string]json.RawMessage }
		}
		err := json.Unmarshal(body, &request)
		var calls []Call
		for table, items := range request.RequestItems {
			call := onItem{TableName: table}.call(c.Operation, keys)
			call.Keys = map[string][]string{}
			for _, key := range items.Keys {
				call.Keys[leadingKeys] = append(call.Keys[leadingKeys], textOf(key[keys[table]]))
			}
			calls = append(calls, call)
		}
		return calls, err
	case c.Operation == "TransactWriteItems", c.Operation == "TransactGetItems":
		var request struct{ TransactItems []map[string]onItem }
		err := json.Unmarshal(body, &request)
		var calls []Call
		for _, entry := range request.TransactItems {
			for kind, item := range entry {
				calls = append(calls, item.call(transactional[kind], keys))
			}
		}
		return calls, err
	}
	return []Call{{Action: unknown + "dynamodb:" + c.Operation}}, nil
}

// call has the condition key of the item's partition key where the request
// names an item. A query has none here: its key stands in an expression.
func (o onItem) call(operation string, keys map[string]string) Call {
	resource := "table/" + o.TableName
	if o.IndexName != "" {
		resource += "/index/" + o.IndexName
	}
	call := Call{Action: "dynamodb:" + operation, Resource: arn("dynamodb", resource)}
	for _, item := range []map[string]json.RawMessage{o.Key, o.Item} {
		if value, ok := item[keys[o.TableName]]; ok {
			call.Keys = map[string][]string{leadingKeys: {textOf(value)}}
		}
	}
	return call
}

// textOf is the text of an attribute's value: {"S": "text"}.
func textOf(value json.RawMessage) string {
	var s struct{ S string }
	if json.Unmarshal(value, &s) != nil {
		return string(value)
	}
	return s.S
}
