// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

const tagName = "yaml"

var (
	configType          = reflect.TypeFor[Config]()
	durationType        = reflect.TypeFor[time.Duration]()
	byteSizeType        = reflect.TypeFor[ByteSize]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isText reports whether t has a method UnmarshalText.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshalerType) }

// isSection reports whether t is a struct with keys below it.
func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isText(t) }

// fields returns the types of a section's keys, by the name of the key within the section.
func fields(section reflect.Type) map[string]reflect.Type {
	types := make(map[string]reflect.Type, section.NumField())
	for f := range section.Fields() {
		types[f.Tag.Get(tagName)] = f.Type
	}
	return types
}

// keyTypes returns the types of all keys below section that are not sections, by key, such as limits.open_contexts.
func keyTypes(section reflect.Type) map[string]reflect.Type {
	types := make(map[string]reflect.Type)
	for name, t := range fields(section) {
		if !isSection(t) {
			types[name] = t
			continue
		}
		for below, t := range keyTypes(t) {
			types[name+"."+below] = t
		}
	}
	return types
}

// fieldNames lists a section's keys for an error message.
func fieldNames(section reflect.Type) string {
	return strings.Join(slices.Sorted(maps.Keys(fields(section))), ", ")
}
