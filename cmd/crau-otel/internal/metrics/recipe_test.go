// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Trees that are counted by a cached recipe add to the same series as the first tree of their pattern, both below and
// over the limit on series.
func TestRepeatedTreesAreCountedLikeTheFirst(t *testing.T) {
	for _, c := range []struct {
		maxSeries int
		want      []string
	}{
		{100, []string{
			"crypto.handshake.duration{crypto.operation=tls::handshake,crypto.owner.class=user," +
				"crypto.process.trust=unknown,crypto.role=client} 5 values, sum 0.005, buckets [0 5 0 0 0 0 0 0 0 0 0 0 0 0 0]",
			"crypto.operations{crypto.algorithm=ecdsa_secp256r1_sha256,crypto.operation=tls::verify," +
				"crypto.owner.class=user,crypto.pqc.status=classical,crypto.process.trust=unknown,crypto.role=client} 5",
		}},
		{1, []string{
			"crypto.handshake.duration{otel.metric.overflow=true} 5 values, sum 0.005, buckets [0 5 0 0 0 0 0 0 0 0 0 0 0 0 0]",
			"crypto.operations{otel.metric.overflow=true} 5",
		}},
	} {
		m := newMeter(t, c.maxSeries, nil)
		mapper, err := mapping.New(mapping.Config{
			Wall: func(boot uint64) time.Time { return time.Unix(0, int64(boot)) },
			Owner: func(uint32, event.Process) mapping.Owner {
				return mapping.Owner{ID: "uid 1000", Class: contexts.ClassUser}
			},
			Sink: m.Record,
		})
		if err != nil {
			t.Fatal(err)
		}
		text := func(key, value string) event.Pair {
			return event.Pair{Key: []byte(key), Value: []byte(value), Type: event.String}
		}
		for i := range uint64(5) {
			start := i * uint64(time.Second)
			mapper.Handle(&event.Event{
				Kind: event.NewContext, Time: start, PID: 1, TID: 1, Context: 1, Parent: event.NoParent,
				Pairs: []event.Pair{text("name", "tls::handshake_client")},
			})
			mapper.Handle(&event.Event{
				Kind: event.NewContext, Time: start + uint64(time.Millisecond), PID: 1, TID: 1, Context: 2, Parent: 1,
				Pairs: []event.Pair{text("name", "tls::verify"), {Key: []byte("tls::signature_algorithm"), Word: 0x0403, Type: event.Word}},
			})
			mapper.Flush()
		}
		wantSeries(t, m.series(t, "crypto."), c.want)
	}
}
