/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O engines: both do the same. */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/range.h"
#include "tests/disk/folder.h"

struct env {
    struct folder folder;
    struct aio *aio;
    int fd;
    unsigned done;
    int64_t result;
};

static void on_done(struct aio_req *req, int64_t result)
{
    struct env *env = req->ctx;

    env->done++;
    env->result = result;
}

static void setup(struct env *env, enum aio_engine engine)
{
    *env = (struct env){.fd = -1};
    folder_make(&env->folder);
    folder_require(!aio_create(engine, &env->aio, NULL), "aio");
    CHECK_EQ(aio_engine_of(env->aio), engine);
    env->fd =
        env->folder.dir.host.open(&env->folder.dir.host, "a", DISK_FILE_WRITE | DISK_FILE_CREATE);
    folder_require(env->fd >= 0, "a");
}

static void teardown(struct env *env)
{
    aio_destroy(env->aio);
    (void)close(env->fd);
    folder_remove(&env->folder);
}

static int64_t turn_until_done(struct env *env)
{
    env->done = 0;
    while (!env->done && aio_run_once(env->aio, true) >= 0)
        ;
    return env->result;
}

static int64_t transfer(struct env *env, enum aio_op op, enum aio_file file, void *buf, size_t len,
                        uint64_t offset)
{
    struct iovec iov[2] = {{buf, len / 3}, {(char *)buf + len / 3, len - len / 3}};
    struct aio_req req = {.op = op,
                          .file = file,
                          .fd = env->fd,
                          .niov = 2,
                          .iov = iov,
                          .offset = offset,
                          .length = len,
                          .done = on_done,
                          .ctx = env};

    aio_submit(env->aio, &req);
    CHECK_EQ(env->done, 0);
    return turn_until_done(env);
}

static void transfers(enum aio_engine engine)
{
    static const enum aio_file files[] = {AIO_FILE_ANY, AIO_FILE_CACHED, AIO_FILE_MEMORY};
    char out[3000], in[3000];
    struct env env;

    setup(&env, engine);
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        memset(out, 'a' + (int)i, sizeof out);
        env.done = 0;
        CHECK_EQ(transfer(&env, AIO_WRITE, files[i], out, sizeof out, 100), sizeof out);
        env.done = 0;
        CHECK_EQ(transfer(&env, AIO_READ, files[i], in, sizeof in, 100), sizeof in);
        CHECK(!memcmp(in, out, sizeof in));
        /* a read ends where the file ends */
        env.done = 0;
        CHECK_EQ(transfer(&env, AIO_READ, files[i], in, sizeof in, 2100), 1000);
        env.done = 0;
        CHECK_EQ(transfer(&env, AIO_READ, files[i], in, sizeof in, 99999), 0);
    }
    (void)close(env.fd);
    env.done = 0;
    CHECK_EQ(transfer(&env, AIO_READ, AIO_FILE_ANY, in, sizeof in, 0), -EBADF);
    env.fd = -1;
    teardown(&env);
}

static void transfers_uring(void)
{
    transfers(AIO_URING);
}
static void transfers_plain(void)
{
    transfers(AIO_PLAIN);
}

static void sizes(enum aio_engine engine)
{
    static const enum aio_op ops[] = {AIO_EXTEND, AIO_PUNCH, AIO_SYNC};
    struct env env;
    struct stat st;

    setup(&env, engine);
    for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
        struct aio_req req = {.op = ops[i],
                              .fd = env.fd,
                              .offset = i ? 4096 : 0,
                              .length = i ? 8192 : 65536,
                              .done = on_done,
                              .ctx = &env};
        aio_submit(env.aio, &req);
        CHECK_EQ(turn_until_done(&env), 0);
        CHECK(!fstat(env.fd, &st));
        CHECK_EQ(st.st_size, 65536);
    }
    teardown(&env);
}

static void sizes_uring(void)
{
    sizes(AIO_URING);
}
static void sizes_plain(void)
{
    sizes(AIO_PLAIN);
}

/* More requests than the ring has room for, each resubmitted from its own callback. */
enum { MANY = 2000 };

struct many {
    struct aio_req req;
    struct iovec iov;
    char byte;
    unsigned left;
    unsigned *total;
    struct aio *aio;
};

static void on_many(struct aio_req *req, int64_t result)
{
    struct many *many = container_of(req, struct many, req);

    *many->total += result == 1;
    if (--many->left)
        aio_submit(many->aio, req);
}

static void flood(enum aio_engine engine)
{
    struct many *many = calloc(MANY, sizeof *many);
    unsigned total = 0;
    struct env env;

    setup(&env, engine);
    CHECK_EQ(pwrite(env.fd, "xy", 2, 0), 2);
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = (struct many){.left = 3, .total = &total, .aio = env.aio};
        many[i].iov = (struct iovec){&many[i].byte, 1};
        many[i].req = (struct aio_req){.op = AIO_READ,
                                       .fd = env.fd,
                                       .niov = 1,
                                       .iov = &many[i].iov,
                                       .length = 1,
                                       .done = on_many};
        aio_submit(env.aio, &many[i].req);
    }
    while (total < 3 * MANY && aio_run_once(env.aio, true) > 0)
        ;
    CHECK_EQ(total, 3 * MANY);
    CHECK_EQ(aio_run_once(env.aio, true), 0); /* nothing to wait for */
    free(many);
    teardown(&env);
}

