// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"slices"
)

// Reloaded returns as now the running configuration c with those values of next that can change while the agent runs.
// changed lists the keys whose values differ between c and now. restart lists the keys whose values differ between now
// and next; these changes need a restart.
func (c Config) Reloaded(next Config) (now Config, changed, restart []string) {
	now = c
	now.Libraries, now.Scopes, now.Services = next.Libraries, next.Scopes, next.Services
	now.Discovery = next.Discovery
	now.Discovery.Enabled = c.Discovery.Enabled // the agent may have dropped the capabilities for discovery
	now.Spans, now.Policy, now.Privacy, now.Sampling = next.Spans, next.Policy, next.Privacy, next.Sampling
	now.Log.Level = next.Log.Level
	return now, differing(c, now), differing(now, next)
}

// differing returns the keys whose values differ between a and b.
func differing(a, b Config) []string {
	keys := differingIn("", reflect.ValueOf(a), reflect.ValueOf(b))
	slices.Sort(keys)
	return keys
}

// differingIn returns the keys of a section whose values differ between a and b.
func differingIn(section string, a, b reflect.Value) []string {
	var keys []string
	for i := range a.NumField() {
		f := a.Type().Field(i)
		key := join(section, f.Tag.Get(tagName))
		switch {
		case isSection(f.Type):
			keys = append(keys, differingIn(key, a.Field(i), b.Field(i))...)
		case !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			keys = append(keys, key)
		}
	}
	return keys
}
