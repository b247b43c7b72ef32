// SPDX-License-Identifier: Apache-2.0

package probes

import "fmt"

// problems collects up to maxProblems errors and counts further ones.
type problems struct {
	errs []error
	more int
}

func (p *problems) add(err error) {
	if len(p.errs) == maxProblems {
		p.more++
		return
	}
	p.errs = append(p.errs, err)
}

// all returns the collected errors. If further errors were only counted, an additional last error gives their number.
func (p *problems) all() []error {
	if p.more == 0 {
		return p.errs
	}
	return append(p.errs[:len(p.errs):len(p.errs)], fmt.Errorf("and %d more", p.more))
}
