/* SPDX-License-Identifier: Apache-2.0 */

/*
 * start: measures how long it takes until the probe of a program that was just executed is attached.
 *
 *   start launch CGROUP SOURCE ROOT PROGRAM
 *                   executes PROGRAM in a child. CGROUP is the file cgroup.procs of the child's cgroup. If SOURCE is a
 *                   folder, its content is copied into a new tmpfs at ROOT, which only the child sees and which becomes
 *                   the child's root folder. CGROUP and SOURCE can be "-" for none.
 *   start spin      uses as much CPU time as it can get
 *   start since NS  waits until a tracer has incremented the probe's semaphore, and prints the time in ns since NS, a
 *                   value of CLOCK_MONOTONIC, or -1 after five seconds. launch executes PROGRAM with these arguments.
 *
 * With -DSHARED the probe is in a library, which is compiled from this file with -DLIBRARY.
 */

#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NSEC 1000000000L
#define PATIENCE (5 * NSEC)
#define POLL_US 50
#define SETTLE_US 100000 /* time for the tracer to process the programs that prepared the child's files */

#ifdef __x86_64__
#define CONSTANTS "8@$1 8@$-1"
#else
#define CONSTANTS "8@1 8@-1"
#endif

volatile unsigned short *semaphore(void);

#ifndef SHARED
static volatile unsigned short counter __attribute__((section(".probes"), used));

/*
 * A probe with a semaphore, which crau.h does not offer. The kernel increments the semaphore when a tracer attaches to
 * the probe.
 */
volatile unsigned short *semaphore(void)
{
	if (counter)
		__asm__ volatile("990: nop\n"
				 ".pushsection .note.stapsdt, \"\", \"note\"\n"
				 ".balign 4\n"
				 ".4byte 992f - 991f, 994f - 993f, 3\n"
				 "991: .asciz \"stapsdt\"\n"
				 "992: .balign 4\n"
				 "993: .8byte 990b, 0, %c0\n"
				 ".asciz \"crypto_auditing\"\n"
				 ".asciz \"new_context\"\n"
				 ".asciz \"" CONSTANTS "\"\n"
				 "994: .balign 4\n"
				 ".popsection\n" ::"i"(&counter));
	return &counter;
}
#endif

#ifndef LIBRARY
static long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

static int since(long begin)
{
	volatile unsigned short *attached = semaphore();

	while (!*attached && now() - begin < PATIENCE)
		usleep(POLL_US);
	printf("%ld\n", *attached ? now() - begin : -1);
	return 0;
}

static void need(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

/* Moves this process into a separate mount namespace and root folder. */
static void enter(const char *source, const char *root)
{
	char command[8192];

	need(unshare(CLONE_NEWNS), "unshare");
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make mounts private");
	need(mount("none", root, "tmpfs", 0, "mode=755"), root);
	snprintf(command, sizeof(command), "cp -a '%s/.' '%s'", source, root);
	need(system(command), command);
	need(chroot(root) || chdir("/"), root);
	usleep(SETTLE_US);
}

static int launch(char **argv)
{
	pid_t pid = fork();
	int status;

	need(pid < 0, "fork");
	if (pid == 0) {
		char stamp[32];

		if (strcmp(argv[0], "-") != 0) {
			FILE *procs = fopen(argv[0], "w");

			need(!procs || fprintf(procs, "0") < 0 || fclose(procs), argv[0]);
		}
		if (strcmp(argv[1], "-") != 0)
			enter(argv[1], argv[2]);
		snprintf(stamp, sizeof(stamp), "%ld", now());
		execl(argv[3], argv[3], "since", stamp, (char *)NULL);
		need(1, argv[3]);
	}
	need(waitpid(pid, &status, 0) < 0, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "launch") == 0)
		return launch(argv + 2);
	if (argc == 3 && strcmp(argv[1], "since") == 0)
		return since(atol(argv[2]));
	if (argc == 2 && strcmp(argv[1], "spin") == 0)
		for (;;)
			__asm__ volatile("");
	fputs("start: see the comment in start.c\n", stderr);
	return 2;
}
#endif
