/* Checks of doctor about what is sealed: its keys, and where the machine may write what is in memory. Never a word of a key itself. Called by
 * doctor.c. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/doctor_parts.h"
#include "lib/err.h"
#include "lib/keyfile.h"
#include "lib/sock.h"

/* What a few keys need, with the pages that guard them. */
#define LOCKED_WANTED (64 * 1024)

static bool seals(const struct doctor *d)
{
	return d->set.config.encrypt || *d->set.config.key_file;
}

/* ---- keys ---- */

static void check_key(struct doctor *d, const char *path)
{
	char fingerprint[SC_SEAL_FINGERPRINT], mend[SC_PATH_MAX + 32];
	enum keyfile_fault fault;
	struct seal_key key;

	if (keyfile_read(path, d->set.config.credential, &key, &fault)) {
		const char *text = keyfile_fault_text(fault);

		keyfile_mend(fault, path, mend, sizeof mend);
		doctor_found(d, PROBLEM, *mend ? mend : NULL, "%s: %s: no daemon starts with it", path, text);
		return;
	}
	seal_key_fingerprint(&key, fingerprint);
	seal_key_wipe(&key);
	doctor_found(d, OK, NULL, "%s: fingerprint %s", path, fingerprint);
}

/* The daemon's, else ours, which one that is started from here would have. False: not known. */
static bool read_memlock(const struct doctor *d, unsigned long long *bytes)
{
	char path[64] = "/proc/self/limits", line[256];
	bool is_known = false;
	pid_t pid = 0;
	FILE *f;

	if (d->answers && sock_check_peer(d->set.s.fd, NULL, &pid) == 0 && pid > 0)
		snprintf(path, sizeof path, "/proc/%ld/limits", (long)pid);
	f = fopen(path, "re");
	while (f && !is_known && fgets(line, sizeof line, f))
		is_known = sscanf(line, "Max locked memory %llu", bytes) == 1;
	if (f)
		fclose(f);
	return is_known; /* "unlimited" is no number */
}

static void check_memlock(struct doctor *d)
{
	unsigned long long bytes;

	if (geteuid() != 0 && read_memlock(d, &bytes) && bytes < LOCKED_WANTED)
		doctor_found(d, WARNING, "raise ulimit -l",
			     "%llu bytes of memory may be locked, too few: keys may come to lie in swap", bytes);
}

static void show_sealer(struct doctor *d, const struct msg *m)
{
	char fingerprint[SC_SEAL_FINGERPRINT] = "";

	if (m->sealed.n != 1 + (SC_SEAL_FINGERPRINT - 1) / 2)
		return;
	for (size_t i = 1; i < m->sealed.n; i++)
		snprintf(fingerprint + 2 * (i - 1), 3, "%02x", m->sealed.p[i]);
	if (m->flags & SEALER_HERE)
		doctor_found(d, OK, NULL, "%llu entr%s sealed by %s", (unsigned long long)m->count,
			     m->count == 1 ? "y is" : "ies are", fingerprint);
	else
		doctor_found(d, WARNING, "name its file in key-file behind the others, or let them go",
			     "%llu entr%s sealed by %s, which is not here, so they are not given out",
			     (unsigned long long)m->count, m->count == 1 ? "y is" : "ies are", fingerprint);
}

/* As the daemon that lives finds them. */
static void check_sealers(struct doctor *d)
{
	struct msg q = {.type = MSG_SEALERS}, m;
	int fds[SC_FDS_MAX];
	size_t nfds = 0;
	int rc;

	if (!d->answers)
		return;
	rc = session_ask(&d->set.s, SESSION_LOOK, &q, &m, fds, &nfds, SC_FOREVER);
	while (rc == 0 && m.type == MSG_SEALER) {
		show_sealer(d, &m);
		rc = session_hear(&d->set.s, &m, fds, &nfds, SC_SILENCE_MS);
	}
}

/* As the next daemon would find them. */
void doctor_check_keys(struct doctor *d)
{
	const char *rest = d->set.config.key_file;
	char path[SC_PATH_MAX];

	if (!*rest && d->set.config.encrypt)
		doctor_found(d, OK, NULL, "none: the daemon makes one for itself, and what it seals is gone when it ends");
	else if (!*rest)
		doctor_found(d, OK, NULL, "none");
	sc_no_core();
	sc_keep_secret();
	while (config_next_key_file(&rest, path))
		check_key(d, path);
	check_sealers(d);
	if (seals(d))
		check_memlock(d);
}

/* ---- swap ---- */

/* What lies on this device is encrypted: the kernel's own name for it begins so. */
static bool is_encrypted(dev_t device)
{
	char path[64], uuid[8] = "";
	FILE *f;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/dm/uuid", major(device), minor(device));
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(uuid, sizeof uuid, f))
		uuid[0] = '\0';
	fclose(f);
	return strncmp(uuid, "CRYPT-", 6) == 0;
}

/* A device, a file on one, or memory that is compressed. */
static bool is_safe(const char *name)
{
	struct stat st;

	if (strncmp(name, "/dev/zram", 9) == 0)
		return true;
	return stat(name, &st) == 0 && is_encrypted(S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev);
}

/* Output passes through memory: where there is swap, it may come to lie there. */
void doctor_check_swap(struct doctor *d)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[SC_PATH_MAX], name[SC_PATH_MAX], open_one[SC_PATH_MAX] = "";
	unsigned n = 0;

	if (!f)
		return;
	if (!fgets(line, sizeof line, f)) /* the heads of columns */
		line[0] = '\0';
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "%4095s", name) != 1)
			continue;
		n++;
		if (!is_safe(name))
			memcpy(open_one, name, sizeof name);
	}
	fclose(f);
	if (*open_one && seals(d))
		doctor_found(d, WARNING, "encrypt it, or swapoff",
			     "%s is not encrypted: what is sealed on the disk may come to lie there in the clear", open_one);
	else if (*open_one)
		doctor_found(d, OK, NULL, "on: what passes through memory may be written to a disk by the machine");
	else
		doctor_found(d, OK, NULL, n ? "on, and encrypted or in memory" : "none");
}
