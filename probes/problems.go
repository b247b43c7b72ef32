// SPDX-License-Identifier: Apache-2.0

package probes

import "fmt"

// problems collects errors up to maxProblems and counts the rest.
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

// all returns the errors. If some were only counted, the last one says how many.
func (p *problems) all() []error {
	if p.more == 0 {
		return p.errs
	}
	return append(p.errs[:len(p.errs):len(p.errs)], fmt.Errorf("and %d more", p.more))
}
