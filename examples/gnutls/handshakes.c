/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshakes: makes TLS handshakes between clients and servers inside one process, as traffic to trace.
 *
 * By default, both ends of a connection run on one thread and exchange data through queues in memory, as in an event
 * loop: each call of gnutls_handshake goes as far as it can and returns GNUTLS_E_AGAIN. So a handshake takes several
 * calls, and with --interleave calls for different sessions alternate. With --tcp, the ends are connected by a TCP
 * connection over loopback instead. Certificates are made at the start, before --wait returns, so that a tracer that is
 * attached while the program waits sees only handshakes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define HOST "localhost"
#define BLOCKING_TIMEOUT_MS 10000
#define IDLE_ROUNDS 5000 /* about one millisecond each */

enum failure { FAIL_NOTHING, FAIL_GROUP, FAIL_SHARE };

static struct {
	long count; /* number of handshakes to start; 0: no limit */
	long interleave;
	long threads;
	double rate; /* handshakes started per second by all threads; 0: as many as possible */
	double seconds; /* time after which no handshake is started; 0: no limit */
	const char *client_priority;
	const char *server_priority;
	const char *key;
	enum failure fail;
	bool resume;
	bool blocking;
	bool one_site;
	bool tcp;
	bool wait;
} options = { .count = -1, .interleave = 1, .threads = 1, .key = "ecdsa" };

/* Set before the threads start, and only read afterwards. */
static gnutls_certificate_credentials_t client_credentials, server_credentials;
static gnutls_priority_t client_priorities, server_priorities;
static gnutls_datum_t ticket_key;
static double start_time;

