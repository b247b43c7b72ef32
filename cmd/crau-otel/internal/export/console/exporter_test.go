// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
)

// writes records each Write separately. If err is not nil, Write fails with err after fail calls.
type writes struct {
	texts []string
	fail  int
	err   error
}

func (w *writes) Write(text []byte) (int, error) {
	if w.err != nil && len(w.texts) >= w.fail {
		return 0, w.err
	}
	w.texts = append(w.texts, string(text))
	return len(text), nil
}

func TestExportWritesEachTreeOnce(t *testing.T) {
	t.Parallel()
	for _, format := range []string{FormatText, FormatJSON} {
		w := &writes{}
		if err := exportTrees(t.Context(), New(Config{Writer: w, Format: format}), handshakes()); err != nil {
			t.Fatal(err)
		}
		if len(w.texts) != 2 || !strings.Contains(w.texts[0], "nginx") || !strings.Contains(w.texts[1], "curl") {
			t.Errorf("%s: writes %q", format, w.texts)
		}
	}
}

func TestExportShowsALink(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		FormatText: "  another tree may be the same handshake\n",
		FormatJSON: `"links":[{"trace_id":"07000000000000000000000000000000","span_id":"0800000000000000"}]`,
	} {
		trees := handshakes()
		trees[0].Spans[0].Link.TraceID[0], trees[0].Spans[0].Link.SpanID[0] = 7, 8
		w := &writes{}
		if err := exportTrees(t.Context(), New(Config{Writer: w, Format: format}), trees); err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(w.texts, ""); strings.Count(text, want) != 1 {
			t.Errorf("%s: no %q once in\n%s", format, want, text)
		}
	}
}

func TestExportReturnsWriteError(t *testing.T) {
	t.Parallel()
	w := &writes{fail: 1, err: errors.New("no space")}
	err := exportTrees(t.Context(), New(Config{Writer: w}), handshakes())
	if !errors.Is(err, w.err) || len(w.texts) != 1 {
		t.Errorf("error %v after %d writes", err, len(w.texts))
	}
}

func TestExportStopsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &writes{}
	if err := exportTrees(ctx, New(Config{Writer: w}), handshakes()); !errors.Is(err, context.Canceled) || len(w.texts) != 0 {
		t.Errorf("error %v after %d writes", err, len(w.texts))
	}
}

func TestExportAfterShutdownFails(t *testing.T) {
	t.Parallel()
	w := &writes{}
	e := New(Config{Writer: w})
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := exportTrees(t.Context(), e, handshakes()); err == nil || len(w.texts) != 0 {
		t.Errorf("error %v after %d writes", err, len(w.texts))
	}
	if err := exportTrees(t.Context(), e, nil); err != nil {
		t.Errorf("no spans: %v", err)
	}
}

func TestExportConcurrently(t *testing.T) {
	t.Parallel()
	w := &writes{}
	e := New(Config{Writer: w})
	trees := handshakes()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := exportTrees(t.Context(), e, trees); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(w.texts) != 16 {
		t.Errorf("%d writes", len(w.texts))
	}
}

// Spans whose parent is missing, comes later or is the span itself become additional roots; no span is lost or drawn
// twice.
func TestForestBrokenLinks(t *testing.T) {
	t.Parallel()
	s := stub{}
	s.add(-1, "root", 0, 0)
	s.add(0, "child", 0, 0)
	self := s.add(-1, "own parent", 0, 0)
	a := s.add(-1, "cycle a", 0, 0)
	b := s.add(a, "cycle b", 0, 0)
	s.Spans[self].ParentID = s.id(self)
	s.Spans[a].ParentID = s.id(b)
	s.Spans = append(s.Spans, mapping.Span{Name: "no ids"}, mapping.Span{Name: "no ids either"})

	var got []string
	for _, root := range forest(&s.Tree) {
		var names []string
		root.walk(func(n *node, _ []bool) { names = append(names, n.span.Name) })
		got = append(got, strings.Join(names, " > "))
	}
	const want = "root > child; own parent; cycle a > cycle b; no ids; no ids either"
	if strings.Join(got, "; ") != want {
		t.Errorf("got %s", strings.Join(got, "; "))
	}
}

// The text of a tree that is one long chain grows only in proportion to the number of its spans.
func TestDeepTreeStaysSmall(t *testing.T) {
	t.Parallel()
	const depth = 4096
	s := stub{}
	for i := range depth {
		s.add(i-1, "x", 0, 0)
	}
	var b bytes.Buffer
	if err := exportTrees(t.Context(), New(Config{Writer: &b}), []mapping.Tree{s.Tree}); err != nil {
		t.Fatal(err)
	}
	if b.Len() > depth*150 {
		t.Errorf("%d bytes", b.Len())
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                         "0 µs",
		1:                         "0.001 µs",
		999:                       "0.999 µs",
		time.Microsecond:          "1.00 µs",
		9_994:                     "9.99 µs",
		9_995:                     "10.0 µs",
		99_950:                    "100 µs",
		999_499:                   "999 µs",
		999_500:                   "1.00 ms",
		999_499_999:               "999 ms",
		999_500_000:               "1.00 s",
		time.Hour:                 "3600 s",
		-1_500 * time.Microsecond: "-1.50 ms",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d: %q, want %q", int64(d), got, want)
		}
	}
}

// Whatever the strings contain, the output has only printable characters, the line feeds of the exporter and, if
// configured, its colours.
func FuzzOutputIsHarmless(f *testing.F) {
	f.Add("tls.handshake", "tls.group", "x25519")
	f.Add("\x1b[2J", "a\u202eb", "\u009b\xff\r\n\U000e0041\u00ad")
	f.Fuzz(func(t *testing.T, name, key, text string) {
		s := stub{}
		root := s.add(-1, name, 0, time.Second, attribute.String(key, text), attribute.StringSlice("l", []string{text, name}),
			attribute.String(endKey, text), attribute.Map("m", attribute.String(key, text)))
		s.Spans[root].Status.Code, s.Spans[root].Status.Description = 1, text
		for _, cfg := range []Config{{}, {Color: true}, {Format: FormatJSON}} {
			var b bytes.Buffer
			cfg.Writer = &b
			if err := exportTrees(t.Context(), New(cfg), []mapping.Tree{s.Tree}); err != nil {
				t.Fatal(err)
			}
			out := b.String()
			if cfg.Color {
				out = strings.NewReplacer(bold, "", dim, "", red, "", cyan, "", reset, "").Replace(out)
			}
			for _, r := range out {
				if r != '\n' && (!unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)) {
					t.Fatalf("format %q, color %v: %U in %q", cfg.Format, cfg.Color, r, out)
				}
			}
			if cfg.Format == FormatJSON && strings.Count(out, "\n") != 1 {
				t.Fatalf("not one line: %q", out)
			}
		}
	})
}

func TestWriterWithoutAReader(t *testing.T) {
	t.Parallel()
	w := &writes{err: &fs.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}}
	if err := exportTrees(t.Context(), New(Config{Writer: w}), handshakes()); !errors.Is(err, export.ErrClosed) {
		t.Errorf("error is %v", err)
	}
}
