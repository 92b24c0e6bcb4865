/* replay count RECORD                                how many steps the record has (shim_record.c)
 * replay marks RECORD STEPS                          what the scene has noted in it behind so many: lines `mark WORD NAME`
 * replay RECORD DIR STEPS BYTES NAMES SEED           makes DIR as it may lie on the disk after a power loss behind that many steps
 *
 * A step is one call. What had been synced is there, and, in every other case, all that had been done up to some step, which the
 * kernel has written back by itself. Of the rest:
 *
 *   BYTES  kept     all of it
 *          dropped  none: files are as long and as they were when they were last synced
 *          zeroed   files are as long as they had become, with zeros where they had grown; what lay there before is as before
 *          torn     each sector of 512 bytes is new or as before (zeros where the file had grown), and the file may be cut at one
 *          mixed    of each file one of these
 *   NAMES  kept     all of them
 *          cut      made, renamed and removed in order, up to some step: as with a journal. Whatever is synced takes all before along
 *          any      each step on its own or not, in order, as far as that is possible (not in a directory that is not there). The
 *                   sync of a file takes its making and its directories along, but no further name it was given; that of a
 *                   directory what was done in it
 *
 * Not covered: bytes of one file on another's sectors, sectors that cannot be read, a sync that lied. SQLite's -shm has no bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

enum what { MKDIR, CREATE, SOCKET, LINK, RENAME, UNLINK, WRITE, TRUNCATE, SYNC, SYNCFS, MARK, WHATS };
static const char *const words[] = {"mkdir", "create",	 "socket", "link",   "rename", "unlink",
				    "write", "truncate", "sync",   "syncfs", "mark"};

struct step {
	enum what what;
	unsigned file; /* an index of files; 0: none */
	char *path, *to;
	uint64_t at, n;
	const uint8_t *bytes;
	bool applied;
};

/* One inode from its making on; its number may be used again. */
struct file {
	uint64_t ino;
	enum what kind;
	char *path; /* first name */
	uint8_t *now, *was;
	uint64_t size, was_size;
	size_t made;	/* step */
	const char *at; /* where it has been made again; its other names are links */
};

enum bytes_mode { KEPT, DROPPED, ZEROED, TORN, MIXED };
static const char *const bytes_words[] = {"kept", "dropped", "zeroed", "torn", "mixed"};
enum names_mode { NAMES_KEPT, NAMES_CUT, NAMES_ANY };
static const char *const names_words[] = {"kept", "cut", "any"};

static struct step *steps;
static size_t nsteps;
static struct file *files; /* [0] is none */
static unsigned nfiles = 1;
static uint64_t seed;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void *must(void *p)
{
	if (!p)
		die("memory");
	return p;
}

