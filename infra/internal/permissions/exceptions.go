package permissions

import (
	"maps"
	"slices"
)

// Unseen are the parameters of a stack with all that AWS has and the local
// stack doesn't: a secret, a VPC and the like.
func Unseen() map[string]string {
	return map[string]string{
		"DatabaseSecretArn":  "arn:aws:secretsmanager:us-east-1:000000000000:secret:database-AbCdEf",
		"DatabaseIamUserArn": "arn:aws:rds-db:us-east-1:000000000000:dbuser:db-1/exports",
		"DatabaseCa":         "s3://certificates/ca.pem",
		"KmsKeyArn":          "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000",
		"VpcSubnetIds":       "subnet-1", "VpcSecurityGroupIds": "sg-1",
		"Datasets":      "s3://catalog/datasets.yaml",
		"DeliveryRoles": "arn:aws:iam::000000000000:role/delivery",
		"WebhookUrls":   "https://hooks.example.com", "WebhookSecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:webhooks-AbCdEf",
	}
}

// ownRoles are the functions whose roles the template writes itself. For the
// others SAM adds the managed policy for logs.
var ownRoles = map[string]string{
	"dead-letter": "DeadLetter", "estimate-export": "EstimateExport", "health": "Health", "notify": "Notify", "run-export": "RunExport",
}

// unused are permissions that no end-to-end test can show the use of.
var unused = []Unused{
	{
		[]string{"run-export"},
		[]string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
		"${Queue.Arn}",
		"Lambda's event source mapping receives by the function's role (Lambda Developer Guide, \"Configuring permissions\" for SQS); locally the stack's poller receives",
	},
	{
		[]string{"notify"},
		[]string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
		"${NotifyQueue.Arn}",
		"the same for its queue",
	},
	{
		[]string{"dead-letter"},
		[]string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
		"${DeadLetterQueue.Arn}",
		"the same for its queue",
	},
	{
		[]string{"estimate-export", "health", "run-export"},
		[]string{
			"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
			"ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
		},
		"*",
		"Lambda makes a function's network interfaces by its role; there is no VPC locally",
	},
	{
		[]string{"estimate-export", "health", "run-export"},
		[]string{"secretsmanager:GetSecretValue"},
		"${DatabaseSecretArn}",
		"there is no Secrets Manager locally, the URL is given as text; internal/secret is tested against a server over HTTP",
	},
	{
		[]string{"estimate-export", "health", "run-export"},
		[]string{"rds-db:connect"},
		"${DatabaseIamUserArn}",
		"RDS checks it at a login by a token; there is no RDS locally, and making the token calls nobody",
	},
	{
		[]string{"notify"},
		[]string{"secretsmanager:GetSecretValue"},
		"${WebhookSecretArn}",
		"there is no Secrets Manager locally, the secret is given as text",
	},
	{
		[]string{"estimate-export", "health", "run-export"},
		[]string{"s3:GetObject"},
		"arn:${AWS::Partition}:s3:::${DatabaseCa}",
		"the local Postgres is on loopback, where it needs no certificate; internal/s3file is tested over HTTP",
	},
	{
		nil,
		[]string{
			"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
		},
		"${KmsKeyArn}",
		"S3, SQS, DynamoDB and Secrets Manager ask KMS in the function's name, which is what kms:ViaService allows; locally nothing is encrypted",
	},
	{
		[]string{destinationRole},
		[]string{"s3:ListMultipartUploadParts"},
		"arn:aws:s3:::acme-finance/csv/*",
		"asked when S3 refuses a part; TestExport_partReplaced makes it do so in the service's own bucket, and the code is the same",
	},
}

// elsewhere are calls that something else than the function's policy allows.
var elsewhere = []Elsewhere{
	{
		"run-export", "s3:ListBucket", "arn:aws:s3:::nobody-has-this-bucket",
		"a destination without a role: its bucket's own policy names the functions' roles (docs/datasets.md)",
	},
	{
		"create-export", "s3:ListBucket", "arn:aws:s3:::catalogs",
		"a catalog that isn't there yet: without this right S3 answers 403 instead of 404, and the function refuses to start by either",
	},
}

// Exceptions returns what Check must be told of template.yaml and the
// end-to-end tests. docs/design.md, decision 64, says what the lists are for.
func Exceptions() ([]Unused, []Elsewhere) {
	all := slices.Clone(unused)
	for _, function := range slices.Sorted(maps.Keys(ownRoles)) {
		all = append(all, Unused{
			[]string{function},
			[]string{"logs:CreateLogStream", "logs:PutLogEvents"},
			"${" + ownRoles[function] + "Logs.Arn}",
			"Lambda writes a function's log by its role; locally logs are files",
		})
	}
	return all, elsewhere
}
