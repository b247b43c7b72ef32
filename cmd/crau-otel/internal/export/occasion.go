// SPDX-License-Identifier: Apache-2.0

package export

import "time"

// logEvery bounds how often log lines of one kind are written.
const logEvery = 10 * time.Second

// Occasion is the time when a kind of log line was last written.
type Occasion time.Time

// Due reports whether a line of the kind may be written now. If so, it records the time.
func (o *Occasion) Due() bool {
	if time.Since(time.Time(*o)) < logEvery {
		return false
	}
	*o = Occasion(time.Now())
	return true
}
