/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/diag/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/ustar.h"
#include "hostd/hostd.h"
#include "hostd/http/server.h"
#include "hostd/model/inventory.h"
#include "hostd/session/session.h"
#include "hostd/web.h"

enum { MEMBERS_MAX = 10000, PROC_MAX = 4 << 20 };

struct member {
    char name[USTAR_NAME_MAX + 1];
    char *path; /* NULL: text */
    struct buf text;
};

struct bundle {
    struct member *list;
    unsigned count;
};

int bundle_create(struct bundle **ret_bundle)
{
    *ret_bundle = calloc(1, sizeof **ret_bundle);
    return *ret_bundle ? 0 : -ENOMEM;
}

void bundle_destroy(struct bundle *bundle)
{
    for (unsigned i = 0; bundle && i < bundle->count; i++) {
        free(bundle->list[i].path);
        buf_free(&bundle->list[i].text);
    }
    free(bundle ? bundle->list : NULL);
    free(bundle);
}

static int add(struct bundle *bundle, const char *name, struct member **ret_member)
{
    struct member *list = bundle->count < MEMBERS_MAX
                              ? realloc(bundle->list, (bundle->count + 1) * sizeof *bundle->list)
                              : NULL;

    if (!list)
        return -ENOMEM;
    bundle->list = list;
    struct member *m = &list[bundle->count++];
    *m = (struct member){0};
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    *ret_member = m;
    return 0;
}

int bundle_add_file(struct bundle *bundle, const char *name, const char *path)
{
    struct member *m;
    int rc = add(bundle, name, &m);

    if (rc == 0 && !(m->path = strdup(path)))
        rc = -ENOMEM;
    return rc;
}

int bundle_add_text(struct bundle *bundle, const char *name, const struct buf *text)
{
    struct member *m;
    int rc = add(bundle, name, &m);

    if (rc == 0)
        buf_put(&m->text, text->data, text->len);
    return rc == 0 && m->text.failed ? -ENOMEM : rc;
}

int bundle_add_folder(struct bundle *bundle, const char *name, const char *path)
{
    DIR *dir = opendir(path);
    char member[USTAR_NAME_MAX + 1], file[512];
    int rc = dir ? 0 : -errno;

    for (struct dirent *e; rc == 0 && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || strlen(e->d_name) > 64)
            continue;
        (void)snprintf(member, sizeof member, "%.32s/%.64s", name, e->d_name);
        (void)snprintf(file, sizeof file, "%.256s/%.64s", path, e->d_name);
        rc = bundle_add_file(bundle, member, file);
    }
    if (dir)
        (void)closedir(dir);
    return rc;
}

/* --- writing --- */

static const uint8_t zeros[2 * USTAR_BLOCK];

static bool put(gzFile out, const void *data, size_t len)
{
    return !len || gzwrite(out, data, (unsigned)len) == (int)len;
}

static bool put_head(gzFile out, const char *top, const char *name, uint64_t size)
{
    char full[2 * USTAR_NAME_MAX + 2];
    uint8_t head[USTAR_BLOCK];

    (void)snprintf(full, sizeof full, "%s/%s", top, name);
    return ustar_head(head, full, size, time(NULL)) == 0 && put(out, head, sizeof head);
}

static bool put_text(gzFile out, const char *top, const struct member *m, const struct buf *text)
{
    return put_head(out, top, m->name, text->len) && put(out, text->data, text->len) &&
           put(out, zeros, ustar_padding(text->len));
}

/* As much as the file had when it was begun: logs grow meanwhile, or start anew. */
static bool put_content(gzFile out, int fd, uint64_t size)
{
    uint8_t data[65536];

    for (uint64_t left = size; left;) {
        size_t want = left < sizeof data ? (size_t)left : sizeof data;
        ssize_t n = read(fd, data, want);
        if (n <= 0) {
            memset(data, 0, want);
            n = (ssize_t)want;
        }
        if (!put(out, data, (size_t)n))
            return false;
        left -= (uint64_t)n;
    }
    return put(out, zeros, ustar_padding(size));
}

/* A file that is not there (any more) is no failure: the rest is worth having. What /proc has says
 * no size. */
