/* The choice, one row at a time. */
#include "daemon/sieve.h"

static bool is_over(const struct sieve *s)
{
	return s->entries == 0 && s->bytes == 0;
}

bool sieve_goes_on(const struct sieve *s)
{
	return !is_over(s) && s->passed < s->rows;
}

bool sieve_is_stuck(const struct sieve *s)
{
	return !is_over(s) && s->passed >= s->rows;
}

enum sieve_choice sieve_choose(struct sieve *s, const struct sieve_row *row)
{
	s->hand = row->id + 1;
	if (row->read || (row->id == s->newest && s->rows > 1)) {
		s->passed++;
		return SIEVE_PASS;
	}
	s->passed = 0;
	if (row->visited)
		return SIEVE_SPARE;
	s->rows--;
	s->entries -= s->entries > 0;
	s->bytes -= s->bytes < row->bytes ? s->bytes : row->bytes;
	return SIEVE_TAKE;
}

void sieve_rest(struct sieve *s, int64_t next)
{
	if (next == 0 || next == s->newest)
		s->hand = 0;
}
