// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strconv"

	"github.com/knadh/koanf/providers/posflag"
	"github.com/spf13/pflag"
)

const (
	flagConfig    = "config"
	flagLogFormat = "log-format"
	// keyAnnotation is the annotation of a flag that holds the key that the flag sets.
	keyAnnotation = "crau-otel-key"
)

// Flags adds the flags of the run command to fs, with defaults d. The values of all flags are text until [Load] parses
// them, so that an invalid value causes the same error from every source.
func Flags(fs *pflag.FlagSet, d Config) {
	FileFlag(fs)
	fs.StringArray("library", nil, "`file` of a library to attach to; may be repeated")
	tie(fs, "library", "libraries")
	text := func(name, key, value, usage string) {
		fs.String(name, value, usage)
		tie(fs, name, key)
	}
	text("discovery", "discovery.enabled", strconv.FormatBool(d.Discovery.Enabled),
		"`whether` to look for programs and libraries with probes: true or false")
	text("exporter", "exporter", d.Exporter, "`destination` of spans: otlp, console or none")
	text("console-format", "console.format", d.Console.Format, "`format` of the console exporter: text or json")
	text("console-color", "console.color", d.Console.Color, "`when` the console exporter uses colour: auto, always or never")
	text("log-level", "log.level", d.Log.Level, "least severe `level` to log: debug, info, warn or error")
	text(flagLogFormat, "log.format", d.Log.Format, "`format` of the log: text or json")
	text("idle-timeout", "spans.idle_timeout", d.Spans.IdleTimeout.String(), "`duration` without events after which a tree ends")
	text("detail", "spans.detail", d.Spans.Detail, "`detail` of each handshake to export: full, or handshake for its root only")
	text("policy", "policy.name", d.Policy.Name, "built-in `set` of rules for violations: none, hybrid-ok, pq-only or cnsa-2.0")
	text("pprof", "pprof", d.Pprof, "loopback `address` to serve profiles on, such as 127.0.0.1:6060; off if empty")
	text("user", "user", d.User, "`name` of the user, or name:group, to become at start")
	text("ring-size", "ring.size", d.Ring.Size.String(), "`size` of the buffer between kernel and agent")
}

// FileFlag adds the flag --config, which names the configuration file. Commands that do not run an agent have only this
// flag for the configuration.
func FileFlag(fs *pflag.FlagSet) { fs.String(flagConfig, "", "YAML `file` to read ("+envConfig+")") }

// tie records that the flag called name sets key.
func tie(fs *pflag.FlagSet, name, key string) {
	fs.Lookup(name).Annotations = map[string][]string{keyAnnotation: {key}}
}

// flagLayer returns the keys that are set by the flags on the command line.
func flagLayer(fs *pflag.FlagSet) (layer, error) {
	types, set := keyTypes(configType), places{}
	values, err := posflag.ProviderWithFlag(fs, ".", nil, func(f *pflag.Flag) (string, any) {
		tied := f.Annotations[keyAnnotation]
		if len(tied) == 0 || !f.Changed {
			return "", nil
		}
		key := tied[0]
		set[key] = "--" + f.Name
		if list, ok := f.Value.(pflag.SliceValue); ok {
			elements := []any{}
			for _, s := range list.GetSlice() {
				elements = append(elements, parse(types[key].Elem(), s))
			}
			return key, elements
		}
		return key, parse(types[key], f.Value.String())
	}).Read()
	return layer{values, set.place}, err
}
