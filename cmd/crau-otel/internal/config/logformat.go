// SPDX-License-Identifier: Apache-2.0

package config

import "github.com/spf13/pflag"

// LogFormat returns the format in which to report that the configuration cannot be loaded: that of log.format as far as
// its sources can be read, else text.
func LogFormat(fs *pflag.FlagSet, environ []string) string {
	format := FormatText
	use := func(value any) {
		if s, ok := value.(string); ok && (s == FormatText || s == FormatJSON) {
			format = s
		}
	}
	if file, err := fileLayer(fs, environ); err == nil {
		if section, ok := file.values["log"].(map[string]any); ok {
			use(section["format"])
		}
	}
	use(lookup(environ, envName("log.format")))
	if f := fs.Lookup(flagLogFormat); f != nil && f.Changed {
		use(f.Value.String())
	}
	return format
}
