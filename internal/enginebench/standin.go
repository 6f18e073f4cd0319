package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"csvexport/internal/gzipmember"
)

// S3's bounds of a multipart upload (Amazon S3 User Guide, "Multipart upload limits").
const (
	minPart  = 5 << 20 // bytes, of all parts but the last
	maxParts = 10_000
)

// standIn answers one export's requests as S3 would, without a network. It
// refuses what S3 refuses, and keeps of the bytes their number and checksum.
type standIn struct {
	content *content // gets the bytes in their order; nil: nobody does

	mu      sync.Mutex
	created int                // uploads so far
	uploads map[string]*upload // open, by id
	objects map[string]object  // by path
	parts   int                // of the completed upload
}

// upload is a multipart upload.
type upload struct {
	path  string
	token string
	parts map[int]part
}

type part struct {
	crc  uint32
	size int64
}

// object is what is known of a finished file.
type object struct {
	token string
	part
}

const (
	metadataToken  = "X-Amz-Meta-Export-Token"
	checksumHeader = "X-Amz-Checksum-Crc32"
)

// RoundTrip implements http.RoundTripper.
func (s *standIn) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	body := io.Reader(http.NoBody)
	if r.Body != nil {
		defer r.Body.Close()
		body = r.Body
	}
	switch {
	case r.Method == http.MethodPost && query.Has("uploads"):
		return s.create(r), nil
	case r.Method == http.MethodPut && query.Has("partNumber"):
		return s.put(r, body, query.Get("uploadId"), query.Get("partNumber"))
	case r.Method == http.MethodPost && query.Has("uploadId"):
		return s.complete(r, body, query.Get("uploadId"))
	case r.Method == http.MethodDelete && query.Has("uploadId"):
		return s.abort(r, query.Get("uploadId")), nil
	case r.Method == http.MethodGet && query.Has("uploads"):
		return s.list(r), nil
	case r.Method == http.MethodPut:
		return s.putObject(r, body)
	case r.Method == http.MethodHead:
		return s.head(r), nil
	}
	return refuse(r, http.StatusNotImplemented, "NotImplemented", r.Method+" "+r.URL.String()), nil
}

func (s *standIn) create(r *http.Request) *http.Response {
	if r.Header.Get("X-Amz-Checksum-Algorithm") != "CRC32" || r.Header.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
		return refuse(r, http.StatusBadRequest, "InvalidRequest", "want a CRC32 checksum of the full object")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploads == nil {
		s.uploads = map[string]*upload{}
	}
	s.created++
	id := fmt.Sprintf("upload-%d", s.created)
	s.uploads[id] = &upload{path: r.URL.Path, token: r.Header.Get(metadataToken), parts: map[int]part{}}
	return answer(r, http.StatusOK, nil, "<InitiateMultipartUploadResult><UploadId>"+id+"</UploadId></InitiateMultipartUploadResult>")
}

// put takes a part. Each may come once: nothing here makes a caller repeat it.
func (s *standIn) put(r *http.Request, body io.Reader, id, text string) (*http.Response, error) {
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 || number > maxParts {
		return refuse(r, http.StatusBadRequest, "InvalidArgument", "part number "+text), nil
	}
	s.mu.Lock()
	up := s.uploads[id]
	s.mu.Unlock()
	if up == nil {
		return noSuchUpload(r), nil
	}
	p, refused, err := s.receive(r, body, number)
	if refused != nil || err != nil {
		return refused, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := up.parts[number]; there {
		return refuse(r, http.StatusBadRequest, "InvalidRequest", "part "+text+" came twice"), nil
	}
	up.parts[number] = p
	return answer(r, http.StatusOK, http.Header{"Etag": {etag(p.crc)}, checksumHeader: {encode(p.crc)}}, ""), nil
}

// receive reads a body to its end and checks it against its header.
func (s *standIn) receive(r *http.Request, body io.Reader, number int) (p part, refused *http.Response, err error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" {
		return part{}, refuse(r, http.StatusNotImplemented, "NotImplemented", "content encoding "+encoding), nil
	}
	sum := crc32.NewIEEE()
	out := io.Writer(sum)
	if s.content != nil {
		ordered, err := s.content.turn(r.Context(), number)
		if err != nil {
			return part{}, nil, err
		}
		defer s.content.pass()
		out = io.MultiWriter(sum, ordered)
	}
	n, err := io.CopyBuffer(out, body, make([]byte, 64<<10))
	if err != nil {
		return part{}, nil, err
	}
	p = part{crc: sum.Sum32(), size: n}
	switch {
	case n != r.ContentLength:
		return part{}, refuse(r, http.StatusBadRequest, "IncompleteBody", fmt.Sprintf("%d bytes, not %d", n, r.ContentLength)), nil
	case r.Header.Get(checksumHeader) != encode(p.crc):
		return part{}, refuse(r, http.StatusBadRequest, "BadDigest", "the checksum isn't the body's"), nil
	}
	return p, nil, nil
}

