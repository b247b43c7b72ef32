// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"testing"
)

func TestEntrySkip(t *testing.T) {
	t.Parallel()
	const endbr, test = "\xf3\x0f\x1e\xfa", "\x48\x85\xff"
	for name, c := range map[string]struct {
		code string
		want int
	}{
		"push %r15":                  {"\x41\x57", 0},
		"push %rbx":                  {"\x53", 0},
		"sub $8,%rsp":                {"\x48\x83\xec\x08", 0},
		"endbr64, push %rbp":         {endbr + "\x55", 4},
		"endbr64, push %r12":         {endbr + "\x41\x54", 4},
		"endbr64, nop":               {endbr + "\x90", 4},
		"endbr64, nopl":              {endbr + "\x0f\x1f\x44\x00\x00", 4},
		"endbr64, jmp":               {endbr + "\xe9\x00\x01\x00\x00", 4},
		"endbr64, call":              {endbr + "\xe8\x00\x01\x00\x00", 4},
		"endbr64, endbr64":           {endbr + endbr + "\x55", 0},
		"endbr64, sub":               {endbr + "\x48\x83\xec\x08", 0},
		"endbr64, pushw":             {endbr + "\x66\x55", 0},
		"endbr64, pop %r12":          {endbr + "\x41\x5c", 0},
		"endbr32, push":              {"\xf3\x0f\x1e\xfb\x55", 0},
		"test, je 32":                {test + "\x0f\x84\x57\x08\x00\x00", 3},
		"test, je 8":                 {test + "\x74\x10", 3},
		"test, push":                 {test + "\x55", 0},
		"test, setcc":                {test + "\x0f\x94\xc0", 0},
		"test %rsi,%rsi, je":         {"\x48\x85\xf6\x74\x10", 0},
		"test %edi,%edi, je":         {"\x85\xff\x74\x10", 0},
		"endbr64, test, jne":         {endbr + test + "\x75\x10", 7},
		"endbr64, test, mov":         {endbr + test + "\x48\x89\xfb", 0},
		"mov $1,%edi after endbr64":  {endbr + "\xbf\x01\x00\x00\x00\x55", 0},
		"nothing":                    {"", 0},
		"cut behind endbr64":         {endbr, 0},
		"cut behind test":            {test, 0},
		"cut in the conditional jmp": {test + "\x0f", 0},
	} {
		if got := entrySkip([]byte(c.code)); got != c.want {
			t.Errorf("%s: skips %d bytes, want %d", name, got, c.want)
		}
	}
}

func TestBranchesTo(t *testing.T) {
	t.Parallel()
	const place = 0x400
	for name, c := range map[string]struct {
		at   int
		code string
		want bool
	}{
		"none":                    {0, "\x90", false},
		"jmp 8 back":              {place + 0x20, "\xeb\xde", true},
		"jmp 8 forth":             {place - 0x20, "\xeb\x1e", true},
		"jmp 8 as far as it goes": {place + 0x7e, "\xeb\x80", true},
		"and forth":               {place - 0x81, "\xeb\x7f", true},
		"jmp 8 beside it":         {place + 0x20, "\xeb\xdf", false},
		"je 8":                    {place + 0x20, "\x74\xde", true},
		"jrcxz":                   {place + 0x20, "\xe3\xde", true},
		"jmp 32":                  {0x700, "\xe9\xfb\xfc\xff\xff", true},
		"jmp 32 at the end":       {0x7fb, "\xe9\x00\xfc\xff\xff", true},
		"jmp 32 beside it":        {0x700, "\xe9\xfc\xfc\xff\xff", false},
		"jmp 32 at the start":     {0, "\xe9\xfb\x03\x00\x00", true},
		"call":                    {0x700, "\xe8\xfb\xfc\xff\xff", true},
		"jne 32":                  {0x700, "\x0f\x85\xfa\xfc\xff\xff", true},
	} {
		code := make([]byte, 0x800)
		copy(code[c.at:], c.code)
		if got := branchesTo(code, place); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestEntryIsProbedWhateverTheFunctionStartsWith checks where the entry of gnutls_deinit is probed: behind its first
// instructions if these may be skipped and the kernel emulates the next one, else at its start.
func TestEntryIsProbedWhateverTheFunctionStartsWith(t *testing.T) {
	t.Parallel()
	const at = 0x40
	for name, c := range map[string]struct {
		machine elf.Machine
		code    string
		address uint64 // offset of the function in the text
		behind  string // code that is 0x20 bytes after the start of the function
		want    uint64 // offset of the site in the text
	}{
		"push":                   {0, "\x55", at, "", at},
		"endbr64, push":          {0, "\xf3\x0f\x1e\xfa\x55", at, "", at + 4},
		"test, je":               {0, "\x48\x85\xff\x74\x08", at, "", at + 3},
		"a loop to je":           {0, "\x48\x85\xff\x74\x08", at, "\xeb\xe1", at},
		"a loop to the start":    {0, "\x48\x85\xff\x74\x08", at, "\xeb\xde", at + 3},
		"too near to the end":    {0, "\xf3\x0f\x1e\xfa\x55", textSize - 15, "", textSize - 15},
		"just far enough":        {0, "\xf3\x0f\x1e\xfa\x55", textSize - 16, "", textSize - 12},
		"code of another kind":   {elf.EM_AARCH64, "\xf3\x0f\x1e\xfa\x55", at, "", at},
		"nothing of all that":    {0, "\x31\xc0\xc3", at, "", at},
		"a push behind the test": {0, "\x48\x85\xff\x55", at, "", at},
	} {
		args := "8@%rdi 8@%rsi"
		if c.machine == elf.EM_AARCH64 {
			args = "8@x0 8@x1"
		}
		b := elfSpec{
			machine: c.machine, notes: []noteSpec{ours("new_context", sitePC, args)},
			dynamic: []symbolSpec{{name: "gnutls_deinit", address: textAddr + c.address, section: 1}},
		}
		built := b.build(t)
		copy(built.data[textOff+c.address:dataOff], c.code)
		if c.behind != "" {
			copy(built.data[textOff+c.address+0x20:dataOff], c.behind)
		}
		f, err := built.read()
		if err != nil || len(f.Sites) != 2 {
			t.Errorf("%s: got %+v, %v", name, f, err)
			continue
		}
		if s := f.Sites[1]; s.Probe != SessionLeave || s.Address != textAddr+c.want || s.Offset != textOff+c.want {
			t.Errorf("%s: got %+v, want it at %#x", name, s, c.want)
		}
	}
}
