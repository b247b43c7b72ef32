// SPDX-License-Identifier: Apache-2.0

// Package config reads the agent's configuration from, in rising precedence, [Default], OTEL_TRACES_EXPORTER, a YAML
// file, CRAU_* environment variables and flags.
//
// The struct [Config] is the only list of keys: a field's yaml tag names its key, the environment variable of the key
// a.b_c is CRAU_A_B_C, and [Flags] ties a flag to a key. A new key needs a field, a default, a check in the validate
// method of its section, a description in settings.go, and a line in crau-otel.yaml.
//
// A source with an unknown key or a value of another type is rejected as a whole. Errors name the source (the file's
// line, the variable or the flag) and the key.
package config
