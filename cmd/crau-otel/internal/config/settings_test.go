// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestSettingsAreComplete(t *testing.T) {
	t.Parallel()
	settings := make(map[string]Setting)
	for _, s := range Settings() {
		if _, twice := settings[s.Key]; twice {
			t.Errorf("%s is there twice", s.Key)
		}
		if !strings.HasSuffix(s.Meaning, ".") || s.Default == "" {
			t.Errorf("%s: default %q, meaning %q", s.Key, s.Default, s.Meaning)
		}
		settings[s.Key] = s
	}
	if got, want := slices.Sorted(maps.Keys(settings)), slices.Sorted(maps.Keys(keyTypes(configType))); !slices.Equal(got, want) {
		t.Errorf("settings are\n%q, want\n%q", got, want)
	}
	for _, want := range []Setting{
		{Key: "libraries", Variable: "CRAU_LIBRARIES", Flag: "--library", Default: "[]", Reloaded: true},
		{Key: "services", Default: "[]", Reloaded: true},
		{Key: "ring.size", Variable: "CRAU_RING_SIZE", Flag: "--ring-size", Default: "8MiB"},
		{Key: "ring.poll_interval", Variable: "CRAU_RING_POLL_INTERVAL", Default: "250ms"},
		{Key: "limits.process_rate", Variable: "CRAU_LIMITS_PROCESS_RATE", Default: "2000000"},
		{Key: "user", Variable: "CRAU_USER", Flag: "--user", Default: `""`},
	} {
		got := settings[want.Key]
		got.Meaning = ""
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