static bool put_file(gzFile out, const char *top, const struct member *m)
{
    cleanup_fd int fd = open(m->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return true;
    if (st.st_size > 0)
        return put_head(out, top, m->name, (uint64_t)st.st_size) &&
               put_content(out, fd, (uint64_t)st.st_size);
    cleanup_buf struct buf text = {0};
    return file_load(AT_FDCWD, m->path, PROC_MAX, &text, NULL) < 0 || put_text(out, top, m, &text);
}

static int put_members(const struct bundle *bundle, gzFile out, const char *top)
{
    bool good = true;

    for (unsigned i = 0; good && i < bundle->count; i++) {
        const struct member *m = &bundle->list[i];
        good = m->path ? put_file(out, top, m) : put_text(out, top, m, &m->text);
    }
    return good && put(out, zeros, sizeof zeros) ? 0 : -EIO;
}

static int newest_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name); /* names begin with their date */
}

static int is_bundle(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void forget_old(void)
{
    struct dirent **list;
    int count = scandir(BUNDLE_FOLDER, &list, is_bundle, newest_first);
    char path[300];

    for (int i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, BUNDLE_FOLDER "/%.200s", list[i]->d_name);
        if (i >= BUNDLES_KEPT)
            (void)unlink(path);
        free(list[i]);
    }
    if (count >= 0)
        free(list);
}

static int make_name(char name[BUNDLE_NAME_MAX])
{
    time_t now = time(NULL);
    uint64_t random;
    struct tm tm;
    char date[32];

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -errno;
    (void)gmtime_r(&now, &tm);
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H%M%S", &tm);
    (void)snprintf(name, BUNDLE_NAME_MAX, "socle-%s-%016llx.tgz", date, (unsigned long long)random);
    return 0;
}

int bundle_write(struct bundle *bundle, char name[BUNDLE_NAME_MAX], struct err *err)
{
    char path[128], top[32];
    int rc = mkdir(BUNDLE_FOLDER, 0700) < 0 && errno != EEXIST ? -errno : make_name(name);

    if (rc < 0)
        return err_sys(err, rc, "cannot make the folder \"" BUNDLE_FOLDER "\"");
    (void)snprintf(path, sizeof path, BUNDLE_FOLDER "/%s", name);
    (void)snprintf(top, sizeof top, "%.23s", name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    gzFile out = fd < 0 ? NULL : gzdopen(fd, "wb6");
    if (!out) {
        rc = fd < 0 ? -errno : -ENOMEM;
        (void)close_fd(fd);
        return err_sys(err, rc, "cannot write \"%s\"", path);
    }
    rc = put_members(bundle, out, top);
    if (gzclose(out) != Z_OK && rc == 0)
        rc = -EIO;
    if (rc < 0) {
        (void)unlink(path);
        return err_sys(err, rc, "cannot write \"%s\"", path);
    }
    forget_old();
    return 0;
}

/* --- fetching --- */

static void send_file(struct http_stream *stream, void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct stat st;

    if (fstat(fd, &st) == 0 &&
        http_stream_head(stream, 200, "application/gzip", NULL, (uint64_t)st.st_size) == 0)
        (void)http_stream_sendfile(stream, fd, 0, (uint64_t)st.st_size);
    (void)close(fd);
}

static void drop_file(void *arg)
{
    (void)close((int)(intptr_t)arg);
}

void bundle_http_serve(struct hostd *hostd, struct http_exchange *x)
{
    const struct session *session = web_session(hostd, x);
    const char *name = x->head.path + strlen("/downloads/");
    char path[300];

    if (!session) {
        http_answer_text(x, 401, "log in first");
        return;
    }
    if (!entity_allows(hostd, session->user, inventory_root(hostd->inventory),
                       "Global.Diagnostics")) {
        http_answer_text(x, 403, "Permission to perform this operation was denied.");
        return;
    }
    (void)snprintf(path, sizeof path, BUNDLE_FOLDER "/%.200s", name);
    bool reads = x->head.method == HTTP_GET || x->head.method == HTTP_HEAD;
    int fd = reads && *name && *name != '.' && !strchr(name, '/')
                 ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
                 : -1;
    if (fd < 0)
        http_answer_text(x, 404, "there is nothing here");
    else
        http_transfer(x, send_file, drop_file, (void *)(intptr_t)fd);
}
