// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// exitError ends the program with an exit code other than 1.
type exitError struct {
	code int
	err  error // error to print; nil prints nothing
}

func (e *exitError) Error() string {
	if e.err != nil {
		return e.err.Error()
	}
	return fmt.Sprintf("exit code %d", e.code)
}

func (e *exitError) Unwrap() error { return e.err }
