// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/memo"
)

// Health is the state of crau-otel: totals since it started, and current values.
type Health struct {
	Hits  uint64
	Lost  map[string]map[limits.Class]uint64 // lost hits by loss reason and class of owner
	Spans map[string]uint64                  // spans by outcome, such as exported
	// ConnectionsSeen is the number of connections, Connections counts connections by outcome, and PacketsLost counts
	// packets by reason. All three are 0 or nil if connections are not examined.
	ConnectionsSeen uint64
	Connections     map[string]uint64
	PacketsLost     map[string]uint64
	OpenContexts    int
	// UntracedFiles counts the known files that are not traced, by reason.
	UntracedFiles   map[string]int
	SilentProcesses int     // processes that discovery has set aside because they do not answer
	RingFill        float64 // part of the ring buffer that waits to be read, 0 to 1
}

// Config configures [Metrics].
type Config struct {
	Reader    sdkmetric.Reader   // required
	Resource  *resource.Resource // resource of crau-otel itself, not of the observed programs
	MaxSeries int                // maximum series of an instrument, including the overflow series; 0 means no limit
	Health    func() Health      // required; called at each collection
	Version   string             // version of the instrumentation scope
	Limits    *limits.Monitor    // its counts are exported, and operations without a series are reported to it; may be nil
	Log       *slog.Logger       // nil means that nothing is logged
}

// Metrics records operations. Record must not be called concurrently.
type Metrics struct {
	provider   *sdkmetric.MeterProvider
	limits     *limits.Monitor
	log        *slog.Logger
	operations counter
	violations counter
	handshakes histogram
	recipes    memo.Table[recipeKey, *recipe]
}

// New registers the instruments, from which cfg.Reader collects until [Metrics.Shutdown] is called.
func New(cfg Config) (*Metrics, error) {
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(cfg.Reader), sdkmetric.WithResource(cfg.Resource),
		sdkmetric.WithCardinalityLimit(0)) // no limit in the SDK: type shares limits the series
	meter := provider.Meter(mapping.ScopeName, metric.WithInstrumentationVersion(cfg.Version))
	overflowMeter := provider.Meter(mapping.ScopeName, metric.WithInstrumentationVersion(cfg.Version),
		metric.WithInstrumentationAttributes(overflow))
	m := &Metrics{
		provider: provider, limits: cfg.Limits, log: cfg.Log,
		recipes: memo.New[recipeKey, *recipe](rememberedRecipes),
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}

	var errs [4]error
	errs[0] = m.operations.register(meter, operations, cfg.MaxSeries)
	errs[1] = m.violations.register(meter, violations, cfg.MaxSeries)
	errs[2] = m.handshakes.register(meter, overflowMeter, handshakes, cfg.MaxSeries)
	errs[3] = observe(meter, cfg.Health, cfg.Limits)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("make instruments: %w", err)
	}
	return m, nil
}

