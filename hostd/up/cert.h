/* SPDX-License-Identifier: Apache-2.0 */
/* The host's certificate: self-signed at first use, P-256, for the machine's name, localhost and
 * the loopback addresses; ten years, since clients that trust it have its thumbprint. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Makes ROOTDIR_CERT and ROOTDIR_KEY in the working directory unless both are there. */
int cert_ensure(struct err *err);

/* Thumbprint of ROOTDIR_CERT as clients write it, "AB:CD:..."; `digest` "SHA1" or "SHA256". */
enum { CERT_THUMBPRINT_MAX = 96 };
int cert_thumbprint(const char *digest, char text[CERT_THUMBPRINT_MAX]);

struct cert_info {
    char issuer[256], subject[256]; /* "O=Socle,CN=host" */
    int64_t not_before, not_after;  /* s since 1970 */
};
int cert_read(struct cert_info *ret_info, struct err *err);

/* A signing request for ROOTDIR_KEY, PEM. `subject` as "/O=Org/CN=name", NULL: the certificate's.
 */
int cert_request(const char *subject, struct buf *out, struct err *err);

/* Puts another certificate (PEM; those of its issuers may follow) in ROOTDIR_CERT's place. -EINVAL:
 * it is none, it is not for ROOTDIR_KEY, or not valid now. The front has to be told. */
int cert_install(const char *pem, struct err *err);
