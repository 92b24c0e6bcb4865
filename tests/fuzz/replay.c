/* What is kept of a fuzzer, for `make check`: each input is given to it once more, without libFuzzer. Linked with one fuzzer, whose name is
 * the program's; its inputs lie in corpus/ under that name. Which of them it was when it dies, the last line of stderr says. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

/* Only some of them need it. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void replay(const char *dir, const char *name)
{
	static uint8_t bytes[1 << 16];
	char path[4096];
	uint8_t *own;
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fprintf(stderr, "%s\n", path);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(bytes, 1, sizeof bytes, f);
	assert_true(n < sizeof bytes && !ferror(f));
	fclose(f);
	/* As libFuzzer does: a sanitizer sees a byte too far. */
	own = malloc(n + (n == 0));
	assert_non_null(own);
	memcpy(own, bytes, n);
	assert_int_equal(LLVMFuzzerTestOneInput(own, n), 0);
	free(own);
}

static void every_input_that_once_was_new_still_ends_as_promised(void **state)
{
	const char *tree = getenv("TREE");
	struct dirent *entry;
	char dir[2048];
	size_t n = 0;
	DIR *d;

	(void)state;
	snprintf(dir, sizeof dir, "%s/tests/fuzz/corpus/%s", tree ? tree : ".", program_invocation_short_name);
	d = opendir(dir);
	assert_non_null(d);
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.') {
			replay(dir, entry->d_name);
			n++;
		}
	closedir(d);
	assert_true(n > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_input_that_once_was_new_still_ends_as_promised),
	};

	if (LLVMFuzzerInitialize(&argc, &argv))
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
