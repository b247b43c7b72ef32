// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// Shutdown returns when its context ends, even if a receiver does not read. gRPC itself waits 5 s for such a receiver
// before it closes the connection.
func TestShutdownWithAReceiverThatFloodsPings(t *testing.T) {
	f := harness.FloodPings(t)
	e := open(t, "http://"+f.Address)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	exported := make(chan error, 1)
	go func() { exported <- exportTrees(ctx, e, handshake(2000)) }()
	select {
	case <-f.Blocked:
	case <-time.After(20 * time.Second):
		t.Fatal("the connection still takes PING frames after 20 s")
	}
	cancel()
	began := time.Now()
	if err := <-exported; err == nil {
		t.Error("exported to a receiver that does not read")
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}
