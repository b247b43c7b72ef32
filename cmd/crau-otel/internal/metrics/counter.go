// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/metric"
)

// counter counts by series and is read at each collection. It is used instead of the SDK's counters because an addition
// to one of those takes 150 ns, mostly for processing attributes, and each handshake needs six additions.
type counter struct {
	mu       sync.Mutex
	shares   shares
	known    map[series]*count
	all      []*count // the values of known, in order of creation
	overflow *count   // count of the overflow series
}

// count is the value of a series.
type count struct {
	option metric.ObserveOption
	n      int64
}

func (c *counter) register(meter metric.Meter, of Instrument, limit int) error {
	c.shares, c.known = newShares(limit), make(map[series]*count)
	c.overflow = &count{option: metric.WithAttributes(overflow)}
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

// of returns the count for a series. If the owner may not add the series, admitted is false and n is the count of the
// overflow series. The caller must hold c.mu.
func (c *counter) of(owner string, s series) (n *count, admitted bool) {
	if n, ok := c.known[s]; ok {
		return n, true
	}
	if !c.shares.admit(owner) {
		return c.overflow, false
	}
	n = &count{option: metric.WithAttributeSet(s.attributes())}
	c.known[s] = n
	c.all = append(c.all, n)
	return n, true
}

// histogram is a histogram of the SDK whose series are limited by shares. The overflow series belongs to a separate
// instrument in a separate scope: once the SDK has seen the attribute otel.metric.overflow in an instrument, it adds
// all values of new series to the overflow series.
type histogram struct {
	admitted, overflowing metric.Float64Histogram

	shares   shares
	known    map[series][]metric.RecordOption
	overflow []metric.RecordOption
}

func (h *histogram) register(meter, overflowMeter metric.Meter, of Instrument, limit int) error {
	h.shares, h.known = newShares(limit), make(map[series][]metric.RecordOption)
	h.overflow = []metric.RecordOption{metric.WithAttributes(overflow)}
	options := []metric.Float64HistogramOption{
		metric.WithUnit(of.Unit), metric.WithDescription(of.Meaning),
		metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
	}
	var errs [2]error
	h.admitted, errs[0] = meter.Float64Histogram(of.Name, options...)
	h.overflowing, errs[1] = overflowMeter.Float64Histogram(of.Name, options...)
	return errors.Join(errs[:]...)
}

// duration describes how to record the duration of a handshake.
type duration struct {
	operation int // index of the handshake in Tree.Operations
	in        metric.Float64Histogram
	options   []metric.RecordOption // a slice, so that Record does not have to allocate one for its variadic argument
}

// of returns how to record a duration in a series. If the owner may not add the series, admitted is false and d records
// in the overflow series.
func (h *histogram) of(owner string, s series) (d duration, admitted bool) {
	options, ok := h.known[s]
	if !ok {
		if !h.shares.admit(owner) {
			return duration{in: h.overflowing, options: h.overflow}, false
		}
		options = []metric.RecordOption{metric.WithAttributeSet(s.attributes())}
		h.known[s] = options
	}
	return duration{in: h.admitted, options: options}, true
}
