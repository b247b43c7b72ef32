// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
)

const (
	envPrefix = "CRAU_"
	// envConfig names the YAML file, as --config does. It is not a key.
	envConfig = envPrefix + "CONFIG"
)

// envName returns the environment variable of key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// envLayer returns what environ sets. An empty variable counts as not set, as with OTEL_*.
func envLayer(environ []string) (layer, error) {
	types := keyTypes(configType)
	// Keys have underscores of their own, so a variable's name does not tell where the dots go: look it up.
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
		// Kubernetes gives every pod variables named after the namespace's services, crau-otel among them.
		return fmt.Errorf("%s: unknown variable: if Kubernetes set it, set enableServiceLinks: false in the pod", name)
	}
	return fmt.Errorf("%s: unknown variable: the key limits.open_contexts, for example, is %s",
		name, envName("limits.open_contexts"))
}
