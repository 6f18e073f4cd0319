package invariants

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"csvexport/infra/internal/stack"
)

// A split export's object is its manifest, exports/OWNER/ID/ATTEMPT.json; its
// files stand beside it: exports/OWNER/ID/ATTEMPT/00001.csv.gz.

// split reports whether e was made as several files.
func (e Export) split() bool { return e.Result != nil && e.Result.Files > 0 }

// names reports whether e's record names the object under key.
func (e Export) names(key string) bool {
	return e.Result != nil && (key == e.Result.Key || e.split() && strings.HasPrefix(key, e.folder()))
}

func (e Export) folder() string { return strings.TrimSuffix(e.Result.Key, ".json") + "/" }

// parts are the keys of e's files that are there, in their order.
func (e Export) parts(objects map[string]object) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(objects)), func(key string) bool { return !strings.HasPrefix(key, e.folder()) })
}

// checkParts looks for the files of a completed split export.
func checkParts(v *violations, e Export, objects map[string]object) {
	keys := e.parts(objects)
	if len(keys) != e.Result.Files {
		v.add("export %s has %d files, its record says %d", e.ID, len(keys), e.Result.Files)
	}
	bytes := int64(0)
	for i, key := range keys {
		if want := fmt.Sprintf("%s%05d.", e.folder(), i+1); !strings.HasPrefix(key, want) {
			v.add("export %s has %s where %s… belongs", e.ID, key, want)
		}
		if objects[key].token != e.Token {
			v.add("object %s has the token %q, its record says %q", key, objects[key].token, e.Token)
		}
		bytes += objects[key].size
	}
	if bytes != e.Result.FileBytes {
		v.add("export %s has files of %d bytes, its record says %d", e.ID, bytes, e.Result.FileBytes)
	}
}

// checkSplitContent compares the rows of all files, behind one header, with
// what they must be. Each file must be one gzip member with the same header.
func checkSplitContent(ctx context.Context, v *violations, state stack.State, e Export, files files, want *Content) error {
	sum, total := sha256.New(), int64(0)
	var header []byte
	for _, key := range e.parts(files.objects) {
		packed, err := readObject(ctx, state, files.objects[key].bucket, key)
		if err != nil {
			v.add("object %s can't be read: %v", key, err)
			return nil
		}
		plain, problem := unpack(packed)
		if problem != "" {
			v.add("object %s %s", key, problem)
			return nil
		}
		n, rest := addRows(sum, plain, &header)
		total += n
		if !rest {
			v.add("object %s has another header than the first file", key)
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); want != nil && (total != want.Bytes || got != want.SHA256) {
		v.add("the files of %s hold %d bytes of SHA-256 %s, psql's COPY has %d of %s", e.ID, total, got, want.Bytes, want.SHA256)
	}
	return nil
}

// addRows adds a file's rows, and for the first one its header, to the sum. It
// reports whether the header is the first one's.
func addRows(sum hash.Hash, plain []byte, header *[]byte) (n int64, same bool) {
	line, rows, _ := bytes.Cut(plain, []byte("\n"))
	if *header == nil {
		*header = line
		rows = plain
	}
	_, _ = sum.Write(rows) // never fails
	return int64(len(rows)), bytes.Equal(line, *header)
}

// unpack returns what is in a gzip file, which must be one member, or what is
// wrong with it.
func unpack(packed []byte) (plain []byte, problem string) {
	z, rest, err := member(packed)
	if err != nil {
		return nil, fmt.Sprintf("is no gzip file: %v", err)
	}
	plain, err = io.ReadAll(z)
	switch {
	case err != nil:
		return nil, fmt.Sprintf("is a broken gzip file: %v", err)
	case rest.Len() > 0:
		return nil, fmt.Sprintf("has %d bytes behind its gzip member", rest.Len())
	}
	return plain, ""
}
