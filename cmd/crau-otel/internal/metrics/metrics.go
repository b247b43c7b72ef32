// SPDX-License-Identifier: Apache-2.0

// Package metrics counts operations, violations and handshakes, sampled or not, and exports the agent's own health.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/mapping"
)

// Instrument documents one instrument. docs/metrics.md is generated from these.
type Instrument struct {
	Name, Type, Unit, Attributes, Meaning string
}

// The instruments, in the order of their documentation.
var (
	operations = Instrument{
		"crypto.operations", "counter", "{operation}",
		"process.executable.name, crypto.operation, crypto.algorithm, crypto.role, crypto.pqc.status",
		"Uses of cryptography: negotiated key exchanges, signatures made and verified, public key operations. " +
			"Shares that were only offered, and the making of their keys, are not counted.",
	}
	violations = Instrument{
		"crypto.policy.violations", "counter", "{violation}",
		"process.executable.name, crypto.policy.rule", "Spans that violate a rule of the policy.",
	}
	handshakes = Instrument{
		"crypto.handshake.duration", "histogram", "s",
		"process.executable.name, crypto.operation, crypto.role, crypto.pqc.status",
		"Time from a handshake's first event to its last; the status is its key exchange's.",
	}
	hits = Instrument{
		"crau_otel.hits", "counter", "{hit}", "", "Probe hits, as the kernel counted them.",
	}
	lost = Instrument{
		"crau_otel.events.lost", "counter", "{event}", "reason",
		"Probe hits that no exported span contains: " + lossReasons() + ".",
	}
	openContexts = Instrument{
		"crau_otel.contexts.open", "gauge", "{context}", "", "Contexts in unfinished trees.",
	}
	spans = Instrument{
		"crau_otel.spans", "counter", "{span}", "outcome",
		"Spans by outcome: exported, failed, queue_full or sampled_out.",
	}
	ringFill = Instrument{
		"crau_otel.ring.fill", "gauge", "1", "", "The part of the ring buffer that waits to be read, 0 to 1.",
	}
)

// lossReasons lists the loss reasons for documentation.
func lossReasons() string {
	reasons := totals.LossReasons()
	names := make([]string, len(reasons))
	for i, r := range reasons {
		names[i] = r.Name
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Instruments returns every instrument.
func Instruments() []Instrument {
	return []Instrument{operations, violations, handshakes, hits, lost, openContexts, spans, ringFill}
}

// The attributes of the instruments.
const (
	keyExecutable = attribute.Key("process.executable.name")
	keyOperation  = attribute.Key("crypto.operation")
	keyAlgorithm  = attribute.Key("crypto.algorithm")
	keyRole       = attribute.Key("crypto.role")
	keyStatus     = attribute.Key("crypto.pqc.status")
	keyRule       = attribute.Key("crypto.policy.rule")
	keyReason     = attribute.Key("reason")
	keyOutcome    = attribute.Key("outcome")
)

// Health is the state of crau-otel: totals since it started, and current values.
type Health struct {
	Hits         uint64
	Lost         map[string]uint64 // events by reason
	Spans        map[string]uint64 // spans by outcome
	OpenContexts int
	RingFill     float64 // 0 to 1
}

// Config configures [Metrics].
type Config struct {
	Reader    sdkmetric.Reader   // required
	Resource  *resource.Resource // of crau-otel itself
	MaxSeries int                // series per instrument; further ones are counted in one overflow series
	Health    func() Health      // required; called at each collection
	Version   string             // of the instrumentation scope
}

// Metrics records operations. Record is called from one goroutine.
type Metrics struct {
	provider   *sdkmetric.MeterProvider
	maxSeries  int
	operations counter
	violations counter
	handshakes metric.Float64Histogram
	series     map[series]metric.MeasurementOption // of handshake durations
}

// New returns metrics that are collected by cfg.Reader until Shutdown.
func New(cfg Config) (*Metrics, error) {
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(cfg.Reader), sdkmetric.WithResource(cfg.Resource),
		sdkmetric.WithCardinalityLimit(cfg.MaxSeries))
	meter := provider.Meter(mapping.ScopeName, metric.WithInstrumentationVersion(cfg.Version))
	m := &Metrics{provider: provider, maxSeries: cfg.MaxSeries, series: make(map[series]metric.MeasurementOption)}

	var errs [4]error
	errs[0] = m.operations.register(meter, operations, cfg.MaxSeries)
	errs[1] = m.violations.register(meter, violations, cfg.MaxSeries)
	m.handshakes, errs[2] = meter.Float64Histogram(handshakes.Name, metric.WithUnit(handshakes.Unit),
		metric.WithDescription(handshakes.Meaning), metric.WithExplicitBucketBoundaries(
			0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	errs[3] = observe(meter, cfg.Health)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("make instruments: %w", err)
	}
	return m, nil
}

func observe(meter metric.Meter, health func() Health) error {
	var errs [5]error
	counter := func(i int, of Instrument) (c metric.Int64ObservableCounter) {
		c, errs[i] = meter.Int64ObservableCounter(of.Name, metric.WithUnit(of.Unit), metric.WithDescription(of.Meaning))
		return c
	}
	hitsCounter, lostCounter, spansCounter := counter(0, hits), counter(1, lost), counter(2, spans)
	contextsGauge, err := meter.Int64ObservableGauge(openContexts.Name, metric.WithUnit(openContexts.Unit),
		metric.WithDescription(openContexts.Meaning))
	errs[3] = err
	fillGauge, err := meter.Float64ObservableGauge(ringFill.Name, metric.WithUnit(ringFill.Unit),
		metric.WithDescription(ringFill.Meaning))
	errs[4] = err
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		h := health()
		o.ObserveInt64(hitsCounter, int64(h.Hits))
		for reason, n := range h.Lost {
			o.ObserveInt64(lostCounter, int64(n), metric.WithAttributes(keyReason.String(reason)))
		}
		for outcome, n := range h.Spans {
			o.ObserveInt64(spansCounter, int64(n), metric.WithAttributes(keyOutcome.String(outcome)))
		}
		o.ObserveInt64(contextsGauge, int64(h.OpenContexts))
		o.ObserveFloat64(fillGauge, h.RingFill)
		return nil
	}, hitsCounter, lostCounter, spansCounter, contextsGauge, fillGauge)
	return err
}

// Record counts the operations of a tree.
func (m *Metrics) Record(ops []mapping.Operation) {
	m.operations.mu.Lock()
	defer m.operations.mu.Unlock()
	m.violations.mu.Lock()
	defer m.violations.mu.Unlock()
	for i := range ops {
		op := &ops[i]
		for _, rule := range op.Violations {
			m.violations.add(series{executable: op.Executable, rule: rule})
		}
		if op.Name == "" {
			continue
		}
		s := series{executable: op.Executable, operation: op.Name, algorithm: op.Algorithm, role: op.Role, status: op.Status}
		if op.Handshake {
			m.handshakes.Record(context.Background(), op.Duration.Seconds(), m.option(s))
		} else {
			m.operations.add(s)
		}
	}
}

// option returns the attributes of a series of handshakes.
func (m *Metrics) option(s series) metric.MeasurementOption {
	if o, ok := m.series[s]; ok {
		return o
	}
	o := metric.WithAttributeSet(s.attributes())
	if len(m.series) < m.maxSeries {
		m.series[s] = o
	}
	return o
}

// Shutdown exports what was counted and ends the collection.
func (m *Metrics) Shutdown(ctx context.Context) error {
	if err := m.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	return nil
}
