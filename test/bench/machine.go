// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine returns a description of the machine that does not contain the host's name.
func machine() string {
	model := runtime.GOARCH
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			if name, value, ok := strings.Cut(sc.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", model, runtime.NumCPU(), release, runtime.Version())
}

// quietCores is how many cores other programs may use on average without disturbing the measurement.
const quietCores = 0.1

// usage is the average CPU usage by other programs than the bench.
type usage struct {
	Cores  float64 `json:"cores"`        // number of cores that other programs use
	Stolen float64 `json:"stolen_cores"` // number of cores that the host of a virtual machine uses for other purposes

	at           time.Time
	busy, stolen time.Duration // sum over all cores since the machine started
	own          time.Duration // CPU time of the bench and of its ended children
}

// usedSince returns the usage since an earlier one. It is zero if the kernel does not report CPU usage.
func usedSince(before usage) usage {
	now := usage{at: time.Now()}
	const tick = time.Second / 100 // 1 s / USER_HZ
	var user, nice, system, idle, wait, interrupts, soft, steal time.Duration
	if stat, err := os.ReadFile("/proc/stat"); err == nil {
		_, _ = fmt.Fscanf(bytes.NewReader(stat), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &interrupts,
			&soft, &steal)
	}
	now.busy, now.stolen = (user+nice+system)*tick, steal*tick
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if unix.Getrusage(who, &u) == nil {
			now.own += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	if wall := now.at.Sub(before.at); !before.at.IsZero() && wall > 0 {
		others := now.busy - before.busy - (now.own - before.own)
		now.Cores = max(0, float64(others)/float64(wall))
		now.Stolen = float64(now.stolen-before.stolen) / float64(wall)
	}
	return now
}
