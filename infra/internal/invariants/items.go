package invariants

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"csvexport/infra/internal/stack"
)

// Export is an export's two items.
type Export struct {
	ID           string
	Owner        string
	Spec         string
	Token        string
	Status       string
	Phase        string
	Attempt      int
	Fence        int64
	DueAt        string
	Waiting      bool // for a worker, in the index
	Result       *Result
	ErrorCode    string
	ErrorMessage string
	Worker       string
	Lease        string
	Notice       bool // somebody may still have to be told of its end
}

// Result is what the record says of the file.
type Result struct {
	Rows              int64  `dynamodbav:"rows"`
	Bytes             int64  `dynamodbav:"bytes"`
	UncompressedBytes int64  `dynamodbav:"uncompressedBytes"`
	CRC32             uint32 `dynamodbav:"crc32"`
	Key               string `dynamodbav:"key"`
	Files             int    `dynamodbav:"files"` // of a split export
	FileBytes         int64  `dynamodbav:"fileBytes"`
}

type item struct {
	PK         string  `dynamodbav:"pk"`
	SK         string  `dynamodbav:"sk"`
	Owner      string  `dynamodbav:"owner"`
	Spec       string  `dynamodbav:"spec"`
	Token      string  `dynamodbav:"token"`
	Status     string  `dynamodbav:"status"`
	Phase      string  `dynamodbav:"phase"`
	Attempt    int     `dynamodbav:"attempt"`
	Fence      int64   `dynamodbav:"fence"`
	DueAt      string  `dynamodbav:"dueAt"`
	QueueShard string  `dynamodbav:"queueShard"`
	Result     *Result `dynamodbav:"result"`
	Error      struct {
		Code    string `dynamodbav:"code"`
		Message string `dynamodbav:"message"`
	} `dynamodbav:"error"`
	Worker string `dynamodbav:"worker"`
	Lease  string `dynamodbav:"lease"`
	Active int64  `dynamodbav:"active"`
}

type items []item

// readItems reads the whole table.
func readItems(ctx context.Context, state stack.State) (items, error) {
	var all items
	pages := dynamodb.NewScanPaginator(state.Endpoints.DynamoDBClient(), &dynamodb.ScanInput{
		TableName: &state.Table, ConsistentRead: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		var some items
		if err := attributevalue.UnmarshalListOfMaps(page.Items, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (all items) exports() []Export {
	runs, notices := map[string]item{}, map[string]bool{}
	for _, i := range all {
		switch i.SK {
		case "run":
			runs[i.PK] = i
		case "notice":
			notices[i.PK] = true
		}
	}
	var exports []Export
	for _, i := range all {
		if i.SK != "job" {
			continue
		}
		run := runs[i.PK]
		exports = append(exports, Export{
			ID: strings.TrimPrefix(i.PK, "export#"), Owner: i.Owner, Spec: i.Spec, Token: i.Token, Status: i.Status, Phase: i.Phase,
			Attempt: i.Attempt, Fence: run.Fence, DueAt: i.DueAt, Waiting: i.QueueShard != "", Result: i.Result,
			ErrorCode: i.Error.Code, ErrorMessage: i.Error.Message, Worker: run.Worker, Lease: run.Lease, Notice: notices[i.PK],
		})
	}
	return exports
}

// active is what the owners' quota items say.
func (all items) active() map[string]int64 {
	counted := map[string]int64{}
	for _, i := range all {
		if i.SK == "quota" {
			counted[strings.TrimPrefix(i.PK, "owner#")] = i.Active
		}
	}
	return counted
}
