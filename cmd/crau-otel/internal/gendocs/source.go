// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

const modulePath = "github.com/crau-otel/crau-otel"

// source holds packages of this module, parsed and type-checked, without their tests.
type source struct {
	fset     *token.FileSet
	info     types.Info
	packages map[string]*pkg // packages by import path
	importer types.Importer  // imports the packages that these packages depend on
}

// pkg is one package.
type pkg struct {
	types *types.Package
	files []*ast.File
}

// listed is the output of `go list -json` for a package.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Export     string // file with the compiler's export data
	DepOnly    bool   // no pattern matches the package, but a matching package depends on it
}

// load parses and type-checks the packages that match the patterns in the module at root.
func load(root string, patterns ...string) (*source, error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export,DepOnly"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := make(map[string]string)
	var wanted []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		exports[l.ImportPath] = l.Export
		if !l.DepOnly {
			wanted = append(wanted, l)
		}
	}
	src := &source{
		fset:     token.NewFileSet(),
		packages: make(map[string]*pkg),
		info: types.Info{
			Types: make(map[ast.Expr]types.TypeAndValue),
			Defs:  make(map[*ast.Ident]types.Object),
			Uses:  make(map[*ast.Ident]types.Object),
		},
	}
	src.importer = importer.ForCompiler(src.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	for _, l := range wanted {
		if err := src.check(l); err != nil {
			return nil, err
		}
	}
	return src, nil
}

// check parses and type-checks one package.
func (src *source) check(l listed) error {
	p := &pkg{}
	for _, name := range l.GoFiles {
		file, err := parser.ParseFile(src.fset, filepath.Join(l.Dir, name), nil, parser.ParseComments)
		if err != nil {
			return err
		}
		p.files = append(p.files, file)
	}
	var err error
	cfg := types.Config{Importer: src.importer}
	p.types, err = cfg.Check(l.ImportPath, src.fset, p.files, &src.info)
	src.packages[l.ImportPath] = p
	return err
}

// inspect calls visit for the nodes of the package's syntax trees, as [ast.Inspect] does.
func (p *pkg) inspect(visit func(ast.Node) bool) {
	for _, file := range p.files {
		ast.Inspect(file, visit)
	}
}

// variable returns the expression that initialises a variable of the package.
func (p *pkg) variable(name string) (value ast.Expr, err error) {
	err = fmt.Errorf("%s: no variable %s with a value", p.types.Path(), name)
	p.inspect(func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == 1 && len(spec.Values) == 1 && spec.Names[0].Name == name {
			value, err = spec.Values[0], nil
		}
		return err != nil
	})
	return value, err
}
