// SPDX-License-Identifier: Apache-2.0

package probes

// Limits on what this package reads and keeps of one file. Real libraries stay far below them.
const (
	maxSections      = 8192     // section headers
	maxSegments      = 2048     // program headers; Linux itself refuses more than 64 KiB of them
	maxSectionNames  = 1 << 20  // bytes of the section name table
	maxNoteBytes     = 4 << 20  // total bytes of the note sections or segments that one search reads
	maxNotes         = 4096     // notes of crypto_auditing probes, and so USDT sites
	maxNameLength    = 256      // bytes of a provider, probe or symbol name, or of DT_SONAME
	maxSpecLength    = 1024     // bytes of an argument string
	maxArguments     = 12       // arguments of a probe; <sys/sdt.h> has no more (STAP_PROBE12)
	maxDynamic       = 4096     // entries of PT_DYNAMIC that are read
	maxSymbols       = 2 << 20  // entries of one symbol table
	maxSymbolStrings = 64 << 20 // bytes of the string table of one symbol table
	maxWantedSymbols = 1024     // distinct symbols in the operands of one file
	maxSymbolSearch  = 4 << 30  // size of a string table times the number of symbols searched in it
	maxSymbolMatches = 1 << 16  // occurrences of wanted names in a string table
	maxSessionSites  = 16       // symbols kept for one name, such as the versions of an entry point
	maxStrings       = 8 << 20  // bytes of .rodata; OpenSSL's libcrypto has 0.4 MiB
	maxCode          = 16 << 20 // bytes of an executable segment searched for branches
	maxProblems      = 16       // errors kept; further errors are only counted
)
