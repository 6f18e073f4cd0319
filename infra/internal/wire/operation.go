package wire

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// operation names what a request asks for.
func operation(service Service, r *http.Request, body string) string {
	switch service {
	case S3:
		return operationOfS3(r)
	case STS: // the query protocol
		form, err := url.ParseQuery(body)
		if err != nil {
			return ""
		}
		return form.Get("Action")
	default: // "DynamoDB_20120810.UpdateItem", "AmazonSQS.SendMessage", "AWSEvents.PutEvents"
		_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		return name
	}
}

func operationOfS3(r *http.Request) string {
	query := r.URL.Query()
	key := strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0
	switch {
	case r.Method == http.MethodPut && query.Has("partNumber"):
		return "UploadPart"
	case r.Method == http.MethodPost && query.Has("delete"):
		return "DeleteObjects"
	case r.Method == http.MethodPost && query.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost && query.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodDelete && query.Has("uploadId"):
		return "AbortMultipartUpload"
	case r.Method == http.MethodGet && query.Has("uploadId"):
		return "ListParts"
	case r.Method == http.MethodGet && query.Has("uploads"):
		return "ListMultipartUploads"
	case r.Method == http.MethodGet && query.Has("list-type"):
		return "ListObjectsV2"
	case r.Method == http.MethodHead && !key && strings.Trim(r.URL.Path, "/") != "":
		return "HeadBucket"
	case r.Method == http.MethodPut && key:
		return "PutObject"
	case r.Method == http.MethodHead && key:
		return "HeadObject"
	case r.Method == http.MethodDelete && key:
		return "DeleteObject"
	case r.Method == http.MethodGet && key:
		return "GetObject"
	default:
		return r.Method
	}
}

var credential = regexp.MustCompile(`Credential=([^/,\s]+)/`)

// accessKey is what a request's signature names (IAM User Guide, "Signature
// Version 4 for API requests"); empty for a presigned URL and without one.
func accessKey(r *http.Request) string {
	if m := credential.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		return m[1]
	}
	return ""
}

var appID = regexp.MustCompile(`(?:^| )app/([A-Za-z0-9-]+)`)

// function is the name that a function's SDK gives in its user agent
// (AWS_SDK_UA_APP_ID; AWS SDKs and Tools Reference Guide, "Application ID").
func function(userAgent string) string {
	if m := appID.FindStringSubmatch(userAgent); m != nil {
		return m[1]
	}
	return ""
}
