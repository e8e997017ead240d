/* SPDX-License-Identifier: Apache-2.0 */
/* An XML document as a tree in an arena, reduced to what SOAP needs: local names, text, two
 * attributes. Bounded by SOAP_DEPTH_MAX, SOAP_ELEMENTS_MAX and the arena's limit; a DOCTYPE ends
 * the reading. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

struct soap_element {
    const char *name;     /* without prefix */
    const char *text;     /* character data between the children, joined; never NULL */
    const char *xsi_type; /* without prefix, or NULL */
    const char *type;     /* the attribute without prefix: a reference's type; or NULL */
    bool nil;
    struct soap_element *first, *next; /* child, sibling */
};

/* 0; -EINVAL (not well-formed, or refused), -E2BIG (too deep, too many). */
int soap_parse(struct arena *arena, const void *body, size_t len, struct soap_element **ret_root,
               struct err *err);

/* The first child of that name, or NULL; accepts a NULL parent. */
struct soap_element *soap_child(const struct soap_element *parent, const char *name);
