package template

import "strings"

var (
	functionProperties = []string{
		"FunctionName", "CodeUri", "Handler", "Runtime", "MemorySize", "Timeout", "Environment", "Events", "ReservedConcurrentExecutions",
	}
	ignoredFunctionProperties = []string{
		"Architectures", "AssumeRolePolicyDocument", "AutoPublishAlias", "AutoPublishAliasAllProperties", "CodeSigningConfigArn",
		"DeploymentPreference", "Description", "EphemeralStorage", "KmsKeyArn", "LoggingConfig", "PermissionsBoundary", "Policies",
		"PropagateTags", "ProvisionedConcurrencyConfig", "RecursiveLoop", "Role", "RolePath", "RuntimeManagementConfig", "SnapStart",
		"Tags", "Tracing", "VersionDescription", "VpcConfig",
	}
)

func (l *loader) buildFunction(r *resource, properties *node) {
	what := "function " + r.id
	p := l.object(properties, what, functionProperties, ignoredFunctionProperties)
	f := Function{
		LogicalID: r.id, Name: l.name(r), ARN: l.arn(r),
		CodeURI:     l.text(l.required(p, r.line, what, "CodeUri")),
		Handler:     l.text(l.required(p, r.line, what, "Handler")),
		MemoryMB:    l.number(p["MemorySize"], "MemorySize", 128, 128, 10240),
		Timeout:     seconds(l.number(p["Timeout"], "Timeout", 3, 1, 900)),
		Environment: map[string]string{},
		Concurrency: l.number(p["ReservedConcurrentExecutions"], "ReservedConcurrentExecutions", 0, 1, 1000),
	}
	l.oneOf(l.required(p, r.line, what, "Runtime"), "Runtime", "provided.al2023", "provided.al2")
	environment := l.object(p["Environment"], "Environment", []string{"Variables"}, nil)
	for _, v := range l.entries(environment["Variables"], "Variables") {
		if value := l.head(v.value); value != nil {
			f.Environment[v.key] = l.text(value)
		}
	}
	l.stack.Functions = append(l.stack.Functions, f)
	for _, e := range l.entries(p["Events"], "Events") {
		l.event(f, e)
	}
}

// event adds a function's event to the stack.
func (l *loader) event(f Function, e field) {
	what := "event " + e.key
	attributes := l.object(e.value, what, []string{"Type", "Properties"}, nil)
	properties := attributes["Properties"]
	if properties == nil {
		l.add(e.line, "%s has no Properties", what)
		return
	}
	typ := l.oneOf(l.required(attributes, e.line, what, "Type"), "event type", "Api", "SQS", "Schedule", "ScheduleV2")
	switch typ {
	case "Api":
		l.apiEvent(f, what, properties)
	case "SQS":
		l.queueEvent(f, what, properties)
	case "Schedule", "ScheduleV2":
		l.scheduleEvent(f, what, e.key, typ == "ScheduleV2", properties)
	}
}

// apiID is what API Gateway would choose: the local stack's is the logical ID in lower case.
func apiID(r *resource) string { return strings.ToLower(r.id) }

func (l *loader) apiStage(r *resource) string {
	stage := r.properties.get("StageName")
	if stage == nil {
		l.add(r.line, "API %s has no StageName", r.id)
	}
	return l.text(stage)
}

// buildAPI checks the API; its routes come with the functions' events, and its
// authorizer was read before.
func (l *loader) buildAPI(r *resource, properties *node) {
	p := l.object(properties, "API "+r.id, []string{"StageName", "GatewayResponses", "Auth", "Cors"}, []string{
		"AccessLogSetting", "AlwaysDeploy", "Description", "DisableExecuteApiEndpoint", "EndpointConfiguration", "FailOnWarnings",
		"MethodSettings", "Name", "OpenApiVersion", "PropagateTags", "SecurityPolicy", "Tags", "TracingEnabled",
	})
	l.apiStage(r)
	l.gatewayResponses(r, p["GatewayResponses"])
	l.preflight(r, p)
}