// complete makes the upload an object if the list names all its parts, without
// a gap, and the checksum and size are those of the whole.
func (s *standIn) complete(r *http.Request, body io.Reader, id string) (*http.Response, error) {
	var list struct {
		Part []struct {
			PartNumber    int
			ETag          string
			ChecksumCRC32 string
		}
	}
	if err := xml.NewDecoder(body).Decode(&list); err != nil {
		return refuse(r, http.StatusBadRequest, "MalformedXML", err.Error()), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	up := s.uploads[id]
	if up == nil {
		return noSuchUpload(r), nil
	}
	if _, there := s.objects[up.path]; there && r.Header.Get("If-None-Match") == "*" {
		return refuse(r, http.StatusPreconditionFailed, "PreconditionFailed", "there is an object"), nil
	}
	if len(list.Part) == 0 || len(list.Part) != len(up.parts) {
		return refuse(r, http.StatusBadRequest, "InvalidPart", fmt.Sprintf("%d parts, of %d", len(list.Part), len(up.parts))), nil
	}
	var whole part
	for i, listed := range list.Part {
		p, there := up.parts[i+1]
		switch {
		case listed.PartNumber != i+1:
			return refuse(r, http.StatusBadRequest, "InvalidPartOrder", fmt.Sprintf("part %d is listed at place %d", listed.PartNumber, i+1)), nil
		case there && p.size < minPart && i+1 < len(list.Part):
			return refuse(r, http.StatusBadRequest, "EntityTooSmall", fmt.Sprintf("part %d has %d bytes", i+1, p.size)), nil
		case !there || listed.ETag != etag(p.crc) || listed.ChecksumCRC32 != encode(p.crc):
			return refuse(r, http.StatusBadRequest, "InvalidPart", fmt.Sprintf("part %d", i+1)), nil
		}
		whole = part{crc: gzipmember.Combine(whole.crc, p.crc, p.size), size: whole.size + p.size}
	}
	switch h := r.Header; {
	case h.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" || h.Get(checksumHeader) != encode(whole.crc):
		return refuse(r, http.StatusBadRequest, "BadDigest", "the checksum isn't the whole object's"), nil
	case h.Get("X-Amz-Mp-Object-Size") != strconv.FormatInt(whole.size, 10):
		return refuse(r, http.StatusBadRequest, "InvalidRequest", "the size isn't the whole object's"), nil
	}
	delete(s.uploads, id)
	s.parts = len(list.Part)
	s.keep(up.path, object{token: up.token, part: whole})
	return answer(r, http.StatusOK, nil, "<CompleteMultipartUploadResult><ETag>"+etag(whole.crc)+"</ETag></CompleteMultipartUploadResult>"), nil
}

func (s *standIn) putObject(r *http.Request, body io.Reader) (*http.Response, error) {
	s.mu.Lock()
	_, there := s.objects[r.URL.Path]
	s.mu.Unlock()
	if there && r.Header.Get("If-None-Match") == "*" {
		return refuse(r, http.StatusPreconditionFailed, "PreconditionFailed", "there is an object"), nil
	}
	p, refused, err := s.receive(r, body, 1)
	if refused != nil || err != nil {
		return refused, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(r.URL.Path, object{token: r.Header.Get(metadataToken), part: p})
	return answer(r, http.StatusOK, http.Header{"Etag": {etag(p.crc)}}, ""), nil
}

// keep notes a finished object; the mutex is held.
func (s *standIn) keep(path string, o object) {
	if s.objects == nil {
		s.objects = map[string]object{}
	}
	s.objects[path] = o
}

func (s *standIn) head(r *http.Request) *http.Response {
	s.mu.Lock()
	o, there := s.objects[r.URL.Path]
	s.mu.Unlock()
	if !there {
		return answer(r, http.StatusNotFound, nil, "")
	}
	return answer(r, http.StatusOK, http.Header{
		"Content-Length": {strconv.FormatInt(o.size, 10)}, "Etag": {etag(o.crc)}, metadataToken: {o.token},
	}, "")
}

func (s *standIn) abort(r *http.Request, id string) *http.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploads[id] == nil {
		return noSuchUpload(r)
	}
	delete(s.uploads, id)
	return answer(r, http.StatusNoContent, nil, "")
}

func (s *standIn) list(r *http.Request) *http.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, prefix, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	prefix += r.URL.Query().Get("prefix")
	var b strings.Builder
	b.WriteString("<ListMultipartUploadsResult>")
	for id, up := range s.uploads {
		if _, key, _ := strings.Cut(strings.TrimPrefix(up.path, "/"), "/"); strings.HasPrefix(key, prefix) {
			fmt.Fprintf(&b, "<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>", key, id)
		}
	}
	b.WriteString("</ListMultipartUploadsResult>")
	return answer(r, http.StatusOK, nil, b.String())
}

// partCount is the number of parts of the file, 0 for one in one request.
func (s *standIn) partCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts
}

func encode(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

func etag(crc uint32) string { return fmt.Sprintf(`"%08x"`, crc) }

func noSuchUpload(r *http.Request) *http.Response {
	return refuse(r, http.StatusNotFound, "NoSuchUpload", "there is no such upload")
}

func refuse(r *http.Request, status int, code, message string) *http.Response {
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(message)) // a Builder takes everything
	return answer(r, status, nil, "<Error><Code>"+code+"</Code><Message>"+text.String()+"</Message></Error>")
}

func answer(r *http.Request, status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	if body != "" {
		header["Content-Type"] = []string{"application/xml"}
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}
