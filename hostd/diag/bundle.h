/* SPDX-License-Identifier: Apache-2.0 */
/* One file with all that somebody needs who is to find out what is wrong with a host: logs, what is
 * set, the VMs' .vmx files, what the machine is. Nothing secret: no accounts, no keys, and of a
 * .vmx no value of a key that speaks of a password.
 *
 * A tar archive, compressed with gzip, in BUNDLE_FOLDER of the host's folder; the newest
 * BUNDLES_KEPT are kept. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define BUNDLE_FOLDER "run/downloads"
enum { BUNDLES_KEPT = 3, BUNDLE_NAME_MAX = 64 };

struct bundle;
struct http_exchange;
struct hostd;

/* What goes in is listed first, by the loop's thread; a file is read later, when it is written, and
 * may be missing then. */
int bundle_create(struct bundle **ret_bundle);
void bundle_destroy(struct bundle *bundle); /* accepts NULL */
int bundle_add_file(struct bundle *bundle, const char *name, const char *path);
int bundle_add_text(struct bundle *bundle, const char *name, const struct buf *text);
int bundle_add_folder(struct bundle *bundle, const char *name, const char *path);

/* On any thread: writes BUNDLE_FOLDER/NAME, of a name that nobody can guess. */
int bundle_write(struct bundle *bundle, char name[BUNDLE_NAME_MAX], struct err *err);

/* GET /downloads/NAME, for whoever may Global.Diagnostics. */
void bundle_http_serve(struct hostd *hostd, struct http_exchange *x);
