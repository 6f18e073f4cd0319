package sts

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strings"
	"time"

	"csvexport/infra/internal/loopback"
)

// Server answers AssumeRole on loopback.
type Server struct {
	URL string

	server *http.Server
	done   chan struct{}
}

// Start starts the server, for roles of the account and sessions with such secrets.
func Start(account string, secrets Secrets) (*Server, error) {
	l, err := loopback.Listen(0)
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL: "http://" + l.Addr().String(), done: make(chan struct{}),
		server: &http.Server{Handler: Handler(account, secrets), ReadHeaderTimeout: 10 * time.Second},
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // ends with Stop
	}()
	return s, nil
}

// Stop ends the server.
func (s *Server) Stop(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	<-s.done
	return err
}

// externalID is the segment of a role's path behind which the external id
// stands that the role is only assumed with.
const externalID = "external-id"

// Handler answers AssumeRole of the query protocol (AWS STS API Reference). A
// role of another account trusts nobody here, and one with the path
// /external-id/ID/ trusts those who name that id.
func Handler(account string, secrets Secrets) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		role, name := r.PostFormValue("RoleArn"), r.PostFormValue("RoleSessionName")
		path, ours := strings.CutPrefix(role, "arn:aws:iam::"+account+":role/")
		wanted, asks := strings.CutPrefix(path, externalID+"/")
		wanted, _, _ = strings.Cut(wanted, "/")
		switch {
		case r.PostFormValue("Action") != "AssumeRole":
			refuse(w, http.StatusBadRequest, "InvalidAction", "only AssumeRole is understood here")
		case len(name) < 2 || len(name) > 64:
			refuse(w, http.StatusBadRequest, "ValidationError", "RoleSessionName must have 2 to 64 characters")
		case !ours || asks && r.PostFormValue("ExternalId") != wanted:
			refuse(w, http.StatusForbidden, "AccessDenied", "not authorized to perform: sts:AssumeRole on resource: "+role)
		default:
			session := sessionOf(role, name)
			session.SecretKey = secrets(session)
			grant(w, session, role, name)
		}
	})
}

const namespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// sessionTime is how long a session is said to last.
const sessionTime = time.Hour

func grant(w http.ResponseWriter, s Session, role, name string) {
	type credentials struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string
	}
	type user struct {
		Arn           string
		AssumedRoleID string `xml:"AssumedRoleId"`
	}
	answer(w, http.StatusOK, struct {
		XMLName     xml.Name    `xml:"AssumeRoleResponse"`
		NS          string      `xml:"xmlns,attr"`
		Credentials credentials `xml:"AssumeRoleResult>Credentials"`
		User        user        `xml:"AssumeRoleResult>AssumedRoleUser"`
	}{
		NS:          namespace,
		Credentials: credentials{s.AccessKey, s.SecretKey, s.Token, time.Now().Add(sessionTime).UTC().Format(time.RFC3339)},
		User:        user{strings.Replace(role, ":iam:", ":sts:", 1) + "/" + name, "AROALOCAL:" + name},
	})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	type problem struct{ Type, Code, Message string }
	answer(w, status, struct {
		XMLName xml.Name `xml:"ErrorResponse"`
		NS      string   `xml:"xmlns,attr"`
		Error   problem
	}{NS: namespace, Error: problem{"Sender", code, message}})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(v) // the caller is gone
}
