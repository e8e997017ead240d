/* SPDX-License-Identifier: Apache-2.0 */
/* See tape.h. */
#include "tests/disk/tape.h"

#include <errno.h>

#include "base/range.h"

static struct tape *tape_of(const struct disk_host *host)
{
    return (struct tape *)(uintptr_t)host;
}

static struct tape_event *add(struct tape *tape, enum tape_kind kind)
{
    if (tape->count == tape->room) {
        tape->room = tape->room ? tape->room * 2 : 1024;
        tape->events = realloc(tape->events, tape->room * sizeof *tape->events);
        folder_require(tape->events != NULL, "tape");
    }
    tape->events[tape->count] = (struct tape_event){.kind = kind};
    return &tape->events[tape->count++];
}

/* -- Names ---------------------------------------------------------------------------------------
 */

static void remember_content(struct tape *tape, unsigned file)
{
    struct stat st;
    int fd = tape->files[file].fd;

    folder_require(!fstat(fd, &st), "stat");
    tape->files[file].first_size = (uint64_t)st.st_size;
    tape->files[file].first = malloc((size_t)st.st_size + 1);
    folder_require(pread(fd, tape->files[file].first, (size_t)st.st_size, 0) == st.st_size, "read");
}

/* A file that is opened again (after its rename) goes on under its index: same inode. */
static int known(const struct tape *tape, const char *name)
{
    for (unsigned i = 0; i < tape->file_count; i++)
        if (!strcmp(tape->files[i].name, name))
            return (int)i;
    return -1;
}

static int tape_open(const struct disk_host *host, const char *name, unsigned flags)
{
    struct tape *tape = tape_of(host);
    int fd = tape->real->open(tape->real, name, flags), file;

    if (fd < 0)
        return fd;
    file = known(tape, name);
    if (file < 0) {
        folder_require(tape->file_count < ARRAY_SIZE(tape->files), "files");
        file = (int)tape->file_count++;
        (void)snprintf(tape->files[file].name, sizeof tape->files[file].name, "%s", name);
        tape->files[file].fd = fd;
        if (flags & DISK_FILE_CREATE) {
            struct tape_event *event = add(tape, TAPE_CREATE);
            event->file = (unsigned)file;
            (void)snprintf(event->name, sizeof event->name, "%s", name);
        } else {
            remember_content(tape, (unsigned)file);
        }
    }
    for (unsigned i = 0; i < tape->file_count; i++)
        if (tape->files[i].fd == fd)
            tape->files[i].fd = -1;
    if (flags & (DISK_FILE_WRITE | DISK_FILE_CREATE)) /* readers leave nothing to record */
        tape->files[file].fd = fd;
    return fd;
}

static int tape_rename(const struct disk_host *host, const char *from, const char *to)
{
    struct tape *tape = tape_of(host);
    struct tape_event *event;
    int rc = tape->real->rename(tape->real, from, to), file = known(tape, from);

    if (rc)
        return rc;
    event = add(tape, TAPE_RENAME);
    (void)snprintf(event->name, sizeof event->name, "%s", from);
    (void)snprintf(event->to, sizeof event->to, "%s", to);
    if (file >= 0)
        (void)snprintf(tape->files[file].name, sizeof tape->files[file].name, "%s", to);
    return 0;
}

static int tape_unlink(const struct disk_host *host, const char *name)
{
    struct tape *tape = tape_of(host);
    int rc = tape->real->unlink(tape->real, name);

    if (!rc)
        (void)snprintf(add(tape, TAPE_UNLINK)->name, sizeof tape->events->name, "%s", name);
    return rc;
}

static int tape_sync(const struct disk_host *host)
{
    struct tape *tape = tape_of(host);
    int rc = tape->real->sync(tape->real);

    if (!rc)
        (void)add(tape, TAPE_SYNC_FOLDER);
    return rc;
}

/* -- Requests ------------------------------------------------------------------------------------
 */

static void copy_data(struct tape_event *event, const struct aio_req *req)
{
    uint64_t at = 0;

    event->data = malloc(req->length + 1);
    folder_require(event->data != NULL, "tape");
    for (unsigned i = 0; i < req->niov; i++) {
        memcpy(event->data + at, req->iov[i].iov_base, req->iov[i].iov_len);
        at += req->iov[i].iov_len;
    }
}

static bool record(void *ctx, struct aio_req *req, int64_t *ret_result)
{
    struct tape *tape = ctx;
    struct tape_event *event;
    unsigned file = 0;

    if (req->op == AIO_READ)
        return false;
    while (file < tape->file_count && tape->files[file].fd != req->fd)
        file++;
    folder_require(file < tape->file_count, "a request on an unknown file");
    event = add(tape, TAPE_IO);
    event->op = req->op;
    event->file = file;
    event->offset = req->offset;
    event->length = req->length;
    if (req->op == AIO_WRITE)
        copy_data(event, req);
    return false;
}

