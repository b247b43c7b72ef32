// SPDX-License-Identifier: Apache-2.0

package export

import "time"

// logEvery is the shortest time between two log lines of the same kind.
const logEvery = 10 * time.Second

// Occasion is the time when the latest log line of some kind was written. It limits how often such lines are written.
type Occasion time.Time

// Due reports whether a line of the kind may be written now. If it may, Due records the current time.
func (o *Occasion) Due() bool {
	if time.Since(time.Time(*o)) < logEvery {
		return false
	}
	*o = Occasion(time.Now())
	return true
}
