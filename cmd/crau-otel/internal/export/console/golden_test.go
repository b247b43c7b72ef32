// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
)

var update = flag.Bool("update", false, "write the golden files")

// zone is a time zone that no machine that runs the tests is likely to use.
var zone = time.FixedZone("test", 5*3600+45*60)

var begin = time.Date(2026, 3, 1, 8, 18, 22, 123_456_789, time.UTC)

// A stub builds the spans of one trace, in the order of calls of add.
type stub struct {
	mapping.Tree

	trace byte
}

// add appends a span and returns its index. parent is the index of an earlier span, or -1 for a root. from and to are
// offsets from begin.
func (s *stub) add(parent int, name string, from, to time.Duration, attributes ...attribute.KeyValue) int {
	if s.Spans == nil {
		s.Resource = resource.NewSchemaless(attribute.String("service.name", "nginx"), attribute.Int("process.pid", 4711))
	}
	n := len(s.Spans)
	span := mapping.Span{
		Name:    name,
		TraceID: trace.TraceID{0x4b, 0xf9, 15: s.trace},
		SpanID:  s.id(n),
		Kind:    trace.SpanKindInternal,
		Start:   begin.Add(from),
		End:     begin.Add(to),
	}
	span.SetAttributes(attributes)
	if parent >= 0 {
		span.ParentID = s.id(parent)
	}
	s.Spans = append(s.Spans, span)
	return n
}

func (s *stub) id(n int) trace.SpanID {
	return trace.SpanID{0xa0, 6: byte((n + 1) >> 8), 7: byte(n + 1)}
}

const ms, us = time.Millisecond, time.Microsecond

var (
	str = attribute.String
	num = attribute.Int
	yes = attribute.Bool
)

func contextID(n int) attribute.KeyValue {
	return str("crypto.context.id", fmt.Sprintf("9f86d081884c7d659a2feaa0c55ad0%02x", n))
}

// handshakes returns the trees of two handshakes, the second of which failed.
func handshakes() []mapping.Tree {
	s := stub{trace: 1}
	root := s.add(-1, "tls.handshake", 0, 12_345*us,
		contextID(1), str("crypto.context.end", "idle"),
		str("tls.role", "server"), str("tls.protocol_version", "TLS 1.3"), str("tls.group", "X25519MLKEM768"),
		str("crypto.post_quantum.key_exchange", "hybrid"), str("crypto.post_quantum.authentication", "classical"))
	s.Spans[root].Kind = trace.SpanKindServer
	kx := s.add(root, "tls.key_exchange", 100*us, 1_302*us, contextID(2), str("crypto.context.end", "superseded"), str("tls.group", "X25519MLKEM768"), num("tls.group.code", 4588))
	s.add(kx, "pk.generate", 120*us, 212*us, contextID(3), str("pk.algorithm", "X25519"), num("pk.bits", 256))
	s.add(kx, "pk.encapsulate", 300*us, 353_100*time.Nanosecond, contextID(4), str("pk.algorithm", "ML-KEM-768"))
	s.add(kx, "pk.derive", 400*us, 400_520*time.Nanosecond, contextID(5), str("pk.algorithm", "X25519"), yes("pk.static", false))
	sign := s.add(root, "tls.sign", 2*ms, 4*ms, contextID(6), str("tls.signature_algorithm", "rsa_pss_rsae_sha256"))
	s.add(sign, "pk.sign", 2100*us, 3900*us, contextID(7), str("pk.algorithm", "RSA"), num("pk.bits", 2048), str("pk.hash", "SHA2-256"))

	f := stub{trace: 2}
	root = f.add(-1, "tls.handshake", 1500*ms, 2750*ms, str("crypto.context.end", "process_exit"), str("tls.role", "client"))
	chain := f.add(root, "tls.verify_cert_chain", 1600*ms, 2*time.Second)
	f.add(chain, "pk.verify", 1700*ms, 1700*ms)
	f.Spans[chain].Status = sdktrace.Status{Code: codes.Error, Description: "certificate expired"}
	f.Spans[chain+1].Status = sdktrace.Status{Code: codes.Error}
	f.Resource = resource.NewSchemaless(str("service.name", "curl"))
	return []mapping.Tree{s.Tree, f.Tree}
}

// shapes returns trees of unusual form: a deep one, a wide one, and one without its root.
func shapes() []mapping.Tree {
	deep := stub{trace: 1}
	parent := -1
	for i := range 18 {
		parent = deep.add(parent, fmt.Sprintf("level.%d", i), 0, time.Duration(i)*us,
			str("a.long.key.that.fills.the.line", strings.Repeat("x", 40)), num("n", i), contextID(i))
		if i%4 == 2 {
			deep.add(parent, "leaf", 0, us)
		}
	}

	wide := stub{trace: 2}
	root := wide.add(-1, "wide", 0, 75*time.Second)
	for i := range 12 {
		wide.add(root, "a.name.that.is.longer.than.its.column."+strings.Repeat("z", i*2), 0, time.Duration(math.Pow10(i)))
	}

	orphan := stub{trace: 3}
	orphan.add(-1, "elsewhere", 0, ms)
	child := orphan.add(0, "orphan", 0, ms)
	orphan.add(child, "below the orphan", 0, -ms)
	orphan.Spans = orphan.Spans[1:]
	orphan.Resource = nil

	return []mapping.Tree{deep.Tree, wide.Tree, orphan.Tree}
}

