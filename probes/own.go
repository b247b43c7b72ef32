// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bufio"
	"fmt"
	"os"
)

// OwnFileOffset returns the file offset of the code at an address of this process. It is meant for attaching probes to
// the running program itself.
func OwnFileOffset(address uint64) (uint64, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var start, end, offset uint64
		var mode string
		if _, err := fmt.Sscanf(sc.Text(), "%x-%x %s %x", &start, &end, &mode, &offset); err != nil {
			return 0, fmt.Errorf("read /proc/self/maps: %w", err)
		}
		if start <= address && address < end {
			return address - start + offset, nil
		}
	}
	return 0, fmt.Errorf("no mapping has the address %#x", address)
}
