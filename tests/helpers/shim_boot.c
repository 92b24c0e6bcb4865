/* Preloaded: another boot of the machine. SHIM_BOOT_ID=FILE is read where the kernel would tell its boot id. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int open(const char *path, int flags, ...)
{
	static int (*next)(const char *, int, ...);
	const char *file = getenv("SHIM_BOOT_ID");
	va_list ap;
	mode_t mode;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "open");
	va_start(ap, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return next(file && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? file : path, flags, mode);
}
