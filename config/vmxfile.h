/* SPDX-License-Identifier: Apache-2.0 */
/* A .vmx file as ESXi writes it: a dictionary of strings that also remembers how it was written.
 *
 * Lines are `key = "value"`, comments (#) or blank. Keys are found in any case but written back as
 * found; a value spells special characters as a pipe and two hex digits (|22 is a quote). Reading a
 * file and writing it gives the same bytes; changing a value rewrites that line alone. Where a key
 * stands twice, the last line counts, and both are kept until the key is set or removed.
 *
 * Content is UTF-8. A file that states another .encoding is accepted as long as it is pure ASCII.
 *
 * Input is foreign: everything has a limit, and an error names the file and the line. Not
 * thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

enum {
    VMXFILE_SIZE_MAX = 1 << 20,
    VMXFILE_LINES_MAX = 16384,
    VMXFILE_KEY_MAX = 256,
    VMXFILE_VALUE_MAX = 64 << 10, /* after unescaping */
};

struct vmxfile;

/* An empty dictionary. `name` is what messages call the file; it is copied. */
int vmxfile_create(const char *name, struct vmxfile **ret_vmx);

/* -EBADMSG where the bytes are no .vmx; `name` as above. */
int vmxfile_parse(const char *name, const void *data, size_t len, struct vmxfile **ret_vmx,
                  struct err *err);
int vmxfile_load(const char *path, struct vmxfile **ret_vmx, struct err *err);
void vmxfile_destroy(struct vmxfile *vmx);
DEFINE_CLEANUP(struct vmxfile *, vmxfile_destroy)
#define cleanup_vmxfile CLEANUP(vmxfile_destroy_cleanup_)

const char *vmxfile_name(const struct vmxfile *vmx);

/* The unescaped value, NULL when the key is absent. Borrowed until the dictionary changes. */
const char *vmxfile_get(const struct vmxfile *vmx, const char *key);

/* Typed reads leave *v alone and return 0 when the key is absent or its value empty: the caller
 * puts the default there. A value that does not fit is -EINVAL and a message with its line. */
int vmxfile_get_bool(const struct vmxfile *vmx, const char *key, bool *v, struct err *err);
int vmxfile_get_u64(const struct vmxfile *vmx, const char *key, uint64_t min, uint64_t max,
                    uint64_t *v, struct err *err);
int vmxfile_get_unsigned(const struct vmxfile *vmx, const char *key, unsigned min, unsigned max,
                         unsigned *v, struct err *err);
int vmxfile_get_i64(const struct vmxfile *vmx, const char *key, int64_t min, int64_t max,
                    int64_t *v, struct err *err);

/* A complaint about the value of `key`, with file and line in front; returns `code`. */
int vmxfile_complain(const struct vmxfile *vmx, const char *key, struct err *err, int code,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Walks all keys in the file's order, duplicates included: call with *at = 0, NULL ends. */
const char *vmxfile_next_key(const struct vmxfile *vmx, size_t *at);

/* Setting a value that is there already changes nothing. A new key goes to the end. The first text
 * beyond ASCII turns .encoding to UTF-8. -EINVAL for what no file can hold (a key with a blank,
 * text that is not UTF-8, another .encoding), -E2BIG past a limit, -ENOMEM. */
int vmxfile_set(struct vmxfile *vmx, const char *key, const char *value);
int vmxfile_set_bool(struct vmxfile *vmx, const char *key, bool v);
int vmxfile_set_u64(struct vmxfile *vmx, const char *key, uint64_t v);
void vmxfile_remove(struct vmxfile *vmx, const char *key);
/* All keys that begin so; "" is all of them. */
void vmxfile_remove_prefixed(struct vmxfile *vmx, const char *prefix);

/* The file's bytes. Check out->failed. */
void vmxfile_write(const struct vmxfile *vmx, struct buf *out);

/* Replaces the file at `path` so that a crash leaves the old or the new content, never a mixture:
 * a new file beside it, fsync, rename, fsync of the folder. Mode of the old file is kept. */
int vmxfile_save(const struct vmxfile *vmx, const char *path, struct err *err);
