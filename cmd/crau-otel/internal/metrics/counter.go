// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

// series holds the attribute values that identify a series of an instrument.
type series struct {
	executable, operation, algorithm, role, rule string
	status                                       registry.Status
}

func (s *series) attributes() attribute.Set {
	var attrs []attribute.KeyValue
	for _, a := range []attribute.KeyValue{
		keyExecutable.String(s.executable), keyOperation.String(s.operation), keyAlgorithm.String(s.algorithm),
		keyRole.String(s.role), keyStatus.String(s.status.String()), keyRule.String(s.rule),
	} {
		if a.Value.AsString() != "" {
			attrs = append(attrs, a)
		}
	}
	return attribute.NewSet(attrs...)
}

// counter counts by series and is read at each collection. The SDK's own counters take 150 ns for an addition, mostly
// to process the attributes, and each handshake needs six.
type counter struct {
	limit int // maximum number of series, including the overflow series; 0 means no limit

	mu       sync.Mutex
	known    map[series]*count
	all      []*count // in order of creation, so that the same series stay below the limit
	overflow *count
	recent   [recent]*count // cache of recently used series, by place; faster than a lookup in known
}

// recent is the size of the cache of series; a power of two.
const recent = 128

type count struct {
	series
	option metric.ObserveOption
	n      int64
}

func (c *counter) register(meter metric.Meter, of Instrument, limit int) error {
	c.limit, c.known = limit, make(map[series]*count)
	// The overflow attribute that the OpenTelemetry specification defines under "Cardinality limits".
	c.overflow = &count{option: metric.WithAttributes(attribute.Bool("otel.metric.overflow", true))}
	_, err := meter.Int64ObservableCounter(of.Name, metric.WithUnit(of.Unit), metric.WithDescription(of.Meaning),
		metric.WithInt64Callback(c.observe))
	return err
}

func (c *counter) observe(_ context.Context, o metric.Int64Observer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.all {
		o.Observe(n.n, n.option)
	}
	if c.overflow.n > 0 {
		o.Observe(c.overflow.n, c.overflow.option)
	}
	return nil
}

// place returns the index of a series in the cache.
func (s *series) place() int {
	h := int(s.status)
	for _, text := range []string{s.operation, s.algorithm, s.role, s.rule} {
		h *= 31
		if n := len(text); n > 0 {
			h += n ^ int(text[0])<<1 ^ int(text[n-1])<<3
		}
	}
	return h % recent
}

// add counts one. The caller holds the lock.
func (c *counter) add(s series) {
	r := &c.recent[s.place()]
	if *r != nil && (*r).series == s {
		(*r).n++
		return
	}
	n := c.count(s)
	n.n++
	if n != c.overflow {
		*r = n
	}
}

func (c *counter) count(s series) *count {
	if n, ok := c.known[s]; ok {
		return n
	}
	if c.limit > 0 && len(c.all) >= c.limit-1 {
		return c.overflow
	}
	n := &count{series: s, option: metric.WithAttributeSet(s.attributes())}
	c.known[s] = n
	c.all = append(c.all, n)
	return n
}
