// SPDX-License-Identifier: Apache-2.0

package otlp

import "sync"

// renewable is a value that can be replaced while it is in use. An old value is closed as soon as it has no users any
// more.
type renewable[T any] struct {
	open  func() (T, error)
	close func(T) // closes a value that was replaced; may take long

	mu  sync.Mutex
	now *lease[T]
}

// lease is a value and the number of its current users.
type lease[T any] struct {
	value    T
	users    int
	replaced bool
}

func newRenewable[T any](open func() (T, error), close func(T)) (*renewable[T], error) { //nolint:revive // a verb like open
	r := &renewable[T]{open: open, close: close}
	value, err := open()
	if err != nil {
		return nil, err
	}
	r.now = &lease[T]{value: value}
	return r, nil
}

// use returns the newest value, which stays open until done is called.
func (r *renewable[T]) use() (value T, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.now
	l.users++
	return l.value, func() {
		r.mu.Lock()
		l.users--
		last := l.replaced && l.users == 0
		r.mu.Unlock()
		if last {
			go r.close(l.value)
		}
	}
}

// renew replaces the value. If no new value can be opened, the old one remains.
func (r *renewable[T]) renew() error {
	value, err := r.open()
	if err != nil {
		return err
	}
	r.mu.Lock()
	old := r.now
	old.replaced = true
	idle := old.users == 0
	r.now = &lease[T]{value: value}
	r.mu.Unlock()
	if idle {
		go r.close(old.value)
	}
	return nil
}
