package template

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var methods = []string{
	"ANY", http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut,
}

// routePath is API Gateway's: segments are literal or one whole {parameter}, and only the last may be {greedy+}.
var routePath = regexp.MustCompile(`^/$|^(?:/(?:[A-Za-z0-9._:~-]+|\{[A-Za-z0-9._:-]+\}))*(?:/\{[A-Za-z0-9._:-]+\+\})?$`)

func (l *loader) apiEvent(f Function, what string, n *node) {
	p := l.object(n, what, []string{"RestApiId", "Method", "Path"}, nil)
	route := Route{
		Function: f.LogicalID,
		Method:   strings.ToUpper(l.text(l.required(p, n.line, what, "Method"))),
		Path:     l.text(l.required(p, n.line, what, "Path")),
	}
	if m := p["Method"]; m != nil && !slices.Contains(methods, route.Method) {
		l.add(m.line, "method %s is not understood; understood are %s", route.Method, strings.Join(methods, ", "))
	}
	if path := p["Path"]; path != nil && (route.Path == "" || !routePath.MatchString(route.Path)) {
		l.add(path.line, "path %s is not understood; a path is made of /segment, /{parameter} and at its end /{greedy+}", route.Path)
	}
	if id := p["RestApiId"]; id == nil {
		l.add(n.line, "%s has no RestApiId; the implicit API is not understood, so name one of the template's", what)
	} else if r := l.api(l.text(id)); r == nil {
		l.add(id.line, "RestApiId %s is no AWS::Serverless::Api of this template", l.text(id))
	} else {
		route.Stage = l.apiStage(r)
		route.Authorizer = l.authorizers[r.id]
	}
	if i := slices.IndexFunc(l.stack.Routes, func(r Route) bool {
		return r.Method == route.Method && r.Path == route.Path && r.Stage == route.Stage
	}); i >= 0 {
		l.add(n.line, "%s %s is already a route of %s", route.Method, route.Path, l.stack.Routes[i].Function)
	}
	l.stack.Routes = append(l.stack.Routes, route)
}

// api is the API that has this id; nil if there is none.
func (l *loader) api(id string) *resource {
	for _, r := range l.order {
		if r.typ.stage != nil && l.exists(r) && apiID(r) == id {
			return r
		}
	}
	return nil
}

func (l *loader) queueEvent(f Function, what string, n *node) {
	p := l.object(n, what, []string{"Queue", "BatchSize", "FunctionResponseTypes", "ScalingConfig", "Enabled"},
		[]string{"KmsKeyArn", "MetricsConfig"})
	source := EventSource{
		Function:  f.LogicalID,
		QueueARN:  l.text(l.required(p, n.line, what, "Queue")),
		BatchSize: l.number(p["BatchSize"], "BatchSize", 10, 1, 10),
	}
	for _, item := range l.items(p["FunctionResponseTypes"]) {
		l.oneOf(item, "FunctionResponseTypes", "ReportBatchItemFailures")
		source.ReportBatchItemFailures = true
	}
	scaling := l.object(p["ScalingConfig"], "ScalingConfig", []string{"MaximumConcurrency"}, nil)
	source.MaximumConcurrency = l.number(scaling["MaximumConcurrency"], "MaximumConcurrency", 0, 2, 1000)
	queue := l.byARN("AWS::SQS::Queue", source.QueueARN)
	if queue == nil {
		if source.QueueARN != "" {
			l.add(n.line, "%s: %s is no queue of this template", what, source.QueueARN)
		}
		return
	}
	// Lambda refuses such a mapping: the message would come back while it is worked on.
	visible := seconds(l.number(l.head(queue.properties.get("VisibilityTimeout")), "VisibilityTimeout", 30, 0, 43200))
	if visible < f.Timeout {
		l.add(n.line, "%s: the queue's VisibilityTimeout (%.0f s) is less than the function's Timeout (%.0f s)",
			what, visible.Seconds(), f.Timeout.Seconds())
	}
	if l.flag(p["Enabled"], "Enabled", true) {
		l.stack.EventSources = append(l.stack.EventSources, source)
	}
}

func (l *loader) scheduleEvent(f Function, what, id string, v2 bool, n *node) {
	expression, understood := "Schedule", []string{"Schedule", "Input", "Name", "State", "Enabled"}
	ignored := []string{"Description", "RetryPolicy", "DeadLetterConfig"}
	if v2 {
		expression, understood = "ScheduleExpression", []string{"ScheduleExpression", "Input", "Name", "State"}
		ignored = append(ignored, "FlexibleTimeWindow", "GroupName", "KmsKeyArn", "OmitName", "PermissionsBoundary", "RoleArn",
			"ScheduleExpressionTimezone")
	}
	p := l.object(n, what, understood, ignored)
	s := Schedule{Function: f.LogicalID, Name: l.opt.StackName + "-" + f.LogicalID + id, Input: l.text(p["Input"]), Scheduler: v2}
	if name := p["Name"]; name != nil {
		s.Name = l.text(name)
	}
	s.ARN = fmt.Sprintf("arn:aws:events:%s:%s:rule/%s", l.opt.Region, l.opt.AccountID, s.Name)
	if v2 {
		s.ARN = fmt.Sprintf("arn:aws:scheduler:%s:%s:schedule/default/%s", l.opt.Region, l.opt.AccountID, s.Name)
	}
	if e := l.required(p, n.line, what, expression); e != nil {
		var ok bool
		if s.Rate, ok = parseRate(l.text(e)); !ok {
			l.add(e.line, "%s %s is not understood; understood are rate(1 minute), rate(N minutes) and the same with hours and days",
				expression, l.text(e))
		}
	}
	enabled := l.flag(p["Enabled"], "Enabled", true)
	if l.oneOf(p["State"], "State", "ENABLED", "DISABLED") == "ENABLED" && enabled {
		l.stack.Schedules = append(l.stack.Schedules, s)
	}
}

var rateExpression = regexp.MustCompile(`^rate\(\s*([1-9][0-9]{0,4})\s+(minute|hour|day)(s?)\s*\)$`)

// parseRate reads a rate as EventBridge does: the unit is singular for 1 and plural for more.
func parseRate(expression string) (time.Duration, bool) {
	match := rateExpression.FindStringSubmatch(expression)
	if match == nil || (match[1] == "1") != (match[3] == "") {
		return 0, false
	}
	n, err := strconv.Atoi(match[1])
	if err != nil {
		return 0, false
	}
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	return time.Duration(n) * unit[match[2]], true
}
