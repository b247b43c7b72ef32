// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.yaml.in/yaml/v3"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/mapping/schema"
)

// These types describe the files in semconv/, which are a registry for OpenTelemetry Weaver. The syntax of the files is
// defined in https://github.com/open-telemetry/weaver/blob/main/schemas/semconv-syntax.md.
type (
	registryManifest struct {
		Description  string               `yaml:"description"`
		SchemaURL    string               `yaml:"schema_url"`
		Dependencies []registryDependency `yaml:"dependencies"`
	}
	registryDependency struct {
		SchemaURL    string `yaml:"schema_url"`
		RegistryPath string `yaml:"registry_path"`
	}
	registryFile struct {
		Groups []registryGroup `yaml:"groups"`
	}
	registryGroup struct {
		ID          string              `yaml:"id"`
		Type        string              `yaml:"type"`
		DisplayName string              `yaml:"display_name,omitempty"`
		MetricName  string              `yaml:"metric_name,omitempty"`
		Brief       string              `yaml:"brief"`
		Instrument  string              `yaml:"instrument,omitempty"`
		Unit        string              `yaml:"unit,omitempty"`
		Stability   string              `yaml:"stability,omitempty"`
		Attributes  []registryAttribute `yaml:"attributes,omitempty"`
	}
	registryAttribute struct {
		ID        string `yaml:"id,omitempty"`
		Ref       string `yaml:"ref,omitempty"`
		Type      string `yaml:"type,omitempty"`
		Stability string `yaml:"stability,omitempty"`
		Brief     string `yaml:"brief,omitempty"`
		Note      string `yaml:"note,omitempty"`
		Examples  []any  `yaml:"examples,omitempty,flow"`
	}
)

// yamlGenerated is the heading of every file in semconv/.
const yamlGenerated = "# SPDX-License-Identifier: Apache-2.0\n# Made by `make docs` from the code. Do not edit.\n"

// semconvFiles returns the text of each file in semconv/, by file name.
func semconvFiles() (map[string]string, error) {
	attributes, err := registryAttributes()
	if err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for name, content := range map[string]any{
		"manifest.yaml": registryManifest{
			Description: "The attributes and metrics of crau-otel, which shows the cryptography that programs use.",
			SchemaURL:   "https://github.com/crau-otel/crau-otel/semconv/0.1.0",
			Dependencies: []registryDependency{{
				SchemaURL: semconv.SchemaURL,
				RegistryPath: "https://github.com/open-telemetry/semantic-conventions/archive/refs/tags/v" +
					semconv.SchemaURL[strings.LastIndex(semconv.SchemaURL, "/")+1:] + ".zip[model]",
			}},
		},
		"attributes.yaml": attributes,
		"metrics.yaml":    registryMetrics(),
	} {
		var text bytes.Buffer
		encoder := yaml.NewEncoder(&text)
		encoder.SetIndent(2)
		if err := encoder.Encode(content); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = yamlGenerated + text.String()
	}
	return files, nil
}

// registryAttributes returns two groups: the attributes that crau-otel defines, and references to those that
// OpenTelemetry's semantic conventions define.
func registryAttributes() (registryFile, error) {
	own := registryGroup{
		ID: "registry.crau_otel", Type: "attribute_group", DisplayName: "crau-otel",
		Brief: "Attributes of crau-otel's spans, resources and metrics.",
	}
	conventional := registryGroup{
		ID: "crau_otel.conventional", Type: "attribute_group",
		Brief: "OpenTelemetry's attributes that crau-otel sets.",
	}
	seen := make(map[string]bool)
	for _, a := range schema.Attributes() {
		key := string(a.Key)
		if seen[key] {
			continue
		}
		seen[key] = true
		if a.Conventional() {
			conventional.Attributes = append(conventional.Attributes, registryAttribute{Ref: key, Note: a.Meaning})
			continue
		}
		examples, err := registryExamples(a)
		if err != nil {
			return registryFile{}, fmt.Errorf("attribute %s: %w", key, err)
		}
		id, typ := key, a.Type
		if prefix, family := strings.CutSuffix(key, ".*"); family {
			id, typ = prefix, "template["+a.Type+"]"
		}
		own.Attributes = append(own.Attributes, registryAttribute{
			ID: id, Type: typ, Stability: "development", Brief: a.Meaning, Note: "On: " + a.On, Examples: examples,
		})
	}
	for _, a := range described {
		if !seen[a.key] {
			own.Attributes = append(own.Attributes, registryAttribute{
				ID: a.key, Type: "string", Stability: "development", Brief: a.meaning,
			})
		}
	}
	return registryFile{[]registryGroup{own, conventional}}, nil
}

// registryExamples returns the example of an attribute, converted to the attribute's type.
func registryExamples(a schema.Attribute) ([]any, error) {
	switch a.Type {
	case "boolean":
		return nil, nil // a boolean needs no example
	case "int":
		n, err := strconv.Atoi(a.Example)
		return []any{n}, err
	case "string[]":
		var list []any
		for _, element := range strings.Split(strings.Trim(a.Example, "[]"), ", ") {
			list = append(list, element)
		}
		return []any{list}, nil
	default:
		return []any{a.Example}, nil
	}
}

func registryMetrics() registryFile {
	var file registryFile
	for _, i := range metrics.Instruments() {
		group := registryGroup{
			ID: "metric." + i.Name, Type: "metric", MetricName: i.Name, Brief: i.Meaning,
			Instrument: i.Type, Unit: i.Unit, Stability: "development",
		}
		for _, key := range attributesOf(i) {
			group.Attributes = append(group.Attributes, registryAttribute{Ref: key})
		}
		file.Groups = append(file.Groups, group)
	}
	return file
}
