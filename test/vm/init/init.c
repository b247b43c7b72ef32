/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The first process of the virtual machine (PID 1). It runs the command in /vm/argv, whose output goes to the second
 * serial port. It prints the command's exit status to the console, which is the first serial port, and stops the
 * machine. Each file in /vm is a list of strings, each of which ends with a NUL byte.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define MAX_STRINGS 256

/* Device of the second serial port in QEMU's machines. */
#ifdef __aarch64__
#define OUTPUT "/dev/ttyS0"
#else
#define OUTPUT "/dev/ttyS1"
#endif

static void stop(const char *format, int value)
{
	printf(format, value);
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	reboot(RB_AUTOBOOT); /* ends QEMU, which runs with -no-reboot */
	_exit(1);
}

static void fail(const char *what)
{
	perror(what);
	stop("vm: init failed, error %d\n", errno);
}

static void mounts(void)
{
	static const struct {
		const char *type, *dir;
	} list[] = {
		{"proc", "/proc"},	   {"sysfs", "/sys"},		      {"devtmpfs", "/dev"},
		{"bpf", "/sys/fs/bpf"},	   {"tracefs", "/sys/kernel/tracing"}, {"cgroup2", "/sys/fs/cgroup"},
		{"tmpfs", "/tmp"},
	};

	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		mkdir(list[i].dir, 0755);
		if (mount("none", list[i].dir, list[i].type, 0, NULL))
			fail(list[i].dir);
	}
}

static void loopback_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr))
		fail("loopback interface");
	close(fd);
}

/* Reads a list of NUL-terminated strings from a file. */
static char **strings(const char *path)
{
	static char buffer[3][1 << 16], *lists[3][MAX_STRINGS];
	static unsigned int files;
	char *p = buffer[files], **list = lists[files];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, p, sizeof buffer[0] - 1);

	if (n < 0 || n == sizeof buffer[0] - 1)
		fail(path);
	close(fd);
	for (unsigned int i = 0; p < buffer[files] + n; p += strlen(p) + 1) {
		if (i == MAX_STRINGS - 1)
			fail(path);
		list[i++] = p;
	}
	return lists[files++];
}

static void run(char **argv, char **env, const char *dir)
{
	struct termios raw;
	int in = open("/dev/null", O_RDONLY), out = open(OUTPUT, O_WRONLY | O_NOCTTY);

	if (in < 0 || out < 0 || tcgetattr(out, &raw))
		fail(OUTPUT);
	cfmakeraw(&raw);
	tcsetattr(out, TCSANOW, &raw);
	if (chdir(dir))
		fail(dir);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	setsid();
	execve(argv[0], argv, env);
	perror(argv[0]);
	_exit(127);
}

int main(void)
{
	char **argv, **env, **dir;
	pid_t pid, got;
	int status;

	mounts();
	loopback_up();
	argv = strings("/vm/argv");
	env = strings("/vm/env");
	dir = strings("/vm/dir");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0)
		run(argv, env, dir[0]);
	while ((got = wait(&status)) != pid) /* also reaps orphaned processes */
		if (got < 0)
			fail("wait");
	stop("vm: exit status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
