// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

// keysTable returns the table of the configuration's keys.
func keysTable() string {
	p := &page{}
	var rows [][]string
	for _, s := range config.Settings() {
		reload := ""
		if s.Reloaded {
			reload = "yes"
		}
		rows = append(rows, []string{code(s.Key), code(s.Variable), code(s.Flag), code(s.Default), reload, s.Meaning})
	}
	p.table([]string{"key", "variable", "flag", "default", "reload", "meaning"}, rows)
	return p.String()
}

// variablesTable returns the table of the variables of the OpenTelemetry specification that the agent refuses or
// ignores.
func variablesTable() string {
	p := &page{}
	var rows [][]string
	for _, v := range export.Variables() {
		switch {
		case v.Refused != "":
			rows = append(rows, []string{code(v.Name), "refused: " + v.Refused})
		case v.Moot != "":
			rows = append(rows, []string{code(v.Name), "no effect: " + v.Moot})
		}
	}
	p.table([]string{"variable", "what happens if it is set"}, rows)
	return p.String()
}
