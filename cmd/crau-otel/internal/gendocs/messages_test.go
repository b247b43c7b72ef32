// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/constant"
	"go/types"
	"log/slog"
	"testing"
)

// logMethods lists the methods of slog.Logger that can log warnings and errors, each with the index of the message in
// its arguments. Calls of Log and LogAttrs do not count if the level is a constant below slog.LevelWarn.
var logMethods = map[string]int{"Warn": 0, "Error": 0, "WarnContext": 1, "ErrorContext": 1, "Log": 2, "LogAttrs": 2}

// warnings returns the messages of all warnings and errors that the packages log, each with a file and line where it is
// logged.
func (src *source) warnings(t *testing.T) map[string]string {
	messages := make(map[string]string)
	visit := func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, _ := (&makers{src: src}).callee(call).(*types.Func)
		if f == nil || f.Pkg() == nil || f.Pkg().Path() != "log/slog" {
			return true
		}
		at, logs := logMethods[f.Name()]
		if !logs || len(call.Args) <= at {
			return true
		}
		if at == 2 {
			level := src.info.Types[call.Args[1]].Value
			if level != nil {
				if n, _ := constant.Int64Val(level); n < int64(slog.LevelWarn) {
					return true
				}
			}
		}
		if message := src.text(call.Args[at]); message != "" {
			messages[message] = src.fset.Position(call.Pos()).String()
		} else {
			t.Errorf("%s: the message is not a constant, so that nobody can look it up", src.fset.Position(call.Pos()))
		}
		return true
	}
	for _, p := range src.packages {
		p.inspect(visit)
	}
	return messages
}

func TestEveryWarningIsExplained(t *testing.T) {
	t.Parallel()
	src, err := load(root, "./cmd/crau-otel/...", "./mapping/...", "./probes/...", "./tracer/...", "./wire/...")
	if err != nil {
		t.Fatal(err)
	}
	logged := src.warnings(t)
	if len(logged) < 20 {
		t.Errorf("only %d messages", len(logged))
	}
	explained := make(map[string]bool)
	for _, row := range rows(t, read(t, "docs/troubleshooting.md"), "## Log messages") {
		if len(row) != 3 || row[1] == "" || row[2] == "" {
			t.Errorf("row of %d cells: %q", len(row), row)
		}
		if explained[row[0]] {
			t.Errorf("docs/troubleshooting.md explains %q twice", row[0])
		}
		explained[row[0]] = true
		if _, ok := logged[row[0]]; !ok {
			t.Errorf("docs/troubleshooting.md explains %q, which is never logged", row[0])
		}
	}
	// The level of these messages is a variable: debug while crau-otel starts, and info later.
	delete(logged, "attached")
	delete(logged, "detached")
	for message, place := range logged {
		if !explained[message] {
			t.Errorf("%s: docs/troubleshooting.md does not explain %q", place, message)
		}
	}
}
