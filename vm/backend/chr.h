/* SPDX-License-Identifier: Apache-2.0 */
/* Where a serial port or console ends on the host: a stream of bytes both ways over a descriptor
 * that somebody else opened (this runs in `vmx`, which opens nothing).
 *
 *   CHR_NONE    swallows what is written, never says anything
 *   CHR_STREAM  a connected descriptor: socket, pipe, terminal
 *   CHR_LISTEN  a listening Unix socket; one client at a time, the next waits in the backlog and
 *               gets in when the first has gone. Without a client, output is dropped.
 *   CHR_FILE    output only
 *
 * There is no buffer in here: chr_write takes what the descriptor takes now. What it does not take
 * stays with the user, whose guest is held back by that (flow control), until `writable`. A reader
 * that takes nothing for CHR_STALL_NS is held for dead: from then on output is dropped and counted,
 * so that it can not block the guest for ever; as soon as it reads again, output goes on.
 *
 * One thread: the loop's. Callbacks come from the loop only, never from inside a call. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/loop.h"

enum chr_kind { CHR_NONE, CHR_STREAM, CHR_LISTEN, CHR_FILE, CHR_KIND_MAX };

#define CHR_STALL_NS UINT64_C(2000000000)

struct chr;

struct chr_user {
    void (*readable)(void *ctx);      /* input may be there: chr_read until it returns 0 */
    void (*writable)(void *ctx);      /* after chr_write took less than it was given */
    void (*link)(void *ctx, bool up); /* a client came or went; may be NULL */
    void *ctx;
};

struct chr_stats {
    uint64_t in, out, dropped; /* bytes */
    uint64_t connects;
};

/* Takes `fd` over on success; it must not be blocking unless it is a socket or a file (it is set
 * so). CHR_NONE: -1. */
int chr_create(enum chr_kind kind, int fd, struct loop *loop, struct chr **ret_chr,
               struct err *err);
void chr_destroy(struct chr *chr);
DEFINE_CLEANUP(struct chr *, chr_destroy)
#define cleanup_chr CLEANUP(chr_destroy_cleanup_)

/* Whoever is called back; replaces the one before. NULL: nobody, input waits. Input is not wanted
 * until chr_want_input(true). */
void chr_set_user(struct chr *chr, const struct chr_user *user);
void chr_want_input(struct chr *chr, bool want);

size_t chr_read(struct chr *chr, void *data, size_t len); /* 0: nothing now */
/* Bytes that are done with, sent or dropped; less than given: wait for `writable`. */
size_t chr_write(struct chr *chr, const struct iovec *iov, int count);

bool chr_link(const struct chr *chr); /* is anybody there */
struct chr_stats chr_stats(const struct chr *chr);

/* For the parent, which does open things. A socket that nobody listens on any more is replaced; a
 * live one, or anything else at `path`, is -EADDRINUSE. Files are appended to. */
int chr_listen_unix(const char *path, int *ret_fd, struct err *err);
int chr_open_file(const char *path, int *ret_fd, struct err *err);
