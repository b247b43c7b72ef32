// SPDX-License-Identifier: Apache-2.0

// Package config reads the agent's configuration from, in rising precedence, [Default], OTEL_TRACES_EXPORTER, a YAML
// file, CRAU_* environment variables and flags.
//
// The struct [Config] is the only list of keys: a field's yaml tag names its key, the environment variable of the key
// a.b_c is CRAU_A_B_C, and [Flags] ties a flag to a key. A new key is a field, its default, its check in the validate
// method of its section, and its line in crau-otel.yaml; nothing else knows the keys.
//
// A source is refused as a whole when it has an unknown key or a value of another type. Errors name the source (the
// file's line, the variable or the flag) and the key.
package config
