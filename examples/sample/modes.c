/* SPDX-License-Identifier: Apache-2.0 */

/* Modes that fire events which are hard for a tracer to read: at limits, with data on absent pages, or malformed. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sample.h"

/* The context value of modes that need only one context. */
static const char object;
#define CTX ((unsigned long)&object)

static unsigned long stall_seconds; /* for mode stalled: delay of the page */
static struct uffdio_range stalled_range;

static void begin(const char *name)
{
	new_context(CTX, CRAU_NO_PARENT);
	string_data(CTX, "name", name);
}

/* Writes a text of n characters: abc...zabc... */
static void alphabet(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s[i] = (char)('a' + i % 26);
	s[n] = 0;
}

/* Writes n bytes: 0, 1, 2, ... */
static void ramp(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)i;
}

/*
 * Fires two arrays of 16 elements. The keys are name and test::a1 to test::a15, then test::b0 to test::b15. Depending
 * on i % 3, the value of element i is the word 1000 + i, the string "value i" or a blob of i + 1 bytes.
 */
static int array16(const struct options *o)
{
	static char keys[2][CRAU_MAX_ELEMENTS][16], values[CRAU_MAX_ELEMENTS][16];
	static unsigned char bytes[CRAU_MAX_ELEMENTS];
	struct crau_data e[2][CRAU_MAX_ELEMENTS];

	(void)o;
	ramp(bytes, sizeof bytes);
	for (unsigned int i = 0; i < CRAU_MAX_ELEMENTS; i++) {
		snprintf(values[i], sizeof values[i], "value %u", i);
		for (unsigned int a = 0; a < 2; a++) {
			snprintf(keys[a][i], sizeof keys[a][i], "test::%c%u", "ab"[a], i);
			e[a][i] = i % 3 == 0   ? CRAU_WORD(keys[a][i], 1000 + i)
				  : i % 3 == 1 ? CRAU_STRING(keys[a][i], values[i])
					       : CRAU_BLOB(keys[a][i], bytes, i + 1);
		}
	}
	e[0][0] = CRAU_NAME("test::array16");
	new_context_with_data(CTX, CRAU_NO_PARENT, e[0], CRAU_MAX_ELEMENTS);
	data(CTX, e[1], CRAU_MAX_ELEMENTS);
	return 0;
}

/*
 * Fires strings of several lengths under the keys test::string_LENGTH, then words under keys of several lengths,
 * test::abc..., whose value is the length of the key.
 */
static int longs(const struct options *o)
{
	static const unsigned int strings[] = {0, 255, 256, 257, 5000}, keys[] = {62, 63, 64, 100};
	char key[128], value[5001];

	(void)o;
	begin("test::long");
	for (unsigned int i = 0; i < COUNT(strings); i++) {
		snprintf(key, sizeof key, "test::string_%u", strings[i]);
		alphabet(value, strings[i]);
		string_data(CTX, key, value);
	}
	for (unsigned int i = 0; i < COUNT(keys); i++) {
		memcpy(key, "test::", 6);
		alphabet(key + 6, keys[i] - 6);
		word_data(CTX, key, keys[i]);
	}
	return 0;
}

/* Fires blobs and strings that are not UTF-8, first each with its own probe, then all of them in one array. */
static int bytes(const struct options *o)
{
	static const char latin1[] = "caf\xe9 \xff\xfe", control[] = "a\tb\nc\x7f";
	static const unsigned char zeros[4];
	unsigned char blob[300];
	const struct crau_data e[] = {
		CRAU_STRING("test::array_latin1", latin1),
		CRAU_BLOB("test::array_empty", blob, 0),
		CRAU_BLOB("test::array_zeros", zeros, sizeof zeros),
		CRAU_BLOB("test::array_300", blob, sizeof blob),
		CRAU_WORD("test::array_word", ~0UL),
	};

	(void)o;
	ramp(blob, sizeof blob);
	begin("test::bytes");
	string_data(CTX, "test::latin1", latin1);
	string_data(CTX, "test::control", control);
	blob_data(CTX, "test::empty", blob, 0);
	blob_data(CTX, "test::zeros", zeros, sizeof zeros);
	blob_data(CTX, "test::300", blob, sizeof blob);
	word_data(CTX, "test::word", ~0UL);
	data(CTX, e, COUNT(e));
	return 0;
}

/*
 * Memory that is mapped and in the page cache, but not in a page table yet, so that the first access faults. A page
 * fault maps the aligned 64 KiB around its address, so objects are that far apart.
 */
