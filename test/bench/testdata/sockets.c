/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sockets: makes TCP traffic over the loopback interface and prints the amount and the CPU time of this process.
 *
 *	sockets CPU OTHER stream|pingpong	one thread on each of the processors CPU and OTHER, connected to each other
 *	sockets CPU OTHER get PORT		four persistent connections to an HTTP server
 *
 * Each line on standard input is a duration in ms. For each, the program makes traffic for that long and prints the
 * number of units and the CPU time in ns. It keeps its connections. A unit is a MiB with stream, a round trip with
 * pingpong, and a response with get.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double until;
static char buffer[1 << 18];
static int fds[4];
static atomic_long received; /* bytes received in a stream */

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Keeps the calling thread on one processor, because the cost of a unit depends on the processor. */
static void stay_on(const char *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(atoi(cpu), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "processor %s", cpu);
}

static int dial(in_port_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		err(1, "connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void pair(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1, room = 1 << 18;

	/* A fixed buffer size: growing buffers would spread the data of a stream over more and more of the caches. */
	setsockopt(l, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 1) || getsockname(l, (struct sockaddr *)&a, &len))
		err(1, "listen");
	fds[0] = dial(a.sin_port);
	fds[1] = accept(l, NULL, NULL);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(l);
}

static void *sink(void *cpu)
{
	static char to[1 << 18];
	ssize_t n;

	stay_on(cpu);
	while ((n = read(fds[1], to, sizeof(to))) > 0)
		received += n;
	return NULL;
}

static void *echo(void *cpu)
{
	char byte;

	stay_on(cpu);
	while (read(fds[1], &byte, 1) == 1 && write(fds[1], &byte, 1) == 1)
		;
	return NULL;
}

static double stream(void)
{
	static long sent;
	long before = sent;

	while (now(CLOCK_MONOTONIC) < until) {
		if (write(fds[0], buffer, sizeof(buffer)) != sizeof(buffer))
			err(1, "write");
		sent += sizeof(buffer);
	}
	while (received < sent)
		usleep(50);
	return (sent - before) / (double)(1 << 20);
}

static double pingpong(void)
{
	double units = 0;

	for (long n = 0; (n & 63) || now(CLOCK_MONOTONIC) < until; n++, units++)
		if (write(fds[0], buffer, 1) != 1 || read(fds[0], buffer, 1) != 1)
			err(1, "ping");
	return units;
}

static double get(void)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	double units = 0;

	while (now(CLOCK_MONOTONIC) < until) {
		for (int i = 0; i < 4; i++)
			if (write(fds[i], request, sizeof(request) - 1) < 0)
				err(1, "write");
		for (int i = 0; i < 4; i++, units++) {
			/* The body has 1 KiB and follows the empty line. */
			ssize_t have = 0, n;
			char *end = NULL;

			while (!end || have < end + 4 + 1024 - buffer) {
				n = read(fds[i], buffer + have, sizeof(buffer) - 1 - have);
				if (n <= 0)
					errx(1, "the server closed the connection");
				have += n;
				buffer[have] = 0;
				end = strstr(buffer, "\r\n\r\n");
			}
		}
	}
	return units;
}

int main(int argc, char **argv)
{
	double (*load)(void);
	double units, cpu;
	pthread_t thread;
	long ms;

	if (argc < 4)
		errx(2, "usage: sockets CPU OTHER stream|pingpong|get [PORT]");
	stay_on(argv[1]);
	if (!strcmp(argv[3], "get")) {
		load = get;
		for (int i = 0; i < 4; i++)
			fds[i] = dial(htons(atoi(argv[4])));
	} else {
		load = strcmp(argv[3], "stream") ? pingpong : stream;
		pair();
		if (pthread_create(&thread, NULL, load == stream ? sink : echo, argv[2]))
			errx(1, "pthread_create");
	}
	while (scanf("%ld", &ms) == 1) {
		cpu = now(CLOCK_PROCESS_CPUTIME_ID);
		until = now(CLOCK_MONOTONIC) + ms / 1e3;
		units = load();
		printf("%.3f %.0f\n", units, 1e9 * (now(CLOCK_PROCESS_CPUTIME_ID) - cpu));
		fflush(stdout);
	}
	return 0;
}
