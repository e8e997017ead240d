/* SPDX-License-Identifier: Apache-2.0 */
/* VI/JSON, the other binding of the same API: GET /sdk/vim25/{version}/{Type}/{id}/{property} and
 * POST
 * .../{Method} with one object of arguments.
 *
 * Data objects have _typeName first (optional where it is what is declared); in places of any type
 * numbers, strings, enums and arrays are boxed, {"_typeName": "string", "_value": "x"}. A fault is
 * HTTP 500 (401 without a session) with the fault object. Reading is bounded by JSON_DEPTH_MAX
 * levels, JSON_ITEMS_MAX values and the arena's limit; members that a type does not have are
 * skipped. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "hostd/api/call.h"

enum {
    JSON_DEPTH_MAX = 128,
    JSON_ITEMS_MAX = 200000,
};

/* Splits the path behind "/sdk/vim25/" and fills call->{version, target, method}; for GET the
 * method is Fetch. 0, or -ENOENT: nothing can be there. */
int json_route(struct call *call, bool get, const char *path);

/* The arguments of call->method. 0, or -errno with the call's fault set. */
int json_read(struct call *call, const void *body, size_t len);

/* One object of `type` or of a type derived from it, from its text (what json_write_value wrote).
 */
int json_read_data(struct arena *arena, const struct vim_type *type, const void *text, size_t len,
                   struct vim_data **ret_data, struct err *err);

/* The finished call's response; returns the HTTP status. An empty body goes with 204. */
int json_write(struct buf *out, const struct call *call);

/* One value as it stands where `declared` is declared. */
void json_write_value(struct buf *out, const struct vim_any *value, struct vim_shape declared,
                      unsigned version);
/* The reverse, for what we have written ourselves: the text of one value of that shape. Required
 * members may be missing. */
int json_read_value(struct arena *arena, const char *text, size_t len, struct vim_shape declared,
                    struct vim_any *ret_value);
