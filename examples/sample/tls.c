/* SPDX-License-Identifier: Apache-2.0 */

/* Fires the probes of a TLS client and a TLS server, but implements no TLS. */

#include "sample.h"

/*
 * Call sites. With style explicit, their addresses are the context values, so that a value stands for a place in the
 * code.
 */
enum site {
	HANDSHAKE_CLIENT,
	HANDSHAKE_SERVER,
	OFFER,
	KEY_EXCHANGE,
	SIGN,
	VERIFY,
	PK_GENERATE,
	PK_DERIVE,
	PK_ENCAPSULATE,
	PK_DECAPSULATE,
	PK_SIGN,
	PK_VERIFY,
	SITES,
};
static const char call_site[SITES];

/*
 * A tree under construction. With style self, the struct's address is the value of all contexts; with style link, each
 * context has a different value. A thread reuses one struct for its clients and one for its servers, so context values
 * repeat.
 */
struct tree {
	const struct options *o;
	unsigned int contexts;
	char context[6 + 3 * MAX_OFFERS];
};

struct group {
	unsigned int codepoint;
	const char *kem;
	const char *algorithm, *curve; /* NULL for finite fields */
	unsigned int bits;
};

static const struct group groups[] = {
	{23, NULL, "ECDH", "SECP256R1", 256},
	{24, NULL, "ECDH", "SECP384R1", 384},
	{25, NULL, "ECDH", "SECP521R1", 521},
	{29, NULL, "ECDH", "X25519", 255},
	{30, NULL, "ECDH", "X448", 448},
	{256, NULL, "DH", NULL, 2048},
	{512, "ML-KEM-512", NULL, NULL, 0},
	{513, "ML-KEM-768", NULL, NULL, 0},
	{514, "ML-KEM-1024", NULL, NULL, 0},
	{4587, "ML-KEM-768", "ECDH", "SECP256R1", 256},
	{4588, "ML-KEM-768", "ECDH", "X25519", 255},
	{4589, "ML-KEM-1024", "ECDH", "SECP384R1", 384},
};
static const struct group unknown_group = {0, NULL, "UNKNOWN", NULL, 0};

static const struct group *find_group(unsigned int codepoint)
{
	for (unsigned int i = 0; i < COUNT(groups); i++)
		if (groups[i].codepoint == codepoint)
			return &groups[i];
	return &unknown_group;
}

bool group_is_known_classical(unsigned int codepoint)
{
	const struct group *g = find_group(codepoint);

	return g != &unknown_group && !g->kem;
}

