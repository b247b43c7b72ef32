// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// addPairs adds the event's pairs to the contexts they belong to. innermost is the newest open context with the event's
// id.
func (t *Tracker) addPairs(innermost *context, ev *event.Event) {
	tr := innermost.tree
	if !fromWire(ev) {
		tr.events++
	}
	tr.last = ev.Time
	t.open.touch(tr)
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
			innermost = t.open.joinSession(innermost)
			innermost.last = ev.Time
			continue
		}
		k := t.interner.key(pair.Key)
		if k.excluded {
			t.stats.Excluded++
			continue
		}
		key := k.of(ev)
		c := keyOwner(innermost, key)
		c.last = ev.Time
		t.open.put(c, t.interner.datum(key, pair))
	}
}

// addForeign adds the event's pairs to a context that another file opened. These pairs are marked as foreign: a file
// can neither change what another file reports, nor name its contexts.
func (t *Tracker) addForeign(c *context, ev *event.Event) {
	tr := c.tree
	tr.events++
	tr.last = ev.Time
	t.open.touch(tr)
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
		t.open.put(c, d)
	}
}

// nameIn returns the name in the event's pairs, or the zero Name if there is none.
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
