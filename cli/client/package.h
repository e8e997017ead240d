/* SPDX-License-Identifier: Apache-2.0 */
/* An OVF package as it lies on this machine: an .ovf file with others beside it, or all of them in
 * one .ova, which is a tar archive (POSIX 1003.1 ustar, with the long names and sizes of pax and
 * GNU tar) whose first file is the .ovf. Files are found by name in either, and read where they
 * are: nothing is unpacked.
 *
 * An archive is foreign: heads are checked by their sum, files lie within it, there are at most
 * PACKAGE_FILES_MAX of them. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

enum { PACKAGE_FILES_MAX = 1024, PACKAGE_NAME_MAX = 512 };

struct package_file {
    char name[PACKAGE_NAME_MAX];
    uint64_t offset, size;
};

struct package {
    char folder[4096]; /* "folder/" or "": where the .ovf or the archive is */
    char stem[256];    /* "a" of "folder/a.ovf", "folder/a.ova" */
    char descriptor[PACKAGE_NAME_MAX];
    int fd;                     /* the archive; -1: the files lie in the folder */
    struct package_file *files; /* of the archive */
    unsigned count;
};

/* An archive or not: by what the file is, not by its name. -ENOENT; -EBADMSG: an archive that is
 * damaged, or without an .ovf. In every case the caller closes it. */
int package_open(struct package *package, const char *path, struct err *err);
void package_close(struct package *package);
#define cleanup_package CLEANUP(package_close)

/* A file of it, from its beginning on; the caller closes *ret_fd. -ENOENT: there is none of that
 * name. -EINVAL: the name leads elsewhere. */
int package_file(const struct package *package, const char *name, int *ret_fd, uint64_t *ret_size,
                 struct err *err);
