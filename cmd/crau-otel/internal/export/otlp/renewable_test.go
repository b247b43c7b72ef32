// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"errors"
	"testing"
)

func TestRenewableClosesWhatNobodyUses(t *testing.T) {
	t.Parallel()
	opened, closed := 0, make(chan int, 10)
	var failure error
	r, err := newRenewable(func() (int, error) { opened++; return opened, failure }, func(n int) { closed <- n })
	if err != nil {
		t.Fatal(err)
	}
	first, done := r.use()
	again, doneAgain := r.use()
	if err := r.renew(); err != nil {
		t.Fatal(err)
	}
	second, doneSecond := r.use()
	if first != 1 || again != 1 || second != 2 || len(closed) != 0 {
		t.Errorf("used %d, %d and %d; %d are closed", first, again, second, len(closed))
	}
	done()
	doneAgain()
	if n := <-closed; n != 1 {
		t.Errorf("%d is closed, want 1", n)
	}
	doneSecond()
	if err := r.renew(); err != nil {
		t.Fatal(err)
	}
	if n := <-closed; n != 2 {
		t.Errorf("%d is closed, want 2", n)
	}
	failure = errors.New("no such file")
	if err := r.renew(); !errors.Is(err, failure) {
		t.Errorf("error is %v", err)
	}
	if value, done := r.use(); value != 3 || len(closed) != 0 {
		t.Errorf("after a failure, %d is used", value)
	} else {
		done()
	}
}
