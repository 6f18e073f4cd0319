package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"csvexport/internal/export"
	"csvexport/internal/jobs"
)

const defaultPage = 20

const badPageToken = "must be a nextPageToken of this very list, with the same status" //nolint:gosec // no credential

// ListExports answers GET /exports with a page of the caller's exports, the
// newest first. A page may be short and not be the last: the last one has no
// nextPageToken.
type ListExports struct {
	Jobs *jobs.Store
}

func (h *ListExports) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler(h.serve).ServeHTTP(w, r)
}

type listView struct {
	Exports       []exportView `json:"exports"`
	NextPageToken *string      `json:"nextPageToken"`
}

func (h *ListExports) serve(w http.ResponseWriter, r *http.Request) error {
	q, err := decodeList(r.URL.Query(), CallerOf(r).Owner)
	if err != nil {
		return err
	}
	now := time.Now()
	exports, next, err := h.Jobs.List(r.Context(), q, now)
	if err != nil {
		return err
	}
	answer := listView{Exports: make([]exportView, len(exports))}
	for i, e := range exports {
		answer.Exports[i] = view(e, now)
	}
	if next != nil {
		answer.NextPageToken = new(encodePageToken(q, *next))
	}
	return writeJSON(w, http.StatusOK, answer)
}

// decodeList reads the query of GET /exports. Its error is Forbidden for the
// page token of another owner's list.
func decodeList(query url.Values, owner string) (jobs.List, error) {
	q := jobs.List{Owner: owner, Size: defaultPage}
	var after *pageToken
	var problems []export.FieldError
	for _, name := range slices.Sorted(maps.Keys(query)) {
		message := ""
		switch value := query.Get(name); {
		case len(query[name]) > 1:
			message = "is given twice"
		case name == "pageSize":
			size, err := strconv.ParseUint(value, 10, 16) // takes no sign
			if err != nil || size < 1 || size > jobs.MaxPage {
				message = fmt.Sprintf("must be a number from 1 to %d", jobs.MaxPage)
			}
			q.Size = int(size)
		case name == "status":
			q.Status = export.Status(value)
			if !slices.Contains(export.Statuses, q.Status) {
				message = fmt.Sprintf("must be one of %v", export.Statuses)
			}
		case name == "pageToken":
			if token, ok := decodePageToken(value); ok {
				after = &token
			} else {
				message = badPageToken
			}
		default:
			message = "is not a parameter of this request"
		}
		if message != "" {
			problems = append(problems, export.FieldError{Field: name, Message: message})
		}
	}
	if len(problems) > 0 {
		return q, invalid(problems...)
	}
	if after != nil {
		if after.Owner != ownerMark(q.Owner) {
			return q, export.Errorf(export.Forbidden, "The page token is of another caller's list.")
		}
		if after.Status != q.Status {
			return q, invalid(export.FieldError{Field: "pageToken", Message: badPageToken})
		}
		q.After = &jobs.Position{CreatedAt: after.CreatedAt, ID: after.ID}
	}
	return q, nil
}

// pageToken says where a page of a list begins. It is opaque to callers and
// holds nothing secret: a forged one only leads through the caller's own
// exports.
type pageToken struct {
	V         int           `json:"v"`
	Owner     string        `json:"o"` // whose list, as ownerMark
	Status    export.Status `json:"s"` // of the list's exports; empty for all
	CreatedAt time.Time     `json:"c"`
	ID        string        `json:"i"`
}

const pageTokenVersion = 2

func encodePageToken(q jobs.List, at jobs.Position) string {
	b, err := json.Marshal(pageToken{V: pageTokenVersion, Owner: ownerMark(q.Owner), Status: q.Status, CreatedAt: at.CreatedAt, ID: at.ID})
	if err != nil { // strings and a time always encode
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodePageToken(token string) (pageToken, bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return pageToken{}, false
	}
	var t pageToken
	ok := json.Unmarshal(b, &t) == nil && t.V == pageTokenVersion && uuid.Validate(t.ID) == nil && !t.CreatedAt.IsZero()
	return t, ok
}

// ownerMark tells one owner from another in a page token.
func ownerMark(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return hex.EncodeToString(sum[:8])
}
