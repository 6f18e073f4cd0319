package main

import (
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"

	"csvexport/internal/jobs"
	"csvexport/internal/servertest"
	"csvexport/internal/sweeper"
)

// Each dead letter is counted, whether it can be understood or not, and taken
// from the queue once its export has been looked at.
func TestHandler(t *testing.T) {
	log := servertest.Log(t)
	h := handler(&sweeper.Sweeper{Jobs: jobs.New(servertest.AWS(t), servertest.Table(t))})
	answer, err := h(t.Context(), events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "1", Body: "not ours"},
		{MessageId: "2", Body: `{"v":1,"exportId":"` + uuid.NewString() + `"}`},
	}})
	if err != nil || answer.BatchItemFailures == nil || len(answer.BatchItemFailures) != 0 {
		t.Errorf("answer %+v (%v), want an empty list of failures", answer, err)
	}
	sum := 0.0
	for _, line := range log() {
		if n, ok := line["DeadLetters"].(float64); ok {
			sum += n
		}
	}
	if sum != 2 {
		t.Errorf("%v dead letters counted, want 2", sum)
	}
}
