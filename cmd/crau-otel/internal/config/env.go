// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
)

const (
	envPrefix = "CRAU_"
	// envConfig names the YAML file, as --config does. It is not a key.
	envConfig = envPrefix + "CONFIG"
	// envTracesExporter is OpenTelemetry's variable for the key exporter.
	envTracesExporter = "OTEL_TRACES_EXPORTER"
)

// envName returns the environment variable of key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// lookup returns the value of an environment variable, or "" if it is not set.
func lookup(environ []string, name string) string {
	for _, variable := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// standardLayer returns the keys that OpenTelemetry's own variables set.
func standardLayer(environ []string) layer {
	set, values := places{}, map[string]any{}
	// According to the specification, an empty variable counts as not set, and case does not matter.
	if exporter := strings.ToLower(strings.TrimSpace(lookup(environ, envTracesExporter))); exporter != "" {
		set["exporter"], values["exporter"] = envTracesExporter, exporter
	}
	return layer{values, set.place}
}

// envLayer returns the keys that environ sets. An empty variable counts as not set, as for OTEL_*.
func envLayer(environ []string) (layer, error) {
	types := keyTypes(configType)
	// Keys contain underscores, so the position of the dots cannot be derived from a variable's name.
	keys := make(map[string]string, len(types))
	for key := range types {
		keys[envName(key)] = key
	}
	set, errs := places{}, []error(nil)
	values, err := env.Provider(".", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			key, known := keys[name]
			switch {
			case name == envConfig:
				return "", nil
			case !known:
				errs = append(errs, unknownVariable(name))
				return "", nil
			case value == "":
				return "", nil
			}
			set[key] = name
			return key, parse(types[key], value)
		},
	}).Read()
	return layer{values, set.place}, errors.Join(append(errs, err)...)
}

func unknownVariable(name string) error {
	if strings.HasPrefix(name, envPrefix+"OTEL_") {
		// In every pod, Kubernetes sets variables that are named after the namespace's services. One of these may be called
		// crau-otel.
		return fmt.Errorf("%s: unknown variable: if Kubernetes set it, set enableServiceLinks: false in the pod", name)
	}
	return fmt.Errorf("%s: unknown variable: the key limits.open_contexts, for example, is %s",
		name, envName("limits.open_contexts"))
}
