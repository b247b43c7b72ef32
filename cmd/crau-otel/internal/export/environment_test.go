// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

func TestQueueTakesItsLimitsFromTheEnvironment(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", " 20 ")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "3600000")
	f := newFake()
	release := f.blocking()
	defer release()
	var left time.Duration
	wait := f.on
	f.on = func(ctx context.Context, batches []export.Batch) error {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return wait(ctx, batches)
	}
	q := newQueue(t, export.Config{Exporter: f})
	q.Put(wide(1))
	f.called(t) // the call begins after OTEL_BSP_SCHEDULE_DELAY
	q.Put(wide(20))
	q.Put(wide(1))
	release()
	if got := closed(t, q); got != full(export.Stats{Exported: spans(21)}, 1) {
		t.Errorf("stats are %+v", got)
	}
	if n := f.called(t); n != 4 {
		t.Errorf("a call with %d spans, want 4", n)
	}
	if left < 50*time.Minute || left > time.Hour {
		t.Errorf("a call has %s, want an hour", left)
	}
}

// A field of Config that is set takes precedence over its environment variable.
func TestConfigBeforeEnvironment(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "nonsense")
	f := newFake()
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 7, Delay: time.Microsecond})
	q.Put(wide(7))
	if n := f.called(t); n != 7 {
		t.Errorf("a call with %d spans, want 7", n)
	}
	closed(t, q)
}

func TestInvalidQueueVariablesAreNamed(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"OTEL_BSP_MAX_QUEUE_SIZE", "0", `OTEL_BSP_MAX_QUEUE_SIZE: must be a positive integer, got "0"`},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "-1", `OTEL_BSP_MAX_QUEUE_SIZE: must be a positive integer, got "-1"`},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many", `OTEL_BSP_MAX_EXPORT_BATCH_SIZE: must be a positive integer, got "many"`},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1.5", `OTEL_BSP_MAX_EXPORT_BATCH_SIZE: must be a positive integer, got "1.5"`},
		{"OTEL_BSP_SCHEDULE_DELAY", "5s", `OTEL_BSP_SCHEDULE_DELAY: must be a positive integer, got "5s"`},
		{"OTEL_BSP_EXPORT_TIMEOUT", "-5", `OTEL_BSP_EXPORT_TIMEOUT: must be a positive integer, got "-5"`},
		{
			"OTEL_BSP_EXPORT_TIMEOUT", "99999999999999999999",
			`OTEL_BSP_EXPORT_TIMEOUT: must be a positive integer, got "99999999999999999999"`,
		},
		{
			"OTEL_BSP_EXPORT_TIMEOUT", "9223372036855",
			"OTEL_BSP_EXPORT_TIMEOUT: must be at most 9223372036854, got 9223372036855",
		},
		{
			"OTEL_TRACES_SAMPLER", "jaeger_remote",
			`OTEL_TRACES_SAMPLER: unknown sampler "jaeger_remote"; use always_on, always_off, traceidratio or one of these with ` +
				"parentbased_ before it",
		},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			if q, err := export.NewQueue(export.Config{Exporter: newFake()}); err == nil || err.Error() != c.want || q != nil {
				t.Errorf("error is %v, want %s", err, c.want)
			}
		})
	}
}

func TestEverythingWrongIsToldAtOnce(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "x")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "y")
	t.Setenv("OTEL_TRACES_SAMPLER", "traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "2")
	_, err := export.NewQueue(export.Config{Exporter: newFake()})
	want := `OTEL_BSP_MAX_QUEUE_SIZE: must be a positive integer, got "x"
OTEL_BSP_SCHEDULE_DELAY: must be a positive integer, got "y"
OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1, got "2"`
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestSamplerFromEnvironment(t *testing.T) {
	const all, some, none = 256, 128, 0
	for _, c := range []struct {
		name, arg string
		want      uint64 // number of exported trees, of 256 with evenly spread ids
		err       string
	}{
		{"", "", all, ""},
		{"", "0.5", all, ""}, // an argument without a sampler is ignored
		{"always_on", "", all, ""},
		{" Always_On ", "", all, ""},
		{"parentbased_always_on", "", all, ""},
		{"always_off", "", none, ""},
		{"parentbased_always_off", "", none, ""},
		{"traceidratio", "", all, ""},
		{"traceidratio", "1", all, ""},
		{"traceidratio", "0", none, ""},
		{"traceidratio", " 0.5 ", some, ""},
		{"parentbased_traceidratio", "0.5", some, ""},
		{"traceidratio", "1.01", 0, `OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1, got "1.01"`},
		{"traceidratio", "-0.1", 0, `OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1, got "-0.1"`},
		{"traceidratio", "NaN", 0, `OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1, got "NaN"`},
		{"traceidratio", "half", 0, `OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1, got "half"`},
	} {
		t.Run(c.name+" "+c.arg, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_SAMPLER", c.name)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.arg)
			q, err := export.NewQueue(export.Config{Exporter: newFake()})
			if err != nil || c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Errorf("error is %v, want %q", err, c.err)
				}
				return
			}
			for id := range 256 {
				q.Put(tree(byte(id), "span"))
			}
			if got := closed(t, q); got != (export.Stats{Exported: spans(c.want), SampledOut: spans(all - c.want)}) {
				t.Errorf("stats are %+v, want %d exported", got, c.want)
			}
		})
	}
}
