// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// makeShape returns the shape of a root with data and with the given number of children.
func makeShape(children int, data ...shape.Datum) *shape.Shape {
	s := &shape.Shape{Head: shape.Head{Executable: "prog", End: shape.EndIdle}, Data: data}
	s.Traits = append(s.Traits, shape.Trait{Name: schema.NameOf("app::thing"), Parent: -1, Data: int32(len(data))})
	for range children {
		s.Traits = append(s.Traits, shape.Trait{Name: schema.NameOf("app::inner")})
	}
	return s
}

func text(key *schema.Key, value string) shape.Datum {
	return shape.Datum{Key: key, Text: value, Type: event.String}
}

// The cache takes a bounded amount of memory, even for a program whose trees all differ or are all large.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	in := New(Rules{})
	var keys []schema.Key
	for j := range 21 {
		keys = append(keys, schema.NewKey(fmt.Sprintf("app::key%d", j)))
	}
	most := 0
	for i := range 20000 {
		data := []shape.Datum{{Key: &keys[20], Word: uint64(i)}}
		for j := range 20 {
			data = append(data, text(&keys[j], strings.Repeat("x", 50)))
		}
		for range 2 { // a shape is remembered only when it occurs a second time
			in.Meaning(makeShape(0, data...))
		}
		most = max(most, in.cache.bytes)
	}
	if most > maxBytes || most < maxBytes/2 {
		t.Errorf("%d bytes at most, want up to the limit of %d and not more", most, maxBytes)
	}
	if sum := remembered(&in.cache); sum != in.cache.bytes {
		t.Errorf("%d bytes remembered, %d counted", sum, in.cache.bytes)
	}
	for range 3 {
		if m := in.Meaning(makeShape(1000)); m.Template != 0 {
			t.Error("a tree of a thousand spans is remembered")
		}
	}
}

// remembered returns the total size of the cache's entries in bytes.
func remembered(c *cache) (bytes int) {
	slots := reflect.ValueOf(&c.entries).Elem().FieldByName("slots")
	for i := range slots.Len() {
		if e := slots.Index(i).FieldByName("value"); !e.IsNil() {
			bytes += int(e.Elem().FieldByName("bytes").Int())
		}
	}
	return bytes
}

func TestMeaningIsSharedFromTheSecondTimeOn(t *testing.T) {
	t.Parallel()
	in := New(Rules{})
	if m := in.Meaning(makeShape(2)); m.Template != 0 || len(m.Spans) != 3 {
		t.Errorf("first meaning: template %d, %d spans", m.Template, len(m.Spans))
	}
	second, third := in.Meaning(makeShape(2)), in.Meaning(makeShape(2))
	if second != third || second.Template == 0 {
		t.Error("an equal shape does not share its meaning")
	}
	in.Meaning(makeShape(3))
	other := in.Meaning(makeShape(3))
	if other.Template < second.Template+uint64(len(second.Spans)) {
		t.Errorf("templates from %d overlap those from %d", other.Template, second.Template)
	}
	last := other.Template
	in.SetRules(Rules{})
	in.Meaning(makeShape(2))
	if again := in.Meaning(makeShape(2)); again.Template <= last {
		t.Error("a template number is used again after SetRules")
	}
}

// Different shapes with equal hashes do not share a meaning: the cache also compares the shapes.
func TestEqualHashesAreNotEqualShapes(t *testing.T) {
	t.Parallel()
	c := newCache()
	one, other := makeShape(1), makeShape(2)
	m := New(Rules{}).Meaning(one)
	c.remember(7, one, m)
	c.remember(7, one, m)
	if c.find(7, one) == nil {
		t.Fatal("the shape is not remembered")
	}
	if c.find(7, other) != nil {
		t.Error("another shape of the same hash gets its meaning")
	}
}

// A meaning depends only on a shape and the rules: the package imports neither open contexts nor the times of events,
// and reads no global state.
func TestMeaningCanReachOnlyTheShape(t *testing.T) {
	t.Parallel()
	allowed := []string{
		"mapping/memo", "mapping/policy", "mapping/registry", "mapping/schema", "mapping/shape", "tracer/event",
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range parsed.Imports {
			path := strings.Trim(imported.Path.Value, `"`)
			ours, inner := strings.CutPrefix(path, "github.com/crau-otel/crau-otel/")
			if inner && !contains(allowed, ours) || path == "os" {
				t.Errorf("%s imports %s", f.Name(), path)
			}
		}
	}
	method, _ := reflect.TypeFor[*Interpreter]().MethodByName("Meaning")
	if method.Type.NumIn() != 2 || method.Type.In(1) != reflect.TypeFor[*shape.Shape]() {
		t.Errorf("Meaning is %s: the shape must be its only argument", method.Type)
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
