/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/datastore/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse_num.h"
#include "base/range.h"
#include "hostd/datastore/dspath.h"
#include "hostd/datastore/unfinished.h"

enum { BLOCK = 4096, NUMBER_MAX = 24 };

/* --- Content-Range (RFC 9110, 14.4) --- */

static int number(const char *from, const char *to, uint64_t *ret_value)
{
    char text[NUMBER_MAX];

    if (to <= from || to - from >= NUMBER_MAX)
        return -EINVAL;
    (void)snprintf(text, sizeof text, "%.*s", (int)(to - from), from);
    return *text == '0' && text[1] == 'x' ? -EINVAL : parse_u64(text, 0, INT64_MAX, ret_value);
}

int content_range_parse(const char *value, struct content_range *ret_range)
{
    struct content_range range = {0};
    const char *slash = strchr(value, '/'), *dash = strchr(value, '-'), *at = value + 6;
    uint64_t last;

    if (strncmp(value, "bytes ", 6) != 0 || !slash ||
        number(slash + 1, value + strlen(value), &range.total) < 0)
        return -EINVAL;
    range.query = slash == at + 1 && *at == '*';
    if (!range.query) {
        if (!dash || dash > slash || number(at, dash, &range.first) < 0 ||
            number(dash + 1, slash, &last) < 0 || last < range.first || last >= range.total)
            return -EINVAL;
        range.end = last + 1;
    }
    *ret_range = range;
    return 0;
}

/* --- bytes into the file --- */

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return !bytes[0] && !memcmp(bytes, bytes + 1, len - 1);
}

static int write_at(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
    while (len) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);
        if (n < 0 && errno != EINTR)
            return -errno;
        n = MAX(n, (ssize_t)0);
        data += n;
        len -= (size_t)n;
        offset += (size_t)n;
    }
    return 0;
}

/* The file is new from `offset` on: what is zero up to the end of its block need not be written,
 * whether the rest of the block came before or comes later. */
static int put(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
    size_t pending = 0, at = 0;
    int rc = 0;

    while (at < len && rc == 0) {
        size_t n = MIN(len - at, (size_t)(BLOCK - (offset + at) % BLOCK));
        if (all_zero(data + at, n)) {
            rc = write_at(fd, data + pending, at - pending, offset + pending);
            pending = at + n;
        }
        at += n;
    }
    return rc < 0 ? rc : write_at(fd, data + pending, len - pending, offset + pending);
}

/* All of the body, from `at` on; where it ended. What came before a failure is counted as well. */
static int receive(struct http_stream *stream, int fd, uint64_t at, uint64_t *ret_end)
{
    const uint8_t *data;
    ssize_t n;
    int rc = 0;

    while (rc == 0 && (n = http_stream_borrow(stream, &data)) > 0) {
        rc = put(fd, data, (size_t)n, at);
        at += rc == 0 ? (uint64_t)n : 0;
    }
    *ret_end = at;
    rc = rc < 0 ? rc : n < 0 ? (int)n : 0;
    if (ftruncate(fd, (off_t)at) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

/* --- names --- */

struct place {
    int parent; /* the folder */
    const char *last;
    char beside[DSPATH_MAX + 16];
    bool there;
    unsigned folders; /* made for it */
    struct unfinished record;
};

static void name_beside(struct place *place, const char *rel, bool partial)
{
    const char *slash = strrchr(rel, '/'), *last = slash ? slash + 1 : rel;

    if (partial)
        (void)snprintf(place->beside, sizeof place->beside, ".%.200s.partial", last);
    else
        (void)snprintf(place->beside, sizeof place->beside, ".%.200s.upload-%08lx", last,
                       (unsigned long)random());
}

/* What grows without being kept, and folders for it: in the record. */
static int record_place(struct place *place, const char *datastore, const char *rel)
{
    const char *slash = strrchr(rel, '/');
    char beside[2 * DSPATH_MAX];

    (void)snprintf(beside, sizeof beside, "%.*s%s", slash ? (int)(slash - rel) + 1 : 0, rel,
                   place->beside);
    return unfinished_begin(&place->record, UNFINISHED_FILE, datastore, beside, place->folders);
}

static int find_place(struct place *place, const char *datastore, int dir_fd, const char *rel,
                      bool partial)
{
    struct stat st;

    name_beside(place, rel, partial);
    place->folders = partial ? 0 : unfinished_folders(dir_fd, rel);
    int rc = partial ? 0 : record_place(place, datastore, rel);
    if (rc == 0)
        rc = dspath_make_parents(dir_fd, rel);
    if (rc < 0)
        return rc;
    place->parent = dspath_open_parent(dir_fd, rel, &place->last);
    if (place->parent < 0)
        return place->parent;
    place->there = fstatat(place->parent, place->last, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (place->there && !S_ISREG(st.st_mode))
        return -EACCES;
    return 0;
}

static int publish(const struct place *place, int fd)
{
    if (fsync(fd) < 0)
        return -errno;
    return renameat(place->parent, place->beside, place->parent, place->last) < 0 ? -errno : 0;
}

static int store_whole(struct http_stream *stream, const struct place *place, struct upload *upload)
{
    cleanup_fd int fd =
        openat(place->parent, place->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    if (fd < 0)
        return -errno;
    int rc = receive(stream, fd, 0, &upload->have);
    rc = rc < 0 ? rc : publish(place, fd);
    if (rc < 0)
        (void)unlinkat(place->parent, place->beside, 0);
    upload->whole = rc == 0;
    return rc;
}

/* One after the other: a second connection at the same file waits for nobody, it is refused. */
static int open_partial(const struct place *place, bool create, uint64_t *ret_have)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (create ? O_CREAT : 0);
    cleanup_fd int fd = openat(place->parent, place->beside, flags, 0644);
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -EACCES;
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
        return -EBUSY;
    *ret_have = (uint64_t)st.st_size;
    return TAKE_FD(fd);
}

static int store_part(struct http_stream *stream, const struct place *place,
                      const struct content_range *range, struct upload *upload)
{
    cleanup_fd int fd = open_partial(place, !range->query, &upload->have);

    if (range->query && fd == -ENOENT)
        return 0;
    if (fd < 0 || range->query)
        return MIN(fd, 0);
    if (range->first > upload->have || (range->first && range->first < upload->have))
        return -ERANGE;
    if (!range->first && ftruncate(fd, 0) < 0)
        return -errno;
    int rc = receive(stream, fd, range->first, &upload->have);
    if (rc == 0 && upload->have != range->end)
        rc = -EBADMSG; /* not as long as it said; the next part sees how long it is */
    if (rc == 0 && range->end == range->total) {
        rc = publish(place, fd);
        upload->whole = rc == 0;
    }
    return rc;
}

int upload_store(struct http_stream *stream, const char *datastore, int dir_fd, const char *rel,
                 struct upload *ret_upload)
{
    const char *header = http_header(http_stream_request(stream), "Content-Range");
    struct content_range range;
    struct place place = {.parent = -1};

    *ret_upload = (struct upload){0};
    if (header && content_range_parse(header, &range) < 0)
        return -EINVAL;
    int rc = find_place(&place, datastore, dir_fd, rel, header);
    if (rc == 0)
        rc = header ? store_part(stream, &place, &range, ret_upload)
                    : store_whole(stream, &place, ret_upload);
    ret_upload->is_new = !place.there;
    (void)close_fd(place.parent);
    if (rc < 0)
        unfinished_remove_folders(dir_fd, rel, place.folders);
    unfinished_end(&place.record);
    return rc;
}