static atomic_long started;
static atomic_long succeeded;
static atomic_long failed;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list ap;

	fputs("handshakes: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static void check(int ret, const char *what)
{
	if (ret < 0)
		die("%s: %s", what, gnutls_strerror(ret));
}

static void *allocate(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		die("out of memory");
	return p;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void sleep_until(double when)
{
	struct timespec ts = { .tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

/* Counters of negotiated parameters. */

struct tally {
	struct tally *next;
	char *text;
	long count;
};

static struct tally *tallies;
static pthread_mutex_t tallies_lock = PTHREAD_MUTEX_INITIALIZER;

static void tally(gnutls_session_t session)
{
	char *desc = gnutls_session_get_desc(session);
	char *text = NULL;
	struct tally **at;

	if (asprintf(&text, "%s%s", desc ? desc : "unknown",
		     gnutls_session_is_resumed(session) ? " (resumed)" : "") < 0)
		die("out of memory");
	gnutls_free(desc);

	pthread_mutex_lock(&tallies_lock);
	for (at = &tallies; *at && strcmp((*at)->text, text) != 0; at = &(*at)->next)
		;
	if (*at) {
		free(text);
	} else {
		*at = allocate(sizeof(**at));
		(*at)->text = text;
	}
	(*at)->count++;
	pthread_mutex_unlock(&tallies_lock);
}

/* Keys, certificates and credentials. */

static const struct {
	const char *name;
	gnutls_pk_algorithm_t algorithm;
	unsigned bits;
	gnutls_digest_algorithm_t digest;
} keys[] = {
	{ "ecdsa", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), GNUTLS_DIG_SHA256 },
	{ "rsa", GNUTLS_PK_RSA, 2048, GNUTLS_DIG_SHA256 },
	{ "ed25519", GNUTLS_PK_EDDSA_ED25519, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519), GNUTLS_DIG_SHA512 },
	{ "mldsa44", GNUTLS_PK_MLDSA44, 0, GNUTLS_DIG_UNKNOWN },
	{ "mldsa65", GNUTLS_PK_MLDSA65, 0, GNUTLS_DIG_UNKNOWN },
	{ "mldsa87", GNUTLS_PK_MLDSA87, 0, GNUTLS_DIG_UNKNOWN },
};

/* Makes a key and a certificate for it. If issuer is NULL, the certificate is a self-signed certification authority. */
static void make_certificate(gnutls_x509_privkey_t *key, gnutls_x509_crt_t *crt, gnutls_x509_privkey_t issuer_key,
			     gnutls_x509_crt_t issuer)
{
	const time_t day = 24 * 60 * 60;
	const char *name = issuer ? HOST : "handshakes CA";
	const unsigned char serial = issuer ? 2 : 1;
	size_t kind = 0;

	while (kind < sizeof(keys) / sizeof(keys[0]) && strcmp(keys[kind].name, options.key) != 0)
		kind++;
	if (kind == sizeof(keys) / sizeof(keys[0]))
		die("unknown --key %s", options.key);

	check(gnutls_x509_privkey_init(key), "init key");
	check(gnutls_x509_privkey_generate(*key, keys[kind].algorithm, keys[kind].bits, 0), "generate key");
	check(gnutls_x509_crt_init(crt), "init certificate");
	check(gnutls_x509_crt_set_version(*crt, 3), "set version");
	check(gnutls_x509_crt_set_serial(*crt, &serial, sizeof(serial)), "set serial");
	check(gnutls_x509_crt_set_dn_by_oid(*crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, strlen(name)), "set name");
	check(gnutls_x509_crt_set_activation_time(*crt, time(NULL) - day), "set activation time");
	check(gnutls_x509_crt_set_expiration_time(*crt, time(NULL) + 30 * day), "set expiration time");
	check(gnutls_x509_crt_set_basic_constraints(*crt, !issuer, -1), "set constraints");
	check(gnutls_x509_crt_set_key(*crt, *key), "set key");
	if (issuer) {
		unsigned usage = GNUTLS_KEY_DIGITAL_SIGNATURE;

		if (keys[kind].algorithm == GNUTLS_PK_RSA)
			usage |= GNUTLS_KEY_KEY_ENCIPHERMENT;
		check(gnutls_x509_crt_set_key_usage(*crt, usage), "set key usage");
		check(gnutls_x509_crt_set_subject_alt_name(*crt, GNUTLS_SAN_DNSNAME, HOST, strlen(HOST),
							   GNUTLS_FSAN_SET),
		      "set host name");
	} else {
		check(gnutls_x509_crt_set_key_usage(*crt, GNUTLS_KEY_KEY_CERT_SIGN), "set key usage");
	}
	check(gnutls_x509_crt_sign2(*crt, issuer ? issuer : *crt, issuer ? issuer_key : *key, keys[kind].digest, 0),
	      "sign certificate");
}

static void make_credentials(void)
{
	gnutls_x509_privkey_t ca_key, key;
	gnutls_x509_crt_t ca, crt;

	make_certificate(&ca_key, &ca, NULL, NULL);
	make_certificate(&key, &crt, ca_key, ca);

	check(gnutls_certificate_allocate_credentials(&server_credentials), "server credentials");
	check(gnutls_certificate_set_x509_key(server_credentials, &crt, 1, key), "server certificate");
	check(gnutls_certificate_set_known_dh_params(server_credentials, GNUTLS_SEC_PARAM_MEDIUM), "DH parameters");
	check(gnutls_certificate_allocate_credentials(&client_credentials), "client credentials");
	check(gnutls_certificate_set_x509_trust(client_credentials, &ca, 1), "client trust");
	check(gnutls_session_ticket_key_generate(&ticket_key), "ticket key");

	gnutls_x509_crt_deinit(crt);
	gnutls_x509_crt_deinit(ca);
	gnutls_x509_privkey_deinit(key);
	gnutls_x509_privkey_deinit(ca_key);
}

/* Data in memory between the two ends of a connection or, with --tcp, sockets. */

struct queue {
	unsigned char *data;
	size_t head, tail, size; /* with --tcp: bytes received (head) and sent (tail) */
	bool closed;
};

struct end {
	gnutls_session_t session;
	struct queue *in, *out;
	int fd;
	bool server;
	bool done;
	int error;
};

/* A client and a server that are connected to each other. */
struct pair {
	struct end client, server;
	struct queue to_client, to_server;
	gnutls_datum_t ticket;
	long number;
	bool running;
};

static ssize_t pull_socket(gnutls_transport_ptr_t transport, void *buf, size_t len)
{
	struct end *end = transport;
	ssize_t n = recv(end->fd, buf, len, MSG_DONTWAIT);

	if (n > 0)
		end->in->head += (size_t)n;
	else if (n < 0)
		gnutls_transport_set_errno(end->session, errno);
	return n;
}

static ssize_t push_socket(gnutls_transport_ptr_t transport, const void *buf, size_t len)
{
	struct end *end = transport;
	ssize_t n = send(end->fd, buf, len, MSG_NOSIGNAL);

	if (n > 0)
		end->out->tail += (size_t)n;
	else if (n < 0)
		gnutls_transport_set_errno(end->session, errno);
	return n;
}

/* Connects the two ends of a pair by TCP over loopback. */
static void connect_pair(struct pair *pair)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	pair->client.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || pair->client.fd < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
	    connect(pair->client.fd, (struct sockaddr *)&address, size) < 0)
		die("connect over loopback: %s", strerror(errno));
	pair->server.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (pair->server.fd < 0)
		die("accept over loopback: %s", strerror(errno));
	setsockopt(pair->client.fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	setsockopt(pair->server.fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	close(listener);
}

static ssize_t pull(gnutls_transport_ptr_t transport, void *buf, size_t len)
{
	struct end *end = transport;
	struct queue *queue = end->in;

	if (queue->head == queue->tail) {
		if (queue->closed)
			return 0;
		gnutls_transport_set_errno(end->session, EAGAIN);
		return -1;
	}
	if (len > queue->tail - queue->head)
		len = queue->tail - queue->head;
	memcpy(buf, queue->data + queue->head, len);
	queue->head += len;
	if (queue->head == queue->tail)
		queue->head = queue->tail = 0;
	return (ssize_t)len;
}

static ssize_t push(gnutls_transport_ptr_t transport, const void *buf, size_t len)
{
	struct end *end = transport;
	struct queue *queue = end->out;

	if (queue->size - queue->tail < len) {
		queue->size = 2 * queue->size + len;
		queue->data = realloc(queue->data, queue->size);
		if (!queue->data)
			die("out of memory");
	}
	memcpy(queue->data + queue->tail, buf, len);
	queue->tail += len;

	if (options.fail == FAIL_SHARE && !end->server) {
		/*
		 * Start of the P-256 key share in the ClientHello: group, length, and the byte for an uncompressed
		 * point.
		 */
		static const unsigned char share[] = { 0x00, 0x17, 0x00, 0x41, 0x04 };
		unsigned char *found = memmem(queue->data + queue->head, queue->tail - queue->head, share,
					      sizeof(share));

		if (found)
			found[sizeof(share) - 1] = 0xff;
	}
	return (ssize_t)len;
}

static void open_end(struct end *end, bool server, const gnutls_datum_t *ticket)
{
	unsigned flags = (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_SIGNAL;

	if (!options.blocking)
		flags |= GNUTLS_NONBLOCK;
	end->server = server;
	end->done = false;
	end->error = 0;
	check(gnutls_init(&end->session, flags), "init session");
	check(gnutls_priority_set(end->session, server ? server_priorities : client_priorities), "set priorities");
	check(gnutls_credentials_set(end->session, GNUTLS_CRD_CERTIFICATE,
				     server ? server_credentials : client_credentials),
	      "set credentials");
	if (server) {
		if (options.resume)
			check(gnutls_session_ticket_enable_server(end->session, &ticket_key), "enable tickets");
	} else {
		gnutls_session_set_verify_cert(end->session, HOST, 0);
		check(gnutls_server_name_set(end->session, GNUTLS_NAME_DNS, HOST, strlen(HOST)), "set server name");
		if (ticket->size)
			check(gnutls_session_set_data(end->session, ticket->data, ticket->size), "set ticket");
	}
	if (!options.blocking) {
		gnutls_transport_set_ptr(end->session, end);
		gnutls_transport_set_push_function(end->session, options.tcp ? push_socket : push);
		gnutls_transport_set_pull_function(end->session, options.tcp ? pull_socket : pull);
	}
}

/*
 * Client and server call gnutls_handshake from different functions, as in real programs, because GnuTLS uses the
 * caller's address as the context value. The different assembler comments keep the compiler from merging the two
 * functions.
 */
static int __attribute__((noinline, noclone)) client_handshake(gnutls_session_t session)
{
	int ret = gnutls_handshake(session);

	__asm__ volatile("# client" : "+r"(ret));
	return ret;
}

static int __attribute__((noinline, noclone)) server_handshake(gnutls_session_t session)
{
	int ret = gnutls_handshake(session);

	__asm__ volatile("# server" : "+r"(ret));
	return ret;
}

static int handshake(struct end *end)
{
	return end->server && !options.one_site ? server_handshake(end->session) : client_handshake(end->session);
}

/* Continues the handshake of one end. Returns false if that was impossible because no data has arrived. */
static bool advance(struct end *end)
{
	const size_t head = end->in->head, tail = end->in->tail, sent = end->out->tail;
	int ret;

	if (end->done)
		return false;
	ret = handshake(end);
	if (ret == 0) {
		end->done = true;
	} else if (gnutls_error_is_fatal(ret)) {
		end->done = true;
		end->error = ret;
		gnutls_alert_send_appropriate(end->session, ret);
		end->out->closed = true;
	}
	return end->done || head != end->in->head || tail != end->in->tail || sent != end->out->tail;
}

static void open_pair(struct pair *pair)
{
	pair->to_client.head = pair->to_client.tail = 0;
	pair->to_server.head = pair->to_server.tail = 0;
	pair->to_client.closed = pair->to_server.closed = false;
	pair->client.in = pair->server.out = &pair->to_client;
	pair->client.out = pair->server.in = &pair->to_server;
	if (options.tcp)
		connect_pair(pair);
	open_end(&pair->client, false, &pair->ticket);
	open_end(&pair->server, true, NULL);
	pair->running = true;
}

static void drop_ticket(struct pair *pair)
{
	gnutls_free(pair->ticket.data);
	pair->ticket.data = NULL;
	pair->ticket.size = 0;
}

/* Reads the session ticket, which TLS 1.3 sends in a record after the handshake. */
static void take_ticket(struct pair *pair)
{
	unsigned char byte;
	int ret;

	if (gnutls_protocol_get_version(pair->client.session) == GNUTLS_TLS1_3) {
		/*
		 * The server sends no other data and has not closed the connection yet, so the loop ends after the
		 * first ticket.
		 */
		do
			ret = (int)gnutls_record_recv(pair->client.session, &byte, sizeof(byte));
		while ((ret == GNUTLS_E_INTERRUPTED || (ret == GNUTLS_E_AGAIN && options.blocking)) &&
		       !(gnutls_session_get_flags(pair->client.session) & GNUTLS_SFLAGS_SESSION_TICKET));
	}
	if (gnutls_session_get_data2(pair->client.session, &pair->ticket) < 0)
		pair->ticket.size = 0;
}

/*
 * Counts a finished handshake and closes the pair. Returns true if the pair continues with a handshake that resumes its
 * session.
 */
static bool close_pair(struct pair *pair)
{
	const bool ok = pair->client.done && pair->server.done && !pair->client.error && !pair->server.error;
	const bool resuming = pair->ticket.size != 0;

	drop_ticket(pair);
	if (!ok) {
		if (atomic_fetch_add(&failed, 1) == 0)
			fprintf(stderr, "handshakes: first failure: client: %s, server: %s\n",
				pair->client.error ? gnutls_strerror(pair->client.error) : "none",
				pair->server.error ? gnutls_strerror(pair->server.error) : "none");
	} else if (resuming && !gnutls_session_is_resumed(pair->client.session)) {
		fprintf(stderr, "handshakes: the server did not resume\n");
		atomic_fetch_add(&failed, 1);
	} else {
		atomic_fetch_add(&succeeded, 1);
		tally(pair->client.session);
		if (options.resume && !resuming) {
			take_ticket(pair);
			if (!pair->ticket.size) {
				fprintf(stderr, "handshakes: the server sent no ticket\n");
				atomic_fetch_add(&failed, 1);
			}
		}
	}
	gnutls_deinit(pair->client.session);
	gnutls_deinit(pair->server.session);
	if (options.tcp) {
		close(pair->client.fd);
		close(pair->server.fd);
	}
	pair->running = false;
	return pair->ticket.size != 0;
}

/* Returns the number of the next handshake to start, or -1 if there are no more. */
static long take_number(void)
{
	long number = atomic_fetch_add(&started, 1);

	return options.count > 0 && number >= options.count ? -1 : number;
}

/* Returns the time when the handshake with that number may start: 0 for immediately, -1 for never. */
static double start_of(long number)
{
	double when = options.rate > 0 ? start_time + (double)number / options.rate : 0;

	if (options.seconds > 0 && (when > 0 ? when : now()) > start_time + options.seconds)
		return -1;
	return when;
}

/* The event loop of one thread. In each round, first every client makes a step, then every server. */
static void run_interleaved(void)
{
	struct pair *pairs = allocate((size_t)options.interleave * sizeof(*pairs));
	bool more = true, running;
	int idle = 0;

	for (long i = 0; i < options.interleave; i++)
		pairs[i].number = -1;
	do {
		double earliest = 0;
		bool progress = false;

		running = false;
		for (long i = 0; i < options.interleave; i++) {
			struct pair *pair = &pairs[i];
			double when;

			if (!pair->running && pair->number < 0 && more) {
				pair->number = take_number();
				more = pair->number >= 0;
			}
			if (!pair->running && pair->number >= 0) {
				when = start_of(pair->number);
				if (when < 0) {
					more = false;
					pair->number = -1;
				} else if (when > now()) {
					if (earliest == 0 || when < earliest)
						earliest = when;
				} else {
					open_pair(pair);
				}
			}
			running = running || pair->running;
		}
		if (!running) {
			if (earliest > 0)
				sleep_until(earliest);
			running = earliest > 0;
			continue;
		}
		for (long i = 0; i < options.interleave; i++)
			if (pairs[i].running && advance(&pairs[i].client))
				progress = true;
		for (long i = 0; i < options.interleave; i++)
			if (pairs[i].running && advance(&pairs[i].server))
				progress = true;
		if (progress) {
			idle = 0;
		} else if (options.tcp && ++idle < IDLE_ROUNDS) { /* data may still be on its way */
			sleep_until(now() + 0.001);
			continue;
		}
		for (long i = 0; i < options.interleave; i++) {
			struct pair *pair = &pairs[i];

			/*
			 * No progress is possible any more: count the handshake as failed instead of looping forever.
			 */
			if (!pair->running || (progress && !(pair->client.done && pair->server.done)))
				continue;
			if (close_pair(pair))
				open_pair(pair);
			else
				pair->number = -1;
		}
	} while (running || more);

	for (long i = 0; i < options.interleave; i++) {
		free(pairs[i].to_client.data);
		free(pairs[i].to_server.data);
	}
	free(pairs);
}

/* The variant with blocking sockets: each end has a thread and calls gnutls_handshake once. */

static void block(struct end *end)
{
	int ret;

	do
		ret = handshake(end);
	while (ret < 0 && !gnutls_error_is_fatal(ret));
	end->done = true;
	end->error = ret;
	if (ret < 0)
		gnutls_alert_send_appropriate(end->session, ret);
}

static void *block_server(void *arg)
{
	block(arg);
	return NULL;
}

static void run_blocking(void)
{
	struct pair pair = { .number = 0 };
	double when;

	while ((pair.number = take_number()) >= 0) {
		when = start_of(pair.number);
		if (when < 0)
			break;
		if (when > now())
			sleep_until(when);
		do {
			pthread_t thread;
			int fds[2];

			if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
				die("socketpair: %s", strerror(errno));
			open_pair(&pair);
			gnutls_transport_set_int(pair.client.session, fds[0]);
			gnutls_transport_set_int(pair.server.session, fds[1]);
			gnutls_handshake_set_timeout(pair.client.session, BLOCKING_TIMEOUT_MS);
			gnutls_handshake_set_timeout(pair.server.session, BLOCKING_TIMEOUT_MS);
			gnutls_record_set_timeout(pair.client.session, BLOCKING_TIMEOUT_MS);
			errno = pthread_create(&thread, NULL, block_server, &pair.server);
			if (errno)
				die("create thread: %s", strerror(errno));
			block(&pair.client);
			if (pair.client.error)
				shutdown(fds[0], SHUT_RDWR);
			pthread_join(thread, NULL);
			/* Unblocks a client that waits for a ticket which the server did not send. */
			shutdown(fds[1], SHUT_WR);
			close_pair(&pair);
			close(fds[0]);
			close(fds[1]);
		} while (pair.ticket.size);
	}
}

static void *run_thread(void *arg)
{
	(void)arg;
	if (options.blocking)
		run_blocking();
	else
		run_interleaved();
	return NULL;
}

static const char usage[] =
	"usage: handshakes [OPTION...]\n"
	"Makes TLS handshakes between clients and servers in this process.\n\n"
	"  --count N              handshakes to make (default 1; with --seconds: no limit)\n"
	"  --seconds S            start no handshake after S seconds\n"
	"  --rate N               start N handshakes per second, over all threads\n"
	"  --threads T            threads that make them (default 1)\n"
	"  --interleave K         pairs of sessions at once on each thread (default 1)\n"
	"  --blocking             each end on a thread of its own, one call per handshake\n"
	"  --one-site             clients and servers call gnutls_handshake from one place\n"
	"  --tcp                  connect the ends over loopback instead of queues in memory\n"
	"  --resume               follow every handshake by one that resumes its session\n"
	"  --version 1.3|1.2      the only version offered\n"
	"  --priority STRING      priorities of both ends (GnuTLS's syntax)\n"
	"  --client-priority STRING, --server-priority STRING\n"
	"  --key TYPE             certificates: ecdsa (default), rsa, ed25519, mldsa44, mldsa65, mldsa87\n"
	"  --fail[=KIND]          handshakes that fail: group (default), no group in common; share, a client's\n"
	"                         key share damaged on its way\n"
	"  --wait                 print \"waiting\", then start when a line comes on standard input\n\n"
	"Prints handshakes=N failed=M, then how often each set of parameters was negotiated. The exit status is 0 when\n"
	"all went as asked, 1 when not, 2 for a wrong use.\n";

static double number(const char *option, const char *text, double min, double max)
{
	char *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (errno || end == text || *end || !(value >= min && value <= max))
		die("--%s %s: not a number from %g to %g", option, text, min, max);
	return value;
}

static void parse(int argc, char **argv)
{
	enum { COUNT = 1, SECONDS, RATE, THREADS, INTERLEAVE, BLOCKING, ONE_SITE, TCP, RESUME, VERSION, PRIORITY,
	       CLIENT_PRIORITY, SERVER_PRIORITY, KEY, FAIL, WAIT, HELP };
	static const struct option longs[] = {
		{ "count", required_argument, NULL, COUNT },
		{ "seconds", required_argument, NULL, SECONDS },
		{ "rate", required_argument, NULL, RATE },
		{ "threads", required_argument, NULL, THREADS },
		{ "interleave", required_argument, NULL, INTERLEAVE },
		{ "blocking", no_argument, NULL, BLOCKING },
		{ "one-site", no_argument, NULL, ONE_SITE },
		{ "tcp", no_argument, NULL, TCP },
		{ "resume", no_argument, NULL, RESUME },
		{ "version", required_argument, NULL, VERSION },
		{ "priority", required_argument, NULL, PRIORITY },
		{ "client-priority", required_argument, NULL, CLIENT_PRIORITY },
		{ "server-priority", required_argument, NULL, SERVER_PRIORITY },
		{ "key", required_argument, NULL, KEY },
		{ "fail", optional_argument, NULL, FAIL },
		{ "wait", no_argument, NULL, WAIT },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	const char *version = NULL, *priority = NULL, *limit, *client_groups = "", *server_groups = "";
	static char client[256], server[256];
	int option, index = 0;

	while ((option = getopt_long(argc, argv, "", longs, &index)) != -1) {
		const char *name = longs[index].name;

		switch (option) {
		case COUNT:
			options.count = (long)number(name, optarg, 1, 1e9);
			break;
		case SECONDS:
			options.seconds = number(name, optarg, 0.001, 1e6);
			break;
		case RATE:
			options.rate = number(name, optarg, 0.001, 1e6);
			break;
		case THREADS:
			options.threads = (long)number(name, optarg, 1, 1024);
			break;
		case INTERLEAVE:
			options.interleave = (long)number(name, optarg, 1, 100000);
			break;
		case BLOCKING:
			options.blocking = true;
			break;
		case ONE_SITE:
			options.one_site = true;
			break;
		case TCP:
			options.tcp = true;
			break;
		case RESUME:
			options.resume = true;
			break;
		case VERSION:
			version = optarg;
			break;
		case PRIORITY:
			priority = optarg;
			break;
		case CLIENT_PRIORITY:
			options.client_priority = optarg;
			break;
		case SERVER_PRIORITY:
			options.server_priority = optarg;
			break;
		case KEY:
			options.key = optarg;
			break;
		case FAIL:
			if (!optarg || strcmp(optarg, "group") == 0)
				options.fail = FAIL_GROUP;
			else if (strcmp(optarg, "share") == 0)
				options.fail = FAIL_SHARE;
			else
				die("--fail=%s: neither group nor share", optarg);
			break;
		case WAIT:
			options.wait = true;
			break;
		case HELP:
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc)
		die("unexpected argument %s", argv[optind]);
	if (options.count < 0)
		options.count = options.seconds > 0 ? 0 : 1;
	if (options.blocking && (options.interleave > 1 || options.tcp))
		die("--blocking excludes --interleave and --tcp");

	if (!version)
		limit = "";
	else if (strcmp(version, "1.3") == 0)
		limit = ":-VERS-ALL:+VERS-TLS1.3";
	else if (strcmp(version, "1.2") == 0)
		limit = ":-VERS-ALL:+VERS-TLS1.2";
	else
		die("--version %s: neither 1.3 nor 1.2", version);
	if (options.fail == FAIL_GROUP) {
		client_groups = ":-GROUP-ALL:+GROUP-X25519";
		server_groups = ":-GROUP-ALL:+GROUP-SECP384R1";
	} else if (options.fail == FAIL_SHARE) {
		if (version && strcmp(version, "1.3") != 0)
			die("--fail=share needs TLS 1.3");
		if (options.blocking || options.tcp)
			die("--fail=share needs the queues in memory, not --blocking or --tcp");
		limit = ":-VERS-ALL:+VERS-TLS1.3";
		client_groups = server_groups = ":-GROUP-ALL:+GROUP-SECP256R1";
	}
	if (!options.client_priority)
		options.client_priority = priority;
	if (!options.server_priority)
		options.server_priority = priority;
	if (!options.client_priority) {
		snprintf(client, sizeof(client), "NORMAL%s%s", limit, client_groups);
		options.client_priority = client;
	}
	if (!options.server_priority) {
		snprintf(server, sizeof(server), "NORMAL%s%s", limit, server_groups);
		options.server_priority = server;
	}
}

static void set_priorities(gnutls_priority_t *priorities, const char *text)
{
	const char *where = "";
	int ret = gnutls_priority_init(priorities, text, &where);

	if (ret < 0)
		die("priority %s: %s, at \"%s\"", text, gnutls_strerror(ret), where);
}

int main(int argc, char **argv)
{
	pthread_t *threads;
	bool ok;

	parse(argc, argv);
	set_priorities(&client_priorities, options.client_priority);
	set_priorities(&server_priorities, options.server_priority);
	make_credentials();

	if (options.wait) {
		char line[64];

		puts("waiting");
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			die("standard input ended while waiting");
	}

	start_time = now();
	threads = allocate((size_t)options.threads * sizeof(*threads));
	/* The main thread also makes handshakes, so with --threads 1 no other thread is started. */
	for (long i = 1; i < options.threads; i++) {
		errno = pthread_create(&threads[i], NULL, run_thread, NULL);
		if (errno)
			die("create thread: %s", strerror(errno));
	}
	run_thread(NULL);
	for (long i = 1; i < options.threads; i++)
		pthread_join(threads[i], NULL);
	free(threads);

	printf("handshakes=%ld failed=%ld\n", atomic_load(&succeeded), atomic_load(&failed));
	for (struct tally *t = tallies, *next; t; t = next) {
		next = t->next;
		printf("%ld %s\n", t->count, t->text);
		free(t->text);
		free(t);
	}
	ok = options.fail ? atomic_load(&succeeded) == 0 && atomic_load(&failed) > 0 :
			    atomic_load(&succeeded) > 0 && atomic_load(&failed) == 0;

	gnutls_certificate_free_credentials(client_credentials);
	gnutls_certificate_free_credentials(server_credentials);
	gnutls_priority_deinit(client_priorities);
	gnutls_priority_deinit(server_priorities);
	gnutls_free(ticket_key.data);
	return ok ? 0 : 1;
}
