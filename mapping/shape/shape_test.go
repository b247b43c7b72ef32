// SPDX-License-Identifier: Apache-2.0

package shape_test

import (
	"hash/maphash"
	"reflect"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

func sample() shape.Shape {
	key := schema.NewKey("tls::group")
	return shape.Shape{
		Head:   shape.Head{Executable: "nginx", UserClass: "system", End: shape.EndIdle, Pieces: 1, Join: shape.JoinExact},
		Traits: []shape.Trait{{Name: schema.NameOf("tls::handshake"), Parent: -1, Data: 1, File: 1, Carry: new(int)}},
		Data:   []shape.Datum{{Key: &key, Text: "text", Word: 23, Type: event.Word, Flags: event.Cut}},
	}
}

// Shapes that differ in any single field are not equal, so that each field is part of the cache's key. Fields that are
// added later are tested automatically.
func TestEveryFieldTellsShapesApart(t *testing.T) {
	t.Parallel()
	fields := 0
	for _, part := range []func(*shape.Shape) any{
		func(s *shape.Shape) any { return &s.Head },
		func(s *shape.Shape) any { return &s.Traits[0] },
		func(s *shape.Shape) any { return &s.Data[0] },
	} {
		typ := reflect.TypeOf(part(ptr(sample()))).Elem()
		for i := range typ.NumField() {
			field := typ.Field(i)
			original := sample()
			changed := original.Clone()
			if !original.Equal(&changed) {
				t.Fatal("a clone differs from its original")
			}
			if !field.IsExported() {
				t.Errorf("%s.%s: this test cannot change an unexported field", typ, field.Name)
				continue
			}
			change(t, reflect.ValueOf(part(&changed)).Elem().Field(i))
			if original.Equal(&changed) {
				t.Errorf("shapes with different %s.%s are equal", typ, field.Name)
			}
			fields++
		}
	}
	if got := reflect.TypeFor[shape.Shape]().NumField(); got != 3 {
		t.Errorf("Shape has %d fields, this test covers 3", got)
	}
	if fields < 15 {
		t.Errorf("%d fields compared", fields)
	}
}

// change sets a value to another one.
func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int32:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Interface:
		v.Set(reflect.ValueOf(new(int)))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct: // schema.Name: changing its first field, the text, is enough
		change(t, v.Field(0))
	default:
		t.Fatalf("a %s may not be compared by value: think about it, then add it here", v.Type())
	}
}

func TestNumberOfContextsAndDataTellsShapesApart(t *testing.T) {
	t.Parallel()
	original := sample()
	more := original.Clone()
	more.Traits = append(more.Traits, shape.Trait{})
	if original.Equal(&more) {
		t.Error("shapes with different numbers of contexts are equal")
	}
	more = original.Clone()
	more.Data = append(more.Data, shape.Datum{})
	if original.Equal(&more) {
		t.Error("shapes with different numbers of data are equal")
	}
}

func TestEqualShapesHaveEqualHashes(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	original := sample()
	same := original.Clone()
	if original.Hash(seed) != same.Hash(seed) {
		t.Error("equal shapes have different hashes")
	}
}

func ptr[T any](v T) *T { return &v }
