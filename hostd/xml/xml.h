/* SPDX-License-Identifier: Apache-2.0 */
/* An XML document that a stranger wrote, as a tree in an arena: SOAP requests, OVF descriptors.
 *
 * Prefixes are cut off rather than resolved: programs disagree about namespaces more than they use
 * them. Of an attribute it is kept whether it had one (xsi:type, or a type of its own). A document
 * type declaration ends the reading; depth, elements and, by the arena, bytes are bounded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

enum { XML_DEPTH_MAX = 128, XML_ELEMENTS_MAX = 200000 };

struct xml_attribute {
    const char *name, *value;
    bool prefixed;
    struct xml_attribute *next;
};

struct xml_element {
    const char *name;
    const char *text; /* character data between the children, joined; never NULL */
    unsigned line;
    struct xml_attribute *attributes;
    struct xml_element *first, *next; /* child, sibling */
};

/* -EINVAL: not well-formed, or refused; -E2BIG: a limit; `err` has the line. */
int xml_parse(struct arena *arena, const void *text, size_t len, struct xml_element **ret_root,
              struct err *err);

/* The first child of that name; and the next sibling of the same name. NULL; accepts NULL. */
struct xml_element *xml_child(const struct xml_element *parent, const char *name);
struct xml_element *xml_again(const struct xml_element *element);
/* An attribute by its local name; one that has a prefix, one that has none. NULL without it. */
const char *xml_attribute(const struct xml_element *element, const char *name);
const char *xml_prefixed(const struct xml_element *element, const char *name);
const char *xml_unprefixed(const struct xml_element *element, const char *name);
/* A name without its prefix, as xsi:type's values are. */
const char *xml_local_name(const char *name);
/* Text of a child without blanks around it; "" when there is none. */
const char *xml_text(struct arena *arena, const struct xml_element *parent, const char *name);
