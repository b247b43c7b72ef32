// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// decimal matches the only accepted form of whole numbers. YAML files could contain other forms, such as 010, which is
// 8 or 10 depending on the version of YAML; variables and flags have no other forms.
var decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)

const decimalForm = "a whole number in decimal, without leading zeros or underscores"

// checkNumbers returns an error for every whole number in the document that does not match decimal.
func (d *document) checkNumbers() error {
	if d.root == nil {
		return nil
	}
	return checkNumbers(d.name, "", d.root)
}

func checkNumbers(file, key string, node *yaml.Node) error {
	var errs []error
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			errs = append(errs, checkNumbers(file, join(key, node.Content[i].Value), node.Content[i+1]))
		}
	case yaml.SequenceNode:
		for i, element := range node.Content {
			errs = append(errs, checkNumbers(file, fmt.Sprintf("%s[%d]", key, i), element))
		}
	case yaml.ScalarNode:
		if node.ShortTag() == "!!int" && !decimal.MatchString(node.Value) {
			return fmt.Errorf("%s:%d: %s: must be %s, got %s", file, node.Line, key, decimalForm, node.Value)
		}
	}
	return errors.Join(errs...)
}
