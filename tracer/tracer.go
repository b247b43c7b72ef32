// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/probes"
)

// Config configures a Tracer. The zero value selects the defaults.
type Config struct {
	RingSize     int           // bytes, a power of two and a multiple of the page size; default 8 MiB
	PollInterval time.Duration // how long an event may wait in a ring that fills slowly; default 250 ms
	MaxProcesses int           // processes whose state the kernel keeps; default 8192
	MaxStrings   int           // bytes of all copies of files' strings, see AddStrings; default 32 MiB
	ProcessRate  int           // hits per second that are recorded of one process; default: unlimited
	Scopes       []string      // record only data of these scopes, and data without a scope; at most 16; default: all
	SingleUprobe bool          // do not use uprobe_multi even if the kernel has it
	Family       bool          // observe only the processes that Follow is called for, and their descendants
	Log          *slog.Logger  // default: discards all messages

	// Tap, if set, is called on Run's goroutine with every record of the ring before it is decoded, for example to save
	// the records. The sample is reused after the call.
	Tap func(sample []byte)

	noShares bool // for a benchmark: owners and processes have no shares of the ring
}

// Tracer owns the loaded program and its maps. Its methods are safe for concurrent use, but Run must not be called
// while another call of Run is active.
type Tracer struct {
	cfg          Config
	objs         bpf.AuditObjects
	variables    *ebpf.Map // the program's variables that change after it is loaded
	ring         *ring
	wakeups      *wakeups
	links        []link.Link
	multi        bool
	sleepable    bool
	sharedStacks bool
	nopsTried    sync.Once // for setting nops once
	nops         probes.NopSupport
	read         atomic.Uint64 // records of hits that were decoded
	undecodable  atomic.Uint64 // records that could not be decoded
	cut          atomic.Uint64 // records with a key or value that was truncated only in user space

	wire *wirePrograms // nil unless AttachWire was called

	mu       sync.Mutex // guards the fields below, and the maps and the reader against being closed while in use
	free     []uint32   // free entries of the site table that were used before
	next     uint32     // first entry that was never used
	maxSites uint32     // number of entries of the site table
	strings  *stringTable
	scopes   map[bpf.AuditCrauScope]bool // content of the BPF map scopes
	closed   bool
	closeErr error
}

// budgetSecond is SECOND of bpf/share.h, in ns.
const budgetSecond = 1 << 30

// Kernel versions in the encoding of KERNEL_VERSION in linux/version.h: 6.0 is the first with uprobes that may sleep.
// Before 6.10, a single uprobe that sleeps holds a lock of its CPU, so that all other uprobes that are hit on this CPU
// wait.
const (
	firstSleepable       = 6 << 16
	firstSleepableSingle = 6<<16 | 10<<8
	firstSharedStacks    = 6<<16 | 13<<8 // "private stacks" of the JIT compiler: see audit.bpf.c
)

// MaySleep reports whether the program may sleep in a page fault without delaying other programs. version is the
// kernel's version, in the encoding of KERNEL_VERSION. multi is whether uprobe_multi links are used.
func MaySleep(version uint32, multi bool) bool {
	return version >= firstSleepableSingle || multi && version >= firstSleepable
}

// New loads the program. It requires Linux 5.15 or later with BTF, CAP_BPF and CAP_PERFMON.
func New(cfg Config) (_ *Tracer, err error) {
	if cfg.RingSize == 0 {
		cfg.RingSize = 8 << 20
	}
	if cfg.PollInterval == 0 {
		cfg.PollInterval = 250 * time.Millisecond
	}
	if cfg.MaxProcesses == 0 {
		cfg.MaxProcesses = 8192
	}
	if cfg.MaxStrings == 0 {
		cfg.MaxStrings = maxStrings
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	version, err := features.LinuxVersionCode()
	if err != nil {
		return nil, fmt.Errorf("read kernel version: %w", err)
	}
	t := &Tracer{
		cfg:     cfg,
		multi:   !cfg.SingleUprobe && features.HaveBPFLinkUprobeMulti() == nil,
		strings: newStringTable(),
	}
	t.sleepable = MaySleep(version, t.multi)
	t.sharedStacks = version >= firstSharedStacks
	t.strings.limit = cfg.MaxStrings
	if !t.sleepable {
		cfg.Log.Warn("this kernel cannot read pages that are not resident from a uprobe; data on such pages is counted as lost",
			"needs", "Linux 6.6")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	err = t.load()
	if err != nil && t.sharedStacks {
		// Some kernels reject calls of global functions while preemption is disabled, which only happens with shared_stacks.
		t.sharedStacks = false
		if t.load() == nil {
			err = nil
			cfg.Log.Warn("this kernel lets a program write to the stack of another one that it has preempted; " +
				"what the other one reports can be wrong")
		}
	}
	if err != nil {
		return nil, err
	}
	if err := t.SetScopes(cfg.Scopes); err != nil {
		return nil, err
	}
	t.maxSites = t.objs.Sites.MaxEntries()
	if t.ring, err = newRing(t.objs.Ring); err != nil {
		return nil, fmt.Errorf("open ring buffer: %w", err)
	}
	if t.wakeups, err = newWakeups(t.objs.Ring); err != nil {
		return nil, err
	}
	programs := map[string]*ebpf.Program{"sched_process_exec": t.objs.ProcessExec, "sched_process_exit": t.objs.ProcessExit}
	if cfg.Family {
		programs["sched_process_fork"] = t.objs.ProcessFork
	}
	for name, prog := range programs {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: prog})
		if err != nil {
			return nil, fmt.Errorf("attach raw tracepoint %s: %w", name, err)
		}
		t.links = append(t.links, l)
	}
	return t, nil
}

