package config

import (
	"errors"
	"net/url"
	"regexp"
)

// IAMUser is a database user who signs in by IAM.
type IAMUser struct {
	Region string // of the database
	Name   string // of the user in the database
}

// iamUser is the form of such a user's ARN (RDS User Guide, "Creating and using
// an IAM policy for IAM database access").
var iamUser = regexp.MustCompile(`^arn:aws[a-z-]*:rds-db:([a-z0-9-]+):[0-9]{12}:dbuser:[A-Za-z0-9-]+/([^/*]+)$`)

// ParseIAMUser reads the ARN of a database user. Wildcards are none: it is
// whom the service signs in as.
func ParseIAMUser(arn string) (IAMUser, error) {
	m := iamUser.FindStringSubmatch(arn)
	if m == nil {
		return IAMUser{}, errors.New("DATABASE_IAM_USER must be arn:aws:rds-db:REGION:ACCOUNT:dbuser:RESOURCE/USER, with the db-… or cluster-… id of the instance or cluster")
	}
	return IAMUser{Region: m[1], Name: m[2]}, nil
}

// checkIAM checks what signing in to the database by IAM needs.
func (c Config) checkIAM() []error {
	if c.DatabaseIAMUser == "" {
		return nil
	}
	user, err := ParseIAMUser(c.DatabaseIAMUser)
	if err != nil {
		return []error{err}
	}
	var problems []error
	if c.DatabaseSecretARN != "" {
		problems = append(problems, errors.New("DATABASE_SECRET_ARN and DATABASE_IAM_USER are set both"))
	}
	if c.DatabaseTLS != VerifyFull {
		problems = append(problems, errors.New("DATABASE_IAM_USER needs DATABASE_TLS=verify-full: a token is worth a password"))
	}
	// The URL isn't quoted: it could hold a password.
	u, err := url.Parse(c.DatabaseURL)
	if err != nil || u.Hostname() == "" || u.User.Username() != user.Name {
		return append(problems, errors.New("DATABASE_IAM_USER needs DATABASE_URL=postgres://"+user.Name+"@HOST:PORT/DATABASE, of the same user"))
	}
	if _, has := u.User.Password(); has {
		problems = append(problems, errors.New("DATABASE_URL has a password, which DATABASE_IAM_USER takes the place of: leave it out"))
	}
	return problems
}
