/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/up/web_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/program.h"

enum { FILE_SIZE_MAX = 16 << 20 };

/* Also on a full disk a host starts whose files are there. */
static bool has_file(int dir, const char *name, const struct buf *text)
{
    cleanup_buf struct buf there = {0};

    return file_load(dir, name, FILE_SIZE_MAX, &there, NULL) == 0 && there.len == text->len &&
           !memcmp(there.data, text->data, text->len);
}

/* Files of an earlier version stay: a page that is open still asks for its parts. */
static int copy_file(int from, int to, const char *name, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = file_load(from, name, FILE_SIZE_MAX, &text, err);

    if (rc < 0)
        return err_prefix(err, rc, "the host client's file \"%s\"", name);
    return has_file(to, name, &text) ? 0 : file_replace(to, name, 0644, text.data, text.len, err);
}

static int copy_all(DIR *dir, int to, unsigned *count, struct err *err)
{
    const struct dirent *entry;
    int rc = 0;

    while (rc == 0 && (entry = readdir(dir)))
        if (entry->d_type != DT_DIR && entry->d_name[0] != '.') {
            rc = copy_file(dirfd(dir), to, entry->d_name, err);
            *count += rc == 0;
        }
    return rc;
}

int web_files_install(unsigned *ret_count, struct err *err)
{
    char path[PATH_MAX];
    unsigned count = 0;

    *ret_count = 0;
    if (mkdir(WEB_FILES_FOLDER, 0755) < 0 && errno != EEXIST)
        return err_sys(err, -errno, "cannot make the folder \"%s\"", WEB_FILES_FOLDER);
    if (program_find("web/client", path, sizeof path, NULL) < 0)
        return 0;
    DIR *dir = opendir(path);
    if (!dir)
        return err_sys(err, -errno, "cannot read the host client in \"%s\"", path);
    cleanup_fd int to = open(WEB_FILES_FOLDER, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    int rc =
        to < 0 ? err_sys(err, -errno, "\"%s\"", WEB_FILES_FOLDER) : copy_all(dir, to, &count, err);
    (void)closedir(dir);
    if (rc == 0)
        *ret_count = count;
    return rc;
}
