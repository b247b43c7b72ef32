/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood: makes TCP connections over the loopback interface. Some start like TLS, the others do not.
 *
 *	flood serve PORT THREADS HELLO ANSWER
 *	flood connect PORT THREADS COUNT RATE HELLO ANSWER OTHER...
 *
 * RATE is in connections per second; 0 means as many as possible. HELLO, ANSWER and OTHER are files whose content is
 * sent. With n files OTHER, n of every ten connections send one of these, and the rest send HELLO. The server answers
 * HELLO with ANSWER and sends nothing in other connections. The client ends connections with HELLO by RST, which leaves
 * no socket in TIME_WAIT; the others end by FIN from both sides. connect prints how many connections it made per
 * second.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KINDS 10

struct text {
	char data[1 << 17];
	size_t len;
};

static struct text hello, answer, others[KINDS];
static struct sockaddr_in address = {.sin_family = AF_INET};
static int other_count, listener;
static long count;
static double rate, start;
static atomic_long next_number;

static void load(struct text *t, const char *file)
{
	FILE *f = fopen(file, "rb");

	if (!f)
		err(1, "%s", file);
	t->len = fread(t->data, 1, sizeof(t->data), f);
	fclose(f);
}

/* Reads len bytes and discards them. Returns 0, or -1 if the connection ended before. */
static int read_all(int fd, size_t len)
{
	char to[4096];
	ssize_t n;

	while (len && (n = recv(fd, to, len < sizeof(to) ? len : sizeof(to), 0)) > 0)
		len -= n;
	return len ? -1 : 0;
}

static void read_to_end(int fd)
{
	char to[4096];

	while (recv(fd, to, sizeof(to), 0) > 0)
		;
}

static void *serve(void *unused)
{
	char first[4096];
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		ssize_t n = recv(fd, first, sizeof(first), 0);

		if (n >= 5 && !memcmp(first, hello.data, 5))
			send(fd, answer.data, answer.len, MSG_NOSIGNAL);
		if (n > 0)
			read_to_end(fd);
		close(fd);
	}
	err(1, "accept");
	return unused;
}

static void connect_once(long number)
{
	static const char finished[] = {20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 1, 0};
	int fd = socket(AF_INET, SOCK_STREAM, 0), other = number % KINDS - (KINDS - other_count);
	const struct text *opening = other < 0 ? &hello : &others[other];
	struct linger reset = {.l_onoff = 1};

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "connect");
	if (send(fd, opening->data, opening->len, MSG_NOSIGNAL) != (ssize_t)opening->len)
		err(1, "send");
	if (other < 0) {
		if (read_all(fd, answer.len) || send(fd, finished, sizeof(finished), MSG_NOSIGNAL) < 0)
			err(1, "handshake");
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	} else {
		shutdown(fd, SHUT_WR);
		read_to_end(fd);
	}
	close(fd);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *make(void *unused)
{
	for (long n; (n = next_number++) < count;) {
		double early = rate ? start + n / rate - now() : 0;

		if (early > 0)
			usleep(1e6 * early);
		connect_once(n);
	}
	return unused;
}

static void run(void *(*f)(void *), int threads)
{
	pthread_t ids[threads];

	for (int i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, f, NULL))
			errx(1, "pthread_create");
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

int main(int argc, char **argv)
{
	int one = 1;

	if (argc < 6)
		errx(2, "usage: flood serve PORT THREADS HELLO ANSWER | connect PORT THREADS COUNT RATE HELLO ANSWER OTHER...");
	address.sin_port = htons(atoi(argv[2]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!strcmp(argv[1], "serve")) {
		load(&hello, argv[4]);
		load(&answer, argv[5]);
		listener = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 4096))
			err(1, "listen");
		run(serve, atoi(argv[3]));
		return 0;
	}
	count = atol(argv[4]);
	if (argc < 8)
		errx(2, "too few arguments");
	rate = atof(argv[5]);
	load(&hello, argv[6]);
	load(&answer, argv[7]);
	for (int i = 8; i < argc && other_count < KINDS; i++)
		load(&others[other_count++], argv[i]);
	start = now();
	run(make, atoi(argv[3]));
	printf("%.0f\n", count / (now() - start));
	return 0;
}
