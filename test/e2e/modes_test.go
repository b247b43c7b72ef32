// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// values, shapes and nonsense each run several modes of the sample program, with arguments, under one agent. Modes
// share an agent because starting an agent takes seconds on an emulated processor.
var (
	values = sync.OnceValues(func() (*modes, error) {
		return runModes(map[string][]string{"array16": nil, "long": nil, "bytes": nil, "cold": {"--count", "200"}})
	})
	shapes = sync.OnceValues(func() (*modes, error) {
		return runModes(map[string][]string{"deep": {"--depth", "1000"}, "wide": {"--count", strconv.Itoa(wide())}})
	})
	nonsense = sync.OnceValues(func() (*modes, error) { return runModes(map[string][]string{"bad": nil}) })
)

// wide returns the number of children in the tree of mode wide.
func wide() int {
	if testing.Short() {
		return 1000
	}
	return 10000
}

// modes is the result of running several modes of the sample program.
type modes struct {
	hits   int
	totals harness.Totals
	spans  []*harness.Span // spans of all modes; the service is the mode's name
	log    string
}

// runModes runs modes of the sample program under one agent. For each mode, it runs a copy of the program with the
// mode's name.
func runModes(args map[string][]string) (_ *modes, err error) {
	dir, err := os.MkdirTemp("", "crau-otel-modes")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cfg := harness.AgentConfig{Path: agentPath, Args: asJSON}
	for mode := range args {
		path := filepath.Join(dir, mode)
		if err := harness.CopyFile(samplePath, path); err != nil {
			return nil, err
		}
		cfg.Args = append(slices.Clone(cfg.Args), "--library", path)
	}
	a, err := harness.NewAgent(cfg)
	if err != nil {
		return nil, err
	}
	defer a.Kill()
	m := &modes{}
	for mode, more := range args {
		out, err := exec.Command(filepath.Join(dir, mode), append([]string{"--mode", mode}, more...)...).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("mode %s: %w\n%s", mode, err, out)
		}
		fired, err := harness.ParseFired(string(out))
		if err != nil {
			return nil, err
		}
		m.hits += fired
	}
	if m.totals, err = a.Stop(); err != nil {
		return nil, err
	}
	m.log = a.Log()
	m.spans, err = harness.ParseConsole(a.Output())
	return m, err
}

// tree returns the only tree of a mode, and the totals of all modes that ran under the same agent.
func tree(t *testing.T, run func() (*modes, error), mode string) (*harness.Span, harness.Totals) {
	t.Helper()
	harness.RequireBPF(t)
	m, err := run()
	if err != nil {
		t.Fatal(err)
	}
	harness.TestTotals(m.totals).CheckExact(t, m.hits)
	roots := harness.Trees(t, ofService(m.spans, mode))
	if len(roots) != 1 {
		t.Fatalf("%d trees, want 1", len(roots))
	}
	return roots[0], m.totals
}

func wantAttributes(t *testing.T, s *harness.Span, want map[string]any) {
	t.Helper()
	for k, w := range want {
		if got := s.Attributes[k]; !reflect.DeepEqual(got, w) {
			t.Errorf("%s is %#v, want %#v", k, got, w)
		}
	}
	for k := range s.Attributes {
		if _, ok := want[k]; !ok && !harness.DescribesRun(k) {
			t.Errorf("unexpected attribute %s = %v", k, s.Attributes[k])
		}
	}
}

func alphabet(n int) string {
	return strings.Repeat("abcdefghijklmnopqrstuvwxyz", n/26+1)[:n]
}

func ramp(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%02x", byte(i))
	}
	return b.String()
}

func TestArrayOf16ArrivesWhole(t *testing.T) {
	t.Parallel()
	root, _ := tree(t, values, "array16")
	want := make(map[string]any)
	for i := range 16 {
		var v any
		switch i % 3 {
		case 0:
			v = json.Number(fmt.Sprint(1000 + i))
		case 1:
			v = fmt.Sprintf("value %d", i)
		case 2:
			v = ramp(i + 1)
		}
		want[fmt.Sprintf("test.b%d", i)] = v
		if i > 0 {
			want[fmt.Sprintf("test.a%d", i)] = v
		}
	}
	if root.Name != "test::array16" {
		t.Errorf("name is %s", root.Name)
	}
	wantAttributes(t, root, want)
}

