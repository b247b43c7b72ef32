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
	// envConfig is the variable that names the YAML file, as the flag --config does. It does not set a key.
	envConfig = envPrefix + "CONFIG"
	// envTracesExporter is the standard variable of OpenTelemetry that sets the key exporter.
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

// standardLayer returns the keys that are set by standard variables of OpenTelemetry.
func standardLayer(environ []string) layer {
	set, values := places{}, map[string]any{}
	// According to OpenTelemetry's specification, an empty variable counts as not set, and the case of its value is
	// ignored.
	if exporter := strings.ToLower(strings.TrimSpace(lookup(environ, envTracesExporter))); exporter != "" {
		set["exporter"], values["exporter"] = envTracesExporter, exporter
	}
	return layer{values, set.place}
}

// envLayer returns the keys that the CRAU_* variables in environ set. An empty variable counts as not set, as
// OpenTelemetry specifies for OTEL_* variables.
func envLayer(environ []string) (layer, error) {
	types := keyTypes(configType)
	// Keys contain both dots and underscores, and a variable's name has an underscore for either. So a key cannot be
	// derived from the name, and is looked up.
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
		// In every pod, Kubernetes sets variables whose names begin with the name of a service in the pod's namespace. For a
		// service called crau-otel, the names begin with CRAU_OTEL_.
		return fmt.Errorf("%s: unknown variable: if Kubernetes set it, set enableServiceLinks: false in the pod", name)
	}
	return fmt.Errorf("%s: unknown variable: the key limits.open_contexts, for example, is %s",
		name, envName("limits.open_contexts"))
}
