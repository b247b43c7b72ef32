// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Load returns a valid configuration, or an error that joins all problems. The sources, in order of increasing
// precedence, are the defaults c, OTEL_TRACES_EXPORTER, the YAML file that --config or else CRAU_CONFIG names, the
// CRAU_* variables in environ (in the form of os.Environ), and the flags in fs that are set. fs must contain the flags
// that [Flags] adds, and must already be parsed.
func Load(c Config, fs *pflag.FlagSet, environ []string) (Config, error) {
	file, errFile := fileLayer(fs, environ)
	variables, errEnv := envLayer(environ)
	flags, errFlags := flagLayer(fs)
	errs := []error{errFile, errEnv, errFlags}

	layers := []layer{standardLayer(environ), file, variables, flags}
	merged := koanf.New(".")
	for i := range layers {
		// Each layer is checked separately before it is merged: a value of a later layer would hide a value of the wrong type
		// in an earlier layer.
		var p problems
		layers[i].values, _ = p.conform(configType, "", layers[i].values).(map[string]any)
		errs = append(errs, attribute(p, layers[i:i+1]), merged.Load(layers[i], nil))
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}

	if err := decode(merged.Raw(), &c); err != nil {
		return Config{}, err
	}
	if err := attribute(c.problems(), layers); err != nil {
		return Config{}, err
	}
	return c, nil
}

// fileLayer returns the keys that the YAML file sets. The layer is empty if neither --config nor CRAU_CONFIG names a
// file.
func fileLayer(fs *pflag.FlagSet, environ []string) (layer, error) {
	name, source := lookup(environ, envConfig), envConfig
	if f := fs.Lookup(flagConfig); f != nil && f.Changed {
		name, source = f.Value.String(), "--"+flagConfig
	}
	doc := &document{}
	if name != "" {
		var err error
		if doc, err = readDocument(name); err != nil {
			return layer{}, fmt.Errorf("%s: %w", source, err)
		}
	}
	return layer{doc.values, doc.place}, doc.checkNumbers()
}

// decode stores values in c. The values must have passed conform, which has removed everything that decode would
// reject, such as unknown keys.
func decode(values map[string]any, c *Config) error {
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:      c,
		TagName:     tagName,
		ErrorUnused: true,
		ZeroFields:  true, // a list replaces the default list instead of its first elements
		MatchName:   func(key, field string) bool { return key == field },
	})
	if err != nil {
		return fmt.Errorf("decode configuration: %w", err)
	}
	if err := decoder.Decode(values); err != nil {
		return fmt.Errorf("decode configuration: %w", err)
	}
	return nil
}

// attribute joins problems into one error. The text of each problem begins with the place that sets its key, such as a
// line of the file. If several layers set the key, the place in the last of these layers is used.
func attribute(p problems, layers []layer) error {
	var errs []error
	for _, problem := range p {
		var err error = problem
		for _, l := range slices.Backward(layers) {
			if place := l.place(problem.key); place != "" {
				err = fmt.Errorf("%s: %w", place, problem)
				break
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
