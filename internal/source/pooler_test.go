package source

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"csvexport/internal/export"
)

// What poolers say, as PgBouncer 1.18 and RDS Proxy word it.
func TestTranslate_poolers(t *testing.T) {
	for _, test := range []struct {
		code, message string
		want          export.Code
		says          string
		refused       bool
	}{
		{"08P01", "transaction blocks not allowed in statement pooling mode", export.SourceRejected, "by session or by transaction", false},
		{"08P01", "unsupported startup parameter: options", export.SourceRejected, "by session or by transaction", false},
		{"0A000", "Feature not supported: RDS Proxy currently doesn\u2019t support the option x", export.SourceRejected, "by session or by transaction", false},
		{"08P01", "query_wait_timeout", export.SourceUnreachable, "too busy", true},
		{"08P01", "no more connections allowed (max_client_conn)", export.SourceUnreachable, "too busy", true},
		{"08P01", "server conn crashed?", export.SourceUnavailable, "", false},
		{"0A000", "cannot copy from foreign table", export.SourceRejected, "can't run", false},
	} {
		err := translate(t.Context(), "connect", &pgconn.PgError{Code: test.code, Message: test.message})
		if export.CodeOf(err) != test.want || !strings.Contains(export.MessageOf(err), test.says) || Refused(err) != test.refused {
			t.Errorf("%s: code %s, message %q, refused %v", test.message, export.CodeOf(err), export.MessageOf(err), Refused(err))
		}
	}
}
