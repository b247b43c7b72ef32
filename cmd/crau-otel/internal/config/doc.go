// SPDX-License-Identifier: Apache-2.0

// Package config reads the agent's configuration. Its sources, in order of increasing precedence, are [Default],
// OTEL_TRACES_EXPORTER, a YAML file, CRAU_* environment variables and flags.
//
// The struct [Config] defines the keys: the yaml tag of a field is the name of its key. The environment variable of the
// key a.b_c is CRAU_A_B_C. [Flags] defines which flag sets which key. To add a key, add a field with a yaml tag, a
// default in [Default], a check in the validate method of its section, a description in settings.go, and a line in
// crau-otel.yaml.
//
// [Load] fails if a source has an unknown key or a value of the wrong type. Each error names the key and the place that
// sets it: the line of the file, the variable or the flag.
package config
