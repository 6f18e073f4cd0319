package notify

import (
	"encoding/json"
	"strings"
	"time"

	"csvexport/internal/eventbus"
	"csvexport/internal/export"
	"csvexport/internal/webhook"
)

// data is what an event tells of an export. It is the same at each delivery:
// what ends an export is never changed, also when its file goes. It has no URL
// of the file, which would be a key to it for whoever reads a log.
type data struct {
	ExportID    string        `json:"exportId"`
	Status      export.Status `json:"status"`
	Dataset     string        `json:"dataset"`
	Rows        *int64        `json:"rows"`
	Bytes       *int64        `json:"bytes"`
	FileName    *string       `json:"fileName"`
	Files       *int          `json:"files"` // of a split export
	Error       *string       `json:"error"`
	ErrorCode   *export.Code  `json:"errorCode"`
	CreatedAt   time.Time     `json:"createdAt"`
	CompletedAt time.Time     `json:"completedAt"`
	ExpiresAt   *time.Time    `json:"expiresAt"`
}

func dataOf(e export.Export, n export.Notice) data {
	d := data{
		ExportID: e.ID, Status: n.Status, Dataset: e.Spec.Dataset, CreatedAt: e.CreatedAt.UTC(), CompletedAt: n.At.UTC(),
	}
	if n.Status == export.Completed && e.Result != nil {
		d.Rows, d.Bytes, d.FileName = &e.Result.Rows, &e.Result.Bytes, new(e.FileName())
		if !e.ExpiresAt.IsZero() { // one in a destination stays
			d.ExpiresAt = &e.ExpiresAt
		}
		if e.Result.Files > 0 {
			d.Files = &e.Result.Files
		}
	}
	if e.Failure != nil {
		d.Error, d.ErrorCode = &e.Failure.Message, &e.Failure.Code
	}
	return d
}

// message is the event as a webhook.
func message(e export.Export, n export.Notice) (webhook.Message, error) {
	body, err := json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      data      `json:"data"`
	}{"export." + string(n.Status), n.At.UTC(), dataOf(e, n)})
	return webhook.Message{ID: n.EventID(), Body: body}, err
}

// event is the event for the bus, which also tells the owner: the bus is the
// deployment's own.
func event(e export.Export, n export.Notice) (eventbus.Event, error) {
	detail, err := json.Marshal(struct {
		EventID string `json:"eventId"`
		Owner   string `json:"owner"`
		data
	}{n.EventID(), e.Owner, dataOf(e, n)})
	name := string(n.Status)
	return eventbus.Event{DetailType: "Export " + strings.ToUpper(name[:1]) + name[1:], Detail: detail, At: n.At}, err
}
