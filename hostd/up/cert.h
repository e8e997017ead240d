/* SPDX-License-Identifier: Apache-2.0 */
/* The host's certificate: self-signed at first use, P-256, for the machine's name, localhost and
 * the loopback addresses; ten years, since clients that trust it have its thumbprint. */
#pragma once

#include <stddef.h>

#include "base/err.h"

/* Makes ROOTDIR_CERT and ROOTDIR_KEY in the working directory unless both are there. */
int cert_ensure(struct err *err);

/* Thumbprint of ROOTDIR_CERT as clients write it, "AB:CD:..."; `digest` "SHA1" or "SHA256". */
enum { CERT_THUMBPRINT_MAX = 96 };
int cert_thumbprint(const char *digest, char text[CERT_THUMBPRINT_MAX]);
