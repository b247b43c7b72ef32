// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// Setting documents one key of the configuration. The table in docs/configuration.md is generated from the result of
// [Settings].
type Setting struct {
	Key      string // name of the key, such as limits.open_contexts
	Variable string // environment variable that sets the key; empty if there is none
	Flag     string // flag of the run command that sets the key, such as --exporter; empty if there is none
	Default  string // default value in YAML syntax
	Reloaded bool   // whether a reload of the configuration applies a changed value
	Meaning  string // one or two sentences in Markdown, with links relative to docs/
}

// meanings describes every key, in the order of the documentation.
var meanings = []struct{ key, meaning string }{
	{"libraries", "Files to attach to, whether or not discovery finds them."},
	{"discovery.enabled", "Whether to look for programs and libraries with probes: see [Discovery](discovery.md)."},
	{"discovery.allow", "Patterns of the paths of files that may be attached, such as `/usr/**`; empty means all."},
	{"discovery.deny", "Patterns of the paths of files that are never attached, even if allowed."},
	{"discovery.deny_executables", "Patterns of the paths of programs whose processes are not inspected."},
	{"discovery.deny_cgroups", "Patterns of the cgroups whose processes are not inspected."},
	{"discovery.max_files", "Files attached at a time, 1 to 65536."},
	{"discovery.max_files_per_container", "Of these, how many may first be seen in one container or systemd unit."},
	{"discovery.max_sites", "Probe sites attached at a time, 1 to 16384."},
	{"discovery.max_sites_per_container", "Of these, how many may be in files first seen in one container or unit."},
	{"wire.enabled", "Whether to read TLS and SSH handshakes from connections, whichever library makes them: see [The wire](wire.md)."},
	{"wire.deny_ports", "Ports, local or remote, whose connections are not examined."},
	{
		"wire.deny_cgroups",
		"Cgroups whose connections, and those of the cgroups below, are not examined, such as `/system.slice/backup.service`.",
	},
	{"scopes", "Scopes of the contexts and keys to trace, such as `tls`, `ssh` and `pk`; empty means all."},
	{
		"services",
		"Names for programs, by executable and systemd unit, instead of the executable's name: see [Names](discovery.md#names).",
	},
	{"exporter", "Where spans are sent: `otlp`, `console` or `none`."},
	{"console.format", "`text` draws trees; `json` writes one object per line for each span."},
	{"console.color", "`auto` (only on a terminal, and not with `NO_COLOR` or `TERM=dumb`), `always` or `never`."},
	{"log.level", "Least severe level of the agent's own log: `debug`, `info`, `warn` or `error`."},
	{"log.format", "`text` or `json`."},
	{"ring.size", "Buffer between kernel and agent: a power of two, 64KiB to 1GiB."},
	{
		"ring.poll_interval",
		"How long an event may wait in that buffer, 100us to 1s. A buffer that fills up is read earlier.",
	},
	{"spans.idle_timeout", "How long a tree may be without events before it ends, 10ms to 1h."},
	{"spans.detail", "`full`, or `handshake` to export only the root of each handshake, which summarizes it."},
	{
		"spans.whole",
		"Kinds of trees that are exported whole even if `spans.detail` is `handshake`: `violations`, `downgrades`, `weak`, " +
			"`failed`, and `first`, the first of its kind in an hour.",
	},
	{"policy.name", "Built-in rules: `none`, `hybrid-ok`, `pq-only` or `cnsa-2.0`."},
	{"policy.rules", "Rules of your own: see [Policy](policy.md)."},
	{"privacy.process", "`none`, or `full` to add a process's id, path, owner and command line."},
	{"privacy.keys.allow", "Patterns of the event keys to export, such as `tls::*`; empty means all."},
	{"privacy.keys.deny", "Patterns of the event keys that are never exported, even if allowed."},
	{"metrics.max_series", "Series of one instrument, 16 to 1000000. The rest are counted together."},
	{
		"sampling.keep",
		"Kinds of trees that are exported even if the sampler drops them: `violations`, `downgrades`, `weak`.",
	},
	{"limits.open_contexts", "Contexts whose end has not been inferred yet. Over the limit, trees end early."},
	{"limits.tree_spans", "Spans in one tree."},
	{"limits.processes", "Processes that the agent keeps state for."},
	{"limits.process_rate", "Events per second accepted from one process, 1000 to 100000000."},
	{"limits.open_bytes", "Memory for the keys and values of open contexts, 1MiB to 64GiB."},
	{"limits.queue_bytes", "Memory for spans that wait for the receiver, 1MiB to 64GiB."},
	{"shutdown.timeout", "How long draining the buffer and exporting spans may take at the end, 100ms to 10m."},
	{
		"pprof",
		"Loopback address, such as `127.0.0.1:6060`, on which the agent serves profiles of itself; empty means off.",
	},
	{"sandbox", "Whether the running agent drops rights that it needs only at start: see [Privileges](privileges.md#sandbox)."},
	{"user", "User, or user:group, to become at start, with only the capabilities that are needed: see [Privileges](privileges.md)."},
}

// Settings returns every key with its sources, default and meaning.
func Settings() []Setting {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	Flags(flags, Default())
	flagOf := make(map[string]string)
	flags.VisitAll(func(f *pflag.Flag) {
		for _, key := range f.Annotations[keyAnnotation] {
			flagOf[key] = "--" + f.Name
		}
	})
	values := make(map[string]reflect.Value)
	collectValues(values, "", reflect.ValueOf(Default()))
	settings := make([]Setting, len(meanings))
	for i, m := range meanings {
		value := values[m.key]
		settings[i] = Setting{
			Key: m.key, Flag: flagOf[m.key], Default: showDefault(value), Reloaded: isReloaded(m.key), Meaning: m.meaning,
		}
		if t := value.Type(); t.Kind() != reflect.Slice || !isSection(t.Elem()) {
			settings[i].Variable = envName(m.key)
		}
	}
	return settings
}

// collectValues stores the values of all keys of a section in values. v is the struct of the section.
func collectValues(values map[string]reflect.Value, section string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := join(section, f.Tag.Get(tagName))
		if isSection(f.Type) {
			collectValues(values, key, v.Field(i))
		} else {
			values[key] = v.Field(i)
		}
	}
}

// showDefault returns a default value in YAML syntax.
func showDefault(v reflect.Value) string {
	if v.Kind() == reflect.String && v.Len() == 0 {
		return `""`
	}
	if list, ok := v.Interface().([]string); ok {
		return "[" + strings.Join(list, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// isReloaded reports whether a reload of the configuration applies a changed value of the key.
func isReloaded(key string) bool {
	next := Default()
	change(reflect.ValueOf(&next).Elem(), "", key)
	_, changed, _ := Default().Reloaded(next)
	return changed != nil
}

// change gives key another value. section is the struct of the section named at, or the whole configuration if at is
// empty.
func change(section reflect.Value, at, key string) {
	for i := range section.NumField() {
		f := section.Type().Field(i)
		name, v := join(at, f.Tag.Get(tagName)), section.Field(i)
		switch {
		case isSection(f.Type):
			change(v, name, key)
		case name != key:
		case v.Kind() == reflect.Slice:
			v.Set(reflect.MakeSlice(f.Type, 1, 1))
		case v.Kind() == reflect.Bool:
			v.SetBool(!v.Bool())
		case v.Kind() == reflect.String:
			v.SetString(v.String() + "x")
		case v.CanInt():
			v.SetInt(v.Int() + 1)
		default:
			v.SetUint(v.Uint() + 1)
		}
	}
}
