// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// This file reads unexported tables of other packages from their source.

// word is a constant of a string type, and the comment beside it.
type word struct{ value, meaning string }

// words returns the constants of a string type of a package in their order, without the empty one.
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

// context is a registered context, as the schema of mapping describes it.
type context struct {
	name  string
	keys  []string // event keys of its own
	holds []string // contexts that may open below it
	old   []oldName
}

// oldName is another name that libraries emit for a context, with the role that it implies.
type oldName struct{ name, role string }

// contexts returns the contexts that makeSchemas declares, in its order.
func (src *source) contexts() ([]*context, error) {
	body, err := src.packages[modulePath+"/mapping"].function("makeSchemas")
	if err != nil {
		return nil, err
	}
	var contexts []*context
	locals := make(map[string]ast.Expr)
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if name, ok := n.Lhs[0].(*ast.Ident); ok && n.Tok == token.DEFINE && len(n.Rhs) == 1 {
				locals[name.Name] = n.Rhs[0]
			}
		case *ast.CompositeLit:
			if name := field(n, "name"); name != nil {
				contexts = append(contexts, &context{
					name: src.text(name), keys: src.list(field(n, "keys"), locals), holds: src.list(field(n, "holds"), locals),
				})
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "old" && len(n.Args) == 3 {
				for _, c := range contexts {
					name := src.text(n.Args[0])
					if c.name == src.text(n.Args[1]) {
						c.old = append(c.old, oldName{name, src.text(n.Args[2])})
					}
					c.holds = slices.DeleteFunc(c.holds, func(held string) bool { return held == name })
				}
			}
		}
		return true
	})
	if contexts == nil {
		return nil, errors.New("makeSchemas declares no contexts")
	}
	return contexts, nil
}

// list returns the constants of a list: one alone, a literal, a variable that holds one, or a call that puts its
// arguments together.
func (src *source) list(e ast.Expr, locals map[string]ast.Expr) []string {
	if text := src.text(e); text != "" {
		return []string{text}
	}
	var elements []string
	switch e := e.(type) {
	case *ast.CompositeLit:
		for _, element := range e.Elts {
			elements = append(elements, src.list(element, locals)...)
		}
	case *ast.Ident:
		return src.list(locals[e.Name], locals)
	case *ast.CallExpr:
		for _, arg := range e.Args {
			elements = append(elements, src.list(arg, locals)...)
		}
	}
	return elements
}

// policySet is a built-in policy.
type policySet struct {
	name  string
	rules []policyRule
}

// policyRule is a rule of it.
type policyRule struct {
	name, attribute, operator, span string
	values                          []string
}

// policies returns the built-in policies in their order.
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
					values: src.list(field(rule, "Value"), nil),
				})
			}
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// field returns the value of a field in a struct literal, nil if it has none.
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

// text returns the value of a constant; "" for anything else.
func (src *source) text(e ast.Expr) string {
	if v := src.info.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v)
	} else if v != nil {
		return v.ExactString()
	}
	return ""
}