// observe registers the instruments that export Health and the counts of the monitor.
func observe(meter metric.Meter, health func() Health, monitor *limits.Monitor) error {
	var errs [11]error
	counter := func(i int, of Instrument) (c metric.Int64ObservableCounter) {
		c, errs[i] = meter.Int64ObservableCounter(of.Name, metric.WithUnit(of.Unit), metric.WithDescription(of.Meaning))
		return c
	}
	hitsCounter, lostCounter, spansCounter, reachedCounter := counter(0, hits), counter(1, lost), counter(2, spans), counter(3, reached)
	seenCounter, connectionCounter, packetCounter := counter(6, connectionsSeen), counter(7, connections), counter(8, packetsLost)
	gauge := func(i int, of Instrument) (g metric.Int64ObservableGauge) {
		g, errs[i] = meter.Int64ObservableGauge(of.Name, metric.WithUnit(of.Unit), metric.WithDescription(of.Meaning))
		return g
	}
	untracedGauge, silentGauge := gauge(9, untracedFiles), gauge(10, silentProcesses)
	contextsGauge := gauge(4, openContexts)
	fillGauge, err := meter.Float64ObservableGauge(ringFill.Name, metric.WithUnit(ringFill.Unit),
		metric.WithDescription(ringFill.Meaning))
	errs[5] = err
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		h := health()
		o.ObserveInt64(hitsCounter, int64(h.Hits))
		for reason, of := range h.Lost {
			for class, n := range of {
				o.ObserveInt64(lostCounter, int64(n), metric.WithAttributes(keyReason.String(reason), keyOwnerClass.String(string(class))))
			}
		}
		for outcome, n := range h.Spans {
			o.ObserveInt64(spansCounter, int64(n), metric.WithAttributes(keyOutcome.String(outcome)))
		}
		if h.Connections != nil {
			o.ObserveInt64(seenCounter, int64(h.ConnectionsSeen))
		}
		for outcome, n := range h.Connections {
			o.ObserveInt64(connectionCounter, int64(n), metric.WithAttributes(keyOutcome.String(outcome)))
		}
		for reason, n := range h.PacketsLost {
			o.ObserveInt64(packetCounter, int64(n), metric.WithAttributes(keyReason.String(reason)))
		}
		for reason, n := range h.UntracedFiles {
			o.ObserveInt64(untracedGauge, int64(n), metric.WithAttributes(keyReason.String(reason)))
		}
		o.ObserveInt64(silentGauge, int64(h.SilentProcesses))
		o.ObserveInt64(contextsGauge, int64(h.OpenContexts))
		o.ObserveFloat64(fillGauge, h.RingFill)
		monitor.Each(func(l limits.Limit, c limits.Class, n uint64) {
			o.ObserveInt64(reachedCounter, int64(n), metric.WithAttributes(keyLimit.String(string(l)), keyOwnerClass.String(string(c))))
		})
		return nil
	}, hitsCounter, lostCounter, spansCounter, reachedCounter, seenCounter, connectionCounter, packetCounter,
		untracedGauge, silentGauge, contextsGauge, fillGauge)
	return err
}

// Record counts the operations of a tree.
func (m *Metrics) Record(t mapping.Tree) {
	m.operations.mu.Lock()
	defer m.operations.mu.Unlock()
	m.violations.mu.Lock()
	defer m.violations.mu.Unlock()
	key := recipeKey{process: processOf(&t)}
	if len(t.Spans) > 0 {
		key.pattern, _, _ = t.Spans[0].Pattern()
	}
	if key.pattern == 0 {
		m.recipe(&t, key.process).follow(t.Operations)
		return
	}
	if known := m.recipes.Get(key.pattern, key); known != nil {
		(*known).follow(t.Operations)
		return
	}
	r := m.recipe(&t, key.process)
	r.follow(t.Operations)
	if r.admitted {
		m.recipes.Put(key.pattern, key, r)
	}
}

// recipe returns a new recipe for a tree. The caller must hold the locks of m.operations and m.violations.
func (m *Metrics) recipe(t *mapping.Tree, process process) *recipe {
	r := &recipe{admitted: true}
	for i := range t.Operations {
		op := &t.Operations[i]
		owner := t.Owner.ID
		if owner == "" {
			owner = op.Executable
		}
		note := func(admitted bool) {
			m.note(owner, process.class, admitted)
			r.admitted = r.admitted && admitted
		}
		for _, rule := range op.Violations {
			n, admitted := m.violations.of(owner, series{executable: op.Executable, rule: rule, process: process, file: op.Library})
			r.counts = append(r.counts, n)
			note(admitted)
		}
		switch {
		case op.Name == "":
		case op.Handshake:
			d, admitted := m.handshakes.of(owner, seriesOf(op, process))
			d.operation = i
			r.durations = append(r.durations, d)
			note(admitted)
		default:
			n, admitted := m.operations.of(owner, seriesOf(op, process))
			r.counts = append(r.counts, n)
			note(admitted)
		}
	}
	return r
}

// note reports to the limits that no series was admitted for an operation or violation of an owner. If admitted is
// true, it does nothing.
func (m *Metrics) note(owner, class string, admitted bool) {
	if admitted {
		return
	}
	of := limits.Owner{Name: owner, Class: limits.ClassUnknown}
	if class != "" {
		of.Class = limits.Class(class)
	}
	if count, due := m.limits.Reached(limits.Series, of, 1); due {
		m.log.Warn("operations are counted in the series otel.metric.overflow: their owner has used up its share of series",
			"owner", owner, "count", count)
	}
}

// Shutdown makes the reader collect and export the current values a last time.
func (m *Metrics) Shutdown(ctx context.Context) error {
	if err := m.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	return nil
}
