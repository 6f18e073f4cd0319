package template

import "strings"

// authorizer reads the Auth of an API: a default authorizer, which is one of
// the API's own, a function that gets the whole request (REQUEST) and is asked
// each time.
func (l *loader) authorizer(r *resource) {
	n := l.head(r.properties.get("Auth"))
	if n == nil {
		return
	}
	p := l.object(n, "Auth", []string{"DefaultAuthorizer", "Authorizers", "AddDefaultAuthorizerToCorsPreflight"}, []string{"InvokeRole"}) // of AWS_IAM
	functions := map[string]string{}
	for _, a := range l.entries(p["Authorizers"], "Authorizers") {
		functions[a.key] = l.requestAuthorizer(a)
	}
	name := l.required(p, n.line, "Auth", "DefaultAuthorizer")
	if name == nil {
		return
	}
	id, ok := functions[l.text(name)]
	if !ok {
		l.add(name.line, "the authorizer %s is not understood; understood are those in Authorizers: %s. "+
			"Signatures (AWS_IAM) can't be checked by the local stack", l.text(name), strings.Join(sortedKeys(functions), ", "))
	}
	l.authorizers[r.id] = id
}

// requestAuthorizer returns the logical ID of an authorizer's function.
func (l *loader) requestAuthorizer(a field) string {
	what := "authorizer " + a.key
	p := l.object(a.value, what, []string{"FunctionArn", "FunctionPayloadType", "Identity"}, nil)
	if payload := l.required(p, a.line, what, "FunctionPayloadType"); payload != nil {
		l.oneOf(payload, "FunctionPayloadType", "REQUEST")
	}
	identity := l.object(p["Identity"], "Identity", []string{"ReauthorizeEvery"}, nil)
	if every := identity["ReauthorizeEvery"]; every == nil {
		l.add(a.line, "%s has no Identity: ReauthorizeEvery; understood is 0, since the local stack keeps no decision", what)
	} else {
		l.oneOf(every, "ReauthorizeEvery", "0")
	}
	arn := l.required(p, a.line, what, "FunctionArn")
	if arn == nil {
		return ""
	}
	f := l.byARN("AWS::Serverless::Function", l.text(arn))
	if f == nil {
		l.add(arn.line, "%s: %s is no function of this template", what, l.text(arn))
		return ""
	}
	return f.id
}
