// Package e2e tests the whole service as its users meet it: over HTTP and
// from the command line, on a local stack of its own. What a file must hold is
// asked of psql, and what S3, DynamoDB and SQS must hold is written here by
// hand, from docs/design.md: nothing of the product is imported.
package e2e
