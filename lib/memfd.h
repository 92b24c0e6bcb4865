/* Files of memory that pass between processes: made, sealed, and looked at by whoever is given one. A seal is a promise of the kernel's
 * that nobody can take back, neither who made the file nor who gets it, so what is sealed can be handed out and mapped without trust. */
#ifndef SC_MEMFD_H
#define SC_MEMFD_H

#include <fcntl.h>
#include <stdint.h>

/* Its size is for ever: what maps it cannot be cut off from under (SIGBUS). The bytes may change. */
#define MEMFD_FIXED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
/* Neither do the bytes change any more. */
#define MEMFD_FINAL (MEMFD_FIXED | F_SEAL_WRITE)

/* Empty, close-on-exec, and never to be executed where the kernel can promise that (Linux 6.3). `name` is for people who look into
 * /proc. SC_ESYS. */
int memfd_new(const char *name, int *fd);

/* So long from now on, zeros behind what there was. SC_ESYS. */
int memfd_resize(int fd, uint64_t size);

/* MEMFD_FIXED, MEMFD_FINAL. SC_ESYS: EBUSY if it is to be final and somebody has it mapped for writing. */
int memfd_seal(int fd, int seals);

/* Whether it is a file of memory, of this size, that has all of these seals. In this order: a size counts only once it is sealed.
 * SC_ECORRUPT: it is not. */
int memfd_check(int fd, int seals, uint64_t size);

/* What one of so many bytes takes of the machine's memory: whole pages. Pure; saturates. */
uint64_t memfd_pages(uint64_t size);

#endif
