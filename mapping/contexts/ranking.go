// SPDX-License-Identifier: Apache-2.0

package contexts

// ranking orders owners by their use of a limit. It is a binary heap whose elements know their own index: finding the
// largest takes constant time, a change takes logarithmic time.
type ranking struct{ ranks []*rank }

// rank is an owner's place in a ranking.
type rank struct {
	owner *owner
	use   uint64
	index int // position in ranking.ranks
}

// top returns the owner that uses the most, or nil if the ranking is empty.
func (r *ranking) top() *owner {
	if len(r.ranks) == 0 {
		return nil
	}
	return r.ranks[0].owner
}

// add adds an owner that uses nothing yet.
func (r *ranking) add(o *owner, place *rank) {
	*place = rank{owner: o, index: len(r.ranks)}
	r.ranks = append(r.ranks, place)
}

// set changes the use of the owner at place.
func (r *ranking) set(place *rank, use uint64) {
	place.use = use
	r.up(place.index)
	r.down(place.index)
}

// remove removes the owner at place.
func (r *ranking) remove(place *rank) {
	last := len(r.ranks) - 1
	i := place.index
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
