/* SPDX-License-Identifier: Apache-2.0 */
/*
 * early: a program with probes that makes a TLS handshake as soon as it starts.
 *
 *	early SITE PORT HELLO
 *
 * It connects to PORT on the loopback interface, sends the ClientHello HELLO (hexadecimal) inside a context
 * tls::handshake, and reads the answer. SITE is the address (hexadecimal) of a probe site that the context uses. If the
 * site was not attached during the handshake, the program then prints "missed", otherwise "attached". For each line on
 * standard input it makes another handshake and prints "done".
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crau.h"

#ifdef __x86_64__
#define NOP 0x90
#else
#define NOP 0x1f /* first byte of arm64's nop */
#endif

static unsigned char hello[4096];

static void handshake(in_port_t port, size_t len)
{
	static const unsigned char finished[] = {20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 1, 0};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char answer[4096];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		err(1, "connect");
	crau_push(CRAU_NAME("tls::handshake"), CRAU_STRING("tls::role", "client"));
	if (write(fd, hello, len) != (ssize_t)len || read(fd, answer, sizeof(answer)) <= 0)
		err(1, "handshake");
	crau_data(CRAU_WORD("tls::protocol_version", 0x0304));
	crau_push(CRAU_NAME("tls::key_exchange"), CRAU_WORD("tls::group", 0x001d));
	crau_push(CRAU_NAME("pk::derive"), CRAU_STRING("pk::algorithm", "ECDH (X25519)"));
	crau_pop();
	crau_pop();
	if (write(fd, finished, sizeof(finished)) != sizeof(finished))
		err(1, "write");
	crau_pop();
	shutdown(fd, SHUT_WR);
	while (read(fd, answer, sizeof(answer)) > 0)
		;
	close(fd);
}

int main(int argc, char **argv)
{
	const volatile unsigned char *site;
	in_port_t port;
	size_t len = 0;
	char line[8];

	if (argc != 4)
		errx(2, "usage: early SITE PORT HELLO");
	for (const char *h = argv[3]; len < sizeof(hello) && sscanf(h, "%2hhx", &hello[len]) == 1; h += 2)
		len++;
	site = (const unsigned char *)strtoul(argv[1], NULL, 16);
	port = htons(atoi(argv[2]));
	handshake(port, len);
	puts(*site == NOP ? "missed" : "attached");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		handshake(port, len);
		puts("done");
		fflush(stdout);
	}
	return 0;
}
