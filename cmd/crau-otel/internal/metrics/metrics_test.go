// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.uber.org/goleak"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/meaning"
	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// meter is a Metrics with a reader that collects when the test asks for it.
type meter struct {
	*metrics.Metrics
	reader *sdkmetric.ManualReader
	limits *limits.Monitor
}

func newMeter(t *testing.T, maxSeries int, health func() metrics.Health) meter {
	t.Helper()
	if health == nil {
		health = func() metrics.Health { return metrics.Health{} }
	}
	reader, monitor := sdkmetric.NewManualReader(), limits.New(limits.Config{})
	m, err := metrics.New(metrics.Config{
		Reader: reader, Resource: resource.NewSchemaless(attribute.String("service.name", "crau-otel")), MaxSeries: maxSeries,
		Health: health, Version: "1.2.3", Limits: monitor,
	})
	if err != nil {
		t.Fatal(err)
	}
	return meter{m, reader, monitor}
}

func (m meter) collect(t *testing.T) metricdata.ResourceMetrics {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := m.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	return rm
}

// series returns a line for each series whose instrument's name has the prefix: name, attributes and value.
func (m meter) series(t *testing.T, prefix string) []string {
	t.Helper()
	var lines []string
	add := func(name string, set attribute.Set, format string, values ...any) {
		if strings.HasPrefix(name, prefix) {
			lines = append(lines, name+"{"+set.Encoded(attribute.DefaultEncoder())+"} "+fmt.Sprintf(format, values...))
		}
	}
	for _, scope := range m.collect(t).ScopeMetrics {
		for _, got := range scope.Metrics {
			switch data := got.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(got.Name, p.Attributes, "%d", p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add(got.Name, p.Attributes, "%d", p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					add(got.Name, p.Attributes, "%g", p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(got.Name, p.Attributes, "%d values, sum %g, buckets %v", p.Count, p.Sum, p.BucketCounts)
				}
			default:
				t.Errorf("%s has data of type %T", got.Name, data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func wantSeries(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func tree(ops []mapping.Operation) mapping.Tree { return mapping.Tree{Operations: ops} }

// handshake returns the operations of a tree with a client's TLS handshake.
func handshake(executable string) []mapping.Operation {
	return []mapping.Operation{
		{
			Executable: executable, Name: "tls::handshake", Role: "client", Status: registry.Hybrid, Handshake: true,
			ProtocolName: "tls", ProtocolVersion: "1.3", Downgraded: executable == "curl",
			Duration: 3 * time.Millisecond, Violations: []string{"pq-only/key-exchange", "own"},
		},
		{Executable: executable, Name: "tls::key_exchange", Algorithm: "X25519MLKEM768", Role: "client", Status: registry.Hybrid},
		{
			Executable: executable, Name: "tls::verify", Algorithm: "ecdsa_secp256r1_sha256", Role: "client",
			Status: registry.Classical, Violations: []string{"own"},
		},
	}
}

// known returns a tree of a system service, reported by a trusted file.
func known(ops []mapping.Operation) mapping.Tree {
	for i := range ops {
		ops[i].Library = meaning.FileTrusted
	}
	return mapping.Tree{
		Owner: mapping.Owner{ID: "nginx.service", Class: contexts.ClassSystem}, Trust: shape.TrustSystem, Operations: ops,
	}
}

// Reports of a service and of other users are counted in different series, even with equal program names. The
// attributes that tell them apart have the same values as in spans.
func TestTrustIsPartOfTheSeries(t *testing.T) {
	m := newMeter(t, 100, nil)
	m.Record(known(handshake("nginx")))
	forged := known(handshake("nginx"))
	forged.Owner, forged.Trust = mapping.Owner{ID: "uid 1000", Class: contexts.ClassUser}, shape.TrustUser
	m.Record(forged)
	forged.Operations[0].Library = meaning.FileUntrusted
	m.Record(mapping.Tree{Owner: forged.Owner, Trust: forged.Trust, Operations: forged.Operations[:1]})
	for _, instrument := range []string{"crypto.operations", "crypto.policy.violations", "crypto.handshake.duration"} {
		var got []string
		for _, line := range m.series(t, instrument) {
			var trust []string
			for _, key := range []string{"crypto.owner.class", "crypto.process.trust", "crypto.library.trusted"} {
				_, rest, _ := strings.Cut(line, key+"=")
				value, _, _ := strings.Cut(rest, ",")
				trust = append(trust, value)
			}
			got = append(got, strings.Join(trust, " "))
		}
		slices.Sort(got)
		want := []string{"system system true", "user user false", "user user true"}
		if instrument == "crypto.operations" {
			want = []string{"system system true", "user user true"}
		}
		wantSeries(t, slices.Compact(got), want)
	}
}

func TestOperationsAreCounted(t *testing.T) {
	m := newMeter(t, 100, nil)
	m.Record(tree(handshake("curl")))
	m.Record(tree(handshake("curl")))
	m.Record(tree(handshake("nginx")))
	m.Record(tree([]mapping.Operation{
		{Executable: "gpg", Name: "pk::sign"},
		{Executable: "gpg", Violations: []string{"own"}}, // a span that violates a rule but is not an operation
	}))
	m.Record(mapping.Tree{})
	wantSeries(t, m.series(t, "crypto."), []string{
		"crypto.handshake.duration{crypto.operation=tls::handshake,crypto.pqc.downgraded=true,crypto.pqc.status=hybrid," +
			"crypto.role=client,process.executable.name=curl,tls.protocol.name=tls,tls.protocol.version=1.3} 2 values, sum 0.006, buckets [0 0 0 2 0 0 0 0 0 0 0 0 0 0 0]",
		"crypto.handshake.duration{crypto.operation=tls::handshake,crypto.pqc.status=hybrid,crypto.role=client," +
			"process.executable.name=nginx,tls.protocol.name=tls,tls.protocol.version=1.3} 1 values, sum 0.003, buckets [0 0 0 1 0 0 0 0 0 0 0 0 0 0 0]",
		"crypto.operations{crypto.algorithm=X25519MLKEM768,crypto.operation=tls::key_exchange,crypto.pqc.status=hybrid," +
			"crypto.role=client,process.executable.name=curl} 2",
		"crypto.operations{crypto.algorithm=X25519MLKEM768,crypto.operation=tls::key_exchange,crypto.pqc.status=hybrid," +
			"crypto.role=client,process.executable.name=nginx} 1",
		"crypto.operations{crypto.algorithm=ecdsa_secp256r1_sha256,crypto.operation=tls::verify," +
			"crypto.pqc.status=classical,crypto.role=client,process.executable.name=curl} 2",
		"crypto.operations{crypto.algorithm=ecdsa_secp256r1_sha256,crypto.operation=tls::verify," +
			"crypto.pqc.status=classical,crypto.role=client,process.executable.name=nginx} 1",
		"crypto.operations{crypto.operation=pk::sign,process.executable.name=gpg} 1",
		"crypto.policy.violations{crypto.policy.rule=own,process.executable.name=curl} 4",
		"crypto.policy.violations{crypto.policy.rule=own,process.executable.name=gpg} 1",
		"crypto.policy.violations{crypto.policy.rule=own,process.executable.name=nginx} 2",
		"crypto.policy.violations{crypto.policy.rule=pq-only/key-exchange,process.executable.name=curl} 2",
		"crypto.policy.violations{crypto.policy.rule=pq-only/key-exchange,process.executable.name=nginx} 1",
	})
}

// A root pk::derive, which is all that OpenSSL reports about a TLS 1.2 handshake, counts as a classical operation and
// as a violation, but not as a handshake.
func TestDerivationAloneIsNoHandshake(t *testing.T) {
	m := newMeter(t, 100, nil)
	rules, err := policy.New(policy.Config{Name: "hybrid-ok"})
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := mapping.New(mapping.Config{
		Rules: mapping.Rules{Policy: rules}, Sink: m.Record, Wall: func(boot uint64) time.Time { return time.Unix(0, int64(boot)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	pair := func(key, value string) event.Pair {
		return event.Pair{Key: []byte(key), Type: event.String, Value: []byte(value)}
	}
	mapper.Handle(&event.Event{Kind: event.ProcessStart, PID: 1, TID: 1, Time: 1, Process: event.Process{Executable: "nginx"}})
	mapper.Handle(&event.Event{
		Kind: event.NewContext, PID: 1, TID: 1, Time: 2, Context: 7, Parent: 7,
		Pairs: []event.Pair{pair("name", "pk::derive"), pair("pk::algorithm", "X25519")},
	})
	mapper.Flush()
	var got []string
	for _, line := range m.series(t, "crypto.") {
		got = append(got, strings.NewReplacer("crypto.owner.class=root,", "", "crypto.process.trust=unknown,", "").Replace(line))
	}
	wantSeries(t, got, []string{
		"crypto.operations{crypto.algorithm=X25519,crypto.operation=pk::derive,crypto.pqc.status=classical,process.executable.name=nginx} 1",
		"crypto.policy.violations{crypto.policy.rule=hybrid-ok/key-exchange,process.executable.name=nginx} 1",
	})
}

// A duration that equals the upper bound of a bucket is counted in that bucket.
func TestBucketBoundsAreInclusive(t *testing.T) {
	m := newMeter(t, 100, nil)
	for _, d := range []time.Duration{0, 500 * time.Microsecond, 500*time.Microsecond + 1, 10 * time.Second, time.Minute} {
		m.Record(tree([]mapping.Operation{{Executable: "x", Name: "tls::handshake", Handshake: true, Duration: d}}))
	}
	wantSeries(t, m.series(t, "crypto."), []string{
		"crypto.handshake.duration{crypto.operation=tls::handshake,process.executable.name=x} 5 values, sum 70.001000001, " +
			"buckets [2 1 0 0 0 0 0 0 0 0 0 0 0 1 1]",
	})
}

// The number of series stays within the limit, however many names programs invent. Further operations are counted in
// the overflow series.
func TestMadeUpNamesCannotExceedTheLimitOfSeries(t *testing.T) {
	const limit = 5
	for _, programs := range []int{limit - 1, limit, limit + 1, 100} {
		t.Run(fmt.Sprint(programs), func(t *testing.T) {
			m := newMeter(t, limit, nil)
			for round := range 2 {
				for i := range programs {
					m.Record(tree([]mapping.Operation{
						{Executable: fmt.Sprintf("p%03d", i), Name: "pk::sign", Violations: []string{"own"}},
						{Executable: fmt.Sprintf("p%03d", i), Name: "tls::handshake", Handshake: true, Duration: time.Second},
					}))
				}
				own := min(programs, limit-1)
				for prefix, format := range map[string]string{
					"crypto.operations":         "crypto.operations{crypto.operation=pk::sign,process.executable.name=p%03d} %d",
					"crypto.policy.violations":  "crypto.policy.violations{crypto.policy.rule=own,process.executable.name=p%03d} %d",
					"crypto.handshake.duration": "crypto.handshake.duration{crypto.operation=tls::handshake,process.executable.name=p%03d} %d values",
				} {
					var want []string
					for i := range own {
						want = append(want, fmt.Sprintf(format, i, round+1))
					}
					if programs > own {
						unit := strings.TrimPrefix(format[strings.LastIndex(format, "%d"):], "%d")
						want = slices.Insert(want, 0, fmt.Sprintf("%s{otel.metric.overflow=true} %d%s", prefix, (programs-own)*(round+1), unit))
					}
					var got []string
					for _, line := range m.series(t, prefix) {
						line, _, _ = strings.Cut(line, ", sum")
						got = append(got, line)
					}
					slices.Sort(want)
					wantSeries(t, got, want)
				}
			}
		})
	}
}

// What owners lose because of limits is exported. That includes operations for which no series was free.
func TestLossesToLimitsAreExported(t *testing.T) {
	m := newMeter(t, 16, nil)
	m.limits.Reached(limits.Files, limits.Owner{Name: "/a.service", Class: limits.ClassSystem}, 3)
	m.limits.Reached(limits.Files, limits.Owner{Name: "/b.service", Class: limits.ClassSystem}, 4)
	m.limits.Observe(limits.Ring, limits.ClassUnknown, 5)
	for i := range 20 {
		m.Record(mapping.Tree{Owner: mapping.Owner{ID: "uid 1000", Class: contexts.ClassUser}, Operations: []mapping.Operation{{Executable: fmt.Sprint(i), Name: "pk::sign"}}})
	}
	wantSeries(t, m.series(t, "crau_otel.limits"), []string{
		"crau_otel.limits.reached{limit=files,owner.class=system} 7",
		"crau_otel.limits.reached{limit=ring,owner.class=unknown} 5",
		"crau_otel.limits.reached{limit=series,owner.class=user} 12",
	})
}

func TestHealthIsReadAtEachExport(t *testing.T) {
	asked := uint64(0)
	m := newMeter(t, 100, func() metrics.Health {
		asked++
		return metrics.Health{
			Hits: 1000 * asked,
			Lost: map[string]map[limits.Class]uint64{
				"ring_full": {limits.ClassUser: 7 * asked, limits.ClassRoot: 1}, "fault": {limits.ClassUnknown: 0},
			},
			Spans:           map[string]uint64{"exported": 90 * asked, "failed": 1},
			ConnectionsSeen: 50 * asked,
			Connections:     map[string]uint64{"reported": 40 * asked, "other": 9},
			PacketsLost:     map[string]uint64{"lost": asked},
			OpenContexts:    int(10 - asked),
			RingFill:        0.25 * float64(asked),
			UntracedFiles:   map[string]int{"fuse": 2},
			SilentProcesses: 3,
		}
	})
	for n := range uint64(2) {
		n++
		wantSeries(t, m.series(t, "crau_otel."), []string{
			"crau_otel.connections.finished{outcome=other} 9",
			fmt.Sprintf("crau_otel.connections.finished{outcome=reported} %d", 40*n),
			fmt.Sprintf("crau_otel.connections.seen{} %d", 50*n),
			fmt.Sprintf("crau_otel.contexts.open{} %d", 10-n),
			"crau_otel.events.lost{owner.class=root,reason=ring_full} 1",
			"crau_otel.events.lost{owner.class=unknown,reason=fault} 0",
			fmt.Sprintf("crau_otel.events.lost{owner.class=user,reason=ring_full} %d", 7*n),
			"crau_otel.files.untraced{reason=fuse} 2",
			fmt.Sprintf("crau_otel.hits{} %d", 1000*n),
			fmt.Sprintf("crau_otel.packets.lost{reason=lost} %d", n),
			"crau_otel.processes.silent{} 3",
			fmt.Sprintf("crau_otel.ring.fill{} %g", 0.25*float64(n)),
			fmt.Sprintf("crau_otel.spans{outcome=exported} %d", 90*n),
			"crau_otel.spans{outcome=failed} 1",
		})
	}
	if asked != 2 {
		t.Errorf("health was asked for %d times by two collections", asked)
	}
}

// The exported instruments and attributes are exactly those that Instruments documents, because docs/metrics.md is
// generated from Instruments.
func TestInstrumentsAreAsDocumented(t *testing.T) {
	m := newMeter(t, 100, func() metrics.Health {
		one, lost := map[string]uint64{"one": 1}, map[string]map[limits.Class]uint64{"one": {limits.ClassUser: 1}}
		return metrics.Health{Lost: lost, Spans: one, Connections: one, PacketsLost: one, UntracedFiles: map[string]int{"one": 1}}
	})
	m.Record(known(handshake("curl")))
	m.limits.Reached(limits.Files, limits.Owner{Name: "a", Class: limits.ClassUser}, 1)
	rm := m.collect(t)
	if got := rm.Resource.String(); got != "service.name=crau-otel" {
		t.Errorf("resource is %s", got)
	}
	if len(rm.ScopeMetrics) != 1 {
		t.Fatalf("%d scopes, want one", len(rm.ScopeMetrics))
	}
	if s := rm.ScopeMetrics[0].Scope; s.Name != "github.com/crau-otel/crau-otel" || s.Version != "1.2.3" {
		t.Errorf("scope is %+v", s)
	}
	documented := make(map[string]metrics.Instrument)
	for _, i := range metrics.Instruments() {
		documented[i.Name] = i
	}
	for _, got := range rm.ScopeMetrics[0].Metrics {
		want, ok := documented[got.Name]
		delete(documented, got.Name)
		var typ string
		var keys []string
		note := func(set attribute.Set) {
			for _, kv := range set.ToSlice() {
				keys = append(keys, string(kv.Key))
			}
		}
		switch data := got.Data.(type) {
		case metricdata.Sum[int64]:
			typ = "counter"
			if !data.IsMonotonic || data.Temporality != metricdata.CumulativeTemporality {
				t.Errorf("%s is not a cumulative, monotonic sum", got.Name)
			}
			for _, p := range data.DataPoints {
				note(p.Attributes)
			}
		case metricdata.Gauge[int64]:
			typ = "gauge"
			for _, p := range data.DataPoints {
				note(p.Attributes)
			}
		case metricdata.Gauge[float64]:
			typ = "gauge"
		case metricdata.Histogram[float64]:
			typ = "histogram"
			for _, p := range data.DataPoints {
				note(p.Attributes)
			}
		}
		if !ok || typ != want.Type || got.Unit != want.Unit || got.Description != want.Meaning {
			t.Errorf("%s is a %s in %s, documented is %+v", got.Name, typ, got.Unit, want)
		}
		slices.Sort(keys)
		wanted := strings.Split(want.Attributes, ", ")
		slices.Sort(wanted)
		if got := strings.Join(slices.Compact(keys), ", "); got != strings.Join(wanted, ", ") {
			t.Errorf("%s has attributes %s, documented are %s", want.Name, got, want.Attributes)
		}
	}
	for name := range documented {
		t.Errorf("%s is documented and not exported", name)
	}
}

func TestShutdown(t *testing.T) {
	m := newMeter(t, 100, nil)
	if err := m.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := m.Shutdown(t.Context()); !errors.Is(err, sdkmetric.ErrReaderShutdown) || !strings.HasPrefix(err.Error(), "export metrics: ") {
		t.Errorf("shut down again: %v", err)
	}
	var rm metricdata.ResourceMetrics
	if err := m.reader.Collect(t.Context(), &rm); !errors.Is(err, sdkmetric.ErrReaderShutdown) {
		t.Errorf("collected after the shutdown: %v, %+v", err, rm)
	}
}

// An owner who invents names of programs, algorithms or rules cannot use up the series: later owners still get series.
func TestMadeUpNamesLeaveSeriesForOthers(t *testing.T) {
	const limit = 100
	m := newMeter(t, limit, nil)
	record := func(owner, executable, algorithm string) {
		m.Record(mapping.Tree{Owner: mapping.Owner{ID: owner}, Operations: []mapping.Operation{
			{Executable: executable, Name: "pk::sign", Algorithm: algorithm, Violations: []string{algorithm}},
			{Executable: executable, Name: "tls::handshake", Role: algorithm, Handshake: true},
		}})
	}
	for i := range 3000 {
		record("uid 1000", "evil", fmt.Sprintf("A%d", i))
		record("uid 1001", fmt.Sprintf("p%d", i), "RSA")
		record("", "made-up", fmt.Sprintf("B%d", i))
	}
	for range 50 {
		record("uid 1002", "victim", "ECDSA")
		record("system.slice/sshd.service", "sshd", "ECDSA")
	}
	for _, instrument := range []string{"crypto.operations", "crypto.policy.violations", "crypto.handshake.duration"} {
		lines := m.series(t, instrument)
		for _, name := range []string{"victim", "sshd"} {
			i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "process.executable.name="+name) })
			if i < 0 || !strings.Contains(lines[i], "} 50") {
				t.Errorf("%s of %s: %d of %d series", instrument, name, i, len(lines))
			}
		}
		if len(lines) > limit || !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "overflow=true} 8") }) {
			t.Errorf("%s: %d series:\n%s", instrument, len(lines), strings.Join(lines, "\n"))
		}
	}
}

// The SDK applies OTEL_METRICS_EXEMPLAR_FILTER. Only always_on has an effect: values are recorded without a span
// context, so trace_based selects none of them.
func TestExemplarFilterOfTheEnvironment(t *testing.T) {
	for filter, want := range map[string]bool{"": false, "trace_based": false, "always_off": false, "Always_On": true} {
		t.Setenv("OTEL_METRICS_EXEMPLAR_FILTER", filter)
		m := newMeter(t, 100, nil)
		m.Record(known(handshake("nginx")))
		exemplars, points := 0, 0
		for _, scope := range m.collect(t).ScopeMetrics {
			for _, got := range scope.Metrics {
				if data, ok := got.Data.(metricdata.Histogram[float64]); ok {
					for _, p := range data.DataPoints {
						points++
						exemplars += len(p.Exemplars)
					}
				}
			}
		}
		if points != 1 || (exemplars > 0) != want {
			t.Errorf("%q: %d exemplars in %d histograms", filter, exemplars, points)
		}
	}
}
