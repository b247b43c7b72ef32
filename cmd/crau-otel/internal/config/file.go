// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A document is a parsed YAML file with its line numbers, which koanf's YAML parser does not keep.
type document struct {
	name   string
	root   *yaml.Node // nil if the file is empty
	values map[string]any
}

func readDocument(name string) (*document, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parseDocument(name, text)
}

func parseDocument(name string, text []byte) (*document, error) {
	doc := &document{name: name}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var node yaml.Node
	err := decoder.Decode(&node)
	if errors.Is(err, io.EOF) {
		return doc, nil
	}
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	// Without this check, a second YAML document in the file would be ignored silently.
	if err := decoder.Decode(new(yaml.Node)); err == nil {
		return nil, fmt.Errorf("parse %s: must be one YAML document, got several", name)
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	doc.root = node.Content[0]
	if doc.root.Kind != yaml.MappingNode && doc.root.Tag != "!!null" {
		return nil, fmt.Errorf("parse %s: line %d: must be keys with values", name, doc.root.Line)
	}
	if err := doc.root.Decode(&doc.values); err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	return doc, nil
}

// place returns where the file sets key, as "file:line". If the file does not contain the key, place returns the
// innermost section or list element around it, or "".
func (d *document) place(key string) string {
	if line, _ := d.line(key); line > 0 {
		return fmt.Sprintf("%s:%d", d.name, line)
	}
	return ""
}

// line returns the line of key, a path such as policy.rules[2].name, and whether the file contains exactly that key. If
// not, the line is that of the innermost section or list element around it, or 0.
func (d *document) line(key string) (line int, exact bool) {
	if d.root == nil {
		return 0, false
	}
	return lineOf(d.root, key)
}

func lineOf(node *yaml.Node, key string) (line int, exact bool) {
	switch node.Kind {
	case yaml.AliasNode:
		return lineOf(node.Alias, key)
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			name, value := node.Content[i], node.Content[i+1]
			// Comparing key with the names in the file, instead of splitting key at its dots, also finds names that contain a
			// dot.
			if rest, ok := strings.CutPrefix(key, name.Value); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				return lineBelow(value, strings.TrimPrefix(rest, "."), name.Line)
			}
		}
	case yaml.SequenceNode:
		index, rest, _ := strings.Cut(strings.TrimPrefix(key, "["), "]")
		if i, err := strconv.Atoi(index); err == nil && i >= 0 && i < len(node.Content) {
			return lineBelow(node.Content[i], strings.TrimPrefix(rest, "."), node.Content[i].Line)
		}
	}
	return 0, false
}

// lineBelow looks for rest, a key relative to node, in the same way as [document.line]. line is the line of node, which
// is returned if rest is empty, or if node contains no part of rest.
func lineBelow(node *yaml.Node, rest string, line int) (int, bool) {
	if rest == "" {
		return line, true
	}
	if below, exact := lineOf(node, rest); below > 0 {
		return below, exact
	}
	return line, false
}
