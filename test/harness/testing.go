// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"
	"time"
)

// TestReceiver is a Receiver that ends with its test, and fails it where a Receiver returns an error.
type TestReceiver struct {
	*Receiver
	t testing.TB
}

// Receive starts a receiver for a test.
func Receive(t testing.TB, cfg ReceiverConfig) *TestReceiver {
	t.Helper()
	r, err := NewReceiver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return &TestReceiver{Receiver: r, t: t}
}

// WaitSpans waits until n spans have been accepted and returns when the last of these arrived.
func (r *TestReceiver) WaitSpans(n int, timeout time.Duration) time.Time {
	r.t.Helper()
	arrival, err := r.Receiver.WaitSpans(n, timeout)
	if err != nil {
		r.t.Fatal(err)
	}
	return arrival
}
