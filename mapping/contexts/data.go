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
	c := th.ownContext(ev.Context, ev.File)
	if c == nil {
		if foreign := th.open[ev.Context]; foreign != nil {
			t.addForeign(foreign, ev)
			return
		}
	}
	if c == nil && th.isStale(nil) && th.newest.context.file == ev.File {
		c = th.newest.context
	}
	if c == nil && fromWire(ev) {
		th.forgetIfEmpty()
		return // the tree was evicted, or is part of a library's
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
	if !fromWire(ev) {
		tr.events++
	}
	tr.last = ev.Time
	t.touch(tr)
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

// maxForeign bounds the pairs of other files in one context, which take no room from its own.
const maxForeign = 16

// addForeign adds the event's pairs to a context that another file opened. They are kept apart: a file cannot change
// what another one reports, nor name its contexts.
func (t *Tracker) addForeign(c *context, ev *event.Event) {
	tr := c.tree
	tr.events++
	tr.last = ev.Time
	t.touch(tr)
	for i := range ev.Pairs {
		pair := &ev.Pairs[i]
		k := t.interner.key(pair.Key)
		if k.excluded {
			t.stats.Excluded++
			continue
		}
		t.stats.ForeignPairs++
		d := t.interner.datum(&k.Key, pair)
		d.Foreign, d.File = true, ev.File
		t.put(c, d)
	}
}

// put adds a datum to c. It replaces an earlier value of the same key, but a value from another file never replaces one
// from the file that opened the context.
func (t *Tracker) put(c *context, d shape.Datum) {
	for i := range c.data {
		if d.Key.Same(c.data[i].Key) && d.Foreign == c.data[i].Foreign {
			c.tree.owner.use(0, d.Size()-c.data[i].Size())
			c.data[i] = d
			return
		}
	}
	limit, has := t.cfg.MaxPairs, len(c.data)-c.foreign
	if d.Foreign {
		limit, has = maxForeign, c.foreign
	}
	if limit >= 0 && has >= limit {
		c.dropped++
		t.stats.DroppedPairs[c.tree.owner.Class]++
		return
	}
	if d.Foreign {
		c.foreign++
	}
	c.data = append(c.data, d)
	c.tree.owner.use(0, d.Size())
}

// nameIn returns the name of the context, if the event reports it.
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