#define APART 65536UL

struct cold {
	int fd;
	char *map;
	unsigned long used, size; /* in units of APART */
};

static bool map(struct cold *c)
{
	char *area = mmap(NULL, (c->size + 1) * APART, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	c->fd = memfd_create("cold", 0);
	if (area == MAP_FAILED || c->fd < 0 || ftruncate(c->fd, (off_t)(c->size * APART)))
		return false;
	c->map = area + (-(unsigned long)area & (APART - 1));
	return mmap(c->map, c->size * APART, PROT_READ, MAP_PRIVATE | MAP_FIXED, c->fd, 0) != MAP_FAILED;
}

static void *put(struct cold *c, const void *p, size_t n, unsigned long before_end)
{
	unsigned long at = ++c->used * APART - before_end;

	if (pwrite(c->fd, p, n, (off_t)at) != (ssize_t)n) {
		perror("sample: pwrite");
		exit(1);
	}
	return c->map + at;
}

static void *put_string(struct cold *c, const char *s) { return put(c, s, strlen(s) + 1, APART); }

/*
 * Fires count (default 16) strings "cold I" under keys test::cold_I; then a string, a blob of 300 bytes and a key, each
 * of which starts 10 bytes before the end of a page; then an array of the word 7 (test::cold_word), the string "cold"
 * (test::cold_string) and 4 bytes (test::cold_blob).
 */
static int cold(const struct options *o)
{
	unsigned long count = o->count ? o->count : 16;
	struct cold c = {.size = 2 * count + 16};
	char key[64], value[64];
	unsigned char blob[300];

	if (!map(&c)) {
		perror("sample: cold memory");
		return 1;
	}
	ramp(blob, sizeof blob);
	begin("test::cold");
	for (unsigned long i = 0; i < count; i++) {
		snprintf(key, sizeof key, "test::cold_%lu", i);
		snprintf(value, sizeof value, "cold %lu", i);
		string_data(CTX, put_string(&c, key), put_string(&c, value));
	}
	string_data(CTX, "test::crossing_string", put(&c, "across the border", 18, 10));
	c.used++; /* the string extends into this page */
	blob_data(CTX, "test::crossing_blob", put(&c, blob, sizeof blob, 10), sizeof blob);
	c.used++;
	word_data(CTX, put(&c, "test::crossing_key", 19, 10), 7);
	c.used++;

	const struct crau_data e[] = {
		CRAU_WORD(put_string(&c, "test::cold_word"), 7),
		CRAU_STRING(put_string(&c, "test::cold_string"), put_string(&c, "cold")),
		CRAU_BLOB(put_string(&c, "test::cold_blob"), put(&c, blob, 4, APART), 4),
	};
	data(CTX, put(&c, e, sizeof e, APART), COUNT(e));
	return 0;
}

/*
 * Fires events with invalid pointers and sizes, as a faulty library or a hostile program might, between valid events.
 */
static int bad(const struct options *o)
{
	static const unsigned long pointers[] = {0, 1, 0x00007ffffffff000, 0x8000000000000000, 0xffffffff81000000, ~0UL};
	struct crau_data e[CRAU_MAX_ELEMENTS + 1];

	(void)o;
	begin("test::bad");
	word_data(CTX, "test::before", 1);
	for (unsigned int i = 0; i < COUNT(pointers); i++) {
		const void *p = (const void *)pointers[i];

		word_data(CTX, p, i);
		string_data(CTX, p, "value");
		string_data(CTX, "test::bad_string", p);
		blob_data(CTX, p, "value", 5);
		blob_data(CTX, "test::bad_blob", p, 16);
		data(CTX, p, 1);
		new_context_with_data(CTX + 1, CTX, p, 1);
	}
	blob_data(CTX, "test::huge_blob", "value", 1UL << 40);
	for (unsigned int i = 0; i < COUNT(e); i++)
		e[i] = CRAU_WORD("test::seventeen", i);
	data(CTX, e, 0);
	data(CTX, e, COUNT(e));
	data(CTX, e, 1UL << 40);
	data(CTX, e, ~0UL);
	e[0] = CRAU_WORD("test::first", 1);
	e[1] = CRAU_WORD((const char *)1, 2);
	e[2] = CRAU_STRING("test::bad_element", (const char *)1);
	e[3] = CRAU_BLOB("test::bad_element_blob", (const void *)1, 16);
	e[4] = CRAU_WORD("test::last", 5);
	data(CTX, e, 5);
	word_data(CTX, "test::after", 2);
	return 0;
}

/* Fires count (default 1000) words under test::word. Each value is the number of the event. */
static int flood(const struct options *o)
{
	unsigned long count = o->count ? o->count : 1000;

	begin("test::flood");
	for (unsigned long i = 0; i < count && !stopped; i++)
		word_data(CTX, "test::word", i);
	return 0;
}

/* Opens a chain of depth (default 64) nested contexts. Each context has its level as data. */
static int deep(const struct options *o)
{
	unsigned long depth = o->depth ? o->depth : 64, parent = CRAU_NO_PARENT;

	for (unsigned long i = 0; i < depth && !stopped; i++) {
		new_context(CTX + i, parent);
		string_data(CTX + i, "name", "test::deep");
		word_data(CTX + i, "test::level", i);
		parent = CTX + i;
	}
	return 0;
}

/* Opens a context with count (default 64) children. */
static int wide(const struct options *o)
{
	unsigned long count = o->count ? o->count : 64;

	begin("test::wide");
	for (unsigned long i = 0; i < count && !stopped; i++) {
		new_context(CTX + 1 + i, CTX);
		string_data(CTX + 1 + i, "name", "test::child");
		word_data(CTX + 1 + i, "test::index", i);
	}
	return 0;
}

/*
 * Opens count (default 1000) contexts, three in four of them as children of the first. Each gets five arrays of 16
 * strings of the maximum length. No context, key or value occurs twice.
 */
static int hostile(const struct options *o)
{
	static char key[CRAU_MAX_ELEMENTS][62], value[CRAU_MAX_ELEMENTS][250];
	unsigned long count = o->count ? o->count : 1000, serial = 0;
	struct crau_data e[CRAU_MAX_ELEMENTS];

	for (unsigned int i = 0; i < COUNT(e); i++) {
		memset(value[i], 'x', sizeof value[i] - 1);
		e[i] = CRAU_STRING(key[i], value[i]);
	}
	begin("test::hostile");
	for (unsigned long n = 0; n < count && !stopped; n++) {
		for (int array = 0; array < 5 && !stopped; array++) {
			for (unsigned int i = 0; i < COUNT(e); i++, serial++) {
				snprintf(key[i], sizeof key[i], "test::%050lu", serial);
				value[i][snprintf(value[i], 32, "%lu", serial)] = ' ';
			}
			if (array == 0)
				new_context_with_data(CTX + 1 + n, n % 4 ? CTX : CRAU_NO_PARENT, e, COUNT(e));
			else
				data(CTX + 1 + n, e, COUNT(e));
		}
	}
	return 0;
}

/* Answers a page fault in the memory of a userfaultfd, count seconds after the fault. */
static void *answer(void *arg)
{
	struct pollfd fault = {.fd = *(int *)arg, .events = POLLIN};
	struct uffdio_zeropage zero = {.range = stalled_range};

	while (poll(&fault, 1, -1) < 0)
		;
	puts("stalled");
	fflush(stdout);
	for (unsigned long left = stall_seconds; left && !stopped; left--)
		sleep(1);
	puts("released");
	fflush(stdout);
	if (ioctl(fault.fd, UFFDIO_ZEROPAGE, &zero))
		perror("sample: UFFDIO_ZEROPAGE");
	return NULL;
}

/*
 * Fires a string on a page that is delivered count (default 5) seconds after the first access. Prints "stalled" when
 * the page is accessed.
 */
static int stalled(const struct options *o)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	pthread_t thread;

	stall_seconds = o->count ? o->count : 5;
	range.range.start = (unsigned long)page;
	range.range.len = size;
	stalled_range = range.range;
	if (page == MAP_FAILED || fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range) ||
	    pthread_create(&thread, NULL, answer, &fd)) {
		perror("sample: userfaultfd");
		return 1;
	}
	begin("test::stalled");
	string_data(CTX, "test::late", page);
	if (*page) /* accesses the page even if the program is not traced */
		return 1;
	pthread_join(thread, NULL);
	return 0;
}

const struct mode modes[] = {
	{"array16", array16}, {"long", longs}, {"bytes", bytes}, {"cold", cold}, {"bad", bad},
	{"flood", flood},     {"deep", deep},  {"wide", wide},   {"hostile", hostile}, {"stalled", stalled},
	{NULL, NULL},
};
