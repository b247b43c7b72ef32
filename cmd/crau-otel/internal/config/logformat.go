// SPDX-License-Identifier: Apache-2.0

package config

import (
	"io"

	"github.com/spf13/pflag"
)

// FormatFlags returns the flags that [LogFormat] reads, from the arguments of a subcommand. It skips what it does not know,
// and reads on where the command's own flags end with an error. Flags that follow an argument count if they are
// interspersed.
func FormatFlags(args []string, interspersed bool) *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SetInterspersed(interspersed)
	fs.ParseErrorsAllowlist.UnknownFlags = true
	FileFlag(fs)
	fs.String(flagLogFormat, FormatText, "")
	_ = fs.Parse(args) // an incomplete flag is the last one
	return fs
}

// LogFormat returns the format for reporting that the configuration cannot be loaded: the value of log.format if its
// sources can be read, else text.
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
