// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// WireConfig selects the connections that the programs at sockets examine, and the handler of their packets.
type WireConfig struct {
	// Packet handles the packets of connections that open with TLS or SSH, on Run's goroutine. Packets and the events that
	// [Handler] handles arrive in the order in which they were recorded. Required.
	Packet func(*event.Packet)
	// ExcludedPorts are ports, local or remote, whose connections are not examined.
	ExcludedPorts []uint16
	// ExcludedCgroups are folders of the version 2 hierarchy, as paths from its root, whose connections are not examined.
	ExcludedCgroups []string
	// Root is where the version 2 hierarchy is mounted. Default: the first such mount in /proc/self/mountinfo.
	Root string
}

// WireStats counts connections since the programs were attached. Seen is the sum of Sent, Other, Old, Excluded,
// RingFull, RateLimited and the connections that are not classified yet.
type WireStats struct {
	Seen        uint64 // connections that sent or received data
	Sent        uint64 // recognized as TLS or SSH, and sent to user space
	Other       uint64 // neither TLS nor SSH was recognized within the limits or before the end
	Old         uint64 // opened before the programs were attached
	Excluded    uint64 // excluded by port or cgroup
	RingFull    uint64 // recognized, but no room in the ring
	RateLimited uint64 // recognized, but the owner used up its share of the ring
	NoStorage   uint64 // packets of connections for which the kernel had no memory
	RecordsLost uint64 // connections in Sent that lost a later packet, and all after it
}

// wirePrograms are the programs at sockets.
type wirePrograms struct {
	objs   bpf.WireObjects
	links  []link.Link
	packet func(*event.Packet)
	record event.Packet // the packet that is handed to packet; reused
}

// ErrNoCgroups is returned by AttachWire where the version 2 hierarchy of cgroups is not mounted.
var ErrNoCgroups = errors.New("no version 2 cgroup hierarchy is mounted")

// AttachWire loads the programs at sockets and attaches them for all processes. It needs CAP_NET_ADMIN in addition to
// what New needs. It must be called at most once, before Run.
func (t *Tracer) AttachWire(cfg WireConfig) (err error) {
	if cfg.Root == "" {
		if cfg.Root, err = cgroupRoot(); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &wirePrograms{packet: cfg.Packet}
	if err := t.loadWire(w); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if err := w.exclude(cfg); err != nil {
		return err
	}
	for _, p := range []struct {
		program *ebpf.Program
		attach  ebpf.AttachType
	}{{w.objs.WireEgress, ebpf.AttachCGroupInetEgress}, {w.objs.WireIngress, ebpf.AttachCGroupInetIngress}} {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: cfg.Root, Attach: p.attach, Program: p.program})
		if err != nil {
			return fmt.Errorf("attach to cgroup %s: %w", cfg.Root, err)
		}
		w.links = append(w.links, l)
	}
	t.wire = w
	return nil
}

// loadWire loads the programs with the maps of the probes' program, so that both write to one ring.
func (t *Tracer) loadWire(w *wirePrograms) error {
	spec, err := bpf.LoadWire()
	if err != nil {
		return fmt.Errorf("read socket programs: %w", err)
	}
	shared := map[string]*ebpf.Map{
		"ring": t.objs.Ring, "processes": t.objs.Processes, "cpus": t.objs.Cpus, "sites": t.objs.Sites,
		"slots": t.objs.Slots, "scopes": t.objs.Scopes, "family": t.objs.Family, "owners": t.objs.Owners,
	}
	for name, m := range shared {
		spec.Maps[name].MaxEntries = m.MaxEntries()
	}
	shared[".bss"] = t.variables
	if t.cfg.Family {
		if err := spec.Variables["family_only"].Set(uint8(1)); err != nil {
			return fmt.Errorf("set family_only: %w", err)
		}
	}
	err = spec.LoadAndAssign(&w.objs, &ebpf.CollectionOptions{MapReplacements: shared})
	if err != nil {
		return fmt.Errorf("load socket programs: %w", err)
	}
	return nil
}

// exclude fills the maps of excluded ports and cgroups.
func (w *wirePrograms) exclude(cfg WireConfig) error {
	for _, port := range cfg.ExcludedPorts {
		if err := w.objs.ExcludedPorts.Put(port, uint8(1)); err != nil {
			return fmt.Errorf("exclude port %d: %w", port, err)
		}
	}
	for _, path := range cfg.ExcludedCgroups {
		id, err := cgroupID(filepath.Join(cfg.Root, path))
		if err != nil {
			return fmt.Errorf("exclude cgroup %s: %w", path, err)
		}
		if err := w.objs.ExcludedCgroups.Put(id, uint8(1)); err != nil {
			return fmt.Errorf("exclude cgroup %s: %w", path, err)
		}
	}
	return nil
}

// DetachWire detaches the programs at sockets. Packets that they sent before can still be read.
func (t *Tracer) DetachWire() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wire == nil {
		return nil
	}
	return t.wire.detach()
}

func (w *wirePrograms) detach() error {
	var errs []error
	for _, l := range w.links {
		errs = append(errs, l.Close())
	}
	w.links = nil
	return errors.Join(errs...)
}

