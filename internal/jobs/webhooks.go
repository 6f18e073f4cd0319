package jobs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cenkalti/backoff/v5"

	"csvexport/internal/export"
)

// webhooksItem holds all of an owner's registrations, so that their number has
// a bound without a counter. Rev grows with every write.
type webhooksItem struct {
	PK    string        `dynamodbav:"pk"`
	SK    string        `dynamodbav:"sk"`
	V     int           `dynamodbav:"v"`
	Rev   int64         `dynamodbav:"rev"`
	Hooks []webhookItem `dynamodbav:"hooks"`
}

type webhookItem struct {
	ID          string            `dynamodbav:"id"`
	URL         string            `dynamodbav:"url"`
	Description string            `dynamodbav:"description,omitempty"`
	Secret      string            `dynamodbav:"secret"`
	CreatedAt   string            `dynamodbav:"createdAt"`
	DisabledAt  string            `dynamodbav:"disabledAt,omitempty"`
	LastFailure *deliveryFailItem `dynamodbav:"lastFailure,omitempty"`
}

type deliveryFailItem struct {
	At      string `dynamodbav:"at"`
	Message string `dynamodbav:"message"`
}

// Webhooks returns the owner's registrations, the oldest first.
func (s *Store) Webhooks(ctx context.Context, owner string) ([]export.Webhook, error) {
	hooks, _, err := s.webhooks(ctx, owner)
	return hooks, err
}

func (s *Store) webhooks(ctx context.Context, owner string) ([]export.Webhook, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	const doing = "get webhooks"
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: key(ownerPK(owner), webhooksSK), ConsistentRead: aws.Bool(true),
	})
	if err != nil || out.Item == nil {
		return nil, 0, translate(doing, export.Conflict, err)
	}
	var item webhooksItem
	if err := attributevalue.UnmarshalMap(out.Item, &item); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", doing, err)
	}
	if item.V != version {
		return nil, 0, fmt.Errorf("%s: the item has version %d, this program knows %d", doing, item.V, version)
	}
	hooks := make([]export.Webhook, len(item.Hooks))
	for i, h := range item.Hooks {
		if hooks[i], err = h.decode(); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", doing, err)
		}
	}
	return hooks, item.Rev, nil
}

func (h webhookItem) decode() (export.Webhook, error) {
	hook := export.Webhook{ID: h.ID, URL: h.URL, Description: h.Description, Secret: h.Secret}
	var err error
	if hook.CreatedAt, err = parseTime(h.CreatedAt); err != nil {
		return hook, err
	}
	if hook.DisabledAt, err = parseTime(h.DisabledAt); err != nil || h.LastFailure == nil {
		return hook, err
	}
	hook.LastFailure = &export.DeliveryFailure{Message: h.LastFailure.Message}
	hook.LastFailure.At, err = parseTime(h.LastFailure.At)
	return hook, err
}

func newWebhookItem(h export.Webhook) webhookItem {
	item := webhookItem{
		ID: h.ID, URL: h.URL, Description: h.Description, Secret: h.Secret,
		CreatedAt: formatTime(h.CreatedAt), DisabledAt: formatTime(h.DisabledAt),
	}
	if h.LastFailure != nil {
		item.LastFailure = &deliveryFailItem{At: formatTime(h.LastFailure.At), Message: h.LastFailure.Message}
	}
	return item
}

// AddWebhook registers a webhook of the owner's. The error is Forbidden when
// they have MaxWebhooks.
func (s *Store) AddWebhook(ctx context.Context, owner string, h export.Webhook) error {
	return s.changeWebhooks(ctx, owner, func(hooks []export.Webhook) ([]export.Webhook, error) {
		if slices.ContainsFunc(hooks, func(other export.Webhook) bool { return other.ID == h.ID }) {
			return hooks, nil // the answer of an earlier try was lost
		}
		if len(hooks) >= export.MaxWebhooks {
			return nil, export.Errorf(export.Forbidden, "You have %d webhooks, which is the most allowed. Delete one first.", export.MaxWebhooks)
		}
		same := 0
		for _, other := range hooks {
			if other.URL == h.URL {
				same++
			}
		}
		if same >= export.MaxWebhooksOfURL {
			return nil, export.Errorf(export.Forbidden, "You have %d webhooks of this URL, which is the most allowed. Delete one first.", export.MaxWebhooksOfURL)
		}
		return append(hooks, h), nil
	})
}