func TestLongStringsArriveCutAndMarked(t *testing.T) {
	t.Parallel()
	root, n := tree(t, values, "long")
	key := func(n int) string { return "test." + alphabet(n-6) }
	wantAttributes(t, root, map[string]any{
		"test.string_0":            "",
		"test.string_255":          alphabet(255),
		"test.string_256":          alphabet(256),
		"test.string_257":          alphabet(256),
		"test.string_5000":         alphabet(256),
		key(62):                    json.Number("100"), // equal to longer keys after truncation; the last value is kept
		"crypto.context.truncated": []any{"test.string_257", "test.string_5000", key(62)},
	})
	if most := 5 + 2 + 1; n["marked.truncated"] < most-1 || n["marked.truncated"] > most { // modes long, bytes, cold
		t.Errorf("%d records marked as truncated, want %d, or one less where pages that are not in memory are not read",
			n["marked.truncated"], most)
	}
}

func TestBytesArriveReadable(t *testing.T) {
	t.Parallel()
	root, _ := tree(t, values, "bytes")
	wantAttributes(t, root, map[string]any{
		"test.latin1":              `caf\xe9 \xff\xfe`,
		"test.array_latin1":        `caf\xe9 \xff\xfe`,
		"test.control":             "a\tb\nc\x7f",
		"test.empty":               "",
		"test.array_empty":         "",
		"test.zeros":               "00000000",
		"test.array_zeros":         "00000000",
		"test.300":                 ramp(256),
		"test.array_300":           ramp(256),
		"test.word":                "18446744073709551615",
		"test.array_word":          "18446744073709551615",
		"crypto.context.truncated": []any{"test.300", "test.array_300"},
	})
}

func TestUntouchedPagesArrive(t *testing.T) {
	t.Parallel()
	root, n := tree(t, values, "cold")
	want := map[string]any{
		"test.crossing_string": "across the border",
		"test.crossing_blob":   ramp(256),
		"test.crossing_key":    json.Number("7"),
		"test.cold_word":       json.Number("7"),
		"test.cold_string":     "cold",
		"test.cold_blob":       ramp(4),
	}
	for i := range 200 {
		want[fmt.Sprintf("test.cold_%d", i)] = fmt.Sprintf("cold %d", i)
	}
	for k := range root.Attributes { // some are missing, because of the SDK's limit of 128 attributes
		if _, ok := want[k]; ok {
			if got := root.Attributes[k]; !reflect.DeepEqual(got, want[k]) {
				t.Errorf("%s is %#v, want %#v", k, got, want[k])
			}
		}
	}
	if m, err := values(); err == nil && strings.Contains(m.log, "cannot read pages that are not resident") {
		if n["lost.fault"]+n["marked.missing_pairs"] == 0 {
			t.Error("this kernel reads no such pages, and nothing is counted")
		}
		return
	}
	if n["lost.fault"] != 0 || n["marked.missing_pairs"] != 0 {
		t.Errorf("lost to faults: %d events, %d pairs", n["lost.fault"], n["marked.missing_pairs"])
	}
}

func TestNonsenseFromAProgramIsCounted(t *testing.T) {
	t.Parallel()
	root, n := tree(t, nonsense, "bad")
	if root.Name != "test::bad" || root.Attributes["crypto.incomplete"] != true {
		t.Errorf("root is %s", root.Text())
	}
	for _, key := range []string{"test.before", "test.first", "test.last", "test.after", "test.seventeen"} {
		if root.Attributes[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
	if len(root.Children) != 6 {
		t.Errorf("%d contexts with an array that cannot be read, want 6", len(root.Children))
	}
	if n["lost.fault"] == 0 {
		t.Error("no event counted as lost to a fault")
	}
}

func TestDeepAndWideTreesArriveWhole(t *testing.T) {
	t.Parallel()
	root, _ := tree(t, shapes, "deep")
	depth := 0
	for s := root; ; s = s.Children[0] {
		if s.Attributes["test.level"] != json.Number(fmt.Sprint(depth)) {
			t.Fatalf("level %v at depth %d", s.Attributes["test.level"], depth)
		}
		depth++
		if len(s.Children) != 1 {
			break
		}
	}
	if depth != 1000 {
		t.Errorf("%d levels, want 1000", depth)
	}

	root, _ = tree(t, shapes, "wide")
	if len(root.Children) != wide() {
		t.Fatalf("%d children, want %d", len(root.Children), wide())
	}
	for i, c := range root.Children {
		if c.Attributes["test.index"] != json.Number(fmt.Sprint(i)) {
			t.Fatalf("child %d has index %v", i, c.Attributes["test.index"])
		}
	}
}