void tape_init(struct tape *tape, const struct disk_host *real, struct aio *aio)
{
    *tape = (struct tape){.host = {.open = tape_open,
                                   .rename = tape_rename,
                                   .unlink = tape_unlink,
                                   .sync = tape_sync},
                          .real = real};
    aio_set_filter(aio, record, tape);
}

void tape_free(struct tape *tape)
{
    for (unsigned i = 0; i < tape->count; i++)
        free(tape->events[i].data);
    for (unsigned i = 0; i < tape->file_count; i++)
        free(tape->files[i].first);
    free(tape->events);
}

/* -- States --------------------------------------------------------------------------------------
 */

static uint64_t draw(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random >> 11;
}

static void put_zeroes(int fd, uint64_t offset, uint64_t length)
{
    struct stat st;

    folder_require(!fstat(fd, &st), "stat");
    if (offset >= (uint64_t)st.st_size)
        return;
    length = MIN(length, (uint64_t)st.st_size - offset);
    folder_require(
        !fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (off_t)offset, (off_t)length),
        "punch");
}

static void put_write(int fd, const struct tape_event *event, bool torn, uint64_t *random)
{
    for (uint64_t at = 0; at < event->length;) {
        uint64_t len = MIN(event->length - at, DISK_SECTOR - (event->offset + at) % DISK_SECTOR);

        if (!torn)
            len = event->length;
        if (!torn || draw(random) % 2)
            folder_require(pwrite(fd, event->data + at, len, (off_t)(event->offset + at)) ==
                               (ssize_t)len,
                           "write");
        at += len;
    }
}

static void put_event(int fd, const struct tape_event *event, bool torn, uint64_t *random)
{
    struct stat st;

    folder_require(!fstat(fd, &st), "stat");
    switch (event->op) {
    case AIO_WRITE:
        put_write(fd, event, torn, random);
        break;
    case AIO_EXTEND:
        if (event->offset + event->length > (uint64_t)st.st_size)
            folder_require(!ftruncate(fd, (off_t)(event->offset + event->length)), "grow");
        break;
    case AIO_TRUNCATE:
        folder_require(!ftruncate(fd, (off_t)event->offset), "truncate");
        break;
    case AIO_PUNCH:
    case AIO_ZERO:
        put_zeroes(fd, event->offset, event->length);
        break;
    default:
        break;
    }
}

static unsigned last_sync(const struct tape *tape, unsigned at, unsigned file)
{
    for (unsigned i = at; i-- > 0;)
        if (tape->events[i].kind == TAPE_IO && tape->events[i].op == AIO_SYNC &&
            tape->events[i].file == file && i + 1 < at)
            return i;
    return 0;
}

/* Content of one file: everything up to its last completed sync (an event that was followed by
 * another one had returned), then a subset; the subset's share differs from state to state. */
static void build_file(const struct tape *tape, unsigned at, unsigned file, uint64_t *random,
                       const struct folder *folder, const char *name)
{
    unsigned synced = last_sync(tape, at, file), keep = (unsigned)(draw(random) % 5);
    int fd;

    folder_write(folder, name, tape->files[file].first ? (void *)tape->files[file].first : "",
                 tape->files[file].first_size, 0);
    fd = openat(folder->dir.fd, name, O_RDWR | O_CLOEXEC);
    folder_require(fd >= 0, name);
    for (unsigned i = 0; i < at; i++) {
        const struct tape_event *event = &tape->events[i];

        if (event->kind != TAPE_IO || event->file != file)
            continue;
        if (i < synced)
            put_event(fd, event, false, random);
        else if (draw(random) % 4 < keep)
            put_event(fd, event, draw(random) % 3 == 0, random);
    }
    (void)close(fd);
}

void tape_cut(const struct tape *tape, unsigned at, uint64_t *random, const struct folder *folder)
{
    char names[16][64] = {0};
    unsigned sure = 0, upto = at;

    for (unsigned i = 0; i < tape->file_count; i++)
        if (tape->files[i].first)
            (void)snprintf(names[i], sizeof names[i], "%s", tape->files[i].name);
    for (unsigned i = 0; i + 1 < at; i++)
        if (tape->events[i].kind == TAPE_SYNC_FOLDER)
            sure = i;
    upto = sure + (unsigned)(draw(random) % (at - sure + 1));
    for (unsigned i = 0; i < upto; i++) {
        const struct tape_event *event = &tape->events[i];

        if (event->kind == TAPE_CREATE)
            (void)snprintf(names[event->file], sizeof names[0], "%s", event->name);
        for (unsigned f = 0; f < tape->file_count; f++) {
            if (strcmp(names[f], event->name) || event->kind == TAPE_CREATE ||
                event->kind == TAPE_IO || !*names[f])
                continue;
            if (event->kind == TAPE_RENAME)
                (void)snprintf(names[f], sizeof names[f], "%s", event->to);
            else if (event->kind == TAPE_UNLINK)
                names[f][0] = '\0';
        }
    }
    for (unsigned f = 0; f < tape->file_count; f++)
        if (*names[f])
            build_file(tape, at, f, random, folder, names[f]);
}
