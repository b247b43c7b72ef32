/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sockets: makes TCP traffic over the loopback and says how much of it, and what CPU time that took this process.
 *
 *	sockets SECONDS stream|pingpong		both ends are this process
 *	sockets SECONDS get PORT		four kept connections to a server of HTTP
 *
 * A unit is a MiB, a round trip, or a response.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double until;
static char buffer[1 << 18];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
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

static void pair(int fds[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 1) || getsockname(l, (struct sockaddr *)&a, &len))
		err(1, "listen");
	fds[0] = dial(a.sin_port);
	fds[1] = accept(l, NULL, NULL);
	setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(l);
}

static void *sink(void *fd)
{
	static char to[1 << 18];

	while (read(*(int *)fd, to, sizeof(to)) > 0)
		;
	return NULL;
}

static void *echo(void *fd)
{
	char byte;

	while (read(*(int *)fd, &byte, 1) == 1 && write(*(int *)fd, &byte, 1) == 1)
		;
	return NULL;
}

static double between(void *(*other)(void *), int size)
{
	double units = 0;
	pthread_t thread;
	int fds[2];

	pair(fds);
	if (pthread_create(&thread, NULL, other, &fds[1]))
		errx(1, "pthread_create");
	for (long n = 0; (n & 63) || now() < until; n++) {
		if (write(fds[0], buffer, size) != size)
			err(1, "write");
		if (size > 1)
			units += size / (double)(1 << 20);
		else if (read(fds[0], buffer, 1) == 1)
			units++;
	}
	shutdown(fds[0], SHUT_WR);
	pthread_join(thread, NULL);
	return units;
}

static double get(in_port_t port)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	double units = 0;
	int fds[4];

	for (int i = 0; i < 4; i++)
		fds[i] = dial(htons(port));
	while (now() < until) {
		for (int i = 0; i < 4; i++)
			if (write(fds[i], request, sizeof(request) - 1) < 0)
				err(1, "write");
		for (int i = 0; i < 4; i++, units++) {
			/* The body is what follows the empty line: 1 KiB. */
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
	struct rusage u;
	double units;

	if (argc < 3)
		errx(2, "usage: sockets SECONDS stream|pingpong|get [PORT]");
	until = now() + atof(argv[1]);
	if (!strcmp(argv[2], "stream"))
		units = between(sink, sizeof(buffer));
	else if (!strcmp(argv[2], "pingpong"))
		units = between(echo, 1);
	else
		units = get(atoi(argv[3]));
	getrusage(RUSAGE_SELF, &u);
	printf("%.0f %.0f\n", units,
	       1e9 * (u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e3 * (u.ru_utime.tv_usec + u.ru_stime.tv_usec));
	return 0;
}
