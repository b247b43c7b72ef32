// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// decimal is the only accepted form of whole numbers. YAML has others, where 010 may mean 8 or 10; the other sources do
// not.
var decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)

const decimalForm = "a whole number in decimal, without leading zeros or underscores"

// checkNumbers returns an error for every whole number of the document that is not decimal.
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
