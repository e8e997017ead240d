/* SPDX-License-Identifier: Apache-2.0 */
/* Names of files on datastores, and how they are opened.
 *
 *   "[datastore1] dir/file"              the API's way
 *   "/vmfs/volumes/NAME-OR-ID/dir/file"  in .vmx files and with libvirt
 *   /folder/dir/file?dsName=datastore1   HTTP
 *
 * All of them become a name relative to the datastore's folder: no leading '/', no empty, "." or
 * ".." element, none that begins as the host's own marks do, and no control character; "" is the
 * folder itself. Opening never follows a symbolic link and never leaves the folder (openat2,
 * RESOLVE_BENEATH): what stands on a datastore is foreign. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#define DSPATH_OWN ".socle-"
enum { DSPATH_MAX = 1024, DSPATH_NAME_MAX = 80 };

struct dspath {
    char datastore[DSPATH_NAME_MAX + 1]; /* its name, or from a /vmfs path its name or id */
    char rel[DSPATH_MAX];
};

/* -EINVAL: it is none. */
int dspath_parse(const char *text, struct dspath *ret_path);
int dspath_parse_vmfs(const char *text, struct dspath *ret_path);

/* Copies `text` without superfluous slashes; false if it is not a name as described. */
bool dspath_normalize(const char *text, char rel[DSPATH_MAX]);

/* "[datastore] rel" */
void dspath_format(const char *datastore, const char *rel, char *text, size_t size);

/* Below the folder `dir_fd`; rel "" is the folder. -errno; -EXDEV and -ELOOP for what would lead
 * out. */
int dspath_open(int dir_fd, const char *rel, int flags, mode_t mode);
int dspath_stat(int dir_fd, const char *rel, struct stat *ret_st);
/* The folder that `rel` is in, opened, and its last element (points into rel). */
int dspath_open_parent(int dir_fd, const char *rel, const char **ret_last);
/* All folders on the way to `rel`'s last element. */
int dspath_make_parents(int dir_fd, const char *rel);
/* A file, or a folder with all that is in it. */
int dspath_remove(int dir_fd, const char *rel);
