// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
)

// A layer holds the keys that one source sets. It is a koanf.Provider.
type layer struct {
	values map[string]any          // nested as in YAML
	place  func(key string) string // where the source sets key; "" if it does not
}

// Read implements koanf.Provider.
func (l layer) Read() (map[string]any, error) { return l.values, nil }

// ReadBytes implements koanf.Provider. It is never called.
func (layer) ReadBytes() ([]byte, error) { return nil, errors.ErrUnsupported }

// places maps keys to the names of the variables or flags that set them.
type places map[string]string

// place returns the name of the variable or flag that sets key. An element of a list has the place of the list.
func (p places) place(key string) string {
	list, _, _ := strings.Cut(key, "[")
	return p[list]
}

// booleans are the spellings of booleans in YAML. [strconv.ParseBool] is not used because it accepts others, such as 1
// and t.
var booleans = map[string]bool{"true": true, "True": true, "TRUE": true, "false": false, "False": false, "FALSE": false}

// parse converts s, the text of a variable or flag, to what the YAML parser would return for a field of type t. The
// elements of a list are separated by commas. If s cannot be converted, parse returns it unchanged, and conform rejects
// it later.
func parse(t reflect.Type, s string) any {
	var v any
	var err error
	switch zero := reflect.Zero(t); {
	case isText(t), t == durationType:
		return s
	case t.Kind() == reflect.Slice:
		list := []any{}
		for element := range strings.SplitSeq(s, ",") {
			list = append(list, parse(t.Elem(), strings.TrimSpace(element)))
		}
		return list
	case t.Kind() == reflect.Bool:
		if known, ok := booleans[s]; ok {
			return known
		}
		return s
	case zero.CanInt() && decimal.MatchString(s):
		v, err = strconv.ParseInt(s, 10, 64)
	case zero.CanUint() && decimal.MatchString(s):
		v, err = strconv.ParseUint(s, 10, 64)
	case zero.CanFloat():
		v, err = strconv.ParseFloat(s, 64)
	default:
		return s
	}
	if err != nil {
		return s
	}
	return v
}
