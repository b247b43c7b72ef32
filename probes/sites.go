// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// entryPoint is an exported function whose first argument is a session.
type entryPoint struct {
	symbol string
	probe  Probe
}

// entryPoints are the functions of libraries that tell which session the calling thread works on, from the call until
// the next one, and which sessions are no more.
var entryPoints = []entryPoint{
	{"gnutls_handshake", SessionEnter}, // int gnutls_handshake(gnutls_session_t session)
	{"gnutls_deinit", SessionLeave},    // void gnutls_deinit(gnutls_session_t session)
}

// pending is a site whose operands may lack the addresses of symbols.
type pending struct {
	Site
	operands []operand
}

// sites turns notes into sites and drops duplicates.
func (im *image) sites(notes []note, failed *problems) []Site {
	var base uint64
	if s := im.section(".stapsdt.base"); s != nil {
		base = s.Addr
	}
	type key struct {
		probe  Probe
		offset uint64
	}
	seen := make(map[key]bool)
	var parsed []pending
	for _, n := range notes {
		p, err := im.site(n, base)
		if err != nil {
			failed.add(fmt.Errorf("%q at %#x: %w", n.name, n.pc, err))
			continue
		}
		if k := (key{p.Probe, p.Offset}); !seen[k] {
			seen[k] = true
			parsed = append(parsed, p)
		}
	}

	lookup := im.operandSymbols(parsed)
	sites := make([]Site, 0, len(parsed))
	for _, p := range parsed {
		if err := p.resolve(lookup); err != nil {
			failed.add(fmt.Errorf("%s at %#x: %w", p.Probe, p.Address, err))
			continue
		}
		sites = append(sites, p.Site)
	}
	return sites
}

// site checks one note and translates its addresses. base is where the section .stapsdt.base is now: prelink moves a
// file without rewriting notes, which therefore record where it was.
func (im *image) site(n note, base uint64) (pending, error) {
	probe, known := usdtProbe(n.name)
	if !known {
		return pending{}, errors.New("unknown probe")
	}
	var moved uint64
	if base != 0 && n.base != 0 {
		moved = base - n.base
	}
	p := pending{Site: Site{Probe: probe, Address: n.pc + moved, Spec: n.spec}}
	var err error
	if p.Offset, err = im.codeOffset(p.Address); err != nil {
		return pending{}, err
	}
	code, err := im.siteCode(p.Offset)
	if err != nil {
		return pending{}, fmt.Errorf("read code: %w", err)
	}
	if err := checkNop(im.machine, code); err != nil {
		return pending{}, err
	}
	p.fastNops = fastNops(im.machine, code, p.Offset)
	if n.semaphore != 0 {
		// The kernel counts in 16 bits and wants them aligned.
		p.RefCtrOffset, err = im.fileOffset(n.semaphore+moved, 2, elf.PF_W)
		if err != nil {
			return pending{}, fmt.Errorf("semaphore: %w", err)
		}
		if p.RefCtrOffset == 0 || p.RefCtrOffset%2 != 0 {
			return pending{}, fmt.Errorf("semaphore at file offset %#x, which is none", p.RefCtrOffset)
		}
	}
	if p.operands, err = parseOperands(im.machine, n.spec); err != nil {
		return pending{}, err
	}
	if want := probeTable[probe].arguments; len(p.operands) != want {
		return pending{}, fmt.Errorf("%d arguments, want %d", len(p.operands), want)
	}
	return p, nil
}

// codeOffset translates the address of an instruction to a file offset.
func (im *image) codeOffset(address uint64) (uint64, error) {
	length := uint64(1)
	if im.machine == elf.EM_AARCH64 {
		length = 4
	}
	offset, err := im.fileOffset(address, length, elf.PF_X)
	if err != nil {
		return 0, err
	}
	if offset == 0 || offset%length != 0 {
		return 0, fmt.Errorf("address %#x at file offset %#x, where no instruction starts", address, offset)
	}
	return offset, nil
}

// symbolLookup returns the address of a symbol by name.
type symbolLookup func(name string) (uint64, error)

// operandSymbols looks up all the symbols that operands name, at once.
func (im *image) operandSymbols(parsed []pending) symbolLookup {
	wanted := make(map[string]bool)
	for _, p := range parsed {
		for _, o := range p.operands {
			if o.symbol != "" {
				wanted[o.symbol] = true
			}
		}
	}
	if len(wanted) > maxWantedSymbols {
		return func(string) (uint64, error) {
			return 0, fmt.Errorf("%d symbols in the operands of one file, the most is %d", len(wanted), maxWantedSymbols)
		}
	}
	names := slices.Collect(maps.Keys(wanted))
	static, staticErr := im.symbols(elf.SHT_SYMTAB, names)
	dynamic, dynamicErr := im.symbols(elf.SHT_DYNSYM, names)
	return func(name string) (uint64, error) {
		found := append(slices.Clone(static[name]), dynamic[name]...)
		if len(found) == 0 {
			return 0, errors.Join(errors.New("not in the symbol tables"), staticErr, dynamicErr)
		}
		for _, s := range found {
			if s.address != found[0].address {
				return 0, errors.New("several symbols have this name")
			}
		}
		return found[0].address, nil
	}
}

// resolve completes the operands with the addresses of their symbols.
func (p *pending) resolve(lookup symbolLookup) error {
	p.Args = make([]Operand, len(p.operands))
	for i, o := range p.operands {
		if o.symbol == "" {
			p.Args[i] = o.Operand
			continue
		}
		address, err := lookup(o.symbol)
		if err != nil {
			return fmt.Errorf("argument %d: find symbol %q: %w", i+1, o.symbol, err)
		}
		p.Args[i] = o.resolve(p.Address, address)
	}
	return nil
}

// sessionSites returns the entry points in the dynamic symbol table or, for a program with the library linked in, in
// the static one.
func (im *image) sessionSites(failed *problems) []Site {
	names := make([]string, len(entryPoints))
	for i, e := range entryPoints {
		names[i] = e.symbol
	}
	for _, table := range []elf.SectionType{elf.SHT_DYNSYM, elf.SHT_SYMTAB} {
		found, err := im.symbols(table, names)
		if err != nil {
			failed.add(fmt.Errorf("find library entry points: %w", err))
		}
		if sites := im.entrySites(found, table == elf.SHT_DYNSYM, failed); len(sites) > 0 {
			return sites
		}
	}
	return nil
}

func (im *image) entrySites(found map[string][]symbol, exported bool, failed *problems) []Site {
	first := register(x86DI) // System V ABI: first argument in rdi
	if im.machine == elf.EM_AARCH64 {
		first = register(0) // AAPCS64: in x0
	}
	first.Size = 8

	var sites []Site
	for _, e := range entryPoints {
		for _, s := range found[e.symbol] {
			if !s.function || exported && !s.exported {
				continue
			}
			address := im.entry(s.address)
			offset, err := im.codeOffset(address)
			if err != nil {
				failed.add(fmt.Errorf("%s %s: %w", e.probe, e.symbol, err))
				continue
			}
			if !slices.ContainsFunc(sites, func(o Site) bool { return o.Offset == offset }) {
				sites = append(sites, Site{
					Probe: e.probe, Address: address, Offset: offset,
					Args: []Operand{first.Operand}, Spec: e.symbol,
				})
			}
		}
	}
	return sites
}
