// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/constant"
	"go/types"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	schemaPath    = modulePath + "/mapping/schema"
	commandPath   = modulePath + "/cmd/crau-otel"
	metricsPath   = commandPath + "/internal/metrics"
	docsPath      = commandPath + "/internal/gendocs"
	attributePath = "go.opentelemetry.io/otel/attribute"
	semconvPath   = "go.opentelemetry.io/otel/semconv/"
)

// dynamic lists the files that may compute attribute keys at run time, from event keys or the rules of a policy.
var dynamic = []string{"/mapping/meaning/attributes.go", "/mapping/policy/policy.go", "/mapping/text/text.go"}

// makers collects the attribute keys that a package creates.
type makers struct {
	t    *testing.T
	src  *source
	keys map[string]string // keys, each with a place (file and line) where it is created
}

// made returns the attribute keys that a package creates, except by calls of schema.define, each with its place.
func made(t *testing.T, src *source, path string) map[string]string {
	m := &makers{t: t, src: src, keys: make(map[string]string)}
	src.packages[path].inspect(m.visit)
	return m.keys
}

func (m *makers) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		return m.call(n)
	case *ast.CompositeLit:
		if isKeyValue(m.src.info.Types[n].Type) {
			m.literal(n)
		}
	case ast.Expr:
		m.constant(n)
	}
	return true
}

// constant records the key of a constant expression of type attribute.Key, such as a conversion or a constant of
// package semconv.
func (m *makers) constant(e ast.Expr) {
	if v := m.src.info.Types[e]; v.Value != nil && isKey(v.Type) {
		m.add(constant.StringVal(v.Value), e)
	} else if id, ok := e.(*ast.Ident); ok {
		if v, ok := m.src.info.Uses[id].(*types.Var); ok && v.Pkg() != nil && strings.HasPrefix(v.Pkg().Path(), semconvPath) && !v.IsField() {
			m.t.Errorf("%s: %s: this test cannot tell the key of a variable", m.place(e), id.Name)
		}
	}
}

// call records the key that a call creates, and reports whether to inspect its arguments.
func (m *makers) call(call *ast.CallExpr) bool {
	if v := m.src.info.Types[call]; v.Value != nil {
		m.constant(call)
		return false
	}
	if m.src.info.Types[call.Fun].IsType() {
		if isKey(m.src.info.Types[call].Type) {
			m.unknown(call)
		}
		return true
	}
	f, _ := m.callee(call).(*types.Func)
	switch {
	case f == nil || f.Pkg() == nil:
		return true
	case f.Pkg().Path() == schemaPath && f.Name() == "define":
		return false
	case strings.HasPrefix(f.Pkg().Path(), semconvPath) && isKeyValue(m.src.info.Types[call].Type):
		if key, ok := f.Pkg().Scope().Lookup(f.Name() + "Key").(*types.Const); ok {
			m.add(constant.StringVal(key.Val()), call)
		} else {
			m.t.Errorf("%s: %s: this test cannot tell the function's key", m.place(call), f.Name())
		}
	case f.Pkg().Path() == attributePath && f.Signature().Recv() == nil && isKeyValue(m.src.info.Types[call].Type):
		if v := m.src.info.Types[call.Args[0]].Value; v != nil {
			m.add(constant.StringVal(v), call)
		} else {
			m.unknown(call)
		}
	}
	return true
}

func (m *makers) callee(call *ast.CallExpr) types.Object {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return m.src.info.Uses[f]
	case *ast.SelectorExpr:
		return m.src.info.Uses[f.Sel]
	}
	return nil
}

// literal fails the test for a composite literal without field names, in which the test cannot find the key.
func (m *makers) literal(n *ast.CompositeLit) {
	for _, e := range n.Elts {
		if _, ok := e.(*ast.KeyValueExpr); !ok {
			m.t.Errorf("%s: name the fields of the literal", m.place(n))
			return
		}
	}
}

func (m *makers) unknown(n ast.Node) {
	place := m.place(n)
	if !slices.ContainsFunc(dynamic, func(file string) bool { return strings.Contains(place, file+":") }) {
		m.t.Errorf("%s: the key is computed at run time; this test cannot check it", place)
	}
}

func (m *makers) add(key string, n ast.Node) {
	if key != "" {
		m.keys[key] = m.place(n)
	}
}

func (m *makers) place(n ast.Node) string { return m.src.fset.Position(n.Pos()).String() }

func isKey(t types.Type) bool      { return isAttribute(t, "Key") }
func isKeyValue(t types.Type) bool { return isAttribute(t, "KeyValue") }

func isAttribute(t types.Type, name string) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == attributePath && named.Obj().Name() == name
}

// defined returns the attribute keys that package schema defines. The value is true if the code uses the variable that
// holds the result of define.
func defined(src *source) map[string]bool {
	used := make(map[string]bool) // by name, because each package that uses a variable has its own object for it
	for _, object := range src.info.Uses {
		if object.Pkg() != nil && object.Pkg().Path() == schemaPath {
			used[object.Name()] = true
		}
	}
	keys := make(map[string]bool)
	src.packages[schemaPath].inspect(func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, value := range spec.Values {
			call, ok := value.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				continue
			}
			if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "define" {
				keys[constant.StringVal(src.info.Types[call.Args[0]].Value)] = used[spec.Names[i].Name]
			}
		}
		return true
	})
	return keys
}

