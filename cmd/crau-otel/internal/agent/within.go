// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"time"
)

// errUnfinished is the error of within if the function takes too long.
var errUnfinished = errors.New("not finished in time")

// within calls f and returns its error, or errUnfinished if f does not return in time; f then continues in the
// background.
func within(timeout time.Duration, step string, f func() error) error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
		return fmt.Errorf("%s: %w", step, errUnfinished)
	}
}
