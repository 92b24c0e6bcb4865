/* libsodium's door for encryption: keys of streams, and secretstream in frames with a length before them. Called by whoever fills or
 * reads a sealed object, and by keyfile.c. Never opens a file, never keeps a byte of plaintext. */
#include "lib/seal.h"

#include <sodium.h>
#include <string.h>

#include "lib/err.h"

#define ABYTES crypto_secretstream_xchacha20poly1305_ABYTES
#define FINAL crypto_secretstream_xchacha20poly1305_TAG_FINAL
#define MESSAGE crypto_secretstream_xchacha20poly1305_TAG_MESSAGE

typedef crypto_secretstream_xchacha20poly1305_state secretstream;

_Static_assert(SC_SEAL_KEY == crypto_secretstream_xchacha20poly1305_KEYBYTES, "a key is a key");
_Static_assert(SC_SEAL_HEAD == crypto_secretstream_xchacha20poly1305_HEADERBYTES, "the layout");
_Static_assert(SC_SEAL_OVERHEAD == SC_SEAL_LENGTH + ABYTES, "the layout");
_Static_assert(SC_SEAL_STATE == sizeof(secretstream) && _Alignof(secretstream) == 1, "embedded as bytes");

/* What a key and a first frame are bound to: no two streams of one master key have the same, and no fingerprint is one. */
static void encode_context(const struct gen *g, enum stream s, uint8_t out[SC_SEAL_CONTEXT])
{
	_Static_assert(SC_SEAL_CONTEXT == 3 + SC_GEN_SIZE + 1, "the layout");
	memcpy(out, "sc1", 3);
	memcpy(out + 3, g->b, SC_GEN_SIZE);
	out[3 + SC_GEN_SIZE] = (uint8_t)s;
}

/* ---- keys ---- */

static void hash_keyed(const struct seal_key *key, const void *text, size_t n, struct seal_key *out)
{
	if (crypto_generichash(out->b, sizeof out->b, text, n, key->b, sizeof key->b) < 0)
		BUG("32 bytes are a size and a key that BLAKE2b has");
}

void seal_key_new(struct seal_key *out)
{
	randombytes_buf(out->b, sizeof out->b);
}

struct seal_key *seal_keys_new(size_t n, bool *locked)
{
	struct seal_key *keys = sodium_allocarray(n, sizeof *keys);

	/* It has been tried before, and nobody was told. */
	*locked = keys && sodium_mlock(keys, n * sizeof *keys) == 0;
	return keys;
}

void seal_keys_free(struct seal_key *keys)
{
	sodium_free(keys);
}

void seal_key_derive(const struct seal_key *master, const struct gen *g, enum stream s, struct seal_key *out)
{
	uint8_t context[SC_SEAL_CONTEXT];

	encode_context(g, s, context);
	hash_keyed(master, context, sizeof context, out);
}

void seal_key_fingerprint(const struct seal_key *key, char out[SC_SEAL_FINGERPRINT])
{
	struct seal_key hash;

	hash_keyed(key, "sc fingerprint", sizeof "sc fingerprint" - 1, &hash);
	sodium_bin2hex(out, SC_SEAL_FINGERPRINT, hash.b, SC_SEAL_FINGERPRINT / 2);
}

void seal_key_derive_for(const struct seal_key *master, const char *purpose, struct seal_key *out)
{
	hash_keyed(master, purpose, strlen(purpose), out);
}

void seal_key_wipe(struct seal_key *key)
{
	sodium_memzero(key, sizeof *key);
}

/* ---- names ---- */

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

_Static_assert(SC_SEAL_BOX_OVERHEAD == NONCE + crypto_aead_xchacha20poly1305_ietf_ABYTES, "the layout");

void seal_hash(const struct seal_key *key, struct bytes first, struct bytes second, uint8_t out[SC_SEAL_HASH])
{
	uint8_t length[8];
	crypto_generichash_state s;

	for (size_t i = 0; i < sizeof length; i++)
		length[i] = (uint8_t)((uint64_t)first.n >> 8 * i);
	if (crypto_generichash_init(&s, key->b, sizeof key->b, SC_SEAL_HASH) < 0)
		BUG("32 bytes are a size and a key that BLAKE2b has");
	crypto_generichash_update(&s, length, sizeof length);
	crypto_generichash_update(&s, first.p, first.n);
	crypto_generichash_update(&s, second.p, second.n);
	crypto_generichash_final(&s, out, SC_SEAL_HASH);
	sodium_memzero(&s, sizeof s);
}

size_t seal_box(const struct seal_key *key, const struct gen *g, struct bytes plain, uint8_t *out)
{
	randombytes_buf(out, NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE, NULL, plain.p, plain.n, g->b, sizeof g->b, NULL, out, key->b);
	return plain.n + SC_SEAL_BOX_OVERHEAD;
}

int seal_box_open(const struct seal_key *key, const struct gen *g, struct bytes sealed, uint8_t *plain, size_t *n)
{
	*n = 0;
	if (sealed.n < SC_SEAL_BOX_OVERHEAD ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed.p + NONCE, sealed.n - NONCE, g->b, sizeof g->b,
						       sealed.p, key->b) < 0)
		return SC_ECORRUPT;
	*n = sealed.n - SC_SEAL_BOX_OVERHEAD;
	return 0;
}

/* ---- sizes ---- */

uint64_t seal_size(uint64_t plain)
{
	uint64_t frames = plain / SC_SEAL_PLAIN_MAX + (plain % SC_SEAL_PLAIN_MAX != 0 || plain == 0), size;

	if (__builtin_add_overflow(plain, frames * SC_SEAL_OVERHEAD + SC_SEAL_HEAD, &size))
		return UINT64_MAX;
	return size;
}

