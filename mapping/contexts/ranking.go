// SPDX-License-Identifier: Apache-2.0

package contexts

// ranking orders owners by their use of something. Finding the largest takes constant time, a change logarithmic time: it
// is a binary heap whose elements know their place.
type ranking struct{ ranks []*rank }

// rank is an owner's place in a ranking.
type rank struct {
	owner *owner
	use   uint64
	index int // in ranking.ranks
}

// top returns the owner that uses most, nil if there is none.
func (r *ranking) top() *owner {
	if len(r.ranks) == 0 {
		return nil
	}
	return r.ranks[0].owner
}

// add adds an owner that uses nothing yet.
func (r *ranking) add(o *owner, at *rank) {
	*at = rank{owner: o, index: len(r.ranks)}
	r.ranks = append(r.ranks, at)
}

// set changes an owner's use.
func (r *ranking) set(at *rank, use uint64) {
	at.use = use
	r.up(at.index)
	r.down(at.index)
}

// remove removes an owner.
func (r *ranking) remove(at *rank) {
	last := len(r.ranks) - 1
	i := at.index
	r.swap(i, last)
	r.ranks[last] = nil
	r.ranks = r.ranks[:last]
	if i < last {
		r.up(i)
		r.down(i)
	}
}

func (r *ranking) swap(i, j int) {
	r.ranks[i], r.ranks[j] = r.ranks[j], r.ranks[i]
	r.ranks[i].index, r.ranks[j].index = i, j
}

func (r *ranking) up(i int) {
	for i > 0 && r.ranks[i].use > r.ranks[(i-1)/2].use {
		r.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (r *ranking) down(i int) {
	for {
		largest := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(r.ranks); child++ {
			if r.ranks[child].use > r.ranks[largest].use {
				largest = child
			}
		}
		if largest == i {
			return
		}
		r.swap(i, largest)
		i = largest
	}
}
