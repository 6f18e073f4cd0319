package template

import (
	"strings"
)

// resource is one entry of the Resources section.
type resource struct {
	id         string
	line       int
	typ        *resourceType
	condition  *node // nil: always there
	properties *node

	naming state
	name   string
}

// resourceType is what the local stack knows of one type of resource.
type resourceType struct {
	absent       bool   // the local stack has none: not read any further, and nothing that is read may refer to it
	globals      string // its mapping in the Globals section; empty for none
	nameProperty string // the property that overrides the physical name
	longestName  int
	lowerCase    bool                                // the physical name must be
	arn          string                              // with REGION, ACCOUNT and NAME to fill in; what GetAtt Arn gives
	attributes   map[string]func(*resource) string   // what GetAtt gives beside Arn
	stage        func(*resource) string              // what Ref ID.Stage gives; nil for most
	ref          func(*resource) string              // nil: the physical name
	build        func(r *resource, properties *node) // adds the resource to the stack
}

// resourceTypes is the closed list of types.
func (l *loader) resourceTypes() map[string]*resourceType {
	return map[string]*resourceType{
		"AWS::Serverless::Api": {
			globals: "Api",
			ref:     apiID,
			stage:   l.apiStage,
			build:   l.buildAPI,
		},
		"AWS::Serverless::Function": {
			globals: "Function", nameProperty: "FunctionName", longestName: 64,
			arn:   "arn:aws:lambda:REGION:ACCOUNT:function:NAME",
			build: l.buildFunction,
		},
		"AWS::DynamoDB::Table": {
			nameProperty: "TableName", longestName: 255,
			arn:   "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME",
			build: l.buildTable,
		},
		"AWS::SQS::Queue": {
			nameProperty: "QueueName", longestName: 80,
			arn:        "arn:aws:sqs:REGION:ACCOUNT:NAME",
			attributes: map[string]func(*resource) string{"QueueName": l.name, "QueueUrl": l.queueURL},
			ref:        l.queueURL,
			build:      l.buildQueue,
		},
		"AWS::S3::Bucket": {
			nameProperty: "BucketName", longestName: 63, lowerCase: true,
			arn:   "arn:aws:s3:::NAME",
			build: l.buildBucket,
		},
		// What guards and watches the others in AWS means nothing here.
		"AWS::CloudWatch::Alarm":     {absent: true},
		"AWS::CloudWatch::Dashboard": {absent: true},
		"AWS::EC2::SecurityGroup":    {absent: true},
		"AWS::EC2::VPCEndpoint":      {absent: true},
		"AWS::IAM::ManagedPolicy":    {absent: true},
		"AWS::IAM::Role":             {absent: true},
		"AWS::KMS::Key":              {absent: true},
		"AWS::Logs::LogGroup":        {absent: true},
		"AWS::S3::BucketPolicy":      {absent: true},
		"AWS::SNS::Topic":            {absent: true},
		"AWS::SNS::TopicPolicy":      {absent: true},
		"AWS::SQS::QueuePolicy":      {absent: true},
	}
}

// name is the resource's physical name.
func (l *loader) name(r *resource) string {
	switch r.naming {
	case resolved:
		return r.name
	case resolving:
		l.add(r.line, "the name of %s depends on itself", r.id)
		return ""
	case unresolved:
	}
	r.naming = resolving
	r.name = l.opt.StackName + "-" + r.id
	if r.typ.lowerCase {
		r.name = strings.ToLower(r.name)
	}
	if given := l.head(r.properties.get(r.typ.nameProperty)); given != nil {
		r.name = l.text(given)
	}
	if len(r.name) > r.typ.longestName && !r.typ.absent {
		l.add(r.line, "the name %s is longer than %d: take a shorter stack name", r.name, r.typ.longestName)
	}
	r.naming = resolved
	return r.name
}

// arn is the resource's ARN; empty if its type has none. For what the local
// stack doesn't have it is a text of its own, to be compared only.
func (l *loader) arn(r *resource) string {
	if r.typ.absent {
		return "absent:" + l.name(r)
	}
	if r.typ.arn == "" {
		return ""
	}
	return strings.NewReplacer("REGION", l.opt.Region, "ACCOUNT", l.opt.AccountID, "NAME", l.name(r)).Replace(r.typ.arn)
}

// attribute is what GetAtt gives.
func (l *loader) attribute(r *resource, name string, line int) string {
	if get := r.typ.attributes[name]; get != nil {
		return get(r)
	}
	if r.typ.absent {
		return l.arn(r)
	}
	if name == "Arn" && r.typ.arn != "" {
		return l.arn(r)
	}
	understood := sortedKeys(r.typ.attributes)
	if r.typ.arn != "" {
		understood = append([]string{"Arn"}, understood...)
	}
	if len(understood) == 0 {
		understood = []string{"none"}
	}
	l.add(line, "attribute %s of %s is not understood; understood: %s", name, r.id, strings.Join(understood, ", "))
	return ""
}

// reference is what Ref gives for the resource.
func (l *loader) reference(r *resource) string {
	if r.typ.ref != nil {
		return r.typ.ref(r)
	}
	if r.typ.absent {
		return l.arn(r)
	}
	return l.name(r)
}

// byARN returns the resource of a type that has an ARN; nil if there is none.
func (l *loader) byARN(typ, arn string) *resource {
	for _, r := range l.order {
		if r.typ == l.types[typ] && l.exists(r) && l.arn(r) == arn {
			return r
		}
	}
	return nil
}