int seal_plain_size(uint64_t sealed, uint64_t *plain)
{
	uint64_t full, rest;

	if (sealed < SC_SEAL_HEAD + SC_SEAL_OVERHEAD)
		return SC_EINVAL;
	full = (sealed - SC_SEAL_HEAD) / SC_SEAL_FRAME_MAX;
	rest = (sealed - SC_SEAL_HEAD) % SC_SEAL_FRAME_MAX;
	/* Behind full frames there is no empty one. */
	if (rest != 0 && (rest < SC_SEAL_OVERHEAD || (rest == SC_SEAL_OVERHEAD && full > 0)))
		return SC_EINVAL;
	*plain = full * SC_SEAL_PLAIN_MAX + (rest ? rest - SC_SEAL_OVERHEAD : 0);
	return 0;
}

/* ---- frames, as both sides see them ---- */

static void encode_length(size_t n, uint8_t out[SC_SEAL_LENGTH])
{
	for (int i = 0; i < SC_SEAL_LENGTH; i++)
		out[i] = (uint8_t)(n >> (8 * i));
}

static size_t decode_length(const uint8_t in[SC_SEAL_LENGTH])
{
	size_t n = 0;

	for (int i = 0; i < SC_SEAL_LENGTH; i++)
		n |= (size_t)in[i] << (8 * i);
	return n;
}

/* Of the first frame whose stream it is, then of every one the length as it stands before it: a length is as good as what it is of. */
static size_t additional_data(const uint8_t context[SC_SEAL_CONTEXT], bool first, const uint8_t length[SC_SEAL_LENGTH],
			      uint8_t out[SC_SEAL_CONTEXT + SC_SEAL_LENGTH])
{
	size_t n = first ? SC_SEAL_CONTEXT : 0;

	memcpy(out, context, n);
	memcpy(out + n, length, SC_SEAL_LENGTH);
	return n + SC_SEAL_LENGTH;
}

/* ---- sealing ---- */

void sealer_begin(struct sealer *s, const struct seal_key *key, const struct gen *g, enum stream stream,
		  uint8_t head[SC_SEAL_HEAD])
{
	s->began = s->final = false;
	encode_context(g, stream, s->context);
	if (crypto_secretstream_xchacha20poly1305_init_push((secretstream *)s->state, head, key->b) != 0)
		BUG("secretstream did not begin");
}

size_t sealer_frame(struct sealer *s, const uint8_t *plain, size_t n, bool final, uint8_t *out)
{
	uint8_t ad[SC_SEAL_CONTEXT + SC_SEAL_LENGTH];
	size_t ad_n;

	BUG_ON(s->final || n > SC_SEAL_PLAIN_MAX || (n == 0 && !final));
	encode_length(n + ABYTES, out);
	ad_n = additional_data(s->context, !s->began, out, ad);
	if (crypto_secretstream_xchacha20poly1305_push((secretstream *)s->state, out + SC_SEAL_LENGTH, NULL, plain, n, ad, ad_n,
						       final ? FINAL : MESSAGE) != 0)
		BUG("secretstream did not take a frame");
	s->began = true;
	s->final = final;
	return SC_SEAL_OVERHEAD + n;
}

void sealer_wipe(struct sealer *s)
{
	sodium_memzero(s, sizeof *s);
	s->final = true;
}

/* ---- opening ---- */

void opener_begin(struct opener *o, const struct seal_key *key, const struct gen *g, enum stream stream,
		  const uint8_t head[SC_SEAL_HEAD])
{
	o->began = o->final = o->corrupt = false;
	encode_context(g, stream, o->context);
	if (crypto_secretstream_xchacha20poly1305_init_pull((secretstream *)o->state, head, key->b) != 0)
		BUG("secretstream did not begin");
}

static int refuse(struct opener *o)
{
	o->corrupt = true;
	return SC_ECORRUPT;
}

static int need(size_t n, size_t *used)
{
	*used = n;
	return SC_EAGAIN;
}

int opener_frame(struct opener *o, const uint8_t *in, size_t n, uint8_t *plain, size_t *plain_n, size_t *used)
{
	uint8_t ad[SC_SEAL_CONTEXT + SC_SEAL_LENGTH], tag;
	size_t length, ad_n;

	*plain_n = *used = 0;
	if (o->corrupt || (o->final && n > 0))
		return refuse(o);
	if (o->final)
		return 0;
	if (n < SC_SEAL_LENGTH)
		return need(SC_SEAL_LENGTH, used);
	length = decode_length(in);
	/* Before it is waited for: a frame that is too long would be for ever. */
	if (length < ABYTES || length > SC_SEAL_PLAIN_MAX + ABYTES)
		return refuse(o);
	if (n < SC_SEAL_LENGTH + length)
		return need(SC_SEAL_LENGTH + length, used);
	ad_n = additional_data(o->context, !o->began, in, ad);
	if (crypto_secretstream_xchacha20poly1305_pull((secretstream *)o->state, plain, NULL, &tag, in + SC_SEAL_LENGTH, length,
						       ad, ad_n) != 0)
		return refuse(o);
	/* Made by one who has the key, and yet not by us. */
	if ((tag != MESSAGE && tag != FINAL) || (tag == MESSAGE && length == ABYTES))
		return refuse(o);
	o->began = true;
	o->final = tag == FINAL;
	*plain_n = length - ABYTES;
	*used = SC_SEAL_LENGTH + length;
	return 0;
}

bool opener_is_final(const struct opener *o)
{
	return o->final && !o->corrupt;
}

void opener_wipe(struct opener *o)
{
	sodium_memzero(o, sizeof *o);
	o->corrupt = true;
}
