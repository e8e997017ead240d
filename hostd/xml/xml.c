/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/xml/xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <string.h>

#include "base/arena_text.h"

struct open_element {
    struct xml_element *element, **end; /* where the next child goes */
    struct arena_text text;
};

struct reader {
    XML_Parser parser;
    struct arena *arena;
    struct open_element open[XML_DEPTH_MAX];
    unsigned depth;
    size_t elements;
    struct xml_element *root;
    int result;
    struct err *err;
};

static void stop(struct reader *r, int code, const char *why)
{
    if (!r->result)
        r->result = err_set(r->err, code, "line %lu: %s", XML_GetCurrentLineNumber(r->parser), why);
    (void)XML_StopParser(r->parser, XML_FALSE);
}

const char *xml_local_name(const char *name)
{
    const char *colon = strrchr(name, ':');

    return colon ? colon + 1 : name;
}

static struct xml_attribute *read_attributes(struct arena *arena, const char **attributes)
{
    struct xml_attribute *first = NULL, **end = &first;

    for (; *attributes; attributes += 2) {
        if (!strncmp(attributes[0], "xmlns", 5))
            continue;
        struct xml_attribute *a = arena_alloc(arena, sizeof *a);
        const char *local = xml_local_name(attributes[0]);
        a->name = arena_strdup(arena, local);
        a->prefixed = local != attributes[0];
        a->value = arena_strdup(arena, attributes[1]);
        *end = a;
        end = &a->next;
    }
    return first;
}

static void XMLCALL on_start(void *ctx, const char *name, const char **attributes)
{
    struct reader *r = ctx;

    if (r->depth == XML_DEPTH_MAX || ++r->elements > XML_ELEMENTS_MAX || arena_exceeded(r->arena)) {
        stop(r, -E2BIG, r->depth == XML_DEPTH_MAX ? "nested too deeply" : "too large");
        return;
    }
    struct xml_element *element = arena_alloc(r->arena, sizeof *element);
    element->name = arena_strdup(r->arena, xml_local_name(name));
    element->text = "";
    element->line = (unsigned)XML_GetCurrentLineNumber(r->parser);
    element->attributes = read_attributes(r->arena, attributes);
    if (r->depth) {
        struct open_element *parent = &r->open[r->depth - 1];
        *parent->end = element;
        parent->end = &element->next;
    } else {
        r->root = element;
    }
    r->open[r->depth++] = (struct open_element){.element = element, .end = &element->first};
}

static void XMLCALL on_end(void *ctx, const char *name)
{
    struct reader *r = ctx;

    if (r->depth)
        r->depth--;
}

static void XMLCALL on_text(void *ctx, const char *text, int len)
{
    struct reader *r = ctx;

    if (!r->depth || len <= 0)
        return;
    struct open_element *open = &r->open[r->depth - 1];
    if (arena_text_put(r->arena, &open->text, text, (size_t)len) < 0)
        stop(r, -E2BIG, "too large");
    else
        open->element->text = open->text.data;
}

static void XMLCALL on_doctype(void *ctx, const char *name, const char *system_id,
                               const char *public_id, int has_subset)
{
    stop(ctx, -EINVAL, "a document type declaration is refused");
}

int xml_parse(struct arena *arena, const void *text, size_t len, struct xml_element **ret_root,
              struct err *err)
{
    if (len > INT_MAX)
        return err_set(err, -E2BIG, "too large");
    struct reader r = {.parser = XML_ParserCreate(NULL), .arena = arena, .err = err};
    if (!r.parser)
        return err_sys(err, -ENOMEM, "XML");
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    if (XML_Parse(r.parser, text, (int)len, 1) != XML_STATUS_OK && !r.result)
        r.result = err_set(err, -EINVAL, "line %lu: %s", XML_GetCurrentLineNumber(r.parser),
                           XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    if (!r.result)
        *ret_root = r.root;
    return r.result;
}

struct xml_element *xml_child(const struct xml_element *parent, const char *name)
{
    struct xml_element *child = parent ? parent->first : NULL;

    while (child && strcmp(child->name, name) != 0)
        child = child->next;
    return child;
}

struct xml_element *xml_again(const struct xml_element *element)
{
    struct xml_element *next = element->next;

    while (next && strcmp(next->name, element->name) != 0)
        next = next->next;
    return next;
}

const char *xml_attribute(const struct xml_element *element, const char *name)
{
    const char *prefixed = xml_prefixed(element, name);

    return prefixed ? prefixed : xml_unprefixed(element, name);
}

static const char *attribute(const struct xml_element *element, const char *name, bool prefixed)
{
    const struct xml_attribute *a = element ? element->attributes : NULL;

    while (a && (a->prefixed != prefixed || strcmp(a->name, name) != 0))
        a = a->next;
    return a ? a->value : NULL;
}

const char *xml_prefixed(const struct xml_element *element, const char *name)
{
    return attribute(element, name, true);
}

const char *xml_unprefixed(const struct xml_element *element, const char *name)
{
    return attribute(element, name, false);
}

const char *xml_text(struct arena *arena, const struct xml_element *parent, const char *name)
{
    const struct xml_element *child = xml_child(parent, name);
    const char *text = child ? child->text : "";

    text += strspn(text, " \t\r\n");
    size_t len = strlen(text);
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    return text[len] ? arena_strndup(arena, text, len) : text;
}
