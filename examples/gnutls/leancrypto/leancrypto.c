/* SPDX-License-Identifier: Apache-2.0 */
/* leancrypto's interface over libgcrypt: see leancrypto.h. */
#define _GNU_SOURCE
#include "leancrypto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gcrypt.h>

struct lc_rng_ctx *lc_seeded_rng;

int lc_rng_set_seeded(struct lc_rng_ctx *ctx)
{
	lc_seeded_rng = ctx;
	return 0;
}

int lc_init(unsigned int flags)
{
	(void)flags;
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return 0;
	if (!gcry_check_version(GCRYPT_VERSION))
		return -ENOSYS;
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	return 0;
}

static int randomize(struct lc_rng_ctx *ctx, uint8_t *out, size_t len)
{
	if (!ctx || !ctx->rng)
		return -EINVAL;
	return ctx->rng->generate(ctx->rng_state, NULL, 0, out, len) < 0 ? -EIO : 0;
}

static const struct kem {
	enum lc_kyber_type type;
	int algo;
	size_t pk, sk, ct;
} kems[] = {
	{ LC_KYBER_768, GCRY_KEM_MLKEM768, 1184, 2400, 1088 },
	{ LC_KYBER_1024, GCRY_KEM_MLKEM1024, 1568, 3168, 1568 },
};

