// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"

// keysTable lists the keys of the configuration.
func keysTable() string {
	p := &page{}
	var rows [][]string
	for _, s := range config.Settings() {
		rows = append(rows, []string{code(s.Key), code(s.Variable), code(s.Flag), code(s.Default), s.Meaning})
	}
	p.table([]string{"key", "variable", "flag", "default", "meaning"}, rows)
	return p.String()
}
