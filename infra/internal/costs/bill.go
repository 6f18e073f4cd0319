package costs

import "regexp"

// line is a position of a bill.
type line struct {
	what  string
	units float64
	unit  string
	price price
}

func (l line) dollars() float64 { return l.price.of(l.units) }

func total(lines []line) (sum float64) {
	for _, l := range lines {
		sum += l.dollars()
	}
	return sum
}

// export is the bill of an export, without its download.
func (e estimate) export(memoryMB int) []line {
	const requestsOfMessage = 3 // it is sent, received and deleted
	n := float64(e.pieces)
	return []line{
		{"`run-export`, compute", e.seconds * float64(memoryMB) / 1024, "GB-s", lambdaSecond},
		{"other functions, compute", e.gbSeconds, "GB-s", lambdaSecond},
		{"functions, requests", n + e.others, "", lambdaRequest},
		{"API calls: create, status, download", 2*n + e.polls, "", apiRequest},
		{"DynamoDB writes", e.writes, "", dynamoWrite},
		{"DynamoDB reads", e.reads, "", dynamoRead},
		{"SQS requests", e.sends * requestsOfMessage, "", sqsRequest},
		{"SQS, that messages have groups", e.sends * requestsOfMessage, "", sqsFair},
		{"S3: PUT and the like", e.puts, "", s3Put},
		{"S3: GET and the like", e.gets, "", s3Get},
		{"S3: the file for seven days", e.bytes / gb * fileTTL.Hours() / hoursInMonth, "GB-months", s3Storage},
		{"event on the bus", n, "", eventBridge},
		{"logs", e.logBytes / gb, "GB", logsIngested},
	}
}

// transfer is the bill of one download over the internet.
func (e estimate) transfer() line {
	return line{"downloaded once over the internet", e.bytes / gb, "GB", transferOut}
}

// Standing is what of the stack is billed by the month.
type Standing struct {
	Alarms  int
	Metrics int // that functions write
	Queues  int // that Lambda polls
}

// Declared counts what a template declares.
func Declared(template string) Standing {
	count := func(pattern string) int {
		seen := map[string]bool{}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(template, -1) {
			seen[m[1]] = true
		}
		return len(seen)
	}
	return Standing{
		Alarms:  len(regexp.MustCompile(`(?m)^    Type: AWS::CloudWatch::Alarm$`).FindAllString(template, -1)),
		Metrics: count(`"CSVExport", "([A-Za-z]+)"`), // the dashboard shows all that are written
		Queues:  count(`(?m)^          Type: SQS\n          Properties:\n            Queue: (.+)$`),
	}
}

// pollers poll a queue whose event source has a maximum of concurrency, each
// for at most 20 s at a time (Lambda Developer Guide, "Configuring scaling
// behavior for SQS event source mappings": five, and fewer only without that).
const (
	pollers        = 5
	pollsPerMinute = 3
)

// idle is the bill of a month in which nobody exports.
func (i Idle) idle(s Standing) []line {
	return []line{
		{"`sweep`, compute", minutesInMonth * processorBound(i.milliseconds), "GB-s", lambdaSecond},
		{"`sweep`, requests", minutesInMonth, "", lambdaRequest},
		{"schedule", minutesInMonth, "", scheduler},
		{"DynamoDB reads", minutesInMonth * i.use.reads, "", dynamoRead},
		{"Lambda's polling of the queues", float64(s.Queues) * pollers * pollsPerMinute * minutesInMonth, "", sqsRequest},
		{"S3: LIST", minutesInMonth * float64(i.use.puts), "", s3Put},
		{"logs", minutesInMonth * float64(i.logBytes) / gb, "GB", logsIngested},
		{"logs, kept for 30 days", minutesInMonth * float64(i.logBytes) / gb, "GB-months", logsStored},
		{"metrics", float64(i.metrics), "", customMetric},
		{"alarms", float64(s.Alarms), "", alarm},
		{"dashboard", 1, "", dashboard},
		{"the database's secret", 1, "", secretMonth},
	}
}

// network are the bills of a month of what a VPC may need, of which a stack has
// one or none.
func network() [][]line {
	const zones, endpoints = 2, 2 // of SQS and Secrets Manager
	return [][]line{
		{{"in a VPC: interface endpoints of SQS and Secrets Manager in two zones", zones * endpoints * hoursInMonth, "hours", endpointHour}},
		{{"in a VPC: one NAT gateway instead; each GB that goes through it costs more", hoursInMonth, "hours", natHour}},
		{{"a key of your own in KMS", 1, "", kmsKey}},
	}
}
