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

// entryPoints are the functions whose entries are probed. A hit of SessionEnter shows which session the calling thread
// works on from then on, a hit of SessionLeave which session ends.
var entryPoints = []entryPoint{
	{"gnutls_handshake", SessionEnter}, // int gnutls_handshake(gnutls_session_t session)
	{"gnutls_deinit", SessionLeave},    // void gnutls_deinit(gnutls_session_t session)
}

// place is one place in the code, which one or several notes describe.
type place struct {
	Site
	note     note
	operands []operand // operands whose displacements may lack the addresses of symbols
	err      error     // why the note cannot be used; nil if it can
	other    *note     // another note that describes this place differently; nil if there is none
}

// sites turns notes into sites. Identical notes of one place become one site. The notes of a place can differ if the
// linker has folded functions with identical code (--icf=all). Which of these notes applies is unknown at a hit, so the
// place is skipped.
func (im *image) sites(notes []note, failed *problems) []Site {
	var base uint64
	if s := im.section(".stapsdt.base"); s != nil {
		base = s.Addr
	}
	byOffset := make(map[uint64]int)
	var places []place
	for _, n := range notes {
		p := place{note: n}
		if err := im.locate(&p, base); err != nil {
			failed.add(fmt.Errorf("%q at %#x: %w", n.name, n.pc, err))
			continue
		}
		p.err = im.parse(&p, base)
		if i, again := byOffset[p.Offset]; again {
			if places[i].other == nil && !places[i].equal(p) {
				places[i].other = &n
			}
			continue
		}
		byOffset[p.Offset] = len(places)
		places = append(places, p)
	}

	lookup := im.operandSymbols(places)
	sites := make([]Site, 0, len(places))
	for _, p := range places {
		err := p.err
		switch {
		case p.other != nil:
			err = fmt.Errorf("another note of this place differs: %s %q and %s %q", p.note.name, p.note.spec, p.other.name, p.other.spec)
		case err == nil:
			err = p.resolve(lookup)
		}
		if err != nil {
			failed.add(fmt.Errorf("%q at %#x: %w", p.note.name, p.note.pc, err))
			continue
		}
		sites = append(sites, p.Site)
	}
	return sites
}

// equal reports whether two notes of one place have the same content.
func (p place) equal(q place) bool {
	if p.err != nil || q.err != nil {
		return p.note.name == q.note.name && p.note.spec == q.note.spec
	}
	return p.Probe == q.Probe && p.RefCtrOffset == q.RefCtrOffset && slices.Equal(p.operands, q.operands)
}

// locate finds the place of a note in the file and checks that a nop is there. base is the present address of the
// section .stapsdt.base, or 0 if the file has no such section. Each note contains the address that this section had
// when the note was written. The two addresses differ if prelink has moved the file, because it does not change notes.
func (im *image) locate(p *place, base uint64) (err error) {
	p.Address = p.note.pc + moved(p.note, base)
	if p.Offset, err = im.codeOffset(p.Address); err != nil {
		return err
	}
	code, err := im.siteCode(p.Offset)
	if err != nil {
		return fmt.Errorf("read code: %w", err)
	}
	p.fastNops = fastNops(im.machine, code, p.Offset)
	return checkNop(im.machine, code)
}

// moved returns by how many bytes prelink has moved the file since the note was written.
func moved(n note, base uint64) uint64 {
	if base == 0 || n.base == 0 {
		return 0
	}
	return base - n.base
}

// parse parses everything in a note except its location.
func (im *image) parse(p *place, base uint64) (err error) {
	n := p.note
	known := false
	if p.Probe, known = usdtProbe(n.name); !known {
		return errors.New("unknown probe")
	}
	p.Spec = n.spec
	if n.semaphore != 0 {
		// The kernel increments a semaphore as an aligned 16-bit word.
		p.RefCtrOffset, err = im.fileOffset(n.semaphore+moved(n, base), 2, elf.PF_W)
		if err != nil {
			return fmt.Errorf("semaphore: %w", err)
		}
		if p.RefCtrOffset == 0 || p.RefCtrOffset%2 != 0 {
			return fmt.Errorf("invalid semaphore at file offset %#x", p.RefCtrOffset)
		}
	}
	if p.operands, err = parseOperands(im.machine, n.spec); err != nil {
		return err
	}
	if want := probeTable[p.Probe].arguments; len(p.operands) != want {
		return fmt.Errorf("%d arguments, want %d", len(p.operands), want)
	}
	return nil
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

// symbolLookup returns the address of the symbol with a name.
type symbolLookup func(name string) (uint64, error)

// operandSymbols looks up the symbols in the operands of all places in one search of each symbol table.
func (im *image) operandSymbols(places []place) symbolLookup {
	var names []string
	wanted := make(map[string]bool)
	for _, p := range places {
		if p.err != nil || p.other != nil {
			continue
		}
		for _, o := range p.operands {
			if o.symbol != "" && !wanted[o.symbol] {
				wanted[o.symbol] = true
				names = append(names, o.symbol)
			}
		}
	}
	static, staticErr := im.symbols(elf.SHT_SYMTAB, names)
	dynamic, dynamicErr := im.symbols(elf.SHT_DYNSYM, names)
	return func(name string) (uint64, error) {
		found := append(slices.Clone(static.found[name]), dynamic.found[name]...)
		if err := errors.Join(static.failed[name], dynamic.failed[name]); err != nil {
			return 0, err // found may lack some symbols of this name
		}
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

// resolve sets the Args of the place: its operands, completed with the addresses of their symbols.
func (p *place) resolve(lookup symbolLookup) error {
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

// sessionSites returns the entry points that the dynamic symbol table exports or, if it exports none, those in the
// static symbol table: a program can have the library linked in.
func (im *image) sessionSites(failed *problems) []Site {
	names := make([]string, len(entryPoints))
	for i, e := range entryPoints {
		names[i] = e.symbol
	}
	for _, table := range []elf.SectionType{elf.SHT_DYNSYM, elf.SHT_SYMTAB} {
		found, err := im.symbols(table, names)
		if err := errors.Join(append(slices.Collect(maps.Values(found.failed)), err)...); err != nil {
			failed.add(fmt.Errorf("find library entry points: %w", err))
		}
		if sites := im.entrySites(found.found, table == elf.SHT_DYNSYM, failed); len(sites) > 0 {
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
