// SPDX-License-Identifier: Apache-2.0

package config

import (
	"io"

	"github.com/spf13/pflag"
)

// FormatFlags parses args, the arguments of a subcommand, and returns the flags that [LogFormat] reads. It skips
// unknown flags, so that it also finds flags behind an argument that the subcommand rejects. interspersed is whether
// flags may follow positional arguments.
func FormatFlags(args []string, interspersed bool) *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SetInterspersed(interspersed)
	fs.ParseErrorsAllowlist.UnknownFlags = true
	FileFlag(fs)
	fs.String(flagLogFormat, FormatText, "")
	_ = fs.Parse(args) // ignored: the flags before the one that fails to parse are set by then
	return fs
}

// LogFormat returns the format of the log line that reports that the configuration cannot be loaded: the value of
// log.format if it can be determined nevertheless, else text.
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
