/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/package.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { BLOCK = 512, EXTENSION_MAX = 1 << 16, ENTRIES_MAX = 65536 };

/* A tar head: names of its fields are those of POSIX. */
struct tar_head {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], chksum[8], typeflag,
        linkname[100], magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8],
        prefix[155], pad[12];
};
_Static_assert(sizeof(struct tar_head) == BLOCK, "a head is a block");

static int damaged(struct err *err, const char *what)
{
    return err_set(err, -EBADMSG, "the archive is damaged: %s", what);
}

/* Octal digits, or, as GNU tar has it for what is large, 0x80 and a number in bytes. */
static int number(const char *field, size_t len, uint64_t *ret_v)
{
    uint64_t v = 0;
    size_t i = 0;

    if ((unsigned char)*field == 0x80) {
        for (i = 1; i < len; i++) {
            if (v >> 56)
                return -ERANGE;
            v = v << 8 | (unsigned char)field[i];
        }
        *ret_v = v;
        return 0;
    }
    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(field[i] - '0');
    if (i < len && field[i] != ' ' && field[i] != '\0')
        return -EINVAL;
    *ret_v = v;
    return 0;
}

/* The sum of all bytes, with blanks for the sum itself. */
static bool sum_right(const struct tar_head *head)
{
    const unsigned char *bytes = (const unsigned char *)head;
    uint64_t want, sum = 0;

    for (size_t i = 0; i < sizeof *head; i++)
        sum += i >= 148 && i < 156 ? ' ' : bytes[i];
    return number(head->chksum, sizeof head->chksum, &want) == 0 && want == sum;
}

/* What the next head's own name and size are instead. */
struct extension {
    char name[PACKAGE_NAME_MAX];
    uint64_t size;
    bool has_size;
};

static int take_name(struct extension *x, const char *name, size_t len, struct err *err)
{
    if (len >= sizeof x->name)
        return damaged(err, "a name is too long");
    (void)snprintf(x->name, sizeof x->name, "%.*s", (int)len, name);
    return 0;
}

/* pax: "25 path=a-long-name.vmdk\n" again and again. */
static int take_records(struct extension *x, const char *text, size_t len, struct err *err)
{
    while (len) {
        char *end;
        unsigned long record = strtoul(text, &end, 10);
        const char *equals = memchr(text, '=', len);
        if (record < 5 || record > len || *end != ' ' || !equals || equals >= text + record ||
            text[record - 1] != '\n')
            return damaged(err, "an extended head");
        const char *value = equals + 1;
        size_t value_len = (size_t)(text + record - 1 - value);
        int rc = 0;
        if (!strncmp(end + 1, "path=", 5)) {
            rc = take_name(x, value, value_len, err);
        } else if (!strncmp(end + 1, "size=", 5)) {
            x->size = strtoull(value, NULL, 10);
            x->has_size = true;
        }
        if (rc < 0)
            return rc;
        text += record;
        len -= record;
    }
    return 0;
}

static int extend(int fd, uint64_t at, uint64_t size, char kind, struct extension *x,
                  struct err *err)
{
    cleanup_free char *text = size <= EXTENSION_MAX ? malloc(size + 1) : NULL;

    if (!text || pread(fd, text, size, (off_t)at) != (ssize_t)size)
        return damaged(err, "an extended head");
    text[size] = '\0';
    return kind == 'L' ? take_name(x, text, strlen(text), err)
                       : take_records(x, text, (size_t)size, err);
}

static int add_file(struct package *p, const struct tar_head *head, const struct extension *x,
                    uint64_t offset, uint64_t size, struct err *err)
{
    char own[PACKAGE_NAME_MAX];
    const char *name = x->name;

    if (p->count == PACKAGE_FILES_MAX)
        return damaged(err, "it has too many files");
    if (!*name) {
        bool long_name = !memcmp(head->magic, "ustar", 6) && *head->prefix;
        (void)snprintf(own, sizeof own, "%.*s%s%.*s", long_name ? 155 : 0, head->prefix,
                       long_name ? "/" : "", 100, head->name);
        name = own;
    }
    while (!strncmp(name, "./", 2))
        name += 2;
    struct package_file *files = realloc(p->files, (p->count + 1) * sizeof *files);
    if (!files)
        return err_sys(err, -ENOMEM, "package");
    p->files = files;
    struct package_file *f = &files[p->count++];
    *f = (struct package_file){.offset = offset, .size = size};
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    return 0;
}