// resourceOptions contains the SDK's options for resources that the agent uses, by the names of their functions.
var resourceOptions = map[string]sdkresource.Option{
	"WithTelemetrySDK": sdkresource.WithTelemetrySDK(),
	"WithHost":         sdkresource.WithHost(),
	"WithOSType":       sdkresource.WithOSType(),
	"WithFromEnv":      nil, // adds the user's own attributes, which are not documented
}

// detected returns the resource attributes that the SDK detects for the agent.
func detected(t *testing.T, src *source) map[string]string {
	var options []sdkresource.Option
	src.packages[commandPath+"/internal/identity"].inspect(func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			f, _ := (&makers{src: src}).callee(call).(*types.Func)
			if f != nil && f.Pkg() != nil && f.Pkg().Path() == "go.opentelemetry.io/otel/sdk/resource" && strings.HasPrefix(f.Name(), "With") {
				option, known := resourceOptions[f.Name()]
				if !known {
					t.Errorf("%s: resource option %s: add it to this test", src.fset.Position(call.Pos()), f.Name())
				} else if option != nil {
					options = append(options, option)
				}
			}
		}
		return true
	})
	res, err := sdkresource.New(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]string)
	for _, a := range res.Attributes() {
		keys[string(a.Key)] = "the resource"
	}
	return keys
}

func TestEveryAttributeInTheCodeIsDocumentedAndTheOtherWayRound(t *testing.T) {
	t.Parallel()
	src, err := load(root, "./mapping/...", "./cmd/crau-otel/...")
	if err != nil {
		t.Fatal(err)
	}
	table := documented()
	used := detected(t, src)
	for path := range src.packages {
		if path != metricsPath && path != docsPath {
			maps.Copy(used, made(t, src, path))
		}
	}
	page := read(t, "docs/attributes.md")
	ofMetrics := make(map[string]bool)
	for _, a := range agentResource {
		ofMetrics[a.key] = true
	}
	for key, place := range used {
		if _, ok := table[key]; !ok && !ofMetrics[key] {
			t.Errorf("%s: the attribute %s is in no table: define it in mapping/schema/attributes.go", place, key)
		}
	}
	for key, ok := range defined(src) {
		if _, elsewhere := used[key]; !ok && !elsewhere {
			t.Errorf("the attribute %s is documented and never used", key)
		}
		if strings.Count(page, "\n| `"+key+"` |") != 1 {
			t.Errorf("docs/attributes.md does not have %s once", key)
		}
	}
	if len(table) != len(defined(src)) || len(table) < 40 {
		t.Errorf("%d attributes, of which this test sees %d", len(table), len(defined(src)))
	}
	for key := range ofMetrics {
		if _, ok := used[key]; !ok && key != "service.name" {
			t.Errorf("docs/metrics.md has the resource attribute %s, which is never set", key)
		}
	}
}

func TestEveryAttributeOfMetricsIsDocumentedAndTheOtherWayRound(t *testing.T) {
	t.Parallel()
	src, err := load(root, metricsPath)
	if err != nil {
		t.Fatal(err)
	}
	keys := made(t, src, metricsPath)
	delete(keys, "otel.metric.overflow") // the text of the page documents it, not a table
	used := slices.Sorted(maps.Keys(keys))
	var of, described []string
	for _, i := range metrics.Instruments() {
		of = append(of, attributesOf(i)...)
	}
	slices.Sort(of)
	of = slices.Compact(of)
	for _, row := range rows(t, read(t, "docs/metrics.md"), "## Attributes") {
		described = append(described, row[0])
	}
	slices.Sort(described)
	if !slices.Equal(used, of) || !slices.Equal(used, described) {
		t.Errorf("attributes in the code %q, of instruments %q, described %q", used, of, described)
	}
}

// derived reports whether an attribute is computed by crau-otel instead of being the value of an event key.
func derived(key string) bool {
	return strings.HasPrefix(key, "crypto.") || key == "tls.resumed" || key == "tls.key_exchange.negotiated"
}

// spanOf returns the attribute keys of the span that a context with the pairs becomes, without derived attributes.
func spanOf(t *testing.T, pairs ...event.Pair) []string {
	t.Helper()
	var keys []string
	m, err := mapping.New(mapping.Config{
		Wall: func(uint64) time.Time { return time.Time{} },
		Sink: func(tree mapping.Tree) {
			for _, a := range tree.Spans[0].Attributes() {
				if !derived(string(a.Key)) {
					keys = append(keys, string(a.Key))
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Handle(&event.Event{Kind: event.NewContext, PID: 1, TID: 1, Context: 1, Parent: event.NoParent, Pairs: pairs})
	m.Flush()
	return keys
}

func TestEventKeysBecomeWhatIsDocumented(t *testing.T) {
	t.Parallel()
	other := make(map[string][]string)
	for _, k := range keyAttributes {
		other[k.key] = k.attributes
	}
	// With these values all documented attributes are set: group 29 is X25519, which has a curve.
	values := map[string]uint64{"tls::group": 29, "tls::protocol_version": 0x0304}
	for _, c := range schema.Contexts() {
		name := event.Pair{Key: []byte("name"), Type: event.String, Value: []byte(c.Name)}
		for _, key := range append(slices.Clone(c.Keys), "app::level::two") {
			want, ok := other[key]
			if !ok {
				want = []string{strings.ReplaceAll(key, "::", ".")}
			}
			got := spanOf(t, name, event.Pair{Key: []byte(key), Type: event.Word, Word: values[key]})
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("%s: %s becomes %q, documented %q", c.Name, key, got, want)
			}
		}
	}
}
