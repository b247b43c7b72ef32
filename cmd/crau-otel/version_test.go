// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
)

func TestBuildVersion(t *testing.T) {
	if got := buildVersion(); got == "" {
		t.Error("no version")
	}
	version = "v1.2.3"
	defer func() { version = "" }()
	if got := buildVersion(); got != "v1.2.3" {
		t.Errorf("version is %s", got)
	}
}
