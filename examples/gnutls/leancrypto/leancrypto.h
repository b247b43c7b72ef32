/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of leancrypto's interface (1.2 and later) that GnuTLS calls, over libgcrypt's ML-KEM and ML-DSA.
 *
 * GnuTLS has no ML-KEM or ML-DSA of its own: it calls leancrypto, which Debian does not package. The names and
 * prototypes here are leancrypto's, so that GnuTLS builds without a patch; the structures are this library's own.
 * It exists to make example traffic, and is not a replacement for leancrypto.
 */
#ifndef LEANCRYPTO_H
#define LEANCRYPTO_H

#include <stddef.h>
#include <stdint.h>

/* GnuTLS offers the parameter sets whose macro is defined. */
#define LC_KYBER_768_ENABLED
#define LC_KYBER_1024_ENABLED
#define LC_DILITHIUM_44_ENABLED
#define LC_DILITHIUM_65_ENABLED
#define LC_DILITHIUM_87_ENABLED

struct lc_rng {
	int (*generate)(void *state, const uint8_t *addtl_input, size_t addtl_input_len, uint8_t *out, size_t outlen);
	int (*seed)(void *state, const uint8_t *seed, size_t seedlen, const uint8_t *persbuf, size_t perslen);
	void (*zero)(void *state);
};

struct lc_rng_ctx {
	const struct lc_rng *rng;
	void *rng_state;
};

/* All functions that can fail return 0 or a negative errno value. */

int lc_init(unsigned int flags);

/* The caller's random number generator: the only source of randomness used here. */
extern struct lc_rng_ctx *lc_seeded_rng;
int lc_rng_set_seeded(struct lc_rng_ctx *ctx);

enum lc_kyber_type { LC_KYBER_UNKNOWN, LC_KYBER_1024, LC_KYBER_768 };
enum lc_dilithium_type { LC_DILITHIUM_UNKNOWN, LC_DILITHIUM_87, LC_DILITHIUM_65, LC_DILITHIUM_44 };

/*
 * Each object holds raw bytes, `max` at most, and knows its parameter set by their number. load copies bytes in,
 * ptr points into the object.
 */
#define LC_OBJECT(scheme, object, max)                                                                                \
	struct lc_##scheme##_##object {                                                                               \
		enum lc_##scheme##_type type;                                                                         \
		size_t len;                                                                                           \
		uint8_t data[max];                                                                                    \
	};                                                                                                            \
	int lc_##scheme##_##object##_load(struct lc_##scheme##_##object *obj, const uint8_t *src, size_t len);        \
	int lc_##scheme##_##object##_ptr(uint8_t **ptr, size_t *len, struct lc_##scheme##_##object *obj);             \
	enum lc_##scheme##_type lc_##scheme##_##object##_type(const struct lc_##scheme##_##object *obj);

LC_OBJECT(kyber, pk, 1568)
LC_OBJECT(kyber, sk, 3168)
LC_OBJECT(kyber, ct, 1568)
LC_OBJECT(kyber, ss, 32)
LC_OBJECT(dilithium, pk, 2592)
LC_OBJECT(dilithium, sk, 4896)
LC_OBJECT(dilithium, sig, 4627)

int lc_kyber_keypair(struct lc_kyber_pk *pk, struct lc_kyber_sk *sk, struct lc_rng_ctx *rng, enum lc_kyber_type type);
int lc_kyber_enc(struct lc_kyber_ct *ct, struct lc_kyber_ss *ss, const struct lc_kyber_pk *pk);
int lc_kyber_dec(struct lc_kyber_ss *ss, const struct lc_kyber_ct *ct, const struct lc_kyber_sk *sk);

int lc_dilithium_keypair_from_seed(struct lc_dilithium_pk *pk, struct lc_dilithium_sk *sk, const uint8_t *seed,
				   size_t seedlen, enum lc_dilithium_type type);
int lc_dilithium_sign(struct lc_dilithium_sig *sig, const uint8_t *msg, size_t len, const struct lc_dilithium_sk *sk,
		      struct lc_rng_ctx *rng);
int lc_dilithium_verify(const struct lc_dilithium_sig *sig, const uint8_t *msg, size_t len,
			const struct lc_dilithium_pk *pk);

#endif
