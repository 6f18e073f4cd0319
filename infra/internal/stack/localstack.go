package stack

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"csvexport/infra/internal/compose"
	"csvexport/infra/internal/dynamodblocal"
	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/localstack"
	"csvexport/infra/internal/python"
	"csvexport/infra/internal/sts"
)

// startLocalStack starts LocalStack and DynamoDB Local with the settings that
// docker-compose.yml has for them. They are empty: neither keeps anything.
func (f *Folder) startLocalStack(ctx context.Context, s *Servers, out io.Writer) error {
	services, err := compose.Load(ctx, filepath.Join(f.Root, "docker-compose.yml"))
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	var aws *localstack.Server
	var tables *dynamodblocal.Server
	group.Go(func() error {
		infra := filepath.Join(f.Root, "infra", "localstack")
		env, err := python.Ensure(groupCtx, tools(f.Root, "localstack"), python.Packages{
			Lock: filepath.Join(infra, "requirements.txt"), Oldest: 11, Wheelless: []string{"airspeed-ext", "crontab", "jsonpath-rw"},
		}, out)
		if err != nil {
			return err
		}
		aws, err = localstack.Start(groupCtx, localstack.Config{
			Python: env.Python(), Launcher: filepath.Join(infra, "serve.py"), Dir: f.Path("localstack"),
			LogFile: f.Path("logs", "localstack.log"), Settings: services["localstack"].Environment, Started: f.Started,
		})
		if err == nil {
			s.add("LocalStack", aws.Done(), aws.Stop)
		}
		return err
	})
	group.Go(func() error {
		install, err := dynamodblocal.Ensure(groupCtx, tools(f.Root, "dynamodb"), filepath.Join(f.Root, "infra", "dynamodb"), out)
		if err != nil {
			return err
		}
		tables, err = dynamodblocal.Start(groupCtx, dynamodblocal.Config{
			Install: install, Dir: f.Path("dynamodb"), LogFile: f.Path("logs", "dynamodb.log"),
			Args: dynamodblocal.Args(services["dynamodb"].Command), Started: f.Started,
		})
		if err == nil {
			s.add("DynamoDB Local", tables.Done(), tables.Stop)
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return s.useLocalStack(aws.URL, tables.URL)
}

// useRunning uses emulators that run already: one at base, and perhaps another
// one for DynamoDB.
func (s *Servers) useRunning(ctx context.Context, base, dynamoDB string) error {
	if dynamoDB == "" {
		dynamoDB = base
	}
	if err := errors.Join(reach(ctx, base), reach(ctx, dynamoDB)); err != nil {
		return err
	}
	return s.useLocalStack(base, dynamoDB)
}

// useLocalStack names the endpoints. STS is our own here, too: LocalStack's
// hands out sessions of any role to anybody who names any external id, and its
// S3 takes no presigned URL of them, since it knows the secrets of users only.
func (s *Servers) useLocalStack(base, dynamoDB string) error {
	roles, err := sts.Start(localaws.AccountID, sts.Shared(localaws.SecretKey))
	if err != nil {
		return err
	}
	s.add("", nil, roles.Stop)
	s.Endpoints = localaws.Endpoints{
		S3: base, SQS: base, DynamoDB: dynamoDB, Events: base, SecretsManager: base, STS: roles.URL,
	}
	return nil
}

// tools is the folder of a program that all stacks share.
func tools(root, name string) string { return filepath.Join(local(root), ".tools", name) }
