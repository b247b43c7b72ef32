// SPDX-License-Identifier: Apache-2.0

package memo_test

import (
	"fmt"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/memo"
)

func TestGetReturnsOnlyWhatWasPutForTheKey(t *testing.T) {
	t.Parallel()
	table := memo.New[string, int](4)
	want := make(map[string]int)
	for i := range 1000 {
		key := fmt.Sprint(i % 37)
		table.Put(memo.Sample(key), key, i)
		want[key] = i
		found := 0
		for key, value := range want {
			if got := table.Get(memo.Sample(key), key); got != nil {
				found++
				if *got != value {
					t.Fatalf("value of %s is %d, want %d", key, *got, value)
				}
			}
		}
		if found > 4 {
			t.Fatalf("%d keys found in a table of 4", found)
		}
		if got := table.Get(memo.Sample(key), key); got == nil {
			t.Fatalf("%s not found right after Put", key)
		}
	}
}

func TestSameHashHoldsTheTwoNewestKeys(t *testing.T) {
	t.Parallel()
	table := memo.New[string, int](16)
	for i, c := range []struct {
		key             string
		value, replaced int
	}{
		{"a", 1, 0}, {"b", 2, 0}, {"c", 3, 1}, {"c", 4, 3}, {"b", 5, 2}, {"d", 6, 4},
	} {
		if replaced := table.Put(7, c.key, c.value); replaced != c.replaced {
			t.Errorf("Put %d replaced %d, want %d", i, replaced, c.replaced)
		}
	}
	for key, want := range map[string]int{"a": 0, "b": 5, "c": 0, "d": 6} {
		if got := table.Get(7, key); (got != nil) != (want != 0) || got != nil && *got != want {
			t.Errorf("%s: %v, want %d", key, got, want)
		}
	}
	table.Clear()
	if table.Get(7, "d") != nil {
		t.Error("found after Clear")
	}
}

func TestZeroKeyIsFoundOnlyAfterPut(t *testing.T) {
	t.Parallel()
	table := memo.New[uint64, string](2)
	if table.Get(0, 0) != nil {
		t.Error("an empty table holds the zero key")
	}
	table.Put(0, 0, "zero")
	if table.Get(0, 0) == nil {
		t.Error("the zero key is not found")
	}
}

func TestNewAcceptsAnySize(t *testing.T) {
	t.Parallel()
	for _, size := range []int{-1, 0, 1, 2, 3, 4, 5, 1000} {
		table := memo.New[uint64, uint64](size)
		slots := make(map[uint64]bool)
		for i := range uint64(20_000) {
			table.Put(i, i, i)
		}
		for i := range uint64(20_000) {
			if table.Get(i, i) != nil {
				slots[i] = true
			}
		}
		if len(slots) < max(size, 2) || len(slots) > 2*max(size, 2) {
			t.Errorf("a table for %d keys holds %d", size, len(slots))
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	table := memo.New[string, int](8)
	key := []byte("tls::key_exchange_algorithm and a tail that no stack buffer holds")
	table.Put(memo.Sample(key), string(key), 1)
	if n := testing.AllocsPerRun(100, func() {
		if memo.GetBytes(&table, memo.Sample(key), key) == nil {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkGet(b *testing.B) {
	table := memo.New[string, int](256)
	key := []byte("tls::protocol_version")
	table.Put(memo.Sample(key), string(key), 1)
	for b.Loop() {
		if memo.GetBytes(&table, memo.Sample(key), key) == nil {
			b.Fatal("not found")
		}
	}
}