static void flood_uring(void)
{
    flood(AIO_URING);
}
static void flood_plain(void)
{
    flood(AIO_PLAIN);
}

struct bell {
    struct aio_watch watch;
    unsigned rings;
};

static void on_bell(struct aio_watch *watch)
{
    container_of(watch, struct bell, watch)->rings++;
}

static void *ring_later(void *arg)
{
    (void)usleep(20000);
    (void)eventfd_write(*(int *)arg, 1);
    return NULL;
}

/* Wakes a sleeping loop, from another thread; twice; not after unwatch; and is not starved. */
static void watches(enum aio_engine engine)
{
    struct bell bell = {.watch.ready = on_bell}, other = {.watch.ready = on_bell};
    pthread_t thread;
    struct env env;

    setup(&env, engine);
    bell.watch.fd = eventfd(0, EFD_CLOEXEC);
    other.watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    aio_watch(env.aio, &bell.watch);
    aio_watch(env.aio, &other.watch);
    CHECK_EQ(aio_run_once(env.aio, false), 0);
    for (unsigned i = 1; i <= 2; i++) {
        CHECK(!pthread_create(&thread, NULL, ring_later, &bell.watch.fd));
        while (bell.rings < i && aio_run_once(env.aio, true) >= 0)
            ;
        (void)pthread_join(thread, NULL);
        CHECK_EQ(bell.rings, i);
        CHECK_EQ(other.rings, 0);
    }
    CHECK(!eventfd_write(other.watch.fd, 5));
    while (!other.rings && aio_run_once(env.aio, true) >= 0)
        ;
    CHECK_EQ(other.rings, 1);
    CHECK_EQ(aio_run_once(env.aio, false), 0); /* five at once are one */
    aio_unwatch(env.aio, &bell.watch);
    CHECK(!eventfd_write(bell.watch.fd, 1));
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(aio_run_once(env.aio, false), 0);
    CHECK_EQ(bell.rings, 2);
    (void)close(bell.watch.fd);
    (void)close(other.watch.fd);
    teardown(&env);
}

static void watches_uring(void)
{
    watches(AIO_URING);
}
static void watches_plain(void)
{
    watches(AIO_PLAIN);
}

struct busy {
    struct aio_req req;
    struct aio *aio;
    struct bell *bell;
    unsigned turns;
};

static void on_busy(struct aio_req *req, int64_t result)
{
    struct busy *busy = container_of(req, struct busy, req);

    if (!busy->bell->rings && ++busy->turns < 10000)
        aio_submit(busy->aio, req);
}

/* A thread that always has something to do still hears its doorbell. */
static void not_starved(enum aio_engine engine)
{
    struct bell bell = {.watch.ready = on_bell};
    char byte;
    struct iovec iov = {&byte, 1};
    struct env env;
    struct busy busy;

    setup(&env, engine);
    CHECK_EQ(pwrite(env.fd, "x", 1, 0), 1);
    busy = (struct busy){.aio = env.aio,
                         .bell = &bell,
                         .req = {.op = AIO_READ,
                                 .file = AIO_FILE_MEMORY,
                                 .fd = env.fd,
                                 .niov = 1,
                                 .iov = &iov,
                                 .length = 1,
                                 .done = on_busy}};
    bell.watch.fd = eventfd(1, EFD_CLOEXEC);
    aio_watch(env.aio, &bell.watch);
    aio_submit(env.aio, &busy.req);
    for (unsigned i = 0; i < 10000 && !bell.rings; i++)
        (void)aio_run_once(env.aio, true);
    CHECK(busy.turns < 200);
    while (busy.turns < 10000 && aio_run_once(env.aio, false) > 0)
        ;
    aio_unwatch(env.aio, &bell.watch);
    (void)close(bell.watch.fd);
    teardown(&env);
}

static void not_starved_uring(void)
{
    not_starved(AIO_URING);
}
static void not_starved_plain(void)
{
    not_starved(AIO_PLAIN);
}

static void *turn_elsewhere(void *arg)
{
    return (void *)(intptr_t)aio_run_once(arg, false);
}

/* The ring serves its owner; another thread must not drive some other ring by mistake. */
static void owner_only(void)
{
    pthread_t thread;
    void *result = NULL;
    struct env env;

    setup(&env, AIO_URING);
    CHECK_EQ(aio_run_once(env.aio, false), 0);
    CHECK(!pthread_create(&thread, NULL, turn_elsewhere, env.aio));
    CHECK(!pthread_join(thread, &result));
    CHECK_EQ((intptr_t)result, -EPERM);
    teardown(&env);
}

static void engine_names(void)
{
    enum aio_engine engine = AIO_ENGINE_MAX;

    CHECK(aio_engine_parse("plain", &engine) && engine == AIO_PLAIN);
    CHECK(aio_engine_parse("auto", &engine) && engine == AIO_AUTO);
    CHECK(!aio_engine_parse("Plain", &engine) && engine == AIO_AUTO);
}

TAP_MAIN(TAP_CASE(transfers_uring), TAP_CASE(transfers_plain), TAP_CASE(sizes_uring),
         TAP_CASE(sizes_plain), TAP_CASE(flood_uring), TAP_CASE(flood_plain),
         TAP_CASE(watches_uring), TAP_CASE(watches_plain), TAP_CASE(not_starved_uring),
         TAP_CASE(not_starved_plain), TAP_CASE(owner_only), TAP_CASE(engine_names))
