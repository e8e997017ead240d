/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a host's certificate is the right one. Hosts sign their own, so what counts is that it is
 * the same as last time: like ssh, the first contact shows the fingerprint (SHA-256 of the
 * certificate) and asks, and what was agreed to is kept in hosts of the user's configuration
 * (~/.config/socle/hosts; a line a host: NAME:PORT FINGERPRINT). A certificate that the system's
 * authorities vouch for needs no question. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/err.h"

enum { PIN_TEXT_MAX = 96 };

enum pin_verdict { PIN_GOOD, PIN_UNKNOWN, PIN_CHANGED };

struct pin {
    char host[256]; /* as the certificate should name it */
    unsigned port;
    char wanted[PIN_TEXT_MAX]; /* "AB:CD:..."; "": not known yet */
    bool insecure;
    char seen[PIN_TEXT_MAX]; /* the certificate that came last */
    enum pin_verdict verdict;
};

/* Looks up what is known of host and port unless `fingerprint` says it. -EINVAL: is none. */
int pin_init(struct pin *pin, const char *host, unsigned port, const char *fingerprint,
             struct err *err);

/* Has connections of this context checked; `pin` must outlive it. A refused one fails its
 * handshake, and the verdict says why. */
void pin_guard(struct pin *pin, SSL_CTX *ctx);

/* After PIN_UNKNOWN: asks the person. 0: now it is known, and kept. -ENOTCONN. */
int pin_ask(struct pin *pin, struct err *err);
/* After PIN_CHANGED: what to say. */
int pin_complain(const struct pin *pin, struct err *err);