// oddValues returns a tree with attributes of every type, some of them hostile.
func oddValues() []mapping.Tree {
	s := stub{trace: 1}
	root := s.add(-1, "types", 0, 0,
		str("empty", ""), yes("bool", true), num("int", -1), attribute.Int64("big", math.MaxInt64),
		attribute.Float64("float", 0.25), attribute.Float64("nan", math.NaN()),
		attribute.BoolSlice("bools", []bool{true, false}), attribute.IntSlice("ints", []int{1, 2, 3}),
		attribute.Float64Slice("floats", []float64{0.5, math.Inf(-1)}),
		attribute.StringSlice("strings", []string{"a", "b c", "", "d,e", "]"}), attribute.StringSlice("none", nil),
		attribute.ByteSlice("bytes", []byte{0, 255}),
		attribute.Map("map", str("k", "v \u202e"), attribute.Slice("l", attribute.IntValue(1), attribute.StringValue("x"))))
	s.add(root, "no attributes", 0, us)
	s.add(root, "one long value", 0, us, str("pem", strings.Repeat("MIIB", 40)), str("after", "it"), str("and", "this"))
	hostile := s.add(root, "\x1b[2Jpwned\r\n", 0, us,
		str("escape", "\x1b]0;title\a"), str("c1", "\u009b31m"), str("bidi", "user\u202etxt.exe"), str("lines", "a\nb\tc"),
		str("hidden", "a\u200bb"), str("nbsp", "a\u00a0b"), str("invalid", "a\xffb"), str("tag", "\U000e0041"), str("quote", `say "hi"`),
		str("backslash", `C:\x`), str("like a list", "[1,2]"), str("key=with", "equals"), str("base64", "YWI="), str("\x1b[31mkey", "v"),
		str("letters", "日本語"))
	s.Spans[hostile].Status = sdktrace.Status{Code: codes.Error, Description: "bad\x1b[0m thing"}
	s.add(root, "gaps   12 ms  fake=1", 0, us)
	s.add(root, "", 0, us)
	s.Resource = resource.NewSchemaless(str("service.name", "evil\x1b[2K service"))
	return []mapping.Tree{s.Tree}
}

func TestDrawnTreesAreTheGoldenOnes(t *testing.T) {
	t.Parallel()
	for name, trees := range map[string][]mapping.Tree{
		"handshakes": handshakes(), "shapes": shapes(), "values": oddValues(),
	} {
		for _, test := range []struct {
			suffix string
			cfg    Config
		}{
			{".txt", Config{}},
			{".color.txt", Config{Color: true, Format: FormatText}},
			{".100.txt", Config{Width: 100}},
			{".json", Config{Format: FormatJSON, Color: true}},
		} {
			t.Run(name+test.suffix, func(t *testing.T) {
				t.Parallel()
				var got bytes.Buffer
				test.cfg.Writer = &got
				e := New(test.cfg)
				if test.cfg.Format != FormatJSON {
					e.render = newPainter(test.cfg, zone).render
				}
				if err := exportTrees(t.Context(), e, trees); err != nil {
					t.Fatal(err)
				}
				compare(t, filepath.Join("testdata", name+test.suffix), got.Bytes())
			})
		}
	}
}

// exportTrees encodes and exports trees in one call.
func exportTrees(ctx context.Context, e *Exporter, trees []mapping.Tree) error {
	var batches []export.Batch
	for _, tree := range trees {
		b, err := e.Encode(tree)
		if err != nil {
			return err
		}
		batches = append(batches, b)
	}
	return e.Export(ctx, batches)
}

func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s (rewrite it with -update):\n%s", name, got)
	}
}

func TestJSONIsLossless(t *testing.T) {
	t.Parallel()
	tree := oddValues()[0]
	for _, root := range forest(&tree) {
		text, err := renderJSON(root)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
			var got record
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			if got.Name != tree.Spans[i].Name || !got.Start.Equal(tree.Spans[i].Start) {
				t.Errorf("got %+v", got)
			}
			for _, a := range tree.Spans[i].Attributes() {
				if s := a.Value; s.Type() == attribute.STRING && a.Key != "invalid" && got.Attributes[string(a.Key)] != s.AsString() {
					t.Errorf("%q: %q, want %q", a.Key, got.Attributes[string(a.Key)], s.AsString())
				}
			}
		}
	}
}