// load loads the program and its maps.
func (t *Tracer) load() error {
	spec, err := bpf.LoadAudit()
	if err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	spec.Maps["ring"].MaxEntries = uint32(t.cfg.RingSize)
	spec.Maps["processes"].MaxEntries = uint32(t.cfg.MaxProcesses)
	audit := spec.Programs["audit"]
	if !t.multi {
		audit.AttachType = ebpf.AttachNone
	}
	if t.sleepable {
		if err := spec.Variables["can_sleep"].Set(uint8(1)); err != nil {
			return fmt.Errorf("set can_sleep: %w", err)
		}
	} else {
		audit.Flags &^= unix.BPF_F_SLEEPABLE
	}
	if t.sharedStacks {
		if err := spec.Variables["shared_stacks"].Set(uint8(1)); err != nil {
			return fmt.Errorf("set shared_stacks: %w", err)
		}
	}
	if t.cfg.noShares {
		if err := spec.Variables["no_shares"].Set(uint8(1)); err != nil {
			return fmt.Errorf("set no_shares: %w", err)
		}
	}
	if t.cfg.Family {
		if err := spec.Variables["family_only"].Set(uint8(1)); err != nil {
			return fmt.Errorf("set family_only: %w", err)
		}
	} else {
		spec.Maps["family"].MaxEntries = 1
	}
	if rate := t.cfg.ProcessRate; rate > 0 {
		if err := spec.Variables["second_limit"].Set(uint32(int64(rate) * budgetSecond / int64(time.Second))); err != nil {
			return fmt.Errorf("set second_limit: %w", err)
		}
	}
	loaded := struct {
		*bpf.AuditObjects
		Variables *ebpf.Map `ebpf:".bss"`
	}{AuditObjects: &t.objs}
	if err := spec.LoadAndAssign(&loaded, nil); err != nil {
		// Older kernels fail with misleading errors, such as EPERM because of RLIMIT_MEMLOCK.
		if errors.Is(features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie), ebpf.ErrNotSupported) {
			return fmt.Errorf("load program: this kernel has no attach cookies, Linux 5.15 or newer is needed: %w", err)
		}
		return fmt.Errorf("load program: %w", err)
	}
	t.variables = loaded.Variables
	return nil
}

// SetScopes makes the program record only data of these scopes and data without a scope. Without scopes it records
// all data. The program compares the first 16 bytes of a scope; user space has to compare the rest. Scopes that are
// in both the old and the new set are recorded without a gap. At most 16 scopes are possible.
func (t *Tracer) SetScopes(scopes []string) error {
	if limit := int(bpf.AuditCrauLimitCRAU_MAX_SCOPES); len(scopes) > limit {
		return fmt.Errorf("%d scopes, the limit is %d", len(scopes), limit)
	}
	wanted := make(map[bpf.AuditCrauScope]bool)
	for _, scope := range scopes {
		var key bpf.AuditCrauScope
		copy(key.Text[:], scope)
		wanted[key] = true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	var errs []error
	for key := range wanted {
		errs = append(errs, t.objs.Scopes.Put(key, uint8(1)))
	}
	errs = append(errs, t.objs.ScopeCount.Set(uint32(len(wanted))))
	for key := range t.scopes {
		if !wanted[key] {
			errs = append(errs, t.objs.Scopes.Delete(key))
		}
	}
	t.scopes = wanted
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("set scopes: %w", err)
	}
	return nil
}

// Program returns the program that is attached to probe sites.
func (t *Tracer) Program() *ebpf.Program { return t.objs.Audit }

// Multi reports whether Program must be attached with uprobe_multi links. Otherwise it must be attached with single
// uprobes.
func (t *Tracer) Multi() bool { return t.multi }

// AddStrings registers a copy of a file's string constants: content, which must not be modified any more, at a virtual
// address of the file that is mapped read-only in every process. For sites of the file that are added afterwards, the
// program does not read keys and strings in that range from the traced process. Reading them would be the most
// expensive part of a hit. The copy is freed when the last of these sites is removed and their records have been read.
// A file number must not be used for two files.
//
// The copies of all files may use Config.MaxStrings bytes. The files of one owner may use at most a quarter of that.
// Another quarter is reserved for files with owner "", which only root can write.
func (t *Tracer) AddStrings(file uint32, owner string, address uint64, content []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.strings.add(file, owner, address, content)
}

// RingFill returns the number of unread bytes in the ring and its capacity. After Close there are no unread bytes.
func (t *Tracer) RingFill() (used, capacity int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		used = t.ring.used()
	}
	return used, t.ring.size()
}

// Close unloads the program, which detaches it everywhere, and ends Run. It is idempotent. A Handler must not call it.
func (t *Tracer) Close() error {
	var errs []error
	// The reader is stopped before t.mu is locked, because the reader or its handler may need the lock before they end.
	if t.wakeups != nil {
		errs = append(errs, t.wakeups.close())
	}
	if t.ring != nil {
		t.ring.stop()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return t.closeErr
	}
	t.closed = true
	for _, l := range t.links {
		errs = append(errs, l.Close())
	}
	if t.ring != nil {
		errs = append(errs, t.ring.close())
	}
	if t.wire != nil {
		errs = append(errs, t.wire.close())
	}
	if t.variables != nil {
		errs = append(errs, t.variables.Close())
	}
	errs = append(errs, t.objs.Close())
	t.closeErr = errors.Join(errs...)
	return t.closeErr
}
