package main

// What is different with the SAM CLI.
const (
	samGateway = "`sam local start-api` serves no stage, and answers what reaches no function by messages of its own: the template's GatewayResponses are API Gateway's"
	samIssuer  = "The authorizer takes tokens of an issuer by https, or on its own loopback; the test's issuer is on this machine's, which isn't a container's"
	samOne     = "`sam local start-lambda` keeps one container of a function, which works on one event at a time"
	samProcess = "Functions are processes within containers, which the test can neither see nor end"
	samStart   = "It tests the stack's own start and end, which are the same here but for what the lane starts every time"
	samSource  = "What it compares doesn't depend on how functions are run"
	samLog     = "Functions log warnings only here, since sam waits a second for an invocation that logs several lines"
	samBytes   = "`sam local start-api` takes a body for text, and fails at one that isn't UTF-8"
	samSlow    = "It takes hundreds of requests one after the other, and each takes sam a moment; the other sizes are tested"
	samCatalog = "A file of datasets is copied to where containers can read it when the stack starts, so that a later change isn't seen"
)

// samExcluded says what the lane with the SAM CLI leaves out.
var samExcluded = []excluded{
	{"^TestAuth$", samIssuer},
	{"^TestOwners$", samIssuer},
	{"^TestRights$", samIssuer},
	{"^TestOrigin$", samIssuer},
	{"^TestWebhooks$", samIssuer},
	{"^TestDestinations$", samIssuer},
	{"^TestConsole$/^below_the_stage$", samGateway},
	{"^TestStagePrefix$", samGateway},
	{"^TestExport$/^trace$", samLog},
	{"^TestList$/^pages_of_1$", samSlow},
	{"^TestIdempotencyKey$/^one_worker$", samLog},
	{"^TestBadInput$/^refused$/^(no_route_.*|.*_of_a_path)$", samGateway},
	{"^TestBadInput$/^refused$/^(no_UTF-8|UTF-8_of_a_surrogate)$", samBytes},
	{"^TestCancel$/^while_it_waits_for_a_worker$", samOne},
	{"^TestExport_threeAtOnce$", samOne},
	{"^TestExport_workerKilled$", samProcess},
	{"^TestDestinations_workerKilled$", samProcess},
	{"^TestConnections_tooFew$", samProcess},
	{"^TestQuota$", samOne},
	{"^TestMessage$", samProcess},
	{"^TestDatasets$/^changed_between_request_and_run$", samCatalog},
	{"^TestDatasets_S3$", samCatalog},
	{"^TestDemo$", samStart},
	{"^TestDown$", samStart},
	{"^TestUp_seeds$", samStart},
	{"^TestUp_interrupted$", samStart},
	{"^TestUp_killed$", samStart},
	{"^TestUp_portTaken$", samStart},
	{"^TestUp_noPython$", samStart},
	{"^TestUp_again$", samStart},
	{"^TestNewcomer$", samStart},
	{"^TestClients$", samSource},
	{"^TestReaders$", samSource},
	{"^TestContract_routes$", samSource},
	{"^TestContract_finds$", samSource},
}
