// SPDX-License-Identifier: Apache-2.0

package probes

import "fmt"

// problems collects errors up to maxProblems and counts the rest.
type problems struct {
	kept []error
	more int
}

func (p *problems) add(err error) {
	if len(p.kept) == maxProblems {
		p.more++
		return
	}
	p.kept = append(p.kept, err)
}

// all returns the errors. If some were only counted, the last one says how many.
func (p *problems) all() []error {
	if p.more == 0 {
		return p.kept
	}
	return append(p.kept[:len(p.kept):len(p.kept)], fmt.Errorf("and %d more", p.more))
}
