// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sizeForm describes the form of a [ByteSize] in error messages.
const sizeForm = "a size such as 65536 or 8MiB (units B, KiB, MiB, GiB)"

// plainForm describes the form of an untyped value in error messages. It mentions 1.3 because the usual mistake is a
// version without quotes, which is a number in YAML.
const plainForm = `text (with quotes if it looks like a number, as "1.3"), a whole number, true or false`

// conform returns v, the value that a source sets for key, in a form that a field of type t can hold: maps and lists
// are kept, and each value in them gets the type of its field. Unknown keys and values of the wrong type are dropped,
// and a problem is added for each. Text is parsed only for types that YAML does not have, such as durations and sizes.
func (p *problems) conform(t reflect.Type, key string, v any) any {
	if v == nil {
		// A section or list whose lines are all commented out counts as empty.
		if k := t.Kind(); !isSection(t) && k != reflect.Slice && k != reflect.Map {
			p.add(key, "has no value: give it one or leave the key out")
		}
		return nil
	}
	if isSection(t) {
		return p.conformSection(t, key, v)
	}
	switch {
	case t.Kind() == reflect.Interface:
		return p.conformAny(key, v)
	case isText(t):
		if s, ok := v.(string); ok {
			return p.conformText(t, key, s)
		}
	case t.Kind() == reflect.Slice:
		if list, ok := v.([]any); ok {
			return p.conformList(t, key, list)
		}
	case t.Kind() == reflect.Map:
		if m, ok := stringKeys(v); ok {
			return p.conformMap(func(string) reflect.Type { return t.Elem() }, key, m)
		}
	case t == durationType:
		if s, ok := v.(string); ok {
			if d, err := time.ParseDuration(s); err == nil {
				return d
			}
		}
		p.refuse(t, key, v)
		return nil
	}
	out := reflect.New(t).Elem()
	if !setScalar(out, reflect.ValueOf(v)) {
		p.refuse(t, key, v)
		return nil
	}
	return out.Interface()
}

func (p *problems) conformSection(t reflect.Type, key string, v any) any {
	m, ok := stringKeys(v)
	if !ok {
		p.refuse(t, key, v)
		return nil
	}
	types := fields(t)
	return p.conformMap(func(name string) reflect.Type {
		field, known := types[name]
		switch {
		case known:
		case strings.Contains(name, "."):
			p.add(join(key, name), "unknown key: write the part after the dot below the part before it")
		default:
			p.add(join(key, name), "unknown key: the keys here are %s", fieldNames(t))
		}
		return field
	}, key, m)
}

// conformMap conforms the values of m to the types that typeOf returns for their names. It drops values for whose names
// typeOf returns nil.
func (p *problems) conformMap(typeOf func(name string) reflect.Type, key string, m map[string]any) any {
	out := make(map[string]any, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if t := typeOf(name); t != nil {
			if v := p.conform(t, join(key, name), m[name]); v != nil {
				out[name] = v
			}
		}
	}
	return out
}

func (p *problems) conformList(t reflect.Type, key string, list []any) any {
	out := make([]any, 0, len(list))
	for i, v := range list {
		at := fmt.Sprintf("%s[%d]", key, i)
		if v == nil {
			p.add(at, "has no value: give it one or leave the element out")
			continue
		}
		out = append(out, p.conform(t.Elem(), at, v))
	}
	return out
}

// conformAny accepts text, whole numbers, booleans, and lists of these.
func (p *problems) conformAny(key string, v any) any {
	list, ok := v.([]any)
	if !ok {
		if !isPlain(v) {
			p.add(key, "must be %s, or a list of these, got %s", plainForm, show(v))
			return nil
		}
		return v
	}
	for i, element := range list {
		if !isPlain(element) {
			p.add(fmt.Sprintf("%s[%d]", key, i), "must be %s, got %s", plainForm, show(element))
		}
	}
	return list
}

func isPlain(v any) bool {
	switch v.(type) {
	case string, int, bool:
		return true
	}
	return false
}

func (p *problems) conformText(t reflect.Type, key, s string) any {
	out := reflect.New(t)
	if err := out.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		p.add(key, "%v", err)
		return nil
	}
	return out.Elem().Interface()
}

// setScalar sets out to v and reports true, unless that would change the value or its kind. Only a whole number may
// change its kind, to a float.
func setScalar(out, v reflect.Value) bool {
	switch {
	case out.Kind() == reflect.Bool && v.Kind() == reflect.Bool:
		out.SetBool(v.Bool())
	case out.Kind() == reflect.String && v.Kind() == reflect.String:
		out.SetString(v.String())
	case out.CanInt() && v.CanInt() && !out.OverflowInt(v.Int()):
		out.SetInt(v.Int())
	case out.CanUint() && v.CanInt() && v.Int() >= 0 && !out.OverflowUint(uint64(v.Int())):
		out.SetUint(uint64(v.Int()))
	case out.CanUint() && v.CanUint() && !out.OverflowUint(v.Uint()):
		out.SetUint(v.Uint())
	case out.CanFloat() && v.CanFloat():
		out.SetFloat(v.Float())
	case out.CanFloat() && v.CanInt():
		out.SetFloat(float64(v.Int()))
	default:
		return false
	}
	return true
}

func (p *problems) refuse(t reflect.Type, key string, v any) {
	var want string
	switch zero := reflect.Zero(t); {
	case t == durationType:
		want = "a duration such as 2s or 500ms"
	case t == byteSizeType:
		want = sizeForm
	case isSection(t), t.Kind() == reflect.Map:
		want = "a section with keys"
	case t.Kind() == reflect.Slice:
		want = "a list"
	case t.Kind() == reflect.Bool:
		want = "true or false"
	case zero.CanInt():
		want = fmt.Sprintf("a whole number of at most %d bits", t.Bits())
	case zero.CanUint():
		want = fmt.Sprintf("a whole number of at most %d bits, not negative", t.Bits())
	case zero.CanFloat():
		want = "a number"
	default:
		want = "text"
	}
	p.add(key, "must be %s, got %s", want, show(v))
}

// show formats v, a value from a source, for an error message.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return strconv.Quote(v)
	case []any:
		return "a list"
	case map[string]any, map[any]any:
		return "a section with keys"
	case float64:
		if s := strconv.FormatFloat(v, 'g', -1, 64); strings.ContainsAny(s, ".eIN") {
			return s
		}
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprint(v)
	}
}

// stringKeys returns the map v with text keys, and whether v is a map. The YAML decoder returns maps that have keys of
// other types as map[any]any.
func stringKeys(v any) (map[string]any, bool) {
	switch m := v.(type) {
	case map[string]any:
		return m, true
	case map[any]any:
		out := make(map[string]any, len(m))
		for k, v := range m {
			out[fmt.Sprint(k)] = v
		}
		return out, true
	default:
		return nil, false
	}
}

func join(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}
