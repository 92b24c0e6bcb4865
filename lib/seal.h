/* Sealing: one stream of one generation as ciphertext that can be trusted or refused, frame by frame, while it grows. libsodium's
 * secretstream (XChaCha20-Poly1305); FORMAT.md has the layout. Pure: buffers in, buffers out, no file, no allocation.
 *
 *   sealer_begin ─▶ sealer_frame … ─▶ the one with `final`        opener_begin ─▶ opener_frame … ─▶ opener_is_final
 *
 * What an opener has given out is what the sealer was given, from its beginning, without a gap, whatever somebody without the key has
 * done to it. Whether there is more to come only the final frame says: a stream without one is cut off, however it may look. Not hidden is
 * how much there is, and in which pieces it came.
 *
 * Whoever calls any of this has called digest_init. Not thread-safe for one sealer, opener or key. */
#ifndef SC_SEAL_H
#define SC_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/object.h"

/* ---- keys ---- */

#define SC_SEAL_KEY 32

/* A master key, or the key of one stream. Wiped by its owner. */
struct seal_key {
	uint8_t b[SC_SEAL_KEY];
};

/* A new master key. */
void seal_key_new(struct seal_key *out);

/* Memory for n keys that is locked, not dumped, and guarded; wiped when it is freed. Where locking is refused it may come to lie in swap:
 * *locked. NULL: no memory. */
struct seal_key *seal_keys_new(size_t n, bool *locked);
void seal_keys_free(struct seal_key *keys);

/* The key of one stream of one generation: all that a writer or a reader is given. */
void seal_key_derive(const struct seal_key *master, const struct gen *g, enum stream s, struct seal_key *out);

/* 16 hex digits and a NUL that tell keys apart, and say nothing else of them: may be printed, stored and logged. */
#define SC_SEAL_FINGERPRINT 17
void seal_key_fingerprint(const struct seal_key *key, char out[SC_SEAL_FINGERPRINT]);

/* A key for another purpose than a stream, by its name, which says what it is for and no other purpose has. */
void seal_key_derive_for(const struct seal_key *master, const char *purpose, struct seal_key *out);

/* Also where a compiler would see that nobody reads it any more. */
void seal_key_wipe(struct seal_key *key);

/* ---- names: what is too small to be a stream ---- */

/* By this, and by nothing less than the key, the same text is found again. Both parts count, and where the first ends. */
#define SC_SEAL_HASH 32
void seal_hash(const struct seal_key *key, struct bytes first, struct bytes second, uint8_t out[SC_SEAL_HASH]);

/* One message that is opened as a whole, for the generation it was sealed for, or not at all. `out` has room for
 * n + SC_SEAL_BOX_OVERHEAD, which is how many it writes and returns. No two calls write the same. */
#define SC_SEAL_BOX_OVERHEAD (24 + 16)
size_t seal_box(const struct seal_key *key, const struct gen *g, struct bytes plain, uint8_t *out);

/* `plain` has room for sealed.n - SC_SEAL_BOX_OVERHEAD; *n: how many there are. SC_ECORRUPT: not what was sealed under this key for this generation;
 * nothing is written. */
int seal_box_open(const struct seal_key *key, const struct gen *g, struct bytes sealed, uint8_t *plain, size_t *n);

/* ---- sizes, in bytes ---- */

/* What a sealed stream begins with; what each frame has besides its plaintext: 4 of length before it, a tag and a MAC in it. */
#define SC_SEAL_HEAD 24
#define SC_SEAL_LENGTH 4
#define SC_SEAL_OVERHEAD (SC_SEAL_LENGTH + 1 + 16)
#define SC_SEAL_FRAME_MAX (SC_SEAL_OVERHEAD + SC_SEAL_PLAIN_MAX)

/* How large `plain` bytes become if no frame but the last has room left. UINT64_MAX: no such number. */
uint64_t seal_size(uint64_t plain);
/* The other way. SC_EINVAL: nothing that was sealed like that is so large. Says nothing of what is in it. */
int seal_plain_size(uint64_t sealed, uint64_t *plain);

/* ---- sealing ---- */

#define SC_SEAL_STATE 52
#define SC_SEAL_CONTEXT 20

struct sealer {
	uint8_t state[SC_SEAL_STATE];	  /* libsodium's, known to seal.c */
	uint8_t context[SC_SEAL_CONTEXT]; /* whose stream it is: additional data of the first frame */
	bool began, final;
};

/* `key` is the stream's own, and may be wiped afterwards. No two calls write the same head: what was sealed twice is two streams,
 * of which no frame fits into the other. */
void sealer_begin(struct sealer *s, const struct seal_key *key, const struct gen *g, enum stream stream,
		  uint8_t head[SC_SEAL_HEAD]);

/* The next frame: n bytes, at most SC_SEAL_PLAIN_MAX, and none only in the final one. `out` has room for n + SC_SEAL_OVERHEAD, which is
 * how many it writes and returns, and does not overlap `plain`. BUG: behind the final frame, or out of these bounds. */
size_t sealer_frame(struct sealer *s, const uint8_t *plain, size_t n, bool final, uint8_t *out);

/* Nothing that could seal or open is left in it: another frame is a BUG. */
void sealer_wipe(struct sealer *s);

/* ---- opening ---- */

struct opener {
	uint8_t state[SC_SEAL_STATE];
	uint8_t context[SC_SEAL_CONTEXT];
	bool began, final, corrupt;
};

/* Any head will do here: a wrong one, like a wrong key, generation or stream, is noticed at the first frame. */
void opener_begin(struct opener *o, const struct seal_key *key, const struct gen *g, enum stream stream,
		  const uint8_t head[SC_SEAL_HEAD]);

/* The frame that `in`, n bytes, begins with. `plain` has room for what n bytes may hold, or SC_SEAL_PLAIN_MAX, and does not overlap.
 *
 *   0            a frame was good: `*plain_n` bytes are in `plain`, of the first `*used` of `in`. After the final frame, if n is 0:
 *                nothing more, as often as one asks.
 *   SC_EAGAIN    not all of it is there: ask again with the same bytes and more. `*used` is how many are needed before there is
 *                anything new to say, always more than n: those of the length, then all of the frame's.
 *   SC_ECORRUPT  not what was sealed as this stream of this generation under this key, not in its place, or behind the final frame.
 *                From then on every call says so.
 *
 * `plain` is written only with what was verified; `*plain_n` is 0, and with SC_ECORRUPT so is `*used`, but where it says otherwise. */
int opener_frame(struct opener *o, const uint8_t *in, size_t n, uint8_t *plain, size_t *plain_n, size_t *used);

/* The final frame has been opened, and nothing behind it has been seen: now, and only now, the stream is whole. */
bool opener_is_final(const struct opener *o);

/* The same; every call says SC_ECORRUPT. */
void opener_wipe(struct opener *o);

#endif