static const struct dsa {
	enum lc_dilithium_type type;
	const char *name; /* libgcrypt's */
	size_t pk, sk, sig;
} dsas[] = {
	{ LC_DILITHIUM_44, "dilithium2", 1312, 2560, 2420 },
	{ LC_DILITHIUM_65, "dilithium3", 1952, 4032, 3309 },
	{ LC_DILITHIUM_87, "dilithium5", 2592, 4896, 4627 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct kem *kem_of(enum lc_kyber_type type)
{
	for (size_t i = 0; i < COUNT(kems); i++)
		if (kems[i].type == type)
			return &kems[i];
	return NULL;
}

static const struct dsa *dsa_of(enum lc_dilithium_type type)
{
	for (size_t i = 0; i < COUNT(dsas); i++)
		if (dsas[i].type == type)
			return &dsas[i];
	return NULL;
}

#define ACCESSORS(scheme, object)                                                                                     \
	int lc_##scheme##_##object##_ptr(uint8_t **ptr, size_t *len, struct lc_##scheme##_##object *obj)              \
	{                                                                                                             \
		*ptr = obj->data;                                                                                     \
		*len = obj->len;                                                                                      \
		return 0;                                                                                             \
	}                                                                                                             \
	enum lc_##scheme##_type lc_##scheme##_##object##_type(const struct lc_##scheme##_##object *obj)               \
	{                                                                                                             \
		return obj->type;                                                                                     \
	}

#define LOAD(scheme, object, table)                                                                                   \
	ACCESSORS(scheme, object)                                                                                     \
	int lc_##scheme##_##object##_load(struct lc_##scheme##_##object *obj, const uint8_t *src, size_t len)         \
	{                                                                                                             \
		for (size_t i = 0; i < COUNT(table); i++) {                                                           \
			if (table[i].object != len)                                                                   \
				continue;                                                                             \
			obj->type = table[i].type;                                                                    \
			obj->len = len;                                                                               \
			memcpy(obj->data, src, len);                                                                  \
			return 0;                                                                                     \
		}                                                                                                     \
		return -EINVAL;                                                                                       \
	}

LOAD(kyber, pk, kems)
LOAD(kyber, sk, kems)
LOAD(kyber, ct, kems)
ACCESSORS(kyber, ss)
LOAD(dilithium, pk, dsas)
LOAD(dilithium, sk, dsas)
LOAD(dilithium, sig, dsas)

int lc_kyber_keypair(struct lc_kyber_pk *pk, struct lc_kyber_sk *sk, struct lc_rng_ctx *rng, enum lc_kyber_type type)
{
	const struct kem *kem = kem_of(type);
	uint8_t seed[64];
	int ret;

	if (!kem)
		return -EINVAL;
	ret = randomize(rng, seed, sizeof(seed));
	if (ret < 0)
		return ret;
	pk->type = sk->type = type;
	pk->len = kem->pk;
	sk->len = kem->sk;
	if (gcry_kem_genkey(kem->algo, pk->data, pk->len, sk->data, sk->len, seed, sizeof(seed)))
		ret = -EIO;
	explicit_bzero(seed, sizeof(seed));
	return ret;
}

int lc_kyber_enc(struct lc_kyber_ct *ct, struct lc_kyber_ss *ss, const struct lc_kyber_pk *pk)
{
	const struct kem *kem = kem_of(pk->type);
	uint8_t seed[32];
	int ret;

	if (!kem)
		return -EINVAL;
	ret = randomize(lc_seeded_rng, seed, sizeof(seed));
	if (ret < 0)
		return ret;
	ct->type = ss->type = pk->type;
	ct->len = kem->ct;
	ss->len = sizeof(ss->data);
	if (gcry_kem_encap(kem->algo, pk->data, pk->len, ct->data, ct->len, ss->data, ss->len, seed, sizeof(seed)))
		ret = -EIO;
	explicit_bzero(seed, sizeof(seed));
	return ret;
}

int lc_kyber_dec(struct lc_kyber_ss *ss, const struct lc_kyber_ct *ct, const struct lc_kyber_sk *sk)
{
	const struct kem *kem = kem_of(sk->type);

	if (!kem || ct->type != sk->type)
		return -EINVAL;
	ss->type = sk->type;
	ss->len = sizeof(ss->data);
	if (gcry_kem_decap(kem->algo, sk->data, sk->len, ct->data, ct->len, ss->data, ss->len, NULL, 0))
		return -EIO;
	return 0;
}

/* Copies the byte string under `token` of `list` to `out`; fails unless it has exactly `len` bytes. */
static int extract(gcry_sexp_t list, const char *token, uint8_t *out, size_t len)
{
	gcry_sexp_t found = gcry_sexp_find_token(list, token, 0);
	size_t got = 0;
	const char *data = gcry_sexp_nth_data(found, 1, &got);
	int ret = -EIO;

	if (data && got == len) {
		memcpy(out, data, len);
		ret = 0;
	}
	gcry_sexp_release(found);
	return ret;
}

int lc_dilithium_keypair_from_seed(struct lc_dilithium_pk *pk, struct lc_dilithium_sk *sk, const uint8_t *seed,
				   size_t seedlen, enum lc_dilithium_type type)
{
	const struct dsa *dsa = dsa_of(type);
	gcry_sexp_t params = NULL, pair = NULL, priv = NULL;
	int ret = -EIO;

	if (!dsa || seedlen != 32)
		return -EINVAL;
	pk->type = sk->type = type;
	pk->len = dsa->pk;
	sk->len = dsa->sk;
	if (gcry_sexp_build(&params, NULL, "(genkey(%s(S%b)))", dsa->name, (int)seedlen, seed) ||
	    gcry_pk_genkey(&pair, params))
		goto out;
	priv = gcry_sexp_find_token(pair, "private-key", 0);
	ret = extract(priv, "s", sk->data, sk->len);
	if (ret == 0)
		ret = extract(priv, "p", pk->data, pk->len);
out:
	gcry_sexp_release(priv);
	gcry_sexp_release(pair);
	gcry_sexp_release(params);
	return ret;
}

/*
 * The message as ML-DSA signs it: after two bytes that say "not hashed before, and the context string is empty"
 * (FIPS 204, algorithm 2). libgcrypt adds them only for a context string that is not empty.
 */
static gcry_sexp_t message(const uint8_t *msg, size_t len, const uint8_t nonce[32])
{
	uint8_t *buf = calloc(1, 2 + len);
	gcry_sexp_t data = NULL;

	if (!buf)
		return NULL;
	memcpy(buf + 2, msg, len);
	if (gcry_sexp_build(&data, NULL, "(data(flags no-prefix)(value%b)(random-override%b))", (int)(2 + len), buf,
			    32, nonce))
		data = NULL;
	free(buf);
	return data;
}

int lc_dilithium_sign(struct lc_dilithium_sig *sig, const uint8_t *msg, size_t len, const struct lc_dilithium_sk *sk,
		      struct lc_rng_ctx *rng)
{
	const struct dsa *dsa = dsa_of(sk->type);
	gcry_sexp_t key = NULL, data = NULL, result = NULL;
	uint8_t nonce[32];
	int ret;

	if (!dsa)
		return -EINVAL;
	ret = randomize(rng, nonce, sizeof(nonce));
	if (ret < 0)
		return ret;
	sig->type = sk->type;
	sig->len = dsa->sig;
	ret = -EIO;
	if (!gcry_sexp_build(&key, NULL, "(private-key(%s(s%b)))", dsa->name, (int)sk->len, sk->data) &&
	    (data = message(msg, len, nonce)) && !gcry_pk_sign(&result, data, key))
		ret = extract(result, "s", sig->data, sig->len);
	gcry_sexp_release(result);
	gcry_sexp_release(data);
	gcry_sexp_release(key);
	explicit_bzero(nonce, sizeof(nonce));
	return ret;
}

int lc_dilithium_verify(const struct lc_dilithium_sig *sig, const uint8_t *msg, size_t len,
			const struct lc_dilithium_pk *pk)
{
	static const uint8_t no_nonce[32];
	const struct dsa *dsa = dsa_of(pk->type);
	gcry_sexp_t key = NULL, data = NULL, value = NULL;
	int ret = -EBADMSG;

	if (!dsa || sig->type != pk->type)
		return -EINVAL;
	if (!gcry_sexp_build(&key, NULL, "(public-key(%s(p%b)))", dsa->name, (int)pk->len, pk->data) &&
	    (data = message(msg, len, no_nonce)) &&
	    !gcry_sexp_build(&value, NULL, "(sig-val(%s(s%b)))", dsa->name, (int)sig->len, sig->data) &&
	    !gcry_pk_verify(value, data, key))
		ret = 0;
	gcry_sexp_release(value);
	gcry_sexp_release(data);
	gcry_sexp_release(key);
	return ret;
}
