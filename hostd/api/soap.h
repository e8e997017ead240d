/* SPDX-License-Identifier: Apache-2.0 */
/* SOAP 1.1 as the vSphere Web Services API binds it: reading requests, writing responses.
 *
 * Reading accepts any prefix, default namespaces, CDATA, character references, a byte order mark,
 * xsi:type or none; refuses a DOCTYPE, what is beyond xml.h's limits, or more memory
 * than the arena's limit. Elements of a request that its type does not have are
 * skipped (clients newer than we are send them), values that are not of their type are faults. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "hostd/api/call.h"

/* Fills call->{method, target, args, version, operation_id}. `action`: the SOAPAction header, NULL
 * if there was none. 0, or a negative errno with the call's fault set (and text). *ret_cookie: the
 * session key of a vcSessionCookie header, in the arena, or NULL. */
int soap_read(struct call *call, const char *action, const void *body, size_t len,
              const char **ret_cookie);

/* The whole response, envelope included: the result, or the fault. HTTP status 200 or 500. */
void soap_write(struct buf *out, const struct call *call);

/* The version a SOAPAction asks for: index in vim_versions; our newest for what says none. */
unsigned soap_version(const char *action);

/* One value as the element <name>, as it stands inside a response; for files, tests, and the
 * XML strings of the reflection interface. */
void soap_write_value(struct buf *out, const char *name, const struct vim_any *value,
                      struct vim_shape declared, unsigned version);