static uint32_t chance(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

/* ---- the record ---- */

static unsigned find_file(uint64_t ino)
{
	for (unsigned i = nfiles - 1; i > 0; i--)
		if (files[i].ino == ino && files[i].kind != SOCKET)
			return i;
	return 0;
}

static unsigned new_file(const struct step *s, uint64_t ino)
{
	files = must(realloc(files, (nfiles + 1) * sizeof *files));
	files[nfiles] = (struct file){.ino = ino, .kind = s->what, .path = s->path, .made = nsteps};
	return nfiles++;
}

static const char *parse(const char *p, const char *end)
{
	const char *eol = memchr(p, '\n', (size_t)(end - p));
	struct step s = {0};
	char *line, *word, *a, *b, *c, *rest;

	if (!eol)
		return NULL;
	line = must(strndup(p, (size_t)(eol - p)));
	word = strtok_r(line, " ", &rest);
	a = strtok_r(NULL, " ", &rest);
	b = strtok_r(NULL, " ", &rest);
	c = strtok_r(NULL, " ", &rest);
	for (s.what = 0; s.what < WHATS && strcmp(word, words[s.what]) != 0;)
		s.what++;
	switch (s.what) {
	case MKDIR:
	case CREATE:
	case SOCKET:
		s.path = b;
		s.file = new_file(&s, strtoull(a, NULL, 10));
		break;
	case LINK:
	case RENAME:
	case MARK:
		s.path = a;
		s.to = b;
		break;
	case UNLINK:
		s.path = a;
		break;
	case WRITE:
		s.file = find_file(strtoull(a, NULL, 10));
		s.at = strtoull(b, NULL, 10);
		s.n = strtoull(c, NULL, 10);
		s.bytes = (const uint8_t *)eol + 1;
		eol += s.n + 1;
		break;
	case TRUNCATE:
		s.file = find_file(strtoull(a, NULL, 10));
		s.n = strtoull(b, NULL, 10);
		break;
	case SYNC:
		s.file = find_file(strtoull(a, NULL, 10));
		break;
	case SYNCFS:
		break;
	default:
		die(line);
	}
	steps = must(realloc(steps, (nsteps + 1) * sizeof *steps));
	steps[nsteps++] = s;
	return eol + 1;
}

static void read_record(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	const char *p, *end;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(name);
	files = must(calloc(1, sizeof *files));
	if (st.st_size == 0)
		return;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die(name);
	for (end = p + st.st_size; p && p < end;)
		p = parse(p, end);
}

/* ---- names: which steps came to the disk ---- */

static bool is_name(const struct step *s)
{
	return s->what <= UNLINK;
}

/* "" is the directory all of it is about. */
static bool is_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 0)
		return !strchr(path, '/');
	return strncmp(path, dir, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

/* A file's new name concerns the directory it is in, one that it loses that as well. */
static bool changes(const struct step *s, const char *dir)
{
	return (s->what != LINK && is_in(s->path, dir)) || (s->to && is_in(s->to, dir));
}

/* The making of the directories above. */
static void keep_parents(const char *path, size_t before)
{
	for (size_t i = 0; i < before; i++)
		if (steps[i].what == MKDIR && strncmp(path, steps[i].path, strlen(steps[i].path)) == 0 &&
		    path[strlen(steps[i].path)] == '/')
			steps[i].applied = true;
}

static void keep_what_is_synced(size_t at)
{
	const struct step *s = &steps[at];
	/* A directory that was there before the record began is the one all of it is about. */
	const char *dir = s->what == SYNC && s->file == 0 ? "" : files[s->file].path;
	bool is_dir = s->file == 0 || files[s->file].kind == MKDIR;

	for (size_t i = 0; i < at; i++) {
		struct step *e = &steps[i];

		if (!is_name(e))
			continue;
		if (s->what == SYNCFS || (is_dir ? changes(e, dir) : e->file == s->file))
			e->applied = true;
		if (!is_dir && e->file == s->file)
			keep_parents(e->path, i);
	}
}

static void choose_names(size_t n, enum names_mode mode, size_t written_back)
{
	size_t sure = written_back, names = 0, cut;

	for (size_t i = 0; i < n; i++) {
		steps[i].applied = mode == NAMES_KEPT;
		if ((steps[i].what == SYNC || steps[i].what == SYNCFS) && i > sure)
			sure = i;
		if (mode == NAMES_ANY && is_name(&steps[i]))
			steps[i].applied = i < written_back || chance(2);
	}
	if (mode == NAMES_ANY)
		for (size_t i = 0; i < n; i++)
			if (steps[i].what == SYNC || steps[i].what == SYNCFS)
				keep_what_is_synced(i);
	if (mode != NAMES_CUT)
		return;
	for (size_t i = sure; i < n; i++)
		names += is_name(&steps[i]);
	cut = names ? chance((uint32_t)names + 1) : 0;
	for (size_t i = 0; i < n; i++)
		if (is_name(&steps[i]))
			steps[i].applied = i < sure || cut-- > 0;
}

/* ---- bytes ---- */

static void resize(struct file *f, uint64_t size)
{
	f->now = must(realloc(f->now, size + 1));
	if (size > f->size)
		memset(f->now + f->size, 0, size - f->size);
	f->size = size;
}

static void settle(struct file *f)
{
	f->was = must(realloc(f->was, f->size + 1));
	if (f->size)
		memcpy(f->was, f->now, f->size);
	f->was_size = f->size;
}

static void settle_all(void)
{
	for (unsigned k = 1; k < nfiles; k++)
		settle(&files[k]);
}

static void fill_files(size_t n, size_t written_back)
{
	for (size_t i = 0; i < n; i++) {
		const struct step *s = &steps[i];
		struct file *f = &files[s->file];

		if (i == written_back)
			settle_all();
		if (s->what == WRITE && s->file) {
			if (s->at + s->n > f->size)
				resize(f, s->at + s->n);
			memcpy(f->now + s->at, s->bytes, s->n);
		} else if (s->what == TRUNCATE && s->file) {
			resize(f, s->n);
		} else if (s->what == SYNC && s->file) {
			settle(f);
		} else if (s->what == SYNCFS) {
			settle_all();
		}
	}
}

/* A sector as it was when it was synced; zeros where the file was not yet so long. */
static void restore(struct file *f, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to && i < f->size; i++)
		f->now[i] = i < f->was_size ? f->was[i] : 0;
}