static void add(struct tree *t, unsigned long ctx, const struct crau_data *e, unsigned int n)
{
	if (t->o->style != EXPLICIT) {
		data(ctx, e, n);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		if (e[i].size == CRAU_SIZE_WORD)
			word_data(ctx, e[i].key, (unsigned long)e[i].value);
		else if (e[i].size == CRAU_SIZE_STRING)
			string_data(ctx, e[i].key, e[i].value);
		else
			blob_data(ctx, e[i].key, e[i].value, e[i].size);
}

/* Opens a context with n elements e, the first of which is the name. Returns the context's value. */
static unsigned long begin(struct tree *t, unsigned long parent, enum site site, const struct crau_data *e, unsigned int n)
{
	unsigned long ctx;

	switch (t->o->style) {
	case EXPLICIT:
		ctx = (unsigned long)&call_site[site];
		new_context(ctx, parent);
		add(t, ctx, e, n);
		return ctx;
	case SELF:
		ctx = (unsigned long)t;
		break;
	default:
		ctx = (unsigned long)&t->context[t->contexts++];
		if (parent != CRAU_NO_PARENT)
			new_context(ctx, parent);
	}
	new_context_with_data(ctx, ctx, e, n);
	return ctx;
}

#define ADD(t, ctx, ...)                                         \
	do {                                                     \
		const struct crau_data e_[] = {__VA_ARGS__};     \
		add((t), (ctx), e_, COUNT(e_));                  \
	} while (0)

/* Fires one part of a key exchange: the KEM of group g, or its classical part on a curve or in a finite field. */
static void pk(struct tree *t, unsigned long parent, enum site site, const char *name, const struct group *g, bool kem)
{
	struct crau_data e[4] = {CRAU_NAME(name), CRAU_STRING("pk::algorithm", kem ? g->kem : g->algorithm)};
	unsigned int n = 2;

	if (!kem && g->curve)
		e[n++] = CRAU_STRING("pk::curve", g->curve);
	if (!kem && g->bits)
		e[n++] = CRAU_WORD("pk::bits", g->bits);
	begin(t, parent, site, e, n);
}

static void generate(struct tree *t, unsigned long parent, const struct group *g)
{
	if (g->kem)
		pk(t, parent, PK_GENERATE, "pk::generate", g, true);
	if (g->algorithm)
		pk(t, parent, PK_GENERATE, "pk::generate", g, false);
}

static unsigned long key_exchange(struct tree *t, unsigned long parent, enum site site, unsigned int codepoint)
{
	const struct crau_data e[] = {CRAU_NAME("tls::key_exchange"), CRAU_WORD("tls::group", codepoint)};

	return begin(t, parent, site, e, COUNT(e));
}

static unsigned long open_handshake(struct tree *t, enum site site, const char *role, const char *old_name)
{
	const struct crau_data e[] = {CRAU_NAME(t->o->old_names ? old_name : "tls::handshake"),
				      CRAU_STRING("tls::role", role)};

	return begin(t, CRAU_NO_PARENT, site, e, t->o->old_names ? 1 : 2);
}

static void negotiate(struct tree *t, unsigned long ctx)
{
	const char *ems = t->o->old_names ? "tls::ext::extended_master_secret" : "tls::extended_master_secret";

	if (t->o->tls12)
		ADD(t, ctx, CRAU_WORD("tls::protocol_version", 0x0303), CRAU_WORD("tls::ciphersuite", 0xc02b),
		    CRAU_WORD(ems, 1));
	else
		ADD(t, ctx, CRAU_WORD("tls::protocol_version", 0x0304), CRAU_WORD("tls::ciphersuite", 0x1302));
}

/* Fires tls::sign or tls::verify and the contexts below it. */
static void authenticate(struct tree *t, unsigned long parent, bool sign)
{
	const char *name = sign ? "tls::sign" : "tls::verify";
	unsigned long ctx;

	if (t->o->old_names)
		name = sign ? "tls::certificate_sign" : "tls::certificate_verify";

	const struct crau_data tls[] = {CRAU_NAME(name), CRAU_WORD("tls::signature_algorithm", 0x0403)};
	const struct crau_data pk[] = {CRAU_NAME(sign ? "pk::sign" : "pk::verify"), CRAU_STRING("pk::algorithm", "ECDSA"),
				       CRAU_STRING("pk::curve", "SECP256R1"), CRAU_WORD("pk::bits", 256),
				       CRAU_STRING("pk::hash", "SHA256")};

	ctx = begin(t, parent, sign ? SIGN : VERIFY, tls, COUNT(tls));
	begin(t, ctx, sign ? PK_SIGN : PK_VERIFY, pk, COUNT(pk));
}

static void client(const struct options *o)
{
	static _Thread_local struct tree t;
	const struct group *g = find_group(o->group);
	unsigned long h, k;

	t = (struct tree){.o = o};
	h = open_handshake(&t, HANDSHAKE_CLIENT, "client", "tls::handshake_client");
	if (o->tls12) {
		negotiate(&t, h);
		authenticate(&t, h, false);
		generate(&t, h, g);
		pk(&t, h, PK_DERIVE, "pk::derive", g, false);
		return;
	}
	for (unsigned int i = 0; i < o->n_offers; i++) {
		k = key_exchange(&t, h, OFFER, o->offers[i]);
		generate(&t, k, find_group(o->offers[i]));
	}
	negotiate(&t, h);
	k = key_exchange(&t, h, KEY_EXCHANGE, o->group);
	/*
	 * pk::derive must come first: after a pk::decapsulate with the same context value it would become a child of
	 * that context.
	 */
	if (g->algorithm)
		pk(&t, k, PK_DERIVE, "pk::derive", g, false);
	if (g->kem)
		pk(&t, k, PK_DECAPSULATE, "pk::decapsulate", g, true);
	authenticate(&t, h, false);
}

static void server(const struct options *o)
{
	static _Thread_local struct tree t;
	const struct group *g = find_group(o->group);
	unsigned long h, k;

	t = (struct tree){.o = o};
	h = open_handshake(&t, HANDSHAKE_SERVER, "server", "tls::handshake_server");
	negotiate(&t, h);
	if (o->tls12) {
		generate(&t, h, g);
		authenticate(&t, h, true);
		pk(&t, h, PK_DERIVE, "pk::derive", g, false);
		return;
	}
	k = key_exchange(&t, h, KEY_EXCHANGE, o->group);
	if (g->algorithm) {
		pk(&t, k, PK_GENERATE, "pk::generate", g, false);
		pk(&t, k, PK_DERIVE, "pk::derive", g, false);
	}
	if (g->kem)
		pk(&t, k, PK_ENCAPSULATE, "pk::encapsulate", g, true);
	authenticate(&t, h, true);
}

void handshake(const struct options *o)
{
	if (o->client)
		client(o);
	if (o->server)
		server(o);
}
