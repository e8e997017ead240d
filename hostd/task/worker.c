/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/task/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/thread.h"

struct job {
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
    struct job *next;
};

struct queue {
    struct job *first, **last;
};

struct worker {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct queue waiting, finished;
    bool stopping;
    struct loop_source source;
    unsigned thread_count;
    pthread_t *threads;
};

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_put(struct queue *queue, struct job *job)
{
    job->next = NULL;
    *queue->last = job;
    queue->last = &job->next;
}

static struct job *queue_take(struct queue *queue)
{
    struct job *job = queue->first;

    if (job && !(queue->first = job->next))
        queue->last = &queue->first;
    return job;
}

static void *thread_main(void *arg)
{
    struct worker *worker = arg;
    const uint64_t one = 1;
    struct job *job;

    (void)pthread_mutex_lock(&worker->lock);
    for (;;) {
        while (!(job = queue_take(&worker->waiting)) && !worker->stopping)
            (void)pthread_cond_wait(&worker->more, &worker->lock);
        if (!job)
            break;
        (void)pthread_mutex_unlock(&worker->lock);
        job->work(job->arg);
        (void)pthread_mutex_lock(&worker->lock);
        queue_put(&worker->finished, job);
        (void)!write(worker->source.fd, &one, sizeof one);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static void on_finished(void *ctx, uint32_t events)
{
    struct worker *worker = ctx;
    uint64_t count;
    struct job *job;

    (void)events;
    (void)!read(worker->source.fd, &count, sizeof count);
    for (;;) {
        (void)pthread_mutex_lock(&worker->lock);
        job = queue_take(&worker->finished);
        (void)pthread_mutex_unlock(&worker->lock);
        if (!job)
            return;
        job->done(job->arg);
        free(job);
    }
}

int worker_create(struct loop *loop, unsigned threads, struct worker **ret_worker)
{
    struct worker *worker = calloc(1, sizeof *worker);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), rc = worker && fd >= 0 ? 0 : -ENOMEM;

    if (rc < 0) {
        free(worker);
        return close_fd(fd), rc;
    }
    queue_init(&worker->waiting);
    queue_init(&worker->finished);
    (void)pthread_mutex_init(&worker->lock, NULL);
    (void)pthread_cond_init(&worker->more, NULL);
    rc = loop_add_fd(loop, &worker->source, fd, EPOLLIN, on_finished, worker);
    worker->source.fd = fd;
    worker->threads = calloc(threads, sizeof *worker->threads);
    for (unsigned i = 0; rc == 0 && worker->threads && i < threads; i++) {
        rc = thread_start(&worker->threads[i], "worker", thread_main, worker);
        worker->thread_count += rc == 0;
    }
    if (rc < 0 || !worker->threads) {
        worker_destroy(worker);
        return rc < 0 ? rc : -ENOMEM;
    }
    *ret_worker = worker;
    return 0;
}

void worker_destroy(struct worker *worker)
{
    if (!worker)
        return;
    (void)pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    (void)pthread_cond_broadcast(&worker->more);
    (void)pthread_mutex_unlock(&worker->lock);
    for (unsigned i = 0; i < worker->thread_count; i++)
        (void)pthread_join(worker->threads[i], NULL);
    on_finished(worker, 0);
    loop_del(&worker->source);
    (void)close_fd(worker->source.fd);
    (void)pthread_cond_destroy(&worker->more);
    (void)pthread_mutex_destroy(&worker->lock);
    free(worker->threads);
    free(worker);
}

int worker_post(struct worker *worker, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct job *job = malloc(sizeof *job);

    if (!job)
        return -ENOMEM;
    *job = (struct job){.work = work, .done = done, .arg = arg};
    (void)pthread_mutex_lock(&worker->lock);
    queue_put(&worker->waiting, job);
    (void)pthread_cond_signal(&worker->more);
    (void)pthread_mutex_unlock(&worker->lock);
    return 0;
}
