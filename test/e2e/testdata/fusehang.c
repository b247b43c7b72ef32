// SPDX-License-Identifier: Apache-2.0
/*
 * fusehang DIR HOLD [lock]: mounts a small FUSE file system at DIR whose server does not answer READ for HOLD seconds.
 * It maps the only file and fires a crypto_auditing probe whose array is in that mapping. With "lock" it fires no
 * probe, but keeps its memory map locked: the first READ fails, then one thread waits in a page fault, and another
 * thread waits for the memory map's lock in mmap.
 */
#define _GNU_SOURCE
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "crau.h"
static void reply(int fd, struct fuse_in_header *h, int err, void *d, size_t n)
{
	char b[8192]; struct fuse_out_header *o = (void *)b;
	o->len = sizeof *o + n; o->error = err; o->unique = h->unique;
	if (n) memcpy(b + sizeof *o, d, n);
	if (write(fd, b, o->len) < 0) perror("write");
}
static void attr(struct fuse_attr *a, uint64_t node)
{
	memset(a, 0, sizeof *a); a->ino = node; a->nlink = 1; a->blksize = 4096;
	a->mode = node == 2 ? S_IFREG | 0777 : S_IFDIR | 0777; if (node == 2) a->size = 65536;
	a->uid = getuid(); a->gid = getgid();
}
static int failing;
static void *fault(void *page) { return (void *)(long)*(volatile char *)page; }
static void *change(void *unused) { usleep(20000); mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); return unused; }
static void serve(int fd, int hold)
{
	static char buf[1 << 18];
	for (;;) {
		ssize_t n = read(fd, buf, sizeof buf);
		if (n < 0) { if (errno == EINTR || errno == EAGAIN) continue; _exit(0); }
		struct fuse_in_header *h = (void *)buf;
		switch (h->opcode) {
		case FUSE_FORGET: case FUSE_INTERRUPT: case FUSE_BATCH_FORGET: break;
		case FUSE_INIT: { struct fuse_init_out o = {.major = 7, .minor = 31, .max_readahead = 0, .max_write = 4096, .time_gran = 1, .max_background = 2}; reply(fd, h, 0, &o, sizeof o); break; }
		case FUSE_LOOKUP: { struct fuse_entry_out o = {.nodeid = 2, .entry_valid = 1000, .attr_valid = 1000}; attr(&o.attr, 2); reply(fd, h, 0, &o, sizeof o); break; }
		case FUSE_GETATTR: { struct fuse_attr_out o = {.attr_valid = 1000}; attr(&o.attr, h->nodeid); reply(fd, h, 0, &o, sizeof o); break; }
		case FUSE_OPEN: case FUSE_OPENDIR: { struct fuse_open_out o = {0}; reply(fd, h, 0, &o, sizeof o); break; }
		case FUSE_READ: if (failing) { failing = 0; reply(fd, h, -EIO, 0, 0); break; } fprintf(stderr, "fuse: READ came, silent for %d s\n", hold); sleep(hold); _exit(0);
		case FUSE_RELEASE: case FUSE_FLUSH: case FUSE_RELEASEDIR: reply(fd, h, 0, 0, 0); break;
		default: reply(fd, h, -ENOSYS, 0, 0);
		}
	}
}
int main(int c, char **v)
{
	char opt[128], path[512];
	int fd = open(getenv("FUSE_DEV") ? getenv("FUSE_DEV") : "/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0) { perror("/dev/fuse"); return 1; }
	snprintf(opt, sizeof opt, "fd=%d,rootmode=40777,user_id=%d,group_id=%d", fd, getuid(), getgid());
	if (mount("x", v[1], "fuse", MS_NODEV | MS_NOSUID, opt)) { perror("mount"); return 1; }
	failing = c > 3;
	pid_t s = fork();
	alarm(300); /* ends both processes some minutes after they are needed */
	if (!s) { serve(fd, atoi(v[2])); }
	close(fd);
	snprintf(path, sizeof path, "%s/f", v[1]);
	int f = open(path, O_RDONLY);
	if (f < 0) { perror("open"); kill(s, SIGKILL); return 1; }
	if (failing) sleep(1); /* until the agent has examined this process; the executable mapping makes it do so again */
	void *m = mmap(0, 65536, failing ? PROT_READ | PROT_EXEC : PROT_READ, MAP_PRIVATE, f, 0);
	if (failing) {
		pthread_t one, two;
		pthread_create(&two, 0, change, 0);
		pthread_create(&one, 0, fault, m);
		for (;;) pause();
	}
	sleep(1); /* until the probe is attached */
	fprintf(stderr, "probe fires\n");
	CRAU_DATA(1, (struct crau_data *)m, 1);
	fprintf(stderr, "probe over\n");
	waitpid(s, 0, 0);
	umount2(v[1], MNT_DETACH);
	return 0;
}
