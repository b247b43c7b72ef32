// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// data adds the event's pairs to its context.
func (t *Tracker) data(th *thread, ev *event.Event) {
	t.makeRoom(th, 0)
	c := th.open[ev.Context]
	if c == nil && th.isStale(nil) {
		c = th.newest.context
	}
	if c == nil {
		t.makeRoom(th, 1)
		c = t.openRoot(th, ev, nil, shape.ParentMissing)
	}
	if c.outer.context != nil {
		if name := t.nameIn(ev); name.Text != "" {
			t.settle(c, name)
		}
	}
	t.addPairs(c, ev)
}

// addPairs adds the event's pairs to the contexts they belong to, innermost being the newest of the event's id.
func (t *Tracker) addPairs(innermost *context, ev *event.Event) {
	tr := innermost.tree
	tr.events++
	tr.last = ev.Time
	t.trees.MoveToBack(tr.age)
	if ev.Flags&event.Lost != 0 {
		innermost.incomplete = true
	}
	if len(ev.Pairs) == 0 {
		innermost.last = ev.Time
	}
	for i := range ev.Pairs {
		pair := &ev.Pairs[i]
		if isName(pair) && innermost.name.Text == "" {
			innermost.name = t.interner.name(pair.Value)
			innermost.last = ev.Time
			innermost = t.joinSession(innermost)
			innermost.last = ev.Time
			continue
		}
		k := t.interner.key(pair.Key)
		if k.excluded {
			t.stats.Excluded++
			continue
		}
		c := keyOwner(innermost, &k.Key)
		c.last = ev.Time
		t.put(c, t.interner.datum(&k.Key, pair))
	}
}

// put adds a datum to c. It replaces an earlier value of the same key.
func (t *Tracker) put(c *context, d shape.Datum) {
	for i := range c.data {
		if d.Key.Same(c.data[i].Key) {
			t.bytes += d.Size() - c.data[i].Size()
			c.data[i] = d
			return
		}
	}
	if limit := t.cfg.MaxPairs; limit >= 0 && len(c.data) >= limit {
		c.dropped++
		t.stats.DroppedPairs++
		return
	}
	c.data = append(c.data, d)
	t.bytes += d.Size()
}

// nameIn returns the name that the event gives its context, if it gives one.
func (t *Tracker) nameIn(ev *event.Event) schema.Name {
	for i := range ev.Pairs {
		if isName(&ev.Pairs[i]) {
			return t.interner.name(ev.Pairs[i].Value)
		}
	}
	return schema.Name{}
}

func isName(pair *event.Pair) bool {
	return pair.Type == event.String && string(pair.Key) == schema.KeyName && len(pair.Value) > 0
}
