// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc/codes"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/test/harness"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	all string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all += string(b)
	return len(b), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all
}

// exportMetrics exports a counter every 50 ms, until the receiver has got this number of calls. It returns the times of
// the calls, the log, and the errors of the SDK and of the shutdown, which exports once more.
func exportMetrics(t *testing.T, calls int, answer harness.Answer) (at []time.Time, log, errs string) {
	t.Helper()
	came := make(chan time.Time, 1000)
	r := harness.Receive(t, harness.ReceiverConfig{AnswerMetrics: func(ctx context.Context, call harness.Call) harness.Reply {
		came <- time.Now()
		return answer(ctx, call)
	}})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.Endpoint())
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
	var logged, failures lines
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { _, _ = fmt.Fprintln(&failures, err) }))
	reader, err := otlp.OpenMetrics(t.Context(), "test", slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	counter, err := provider.Meter("test").Int64Counter("things")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 7)
	for len(at) < calls {
		select {
		case when := <-came:
			at = append(at, when)
		case <-time.After(20 * time.Second):
			t.Fatalf("%d calls, want %d", len(at), calls)
		}
	}
	errs = failures.String() // without the error of a call that the shutdown cancels
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := provider.Shutdown(ctx); err != nil {
		errs += fmt.Sprintln("shutdown:", err)
	}
	return at, logged.String(), errs
}

// A partial success that rejects no metrics does not count as a failure. Its warning is logged at intervals.
func TestMetricsAcceptedWithAWarning(t *testing.T) {
	_, log, errs := exportMetrics(t, 4, harness.Reject(0, "unit is deprecated"))
	want := `level=WARN msg="the receiver accepted all metrics with a warning" message="unit is deprecated"`
	if strings.Count(log, want) != 1 || strings.Count(log, "\n") != 1 || errs != "" {
		t.Errorf("log\n%s\nwant once\n%s\nerrors %q", log, want, errs)
	}
}

// If a receiver rejects a part of the metrics, the export does not count as failed, and the loss is logged at
// intervals.
func TestMetricsRejectedInPart(t *testing.T) {
	_, log, errs := exportMetrics(t, 4, func(context.Context, harness.Call) harness.Reply {
		return harness.Reply{Rejected: 2, Message: "too old"}
	})
	want := `level=WARN msg="metrics are lost: the receiver rejected a part of them" rejected_points=2 message="too old"`
	if strings.Count(log, want) != 1 || strings.Count(log, "\n") != 1 || errs != "" {
		t.Errorf("log\n%s\nwant once\n%s\nerrors %q", log, want, errs)
	}
}

// The wait that a receiver asks for is obeyed, even if it is longer than the timeout of calls and the interval of
// exports.
func TestMetricsWaitAsLongAsTheReceiverAsks(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.ResourceExhausted} {
		const delay = 2 * time.Second
		at, _, errs := exportMetrics(t, 2, harness.Script(harness.FailFor(code, "later", delay)))
		if waited := at[1].Sub(at[0]); waited < delay {
			t.Errorf("%s: the second call came after %s, want %s", code, waited, delay)
		}
		if !strings.Contains(errs, "the receiver asked to wait until 20") {
			t.Errorf("%s: errors are %s", code, errs)
		}
	}
}
