// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

// answers intercepts the calls that export metrics, because the SDK's exporter handles two kinds of answers badly. If a
// receiver asks to wait, answers lets no call through until the wait is over, even if calls time out meanwhile. If a
// receiver accepts metrics in part or with a warning, answers logs that, and the call succeeds; to the SDK, it would
// have failed.
type answers struct {
	log *slog.Logger

	mu               sync.Mutex
	until            time.Time // earliest time of the next call
	rejected, warned export.Occasion
}

// intercept is a [grpc.UnaryClientInterceptor].
func (a *answers) intercept(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, call grpc.UnaryInvoker,
	opts ...grpc.CallOption,
) error {
	if err := a.wait(ctx); err != nil {
		return err
	}
	if err := call(ctx, method, request, reply, connection, opts...); err != nil {
		if refused := refusal(err); refused.Action == export.Retry {
			a.mu.Lock()
			a.until = time.Now().Add(min(refused.After, export.MaxRetryAfter))
			a.mu.Unlock()
		}
		return err
	}
	if response, ok := reply.(*collector.ExportMetricsServiceResponse); ok {
		a.accepted(response.GetPartialSuccess())
		response.PartialSuccess = nil
	}
	return nil
}

// wait waits until the receiver may be called, or fails when ctx ends.
func (a *answers) wait(ctx context.Context) error {
	a.mu.Lock()
	until := a.until
	a.mu.Unlock()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the receiver asked to wait until %s: %w", until.Format(time.RFC3339), ctx.Err())
	}
}

// accepted logs, at intervals, what a receiver says about metrics that it accepted in part or with a warning.
func (a *answers) accepted(partial *collector.ExportMetricsPartialSuccess) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch rejected, message := partial.GetRejectedDataPoints(), partial.GetErrorMessage(); {
	case rejected > 0:
		if a.rejected.Due() {
			a.log.Warn("metrics are lost: the receiver rejected a part of them", "rejected_points", rejected, "message", message)
		}
	case message != "":
		if a.warned.Due() {
			a.log.Warn("the receiver accepted all metrics with a warning", "message", message)
		}
	}
}
