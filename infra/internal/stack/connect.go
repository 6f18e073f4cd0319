package stack

import (
	"context"
	"fmt"
	"time"

	"csvexport/infra/internal/eventsource"
	"csvexport/infra/internal/invoke"
	"csvexport/infra/internal/lambda"
	"csvexport/infra/internal/localaws"
	"csvexport/infra/internal/schedule"
	"csvexport/infra/internal/template"
)

// connect runs the functions' events but for requests - messages and schedules -
// until ctx is done.
func (s *Stack) connect(ctx context.Context, declared *template.Stack, endpoints localaws.Endpoints) error {
	queues := map[string]template.Queue{}
	for _, q := range declared.Queues {
		queues[q.ARN] = q
	}
	for _, source := range declared.EventSources {
		queue, ok := queues[source.QueueARN]
		if !ok {
			return fmt.Errorf("function %s: its event source %s is no queue of the template", source.Function, source.QueueARN)
		}
		config := eventsource.Config{
			Source: source, Region: localaws.Region, QueueURL: queue.URL, Visibility: queue.VisibilityTimeout, Client: endpoints.SQSClient(),
			// The logical ID is what `sam local start-lambda` calls a function, too.
			InvokeURL: endpoints.Lambda, Function: source.Function, Grace: time.Second, OnError: s.complain(ctx),
		}
		s.workers.Go(func() {
			if err := eventsource.Run(ctx, config); err != nil {
				fmt.Fprintln(s.out, err)
			}
		})
	}
	s.workers.Go(func() {
		schedule.Run(ctx, schedule.Config{
			Schedules: declared.Schedules, Region: localaws.Region, AccountID: localaws.AccountID,
			OnError: func(_ template.Schedule, err error) { s.complain(ctx)(err) },
			Invoke: func(ctx context.Context, function string, payload []byte) error {
				f := invoke.New(endpoints.Lambda, function)
				defer f.Close()
				_, err := f.Invoke(ctx, payload)
				return err
			},
		})
	})
	return nil
}

// complain tells the user of a failure, unless the stack is ending anyway.
func (s *Stack) complain(ctx context.Context) func(error) {
	return func(err error) {
		if ctx.Err() == nil {
			fmt.Fprintln(s.out, err)
		}
	}
}

// lambdaHost returns the host of the functions whose binaries are in dir.
func (s *Stack) lambdaHost(dir string, declared *template.Stack, endpoints localaws.Endpoints) *lambda.Host {
	env := endpoints.Environment()
	env["TMPDIR"] = s.folder.Path("tmp")
	return lambda.New(lambda.Config{
		Functions: lambdaFunctions(dir, declared.Functions), Region: localaws.Region,
		LogDir: s.folder.Path("logs"), BaseEnv: env,
	})
}
