/* libsodium alone, as fast as a filter can have it: secretstream in frames of 64 KiB, read and written as cat does, 128 KiB at once.
 *
 *   sodium seal          stdin, sealed, to stdout
 *   sodium open [FILE]   the other way; FILE instead of stdin
 *   sodium rate SIZE     prints the nanoseconds to seal SIZE bytes in memory, and to open them: "SEAL OPEN" */
#include <sodium.h>

#include "tests/bench/bench.h"

#define PLAIN (64 * 1024)
#define SEALED (PLAIN + crypto_secretstream_xchacha20poly1305_ABYTES)
#define AT_ONCE 2

typedef crypto_secretstream_xchacha20poly1305_state secretstream;

static const unsigned char key[crypto_secretstream_xchacha20poly1305_KEYBYTES] = "not a secret";
static unsigned char plain[AT_ONCE * PLAIN], sealed[AT_ONCE * SEALED];

/* As much as there is room for, but at the end. */
static size_t read_full(int fd, unsigned char *to, size_t room)
{
	size_t n = 0;

	while (n < room) {
		ssize_t did = read(fd, to + n, room - n);

		if (did < 0 && errno != EINTR)
			die("read");
		if (did == 0)
			break;
		n += did > 0 ? (size_t)did : 0;
	}
	return n;
}

static void write_all(const unsigned char *from, size_t n)
{
	while (n > 0) {
		ssize_t did = write(1, from, n);

		if (did < 0 && errno != EINTR)
			die("write");
		from += did > 0 ? did : 0;
		n -= did > 0 ? (size_t)did : 0;
	}
}

/* n bytes of `plain` as frames; the last of them, if that is all, is final, and may be empty. Returns how many are in `sealed`. */
static size_t push(secretstream *s, size_t n, int last)
{
	size_t at = 0, to = 0;

	do {
		size_t k = n - at < PLAIN ? n - at : PLAIN;
		int final = last && at + k == n;

		crypto_secretstream_xchacha20poly1305_push(s, sealed + to, NULL, plain + at, k, NULL, 0,
							   final ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0);
		at += k;
		to += k + crypto_secretstream_xchacha20poly1305_ABYTES;
	} while (at < n);
	return to;
}

/* The other way. *tag: of the last one. */
static size_t pull(secretstream *s, size_t n, unsigned char *tag)
{
	size_t at = 0, to = 0;

	while (at < n) {
		size_t k = n - at < SEALED ? n - at : SEALED;
		unsigned long long got;

		if (crypto_secretstream_xchacha20poly1305_pull(s, plain + to, &got, tag, sealed + at, k, NULL, 0) != 0)
			die("what was sealed does not open");
		at += k;
		to += (size_t)got;
	}
	return to;
}

static void seal(void)
{
	unsigned char head[crypto_secretstream_xchacha20poly1305_HEADERBYTES];
	secretstream s;
	size_t n;

	crypto_secretstream_xchacha20poly1305_init_push(&s, head, key);
	write_all(head, sizeof head);
	do {
		n = read_full(0, plain, sizeof plain);
		write_all(sealed, push(&s, n, n < sizeof plain));
	} while (n == sizeof plain);
}

static void open_all(int fd)
{
	unsigned char head[crypto_secretstream_xchacha20poly1305_HEADERBYTES], tag = 0;
	secretstream s;
	size_t n;

	if (fd < 0 || read_full(fd, head, sizeof head) != sizeof head ||
	    crypto_secretstream_xchacha20poly1305_init_pull(&s, head, key) != 0)
		die("what is to be opened");
	while ((n = read_full(fd, sealed, sizeof sealed)) > 0)
		write_all(plain, pull(&s, n, &tag));
	if (tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL)
		die("what was sealed has no end");
}

/* Each frame is opened as soon as it is sealed: it lies in a cache of the processor, as one does that has just been read. */
static void rate(uint64_t size)
{
	unsigned char head[crypto_secretstream_xchacha20poly1305_HEADERBYTES], tag;
	uint64_t took[2] = {0}, begun;
	secretstream to, from;

	crypto_secretstream_xchacha20poly1305_init_push(&to, head, key);
	crypto_secretstream_xchacha20poly1305_init_pull(&from, head, key);
	for (uint64_t at = 0; at < size; at += sizeof plain) {
		size_t n;

		begun = now_ns();
		n = push(&to, sizeof plain, 0);
		took[0] += now_ns() - begun;
		begun = now_ns();
		pull(&from, n, &tag);
		took[1] += now_ns() - begun;
	}
	printf("%ju %ju\n", (uintmax_t)took[0], (uintmax_t)took[1]);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (sodium_init() < 0)
		die("libsodium");
	if (strcmp(what, "seal") == 0 && argc == 2) {
		seal();
	} else if (strcmp(what, "open") == 0 && argc <= 3) {
		open_all(argc == 3 ? open(argv[2], O_RDONLY | O_CLOEXEC) : 0);
	} else if (strcmp(what, "rate") == 0 && argc == 3) {
		rate(parse_size(argv[2]));
	} else {
		fprintf(stderr, "usage: sodium seal | sodium open [FILE] | sodium rate SIZE\n");
		return 99;
	}
	return 0;
}
