// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"strings"
)

// This file extracts constants and unexported tables of other packages from their source code.

// word is a constant of a string type. meaning is the comment at the end of the constant's line.
type word struct{ value, meaning string }

// words returns the constants of a string type in a package, in the order of their declarations. It omits an empty
// constant.
func (src *source) words(path, typeName string) ([]word, error) {
	var words []word
	src.packages[path].inspect(func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, name := range spec.Names {
			c, ok := src.info.Defs[name].(*types.Const)
			if !ok || c.Type().String() != path+"."+typeName {
				continue
			}
			if value := constant.StringVal(c.Val()); value != "" {
				words = append(words, word{value, strings.TrimSpace(spec.Comment.Text())})
			}
		}
		return true
	})
	if words == nil {
		return nil, fmt.Errorf("%s: no constants of type %s", path, typeName)
	}
	return words, nil
}

// list returns the values of the constants in a composite literal, or the value of a single constant.
func (src *source) list(e ast.Expr) []string {
	if text := src.text(e); text != "" {
		return []string{text}
	}
	var elements []string
	if list, ok := e.(*ast.CompositeLit); ok {
		for _, element := range list.Elts {
			elements = append(elements, src.list(element)...)
		}
	}
	return elements
}

// policySet is a built-in policy.
type policySet struct {
	name  string
	rules []policyRule
}

// policyRule is a rule of a built-in policy.
type policyRule struct {
	name, attribute, operator, span string
	values                          []string
}

// policies returns the built-in policies, in the order of the variable sets in package policy.
func (src *source) policies() ([]policySet, error) {
	value, err := src.packages[modulePath+"/mapping/policy"].variable("sets")
	if err != nil {
		return nil, err
	}
	table, ok := value.(*ast.CompositeLit)
	if !ok {
		return nil, errors.New("sets is no literal")
	}
	var sets []policySet
	for _, e := range table.Elts {
		row := e.(*ast.CompositeLit)
		set := policySet{name: src.text(row.Elts[0])}
		if rules, ok := row.Elts[1].(*ast.CompositeLit); ok {
			for _, r := range rules.Elts {
				rule := r.(*ast.CompositeLit)
				set.rules = append(set.rules, policyRule{
					name: src.text(field(rule, "Name")), attribute: src.text(field(rule, "Attribute")),
					operator: src.text(field(rule, "Operator")), span: src.text(field(rule, "Span")),
					values: src.list(field(rule, "Value")),
				})
			}
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// field returns the value of a field in a struct literal, or nil if the literal does not set it.
func field(literal *ast.CompositeLit, name string) ast.Expr {
	for _, e := range literal.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == name {
				return kv.Value
			}
		}
	}
	return nil
}

// text returns the value of a constant expression as a string, or "" if e is not constant.
func (src *source) text(e ast.Expr) string {
	if v := src.info.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v)
	} else if v != nil {
		return v.ExactString()
	}
	return ""
}