func (w *wirePrograms) close() error { return errors.Join(w.detach(), w.objs.Close()) }

// WireStats returns the counters of the programs at sockets, which are all zero if they are not attached.
func (t *Tracer) WireStats() (WireStats, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wire == nil || t.closed {
		return WireStats{}, nil
	}
	var n [bpf.WireCrauWireStatCRAU_WIRE_STATS]uint64
	for i := len(n) - 1; i >= 0; i-- { // Seen is read last, so that it is not less than the sum of the others
		var perCPU []uint64
		if err := t.wire.objs.WireStats.Lookup(uint32(i), &perCPU); err != nil {
			return WireStats{}, fmt.Errorf("read connection counters: %w", err)
		}
		for _, count := range perCPU {
			n[i] += count
		}
	}
	return WireStats{
		Seen:        n[bpf.WireCrauWireStatCRAU_WIRE_SEEN],
		Sent:        n[bpf.WireCrauWireStatCRAU_WIRE_SENT],
		Other:       n[bpf.WireCrauWireStatCRAU_WIRE_OTHER],
		Old:         n[bpf.WireCrauWireStatCRAU_WIRE_OLD],
		Excluded:    n[bpf.WireCrauWireStatCRAU_WIRE_EXCLUDED],
		RingFull:    n[bpf.WireCrauWireStatCRAU_WIRE_RING_FULL],
		RateLimited: n[bpf.WireCrauWireStatCRAU_WIRE_RATE_LIMITED],
		NoStorage:   n[bpf.WireCrauWireStatCRAU_WIRE_NO_STORAGE],
		RecordsLost: n[bpf.WireCrauWireStatCRAU_WIRE_RECORDS_LOST],
	}, nil
}

const packetSize = int(unsafe.Offsetof(bpf.WireCrauPacket{}.Payload))

// isPacket reports whether a record of the ring contains a packet.
func isPacket(sample []byte) bool {
	return len(sample) >= recordSize && bpf.AuditCrauKind(sample[kindOffset]) == bpf.AuditCrauKindCRAU_PACKET
}

// decodePacket decodes a packet's record into p, whose slices then point into sample.
func decodePacket(sample []byte, p *event.Packet) error {
	if len(sample) < packetSize {
		return fmt.Errorf("decode packet of %d bytes: %w", len(sample), errShort)
	}
	le := binary.LittleEndian
	at := func(offset uintptr) []byte { return sample[offset:] }
	var r bpf.WireCrauPacket
	*p = event.Packet{
		Time:     le.Uint64(sample),
		Socket:   le.Uint64(at(unsafe.Offsetof(r.Head.Context))),
		PID:      le.Uint32(at(unsafe.Offsetof(r.Head.Tgid))),
		TID:      le.Uint32(at(unsafe.Offsetof(r.Head.Tid))),
		CgroupID: le.Uint64(at(unsafe.Offsetof(r.Cgroup))),
		UID:      le.Uint32(at(unsafe.Offsetof(r.Uid))),
		Seq:      le.Uint32(at(unsafe.Offsetof(r.Seq))),
		StartSeq: le.Uint32(at(unsafe.Offsetof(r.StartSeq))),
		PeerSeq:  le.Uint32(at(unsafe.Offsetof(r.PeerSeq))),
		Flags:    event.PacketFlags(le.Uint16(at(unsafe.Offsetof(r.Flags)))),
		Foreign:  sample[unsafe.Offsetof(r.Foreign)] != 0,
	}
	length, prefix := int(le.Uint16(at(unsafe.Offsetof(r.Len)))), int(sample[unsafe.Offsetof(r.PrefixLen)])
	if packetSize+length > len(sample) || prefix > len(r.Prefix) {
		return fmt.Errorf("decode packet of %d bytes with %d bytes of payload: %w", len(sample), length, errShort)
	}
	p.Prefix = at(unsafe.Offsetof(r.Prefix))[:prefix]
	p.Payload = sample[packetSize : packetSize+length]
	return nil
}

// cgroupRoot returns where the version 2 hierarchy is mounted.
func cgroupRoot() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("find cgroups: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// For example: 31 23 0:26 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw
		mount, source, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		if ok && strings.HasPrefix(source, "cgroup2 ") && len(fields) > 4 && fields[3] == "/" {
			return fields[4], nil
		}
	}
	return "", errors.Join(ErrNoCgroups, lines.Err())
}

// cgroupID returns the kernel's id of the cgroup with this folder.
func cgroupID(path string) (uint64, error) {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	if err != nil {
		return 0, fmt.Errorf("read id: %w", err)
	}
	if handle.Size() != 8 {
		return 0, fmt.Errorf("read id: a handle of %d bytes", handle.Size())
	}
	return binary.LittleEndian.Uint64(handle.Bytes()), nil
}

// handlePacket decodes a packet's record and calls WireConfig.Packet with the packet.
func (r *run) handlePacket(sample []byte) {
	w := r.t.wire
	if w == nil {
		return
	}
	if err := decodePacket(sample, &w.record); err != nil {
		r.skip(err)
		return
	}
	w.packet(&w.record)
}