static void lose_bytes(struct file *f, enum bytes_mode mode)
{
	if (mode == MIXED)
		mode = (enum bytes_mode)chance(MIXED);
	switch (mode) {
	case KEPT:
	case MIXED:
		break;
	case DROPPED:
		resize(f, f->was_size);
		restore(f, 0, f->size);
		break;
	case ZEROED:
		restore(f, f->was_size, f->size);
		break;
	case TORN:
		for (uint64_t at = 0; at < f->size; at += SECTOR)
			if (chance(2))
				restore(f, at, at + SECTOR);
		if (f->size > f->was_size && chance(2))
			resize(f, f->was_size + chance((uint32_t)((f->size - f->was_size) / SECTOR) + 1) * SECTOR);
		break;
	}
}

/* ---- the directory ---- */

struct name {
	char *path;
	unsigned file;
};
static struct name *names;
static size_t nnames;

static struct name *find_name(const char *path)
{
	for (size_t i = 0; i < nnames; i++)
		if (strcmp(names[i].path, path) == 0)
			return &names[i];
	return NULL;
}

static bool has_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[256];

	if (!slash)
		return true;
	snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
	return find_name(parent) != NULL;
}

static void forget(const char *path)
{
	struct name *at = find_name(path);

	if (at)
		*at = names[--nnames];
}

static void give_name(char *path, unsigned file)
{
	forget(path);
	if (!has_parent(path))
		return;
	names = must(realloc(names, (nnames + 1) * sizeof *names));
	names[nnames++] = (struct name){path, file};
}

static void apply(const struct step *s)
{
	struct name *from;
	unsigned file;

	switch (s->what) {
	case MKDIR:
	case CREATE:
	case SOCKET:
		give_name(s->path, s->file);
		break;
	case UNLINK:
		forget(s->path);
		break;
	case LINK:
	case RENAME:
		from = find_name(s->path);
		if (!from)
			break;
		file = from->file;
		if (s->what == RENAME)
			forget(s->path);
		give_name(s->to, file);
		break;
	default:
		break;
	}
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

static void make(const char *path, struct file *f)
{
	int fd;

	if (f->at) {
		if (link(f->at, path) < 0)
			die(path);
		return;
	}
	if (f->kind == MKDIR) {
		if (mkdir(path, 0700) < 0)
			die(path);
		return;
	}
	if (f->kind == SOCKET) {
		if (mknod(path, S_IFSOCK | 0600, 0) < 0)
			die(path);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || (f->size && write(fd, f->now, f->size) != (ssize_t)f->size))
		die(path);
	close(fd);
	f->at = path;
}

static void make_all(void)
{
	qsort(names, nnames, sizeof *names, by_path);
	for (size_t i = 0; i < nnames; i++)
		make(names[i].path, &files[names[i].file]);
}

static unsigned mode_of(const char *word, const char *const *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(word, list[i]) == 0)
			return i;
	errno = EINVAL;
	die(word);
}

int main(int argc, char **argv)
{
	enum bytes_mode bytes;
	size_t n, written_back;

	if (argc == 3 && strcmp(argv[1], "count") == 0) {
		read_record(argv[2]);
		printf("%zu\n", nsteps);
		return 0;
	}
	if (argc == 4 && strcmp(argv[1], "marks") == 0) {
		read_record(argv[2]);
		n = strtoul(argv[3], NULL, 10);
		for (size_t i = 0; i < n && i < nsteps; i++)
			if (steps[i].what == MARK)
				printf("%s %s\n", steps[i].path, steps[i].to);
		return 0;
	}
	if (argc != 7) {
		fprintf(stderr,
			"usage: replay RECORD DIR STEPS BYTES NAMES SEED | replay count RECORD | replay marks RECORD STEPS\n");
		return 99;
	}
	read_record(argv[1]);
	n = strtoul(argv[3], NULL, 10);
	n = n < nsteps ? n : nsteps;
	bytes = (enum bytes_mode)mode_of(argv[4], bytes_words, 5);
	seed = strtoull(argv[6], NULL, 10);
	written_back = chance(2) ? chance((uint32_t)n + 1) : 0;
	choose_names(n, (enum names_mode)mode_of(argv[5], names_words, 3), written_back);
	fill_files(n, written_back);
	for (unsigned i = 1; i < nfiles; i++)
		if (files[i].kind == CREATE && files[i].made < n)
			lose_bytes(&files[i], bytes);
	for (size_t i = 0; i < n; i++)
		if (steps[i].applied)
			apply(&steps[i]);
	umask(0);
	if (mkdir(argv[2], 0700) < 0 || chdir(argv[2]) < 0)
		die(argv[2]);
	make_all();
	return 0;
}
