/* uthash, as this daemon needs it: what could not be added for want of memory has no table afterwards (hh.tbl); by default the process
 * would end. */
#ifndef SC_TABLE_H
#define SC_TABLE_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#endif
