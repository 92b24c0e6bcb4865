/* Keys from declarations, and keys on a terminal. Called by get_key.c, request.c and list.c; knows neither files nor options. */
#include "cmd/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"

#define VERSION "sc-key-1"

int key_declare(struct key *k, const char *kind, const char *name, const uint8_t value[SC_DIGEST_SIZE])
{
	struct declaration *list = reallocarray(k->list, k->n + 1, sizeof *list);

	if (!list)
		return SC_ENOMEM;
	k->list = list;
	list[k->n] = (struct declaration){.kind = kind, .name = name};
	if (value)
		memcpy(list[k->n].value, value, SC_DIGEST_SIZE);
	k->n++;
	return 0;
}

int key_hash(const void *p, size_t n, uint8_t value[SC_DIGEST_SIZE])
{
	struct digest *d = digest_new();

	if (!d)
		return SC_ENOMEM;
	digest_add(d, p, n);
	digest_get(d, value);
	digest_free(d);
	return 0;
}

int key_hash_words(char *const *words, uint8_t value[SC_DIGEST_SIZE])
{
	struct digest *d = digest_new();

	if (!d)
		return SC_ENOMEM;
	for (; *words; words++)
		digest_add_field(d, *words, strlen(*words));
	digest_get(d, value);
	digest_free(d);
	return 0;
}

const char *key_of_command(const char *cmd)
{
	static char text[sizeof "run:" + KEY_NAME_MAX];
	const char *slash = strrchr(cmd, '/');

	snprintf(text, sizeof text, "run:%s", slash ? slash + 1 : cmd);
	return text;
}

/* strcmp orders by unsigned bytes, in every locale. */
static int by_name(const void *a, const void *b)
{
	const struct declaration *x = a, *y = b;
	int order = strcmp(x->kind, y->kind);

	if (order == 0)
		order = strcmp(x->name, y->name);
	return order ? order : memcmp(x->value, y->value, SC_DIGEST_SIZE);
}

static void add_field(struct digest *d, const char *text)
{
	digest_add_field(d, text, strlen(text));
}

static void add_all(struct key *k, struct digest *d)
{
	qsort(k->list, k->n, sizeof *k->list, by_name);
	add_field(d, VERSION);
	for (size_t i = 0; i < k->n; i++) {
		if (i > 0 && by_name(&k->list[i - 1], &k->list[i]) == 0)
			continue;
		add_field(d, k->list[i].kind);
		add_field(d, k->list[i].name);
		digest_add_field(d, k->list[i].value, SC_DIGEST_SIZE);
	}
}

char *key_make(struct key *k, const char *word)
{
	uint8_t hash[SC_DIGEST_SIZE];
	size_t n = strlen(word);
	char *text = malloc(n + KEY_SUFFIX + 1);
	struct digest *d = text && k->n ? digest_new() : NULL;

	if (text)
		memcpy(text, word, n + 1);
	if (d) {
		add_all(k, d);
		digest_get(d, hash);
		text[n] = '#';
		for (size_t i = 0; i < sizeof hash; i++)
			snprintf(text + n + 1 + 2 * i, 3, "%02x", hash[i]);
	} else if (k->n) {
		free(text);
		text = NULL;
	}
	digest_free(d);
	free(k->list);
	*k = (struct key){.n = 0};
	return text;
}

void key_print(struct bytes key)
{
	static char shown[4 * SC_KEY_MAX + 1];

	if (isatty(1))
		fputs(human_escape(key.p, key.n, shown, sizeof shown), stdout);
	else
		fwrite(key.p, 1, key.n, stdout);
}
