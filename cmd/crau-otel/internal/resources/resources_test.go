// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"reflect"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
)

func TestLimitsAreLoweredToTheMemory(t *testing.T) {
	t.Parallel()
	for _, memory := range []uint64{0, enough, 1 << 40} {
		if fit, more, lowered := Fit(config.Default(), memory); lowered != nil || more != (Fitted{}) || !reflect.DeepEqual(fit, config.Default()) {
			t.Errorf("%d bytes: lowered %q", memory, lowered)
		}
	}
	for _, memory := range []uint64{enough - 1, 64 << 20, 16 << 20, 1} {
		fit, more, lowered := Fit(config.Default(), memory)
		if err := fit.Validate(); err != nil {
			t.Errorf("%d bytes: %v", memory, err)
		}
		again, _, none := Fit(fit, memory)
		if none != nil || !reflect.DeepEqual(again, fit) || more.Facts <= 0 || more.Strings <= 0 {
			t.Errorf("%d bytes: fitting again lowers %q", memory, none)
		}
		if memory <= 64<<20 && !strings.Contains(strings.Join(lowered, " "), "limits.queue_bytes") {
			t.Errorf("%d bytes: lowered %q", memory, lowered)
		}
	}
	fit, _, _ := Fit(config.Default(), 64<<20)
	if fit.Ring.Size != 2*config.MiB || fit.Limits.QueueBytes != 4*config.MiB || fit.Limits.Processes != 2048 {
		t.Errorf("got %+v", fit)
	}
}

func TestHeapLimitFollowsFromTheMemory(t *testing.T) {
	t.Parallel()
	for memory, want := range map[uint64]int64{0: defaultHeap, 1 << 40: defaultHeap, 64 << 20: 32 << 20} {
		if got := heap(memory); got != want {
			t.Errorf("%d bytes: %d, want %d", memory, got, want)
		}
	}
}

func TestDescriptorsForFilesFollowFromTheLimit(t *testing.T) {
	t.Parallel()
	for limit, want := range map[uint64]int{64: 32, 191: 95, 256: 160, 1024: 928, 1 << 62: 1<<20 - 96} {
		if got := descriptors(limit); got != want {
			t.Errorf("of %d: %d, want %d", limit, got, want)
		}
	}
	if Descriptors() <= 0 {
		t.Error("none")
	}
}
