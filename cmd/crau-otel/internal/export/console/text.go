// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"github.com/crau-otel/crau-otel/mapping"
)

const (
	// bookkeeping is the prefix of attributes about crau-otel's own work, not about the observed program.
	bookkeeping = "crypto.context."
	// library is the prefix of attributes about the file that reported a span.
	library = "crypto.library."
	// endKey is the key of the end reason of a context. The header shows the end reason of the root. For other spans it is
	// omitted, because most of them were superseded by the next span.
	endKey = bookkeeping + "end"
	// idKey is the key of the id of a context. It is omitted, because a person sees from the tree how spans are related.
	idKey = bookkeeping + "id"
	// userKey is the key of the class of the user. It is omitted, because it is only meant for queries that exclude
	// programs of some users.
	userKey = "crypto.process.user_class"

	timeLayout = "2006-01-02 15:04:05.000"
	gap        = "  "

	// The column of names is as wide as the longest name of the tree, within these bounds; longer names stick out.
	minNames, maxNames = 24, 52
	// durationWidth is the width of the column of durations, enough for -99.9 ms and 99999 s.
	durationWidth = 8
	// maxBars is the largest number of levels that are drawn, so that a deep tree of a hostile program cannot produce
	// lines of megabytes.
	maxBars = 12
)

// ANSI SGR sequences.
const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
	cyan  = "\x1b[36m"
	plain = ""
	reset = "\x1b[0m"
)

// A painter draws trees.
type painter struct {
	color bool
	width int
	zone  *time.Location
}

func newPainter(cfg Config, zone *time.Location) *painter {
	p := &painter{color: cfg.Color, width: cfg.Width, zone: zone}
	if p.width <= 0 {
		p.width = defaultWidth
	}
	return p
}

