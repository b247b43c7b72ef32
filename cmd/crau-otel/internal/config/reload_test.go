// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"slices"
	"testing"
)

// A changed key either takes effect, or is listed as a key that needs a restart, never both.
func TestReloadedChangesOrNamesEveryKey(t *testing.T) {
	reloadable := []string{
		"discovery.allow", "discovery.deny", "discovery.deny_cgroups", "discovery.deny_executables", "discovery.max_files",
		"discovery.max_files_per_container", "discovery.max_sites", "discovery.max_sites_per_container", "libraries", "log.level",
		"policy.name", "policy.rules", "privacy.keys.allow", "privacy.keys.deny", "privacy.process", "sampling.keep", "scopes",
		"services", "spans.detail", "spans.idle_timeout", "spans.whole",
	}
	old := Default()
	for key := range keyTypes(configType) {
		next := Default()
		change(reflect.ValueOf(&next).Elem(), "", key)
		if reflect.DeepEqual(old, next) {
			t.Fatalf("%s was not changed", key)
		}
		now, changed, restart := old.Reloaded(next)
		if slices.Contains(reloadable, key) {
			if !reflect.DeepEqual(now, next) || restart != nil || !slices.Equal(changed, []string{key}) {
				t.Errorf("%s is not reloaded, %q are, and %q take a restart", key, changed, restart)
			}
		} else if !reflect.DeepEqual(now, old) || changed != nil || !slices.Equal(restart, []string{key}) {
			t.Errorf("%s is reloaded, and %q take a restart", key, restart)
		}
	}
}
