/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files of its corpus, so that an ordinary build has them as a test.
 * A folder without a file is a failure: a replay of nothing proves nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"

enum { INPUT_MAX = 4 << 20 };

static int read_file(int folder, const char *name, struct buf *out)
{
    cleanup_fd int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    if (fd < 0)
        return -errno;
    while (n > 0 && out->len < INPUT_MAX) {
        char chunk[4096];
        n = read(fd, chunk, sizeof chunk);
        if (n > 0)
            buf_put(out, chunk, (size_t)n);
    }
    return n < 0 ? -errno : out->failed ? -ENOMEM : 0;
}

/* The input in memory of exactly its size, so that a read past its end is seen by ASan. */
static int replay(const struct buf *input)
{
    cleanup_free uint8_t *data = malloc(input->len ? input->len : 1);

    if (!data)
        return -ENOMEM;
    if (input->len)
        memcpy(data, input->data, input->len);
    return LLVMFuzzerTestOneInput(data, input->len);
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    unsigned count = 0;
    int rc = 0;

    if (!folder) {
        (void)fprintf(stderr, "usage: %s CORPUS-FOLDER (it must exist)\n", argv[0]);
        return 2;
    }
    for (const struct dirent *entry; !rc && (entry = readdir(folder));) {
        cleanup_buf struct buf input = {0};
        if (entry->d_name[0] == '.')
            continue;
        (void)fprintf(stderr, "%s\n", entry->d_name); /* the last line names what broke */
        rc = read_file(dirfd(folder), entry->d_name, &input);
        if (!rc)
            rc = replay(&input);
        count++;
    }
    (void)closedir(folder);
    (void)fprintf(stderr, "%u inputs%s%s\n", count, rc ? ": " : "", rc ? strerror(-rc) : "");
    return rc || !count;
}