// RemoveWebhook ends a registration; one that isn't there is none.
func (s *Store) RemoveWebhook(ctx context.Context, owner, id string) error {
	return s.changeWebhooks(ctx, owner, func(hooks []export.Webhook) ([]export.Webhook, error) {
		return slices.DeleteFunc(hooks, func(h export.Webhook) bool { return h.ID == id }), nil
	})
}

// UpdateWebhooks has change look at each registration of the owner's, and
// writes what it changed. It may be called several times.
func (s *Store) UpdateWebhooks(ctx context.Context, owner string, change func(h *export.Webhook)) error {
	return s.changeWebhooks(ctx, owner, func(hooks []export.Webhook) ([]export.Webhook, error) {
		for i := range hooks {
			change(&hooks[i])
		}
		return hooks, nil
	})
}

// changeWebhooks writes what change makes of an owner's registrations, provided
// that nobody else wrote them since they were read; else it is done anew.
func (s *Store) changeWebhooks(ctx context.Context, owner string, change func([]export.Webhook) ([]export.Webhook, error)) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	contended := false
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		contended = false
		hooks, rev, err := s.webhooks(ctx, owner)
		if err != nil {
			return struct{}{}, backoff.Permanent(err)
		}
		if hooks, err = change(hooks); err != nil || rev == 0 && len(hooks) == 0 {
			return struct{}{}, stop(err)
		}
		items := make([]webhookItem, len(hooks))
		for i, h := range hooks {
			items[i] = newWebhookItem(h)
		}
		condition := "rev = :read"
		if rev == 0 {
			condition = "attribute_not_exists(rev)"
		}
		v := values{":v": version, ":rev": rev + 1, ":hooks": items}
		if rev > 0 {
			v[":read"] = rev
		}
		err = s.update(ctx, "write webhooks", export.Conflict, &types.Update{
			TableName: &s.table, Key: key(ownerPK(owner), webhooksSK),
			UpdateExpression: new("SET v = :v, rev = :rev, hooks = :hooks"), ConditionExpression: &condition, ExpressionAttributeValues: v.marshal(),
		})
		contended = export.CodeOf(err) == export.Conflict
		if err != nil && !contended {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(newPause()))
	if err != nil && contended { // until the time was over, which is the error then
		return &export.Error{Code: export.Unavailable, Message: "Your webhooks are being changed just now. Please try again.", Err: err}
	}
	return err
}

// stop is backoff.Permanent that leaves no error none.
func stop(err error) error {
	if err == nil {
		return nil
	}
	return backoff.Permanent(err)
}

// addressSK is of an address in the settings whose receiver is gone.
const (
	settingsPK = "settings"
	addressSK  = "address#"
)

// GoneSince returns when the receiver at an address of the settings said that
// it is gone, as SetGone kept it; the zero time if it didn't.
func (s *Store) GoneSince(ctx context.Context, name string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: key(settingsPK, addressSK+name), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return time.Time{}, translate("look for a gone address", export.Conflict, err)
	}
	var item struct {
		GoneAt string `dynamodbav:"goneAt"`
	}
	if err := attributevalue.UnmarshalMap(out.Item, &item); err != nil {
		return time.Time{}, fmt.Errorf("decode a gone address: %w", err)
	}
	return parseTime(item.GoneAt)
}

// SetGone keeps that the receiver at an address of the settings said that it is
// gone. name stands for the address and the whole setting that it is in, so
// that another setting begins anew.
func (s *Store) SetGone(ctx context.Context, name string, now time.Time) error {
	return s.update(ctx, "keep that an address is gone", export.Conflict, &types.Update{
		TableName: &s.table, Key: key(settingsPK, addressSK+name),
		UpdateExpression: new("SET goneAt = :at"), ExpressionAttributeValues: values{":at": formatTime(now)}.marshal(),
	})
}
