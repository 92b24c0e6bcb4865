/* cppcheck does not read the system's headers; these loops it has to know. Included by lint.sh only. */
#define HASH_ITER(hh, head, el, tmp) for (el = head, tmp = el; el; el = tmp)
#define DL_FOREACH(head, el) for (el = head; el; el = el->next)
#define DL_FOREACH_SAFE(head, el, tmp) for (el = head, tmp = el; el; el = tmp)
#define LL_FOREACH(head, el) for (el = head; el; el = el->next)