// render draws a tree, followed by a blank line.
func (p *painter) render(root *node) ([]byte, error) {
	var b bytes.Buffer
	p.header(&b, root)
	names := minNames
	root.walk(func(n *node, last []bool) {
		names = max(names, min(columns(branch(last))+columns(Phrase(n.span.Name)), maxNames))
	})
	root.walk(func(n *node, last []bool) { p.line(&b, n, last, names) })
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// header writes the first line of a tree: the start, the program, the end reason and, if the tree is only a part of a
// tree, the id of the span that it belongs below.
func (p *painter) header(b *bytes.Buffer, root *node) {
	service := "(no service.name)"
	if v, ok := root.resource.Set().Value("service.name"); ok {
		service = value(v)
	}
	p.paint(b, dim, root.span.Start.In(p.zone).Format(timeLayout))
	b.WriteString(gap)
	p.paint(b, bold, service)
	for _, a := range root.span.Attributes() {
		if a.Key == endKey {
			p.paint(b, dim, gap+"ended: "+value(a.Value))
		}
	}
	if parent := root.span.ParentID; parent.IsValid() {
		p.paint(b, dim, gap+"part of: "+parent.String())
	}
	if root.span.Link.IsValid() {
		p.paint(b, dim, gap+"another tree may be the same handshake")
	}
	b.WriteByte('\n')
}

// line writes a span: the branches, the name, the duration and the values. Values that do not fit continue on the next
// line, beside the bars.
func (p *painter) line(b *bytes.Buffer, n *node, last []bool, names int) {
	style := plain
	if len(last) == 0 {
		style = bold
	}
	if n.span.Status.Code == codes.Error {
		style = red
	}
	bars, name := branch(last), Phrase(n.span.Name)
	p.paint(b, dim, bars)
	p.paint(b, style, name)
	used := columns(bars) + columns(name)
	pad(b, names-used)
	fmt.Fprintf(b, gap+"%*s", durationWidth, duration(n.span.End.Sub(n.span.Start)))

	start := names + len(gap) + durationWidth
	at := max(used-names, 0) + start
	room := true // the first value is never wrapped, however long it is
	for _, v := range values(n.span) {
		if !room && at+len(gap)+v.columns() > p.width {
			b.WriteByte('\n')
			hanging := continuation(n, last)
			p.paint(b, dim, hanging)
			pad(b, start-columns(hanging))
			at = start
		}
		b.WriteString(gap)
		p.paint(b, v.keyStyle, v.key)
		p.paint(b, v.style, v.text)
		at += len(gap) + v.columns()
		room = false
	}
	b.WriteByte('\n')
}

// A cell is a value with its key.
type cell struct {
	key, text       string
	keyStyle, style string
}

func (c cell) columns() int { return columns(c.key) + columns(c.text) }

// values returns the cells to show for a span: an error first, then attributes, and attributes about bookkeeping and
// the library last. Some attributes are omitted; they are only in JSON.
func values(span *mapping.Span) []cell {
	var first, last []cell
	if s := span.Status; s.Code == codes.Error {
		c := cell{key: "error", keyStyle: red, style: red}
		if s.Description != "" {
			c.key, c.text = "error: ", value(attribute.StringValue(s.Description))
		}
		first = append(first, c)
	}
	for _, a := range span.Attributes() {
		if a.Key == endKey || a.Key == idKey || a.Key == userKey || isCodepoint(a.Key) || isLibraryDetail(a) {
			continue
		}
		c := cell{key: word(string(a.Key), "=") + "=", text: value(a.Value), keyStyle: cyan}
		if strings.HasPrefix(string(a.Key), bookkeeping) || strings.HasPrefix(string(a.Key), library) {
			c.keyStyle, c.style = dim, dim
			last = append(last, c)
		} else {
			first = append(first, c)
		}
	}
	return append(first, last...)
}

// isCodepoint reports whether key is the key of a TLS number, such as tls.group.id. Numbers are omitted, because
// another attribute shows the name.
func isCodepoint(key attribute.Key) bool {
	return strings.HasPrefix(string(key), "tls.") &&
		(strings.HasSuffix(string(key), ".id") || strings.HasSuffix(string(key), "_id"))
}

// isLibraryDetail reports whether a is an attribute of a library that is omitted. Only two are shown: the name of the
// library, and crypto.library.trusted if it is false.
func isLibraryDetail(a attribute.KeyValue) bool {
	detail, ok := strings.CutPrefix(string(a.Key), library)
	return ok && detail != "name" && (detail != "trusted" || a.Value.AsBool())
}

// branch returns the bars and the branch before a name. In a deep tree, only the innermost levels are drawn.
func branch(last []bool) string {
	if len(last) == 0 {
		return ""
	}
	own := "├─ "
	if last[len(last)-1] {
		own = "└─ "
	}
	return bars(last[:len(last)-1], maxBars-1) + own
}

// continuation returns the bars at the beginning of the continuation lines of n.
func continuation(n *node, last []bool) string {
	s := bars(last, maxBars)
	if len(n.children) > 0 {
		s += "│"
	}
	return s
}

// bars returns a column for each of the innermost levels, up to limit: a bar if another child follows on the level,
// else blanks. If outer levels are omitted, their number comes first.
func bars(last []bool, limit int) string {
	var b strings.Builder
	if hidden := len(last) - limit; hidden > 0 {
		fmt.Fprintf(&b, "+%d ", hidden)
		last = last[hidden:]
	}
	for _, l := range last {
		if l {
			b.WriteString("   ")
		} else {
			b.WriteString("│  ")
		}
	}
	return b.String()
}

// duration formats d with three significant digits in the largest unit that fits. Durations below a microsecond are
// shown in microseconds with three decimals.
func duration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"µs", time.Microsecond}, {"ms", time.Millisecond}, {"s", time.Second}} {
		n := float64(d) / float64(unit.size)
		digits := 0
		switch {
		case d == 0:
		case d < time.Microsecond:
			digits = 3
		case n < 9.995:
			digits = 2
		case n < 99.95:
			digits = 1
		case n >= 999.5 && unit.size < time.Second:
			continue
		}
		return fmt.Sprintf("%s%.*f %s", sign, digits, n, unit.name)
	}
	panic("unreachable: the last unit takes everything")
}

func (p *painter) paint(b *bytes.Buffer, style, text string) {
	if !p.color || style == plain || text == "" {
		b.WriteString(text)
		return
	}
	b.WriteString(style)
	b.WriteString(text)
	b.WriteString(reset)
}

func pad(b *bytes.Buffer, n int) { b.WriteString(strings.Repeat(" ", max(n, 0))) }

func columns(s string) int { return utf8.RuneCountInString(s) }
