// Package costs computes what exports cost in AWS, out of what a run on the
// local stack takes: seconds, requests and bytes, each counted by what AWS
// bills. It asks nobody for prices: they stand in one table.
package costs

// price is one of AWS's price list: US East (N. Virginia), in dollars, without
// the free tiers and the discounts of large volumes.
type price struct {
	name    string // as the price list's pages call it
	dollars float64
	per     float64 // so many units
	unit    string
	seen    string // the month for which a source had it
}

const (
	million = 1e6
	gb      = 1 << 30 // AWS's GB of storage and transfer
)

// unseen stands for the month of a price that no dated source was found for.
const unseen = "no dated source"

// The price list. Whoever changes one changes its month as well.
var (
	lambdaSecond  = price{"Lambda, Arm, GB-second", 0.0000133334, 1, "GB-second", "2026-03"}
	lambdaRequest = price{"Lambda, requests", 0.20, million, "requests", "2026-03"}
	apiRequest    = price{"API Gateway, REST API calls", 3.50, million, "calls", "2025-05"}
	dynamoWrite   = price{"DynamoDB on-demand, write request units", 0.625, million, "units", "2025-07"}
	dynamoRead    = price{"DynamoDB on-demand, read request units", 0.125, million, "units", "2025-07"}
	sqsRequest    = price{"SQS standard queues, requests", 0.40, million, "requests", "2026-06"}
	sqsFair       = price{"SQS fair queues, what a request of a message with a group costs more", 0.10, million, "requests", "2026-03"}
	s3Put         = price{"S3 Standard, PUT, COPY, POST, LIST requests", 0.005, 1000, "requests", unseen}
	s3Get         = price{"S3 Standard, GET and other requests", 0.0004, 1000, "requests", unseen}
	s3Storage     = price{"S3 Standard, storage", 0.023, 1, "GB-month", unseen}
	eventBridge   = price{"EventBridge, custom events", 1, million, "events", "2026-06"}
	scheduler     = price{"EventBridge Scheduler, invocations", 1, million, "invocations", "2026-03"}
	logsIngested  = price{"CloudWatch Logs, ingestion", 0.50, 1, "GB", "2026-06"}
	logsStored    = price{"CloudWatch Logs, archive", 0.03, 1, "GB-month", unseen}
	customMetric  = price{"CloudWatch, custom metrics", 0.30, 1, "metric and month", "2026-02"}
	alarm         = price{"CloudWatch, standard alarms", 0.10, 1, "alarm and month", unseen}
	dashboard     = price{"CloudWatch, dashboards", 3, 1, "dashboard and month", "2026-06"}
	secretMonth   = price{"Secrets Manager, secrets", 0.40, 1, "secret and month", unseen}
	transferOut   = price{"Data transfer out to the internet", 0.09, 1, "GB", "2025-05"}
	endpointHour  = price{"VPC interface endpoints", 0.01, 1, "hour and zone", "2026-06"}
	natHour       = price{"NAT gateways", 0.045, 1, "hour", "2026-06"}
	natGB         = price{"NAT gateways, data processed", 0.045, 1, "GB", "2026-06"}
	kmsKey        = price{"KMS, customer managed keys", 1, 1, "key and month", "2026-06"}
)

// allPrices are those that a bill has, or that the text beside it names.
var allPrices = []price{
	lambdaSecond, lambdaRequest, apiRequest, dynamoWrite, dynamoRead, sqsRequest, sqsFair, s3Put, s3Get, s3Storage, eventBridge, scheduler,
	logsIngested, logsStored, customMetric, alarm, dashboard, secretMonth, transferOut, endpointHour, natHour, natGB, kmsKey,
}

const (
	hoursInMonth   = 730.0
	minutesInMonth = hoursInMonth * 60
)

// of is what so many units cost, in dollars.
func (p price) of(units float64) float64 { return units / p.per * p.dollars }
