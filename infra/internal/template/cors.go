package template

import "strings"

// corsHeaders are the headers that SAM makes of the members of Cors.
var corsHeaders = map[string]string{
	"AllowOrigin": "Access-Control-Allow-Origin", "AllowMethods": "Access-Control-Allow-Methods",
	"AllowHeaders": "Access-Control-Allow-Headers", "MaxAge": "Access-Control-Max-Age",
}

// preflight reads the Cors of an API. Its values are in single quotes, as those
// of a gateway response.
func (l *loader) preflight(r *resource, api map[string]*node) {
	n := api["Cors"]
	if n == nil {
		return
	}
	if l.stack.Preflight != nil {
		l.add(n.line, "API %s: the Cors of one API is understood, and another has one", r.id)
		return
	}
	if auth := l.head(api["Auth"]); auth != nil {
		flag := l.head(auth.get("AddDefaultAuthorizerToCorsPreflight"))
		if flag == nil {
			l.add(auth.line, "API %s has Cors, so Auth must have AddDefaultAuthorizerToCorsPreflight: false; an authorizer would refuse a browser's preflight", r.id)
		} else {
			l.oneOf(flag, "AddDefaultAuthorizerToCorsPreflight", "false")
		}
	}
	l.stack.Preflight = map[string]string{}
	for name, value := range l.object(n, "Cors", sortedKeys(corsHeaders), nil) {
		text := l.text(value)
		if !staticValue.MatchString(text) {
			l.add(value.line, "%s must be a text in single quotes, such as \"'GET'\", not %q", name, text)
		}
		l.stack.Preflight[corsHeaders[name]] = strings.Trim(text, "'")
	}
}

// corsRules reads the CorsConfiguration of a bucket.
func (l *loader) corsRules(n *node) []CORSRule {
	var rules []CORSRule
	for _, item := range l.items(l.object(n, "CorsConfiguration", []string{"CorsRules"}, nil)["CorsRules"]) {
		p := l.object(item, "CorsRules", []string{"AllowedOrigins", "AllowedMethods", "AllowedHeaders", "ExposedHeaders", "MaxAge"}, []string{"Id"})
		rules = append(rules, CORSRule{
			Origins: l.texts(p["AllowedOrigins"]), Methods: l.texts(p["AllowedMethods"]), Headers: l.texts(p["AllowedHeaders"]),
			Exposed: l.texts(p["ExposedHeaders"]), MaxAge: l.number(p["MaxAge"], "MaxAge", 0, 0, 86400),
		})
	}
	return rules
}