/* All heads, up to the block of zeros that ends it. */
static int read_heads(struct package *p, uint64_t total, struct err *err)
{
    struct extension x = {0};
    struct tar_head head;
    uint64_t at = 0;

    for (unsigned entries = 0; entries < ENTRIES_MAX; entries++) {
        uint64_t size;
        if (at + BLOCK > total || pread(p->fd, &head, BLOCK, (off_t)at) != BLOCK)
            return damaged(err, "its end is missing");
        if (!*head.name)
            return 0;
        if (!sum_right(&head) || number(head.size, sizeof head.size, &size) < 0)
            return damaged(err, "a head's sum is wrong");
        at += BLOCK;
        bool file = head.typeflag == '0' || head.typeflag == '\0' || head.typeflag == '7';
        if (file && x.has_size)
            size = x.size;
        if (size > total - at)
            return damaged(err, "a file is cut off");
        int rc = 0;
        if (head.typeflag == 'x' || head.typeflag == 'L')
            rc = extend(p->fd, at, size, head.typeflag, &x, err);
        else if (file)
            rc = add_file(p, &head, &x, at, size, err);
        if (rc < 0)
            return rc;
        if (head.typeflag != 'x' && head.typeflag != 'L')
            x = (struct extension){0};
        at += size + (BLOCK - size % BLOCK) % BLOCK;
        if (at > total)
            return damaged(err, "a file is cut off");
    }
    return damaged(err, "it has too many entries");
}

/* --- opening --- */

static void split(struct package *p, const char *path)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    size_t len = strlen(file);
    const char *end = len > 4 ? file + len - 4 : "";
    bool known = !strcasecmp(end, ".ovf") || !strcasecmp(end, ".ova");

    (void)snprintf(p->folder, sizeof p->folder, "%.*s", (int)(file - path), path);
    (void)snprintf(p->stem, sizeof p->stem, "%.*s", (int)(known ? len - 4 : len), file);
    (void)snprintf(p->descriptor, sizeof p->descriptor, "%s", file);
}

static bool find_descriptor(struct package *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        const char *name = p->files[i].name;
        size_t len = strlen(name);
        if (len > 4 && !strcasecmp(name + len - 4, ".ovf")) {
            (void)snprintf(p->descriptor, sizeof p->descriptor, "%s", name);
            return true;
        }
    }
    return false;
}

/* A descriptor begins with a mark of XML; a head of tar has a sum that fits. */
static bool is_archive(int fd)
{
    struct tar_head head;

    return pread(fd, &head, sizeof head, 0) == sizeof head && *head.name && sum_right(&head);
}

int package_open(struct package *package, const char *path, struct err *err)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    *package = (struct package){.fd = -1};
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno == ENOENT ? -ENOENT : -EIO, "cannot read \"%s\": %s", path,
                       strerror(errno));
    split(package, path);
    if (!is_archive(fd))
        return 0;
    package->fd = TAKE_FD(fd);
    int rc = read_heads(package, (uint64_t)st.st_size, err);
    if (rc == 0 && !find_descriptor(package))
        rc = damaged(err, "it has no .ovf file");
    return rc < 0 ? err_prefix(err, rc, "\"%s\"", path) : 0;
}

void package_close(struct package *package)
{
    package->fd = close_fd(package->fd);
    free(package->files);
    package->files = NULL;
    package->count = 0;
}

/* --- files --- */

static int file_beside(const struct package *p, const char *name, int *ret_fd, uint64_t *ret_size,
                       struct err *err)
{
    cleanup_free char *path = NULL;
    struct stat st;

    if (asprintf(&path, "%s%s", p->folder, name) < 0)
        return err_sys(err, -ENOMEM, "name");
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno == ENOENT ? -ENOENT : -EIO, "cannot read \"%s\": %s", path,
                       strerror(errno));
    *ret_fd = TAKE_FD(fd);
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

int package_file(const struct package *p, const char *name, int *ret_fd, uint64_t *ret_size,
                 struct err *err)
{
    if (!*name || strchr(name, '/'))
        return err_set(err, -EINVAL, "the package names a file \"%s\"", name);
    if (p->fd < 0)
        return file_beside(p, name, ret_fd, ret_size, err);
    for (unsigned i = 0; i < p->count; i++) {
        const struct package_file *f = &p->files[i];
        if (strcmp(f->name, name) != 0)
            continue;
        int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0 || lseek(fd, (off_t)f->offset, SEEK_SET) < 0) {
            (void)close_fd(fd);
            return err_sys(err, -EIO, "\"%s\"", name);
        }
        *ret_fd = fd;
        *ret_size = f->size;
        return 0;
    }
    return err_set(err, -ENOENT, "the package has no file \"%s\"", name);
}
