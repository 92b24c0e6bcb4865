/* Two linked lists, one mutex, one eventfd. Nobody holds the mutex over anything that can wait for a disk, so the loop may
 * take it at any time. */
#include "daemon/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/err.h"

struct job *job_new(enum job_kind kind, unsigned room, index_done done, void *arg)
{
	struct job *j = calloc(1, sizeof *j + room * sizeof j->dead[0]);

	if (!j)
		return NULL;
	j->kind = kind;
	j->room = room;
	j->done = done;
	j->arg = arg;
	buf_init(&j->gone, SIZE_MAX);
	buf_init(&j->pasts, SIZE_MAX);
	return j;
}

void job_free(struct job *j)
{
	free(j->visits);
	buf_release(&j->gone);
	buf_release(&j->pasts);
	free(j);
}

int jobs_init(struct jobs *q)
{
	*q = (struct jobs){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (q->event_fd < 0)
		return SC_ESYS;
	q->todo_end = &q->todo;
	q->done_end = &q->done;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->todo_cond, NULL);
	pthread_cond_init(&q->done_cond, NULL);
	return 0;
}

void jobs_release(struct jobs *q)
{
	BUG_ON(q->todo || q->done);
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->todo_cond);
	pthread_cond_destroy(&q->done_cond);
	close(q->event_fd);
	q->event_fd = -1;
}

void jobs_put(struct jobs *q, struct job *j)
{
	j->next = NULL;
	pthread_mutex_lock(&q->lock);
	*q->todo_end = j;
	q->todo_end = &j->next;
	q->pending++;
	pthread_cond_signal(&q->todo_cond);
	pthread_mutex_unlock(&q->lock);
}

struct job *jobs_take(struct jobs *q, unsigned most)
{
	struct job *first, **end;

	pthread_mutex_lock(&q->lock);
	while (!q->todo && !q->stopping)
		pthread_cond_wait(&q->todo_cond, &q->lock);
	first = q->todo;
	for (end = &q->todo; *end && most > 0; most--)
		end = &(*end)->next;
	if (first) {
		q->todo = *end;
		*end = NULL;
		if (!q->todo)
			q->todo_end = &q->todo;
	}
	pthread_mutex_unlock(&q->lock);
	return first;
}

void jobs_answer(struct jobs *q, struct job *j)
{
	uint64_t one = 1;

	j->next = NULL;
	pthread_mutex_lock(&q->lock);
	*q->done_end = j;
	q->done_end = &j->next;
	q->pending--;
	/* It cannot be full, and EINTR cannot come: the thread takes no signals. */
	(void)!write(q->event_fd, &one, sizeof one);
	pthread_cond_signal(&q->done_cond);
	pthread_mutex_unlock(&q->lock);
}

void jobs_stop(struct jobs *q)
{
	pthread_mutex_lock(&q->lock);
	q->stopping = true;
	pthread_cond_signal(&q->todo_cond);
	pthread_mutex_unlock(&q->lock);
}

struct job *jobs_collect(struct jobs *q)
{
	struct job *first;
	uint64_t n;

	pthread_mutex_lock(&q->lock);
	(void)!read(q->event_fd, &n, sizeof n);
	first = q->done;
	q->done = NULL;
	q->done_end = &q->done;
	pthread_mutex_unlock(&q->lock);
	return first;
}

bool jobs_wait(struct jobs *q)
{
	bool some;

	pthread_mutex_lock(&q->lock);
	while (!q->done && q->pending > 0)
		pthread_cond_wait(&q->done_cond, &q->lock);
	some = q->done != NULL;
	pthread_mutex_unlock(&q->lock);
	return some;
}
