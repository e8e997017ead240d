/* SPDX-License-Identifier: Apache-2.0 */
/* A small XML document as a tree, for descriptors that strangers wrote: names without prefixes,
 * attributes kept. A document type declaration is refused; depth, elements and, by the arena, bytes
 * are bounded. */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

enum { XML_DEPTH_MAX = 64, XML_ELEMENTS_MAX = 100000 };

struct xml_attribute {
    const char *name, *value;
    struct xml_attribute *next;
};

struct xml_element {
    const char *name;
    const char *text; /* all of it directly in the element; never NULL */
    unsigned line;
    struct xml_attribute *attributes;
    struct xml_element *first, *next;
};

/* -EINVAL: not well-formed, with the line; -E2BIG: a limit. */
int xml_parse(struct arena *arena, const char *text, size_t len, struct xml_element **ret_root,
              struct err *err);

/* The first child of that name; and the next sibling of the same name. NULL; accepts NULL. */
struct xml_element *xml_child(const struct xml_element *parent, const char *name);
struct xml_element *xml_again(const struct xml_element *element);
/* NULL without it. */
const char *xml_attribute(const struct xml_element *element, const char *name);
/* Text of a child without blanks around it; "" when there is none. */
const char *xml_text(struct arena *arena, const struct xml_element *parent, const char *name);
