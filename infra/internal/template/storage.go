package template

import (
	"regexp"
	"slices"
	"time"
)

func (l *loader) queueURL(r *resource) string { return l.opt.QueueURL(l.name(r)) }

func (l *loader) buildQueue(r *resource, properties *node) {
	p := l.object(properties, "queue "+r.id,
		[]string{"QueueName", "VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy"},
		[]string{"SqsManagedSseEnabled", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "RedriveAllowPolicy", "Tags"})
	q := Queue{
		LogicalID: r.id, Name: l.name(r), ARN: l.arn(r), URL: l.queueURL(r),
		VisibilityTimeout: seconds(l.number(p["VisibilityTimeout"], "VisibilityTimeout", 30, 0, 43200)),
		RetentionPeriod:   seconds(l.number(p["MessageRetentionPeriod"], "MessageRetentionPeriod", 345600, 60, 1209600)),
	}
	if policy := p["RedrivePolicy"]; policy != nil {
		f := l.object(policy, "RedrivePolicy", []string{"deadLetterTargetArn", "maxReceiveCount"}, nil)
		q.DeadLetterARN = l.text(l.required(f, policy.line, "RedrivePolicy", "deadLetterTargetArn"))
		q.MaxReceiveCount = l.number(l.required(f, policy.line, "RedrivePolicy", "maxReceiveCount"), "maxReceiveCount", 1, 1, 1000)
		if q.DeadLetterARN != "" && l.byARN("AWS::SQS::Queue", q.DeadLetterARN) == nil {
			l.add(policy.line, "the dead-letter queue %s is no queue of this template", q.DeadLetterARN)
		}
	}
	l.stack.Queues = append(l.stack.Queues, q)
}

// bucketNames are S3's rules for a bucket's name, without dots, which TLS does not like.
var bucketNames = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

func (l *loader) buildBucket(r *resource, properties *node) {
	p := l.object(properties, "bucket "+r.id, []string{"BucketName", "CorsConfiguration"}, []string{
		"PublicAccessBlockConfiguration", "OwnershipControls", "BucketEncryption", "LifecycleConfiguration",
		"LoggingConfiguration", "MetricsConfigurations", "Tags",
	})
	name := l.name(r)
	if name != "" && len(name) <= r.typ.longestName && !bucketNames.MatchString(name) {
		l.add(r.line, "%s is no valid bucket name: 3 to 63 lower-case letters, digits and hyphens", name)
	}
	l.stack.Buckets = append(l.stack.Buckets, Bucket{LogicalID: r.id, Name: name, ARN: l.arn(r), CORS: l.corsRules(p["CorsConfiguration"])})
}

var (
	tableProperties = []string{
		"TableName", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "TimeToLiveSpecification",
	}
	ignoredTableProperties = []string{
		"BillingMode", "ProvisionedThroughput", "OnDemandThroughput", "WarmThroughput", "TableClass", "SSESpecification",
		"PointInTimeRecoverySpecification", "DeletionProtectionEnabled", "ContributorInsightsSpecification", "ResourcePolicy", "Tags",
	}
)

func (l *loader) buildTable(r *resource, properties *node) {
	what := "table " + r.id
	p := l.object(properties, what, tableProperties, ignoredTableProperties)
	t := Table{LogicalID: r.id, Name: l.name(r), ARN: l.arn(r)}
	for _, n := range l.items(l.required(p, r.line, what, "AttributeDefinitions")) {
		f := l.object(n, "AttributeDefinitions", []string{"AttributeName", "AttributeType"}, nil)
		t.Attributes = append(t.Attributes, Attribute{
			Name: l.text(l.required(f, n.line, "AttributeDefinitions", "AttributeName")),
			Type: l.oneOf(l.required(f, n.line, "AttributeDefinitions", "AttributeType"), "AttributeType", "S", "N", "B"),
		})
	}
	t.Key = l.keySchema(l.required(p, r.line, what, "KeySchema"), t.Attributes)
	for _, n := range l.items(p["GlobalSecondaryIndexes"]) {
		t.Indexes = append(t.Indexes, l.index(n, t.Attributes))
	}
	if n := p["TimeToLiveSpecification"]; n != nil {
		f := l.object(n, "TimeToLiveSpecification", []string{"AttributeName", "Enabled"}, nil)
		if l.flag(l.required(f, n.line, "TimeToLiveSpecification", "Enabled"), "Enabled", false) {
			t.TTLAttribute = l.text(l.required(f, n.line, "TimeToLiveSpecification", "AttributeName"))
		}
	}
	l.stack.Tables = append(l.stack.Tables, t)
}

func (l *loader) index(n *node, attributes []Attribute) Index {
	f := l.object(n, "index", []string{"IndexName", "KeySchema", "Projection"},
		[]string{"ProvisionedThroughput", "OnDemandThroughput", "WarmThroughput", "ContributorInsightsSpecification"})
	index := Index{
		Name: l.text(l.required(f, n.line, "index", "IndexName")),
		Key:  l.keySchema(l.required(f, n.line, "index", "KeySchema"), attributes),
	}
	projection := l.object(l.required(f, n.line, "index", "Projection"), "Projection",
		[]string{"ProjectionType", "NonKeyAttributes"}, nil)
	index.Projection = l.oneOf(projection["ProjectionType"], "ProjectionType", "ALL", "KEYS_ONLY", "INCLUDE")
	index.Include = l.texts(projection["NonKeyAttributes"])
	return index
}

func (l *loader) keySchema(n *node, attributes []Attribute) []KeyElement {
	var key []KeyElement
	for _, n := range l.items(n) {
		f := l.object(n, "KeySchema", []string{"AttributeName", "KeyType"}, nil)
		k := KeyElement{
			Name: l.text(l.required(f, n.line, "KeySchema", "AttributeName")),
			Type: l.oneOf(l.required(f, n.line, "KeySchema", "KeyType"), "KeyType", "HASH", "RANGE"),
		}
		if !slices.ContainsFunc(attributes, func(a Attribute) bool { return a.Name == k.Name }) {
			l.add(n.line, "key attribute %s is not among the AttributeDefinitions", k.Name)
		}
		key = append(key, k)
	}
	return key
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
