/* SPDX-License-Identifier: Apache-2.0 */
/* expat's events made into a tree. Prefixes are cut off rather than resolved: clients disagree
 * about namespaces more than they use them. An attribute with a prefix that is called type is
 * xsi:type, one without is a reference's. */
#include "hostd/api/soap_dom.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <string.h>

#include "base/arena_text.h"
#include "hostd/api/soap.h"

struct open_element {
    struct soap_element *element, **end; /* where the next child goes */
    struct arena_text text;
};

struct reader {
    XML_Parser parser;
    struct arena *arena;
    struct open_element open[SOAP_DEPTH_MAX];
    unsigned depth;
    size_t elements;
    struct soap_element *root;
    int result;
    struct err *err;
};

static void stop(struct reader *r, int code, const char *why)
{
    if (!r->result)
        r->result = err_set(r->err, code, "%s", why);
    (void)XML_StopParser(r->parser, XML_FALSE);
}

static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void read_attributes(struct reader *r, struct soap_element *element, const char **attributes)
{
    for (; *attributes; attributes += 2) {
        const char *local = local_name(attributes[0]), *value = attributes[1];
        bool prefixed = local != attributes[0];
        if (!strcmp(local, "type"))
            *(prefixed ? &element->xsi_type : &element->type) =
                arena_strdup(r->arena, local_name(value));
        else if (prefixed && !strcmp(local, "nil"))
            element->nil = !strcmp(value, "true") || !strcmp(value, "1");
    }
}

static void XMLCALL on_start(void *ctx, const char *name, const char **attributes)
{
    struct reader *r = ctx;
    if (r->depth == SOAP_DEPTH_MAX || ++r->elements > SOAP_ELEMENTS_MAX ||
        arena_exceeded(r->arena)) {
        stop(r, -E2BIG, r->depth == SOAP_DEPTH_MAX ? "nested too deeply" : "too large");
        return;
    }
    struct soap_element *element = arena_new(r->arena, struct soap_element);
    element->name = arena_strdup(r->arena, local_name(name));
    element->text = "";
    read_attributes(r, element, attributes);
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

int soap_parse(struct arena *arena, const void *body, size_t len, struct soap_element **ret_root,
               struct err *err)
{
    if (len > INT_MAX)
        return err_set(err, -E2BIG, "too large");
    struct reader r = {.parser = XML_ParserCreate(NULL), .arena = arena, .err = err};
    if (!r.parser)
        return err_set(err, -ENOMEM, "out of memory");
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    enum XML_Status status = XML_Parse(r.parser, body, (int)len, 1);
    if (status != XML_STATUS_OK && !r.result)
        r.result = err_set(err, -EINVAL, "line %lu: %s", XML_GetCurrentLineNumber(r.parser),
                           XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    if (!r.result)
        *ret_root = r.root;
    return r.result;
}

struct soap_element *soap_child(const struct soap_element *parent, const char *name)
{
    struct soap_element *child = parent ? parent->first : NULL;
    while (child && strcmp(child->name, name) != 0)
        child = child->next;
    return child;
}
