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
	// keyAnnotation holds the key that a flag sets.
	keyAnnotation = "crau-otel-key"
)

// Flags adds the flags of the run command to fs, with defaults d. All are strings, which [Load] parses, so that an invalid
// value gives the same error from every source.
func Flags(fs *pflag.FlagSet, d Config) {
	FileFlag(fs)
	fs.StringArray("library", nil, "`file` of a library to attach to; may be repeated")
	tie(fs, "library", "libraries")
	text := func(name, key, value, usage string) {
		fs.String(name, value, usage)
		tie(fs, name, key)
	}
	text("discovery", "discovery.enabled", strconv.FormatBool(d.Discovery.Enabled),
		"`whether` to find programs and libraries with probes: true or false")
	text("exporter", "exporter", d.Exporter, "`destination` of spans: otlp, console or none")
	text("console-format", "console.format", d.Console.Format, "`form` of the console exporter: text or json")
	text("console-color", "console.color", d.Console.Color, "`when` the console exporter uses colour: auto, always or never")
	text("log-level", "log.level", d.Log.Level, "least severe `level` to log: debug, info, warn or error")
	text(flagLogFormat, "log.format", d.Log.Format, "`form` of the log: text or json")
	text("idle-timeout", "spans.idle_timeout", d.Spans.IdleTimeout.String(), "`duration` of silence that ends a context")
	text("detail", "spans.detail", d.Spans.Detail, "`how much` of each handshake: full or handshake")
	text("policy", "policy.name", d.Policy.Name, "built-in `set` of rules that find violations: none, hybrid-ok, pq-only or cnsa-2.0")
	text("pprof", "pprof", d.Pprof, "loopback `address` to serve profiles on, such as 127.0.0.1:6060; off if empty")
	text("user", "user", d.User, "`name` of the user, or name:group, to become at start")
	text("ring-size", "ring.size", d.Ring.Size.String(), "`size` of the buffer between kernel and agent")
}

// FileFlag adds the flag that names the file of the configuration. It is all that commands have which do not run an agent.
func FileFlag(fs *pflag.FlagSet) { fs.String(flagConfig, "", "YAML `file` to read ("+envConfig+")") }

// tie makes a flag set a key.
func tie(fs *pflag.FlagSet, name, key string) {
	fs.Lookup(name).Annotations = map[string][]string{keyAnnotation: {key}}
}

// flagLayer returns the keys that the given flags of fs set.
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
