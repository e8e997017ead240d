/* SPDX-License-Identifier: Apache-2.0 */
/* Reading SOAP: the envelope, and its values by the shapes that the method declares. */
#include <errno.h>
#include <string.h>

#include "hostd/api/soap.h"
#include "hostd/api/text.h"
#include "hostd/api/value.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/xml/xml.h"

unsigned soap_version(const char *action)
{
    const char *slash = action ? strchr(action, '/') : NULL;
    if (!slash)
        return vim_version_count - 1;
    return vim_find_version(slash + 1, strcspn(slash + 1, "\"'# \t"));
}

static int read_single(struct arena *arena, const struct xml_element *e, struct vim_shape shape,
                       struct vim_any *ret_value, struct err *err);

static const char *trim(struct arena *arena, const char *text)
{
    text += strspn(text, " \t\r\n");
    size_t len = strlen(text);
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    return arena_strndup(arena, text, len);
}

static int read_ref(struct arena *arena, const struct xml_element *e, struct vim_shape shape,
                    struct vim_any *ret_value, struct err *err)
{
    const char *name = xml_unprefixed(e, "type");
    if (name)
        name = xml_local_name(name);
    const struct vim_managed *type = name ? vim_find_managed(name) : &vim_managed[shape.of];
    if (!type)
        return err_set(err, -EINVAL, "there is no managed object type \"%s\"", name);
    const char *id = trim(arena, e->text);
    *ret_value = *id ? vim_any_ref((struct vim_ref){type, id}) : vim_any_none();
    return 0;
}

static const char *xsi_type(const struct xml_element *e)
{
    const char *type = xml_prefixed(e, "type");
    return type ? xml_local_name(type) : NULL;
}

static bool is_nil(const struct xml_element *e)
{
    const char *nil = xml_prefixed(e, "nil");
    return nil && (!strcmp(nil, "true") || !strcmp(nil, "1"));
}

/* The members of a data object; those that the type does not have are a newer client's. */
static int read_members(struct arena *arena, const struct xml_element *e, struct vim_data *data,
                        struct err *err)
{
    struct value_seen seen = {0};
    for (const struct xml_element *c = e->first; c; c = c->next) {
        const struct vim_property *prop = vim_type_property(data->type, c->name, strlen(c->name));
        if (!prop || is_nil(c))
            continue;
        struct vim_any value;
        struct vim_shape shape = prop->shape;
        shape.list = false;
        int r = read_single(arena, c, shape, &value, err);
        if (!r)
            r = value_set(arena, data, prop, &value, &seen, err);
        if (r < 0)
            return err_prefix(err, r, "%s", prop->name);
    }
    return value_complete(data, &seen, err);
}

static int read_data(struct arena *arena, const struct xml_element *e, struct vim_shape shape,
                     struct vim_any *ret_value, struct err *err)
{
    const struct vim_type *declared = &vim_types[shape.of], *type = declared;
    const char *name = xsi_type(e);
    if (name)
        type = vim_find_type(name);
    if (!type || !vim_type_is(type, declared))
        return err_set(err, -EINVAL, "a %s cannot be a %s", name, declared->name);
    struct vim_data *data = vim_new(arena, type);
    int r = read_members(arena, e, data, err);
    if (!r)
        *ret_value = vim_any_data_(data);
    return r;
}

static int read_array(struct arena *arena, const struct xml_element *e, struct vim_shape shape,
                      struct vim_any *ret_value, struct err *err)
{
    struct vim_list list = {0};
    VIM_EMPTY(&list);
    shape.list = false;
    for (const struct xml_element *c = e->first; c; c = c->next) {
        struct vim_any value;
        int r = read_single(arena, c, shape, &value, err);
        if (!r)
            r = value_append(arena, &list, shape, &value, err);
        if (r < 0)
            return r;
    }
    *ret_value = vim_any_list(shape.kind, shape.of, &list);
    return 0;
}

static int read_any(struct arena *arena, const struct xml_element *e, struct vim_any *ret_value,
                    struct err *err)
{
    struct vim_shape shape = {.kind = VIM_STRING};
    const char *name = xsi_type(e);
    if (name && (value_shape(name, &shape) < 0 ||
                 (shape.kind == VIM_ANY && !shape.list))) /* anyType is no type of a value */
        return err_set(err, -EINVAL, "there is no type \"%s\"", name);
    if (!name && e->first)
        return err_set(err, -EINVAL, "a value of any type must name its type");
    return shape.list ? read_array(arena, e, shape, ret_value, err)
                      : read_single(arena, e, shape, ret_value, err);
}

static int read_single(struct arena *arena, const struct xml_element *e, struct vim_shape shape,
                       struct vim_any *ret_value, struct err *err)
{
    if (arena_exceeded(arena))
        return err_set(err, -E2BIG, "too large");
    switch (shape.kind) {
    case VIM_ANY:
        return read_any(arena, e, ret_value, err);
    case VIM_REF:
        return read_ref(arena, e, shape, ret_value, err);
    case VIM_DATA:
        return read_data(arena, e, shape, ret_value, err);
    default:
        if (text_parse_value(arena, shape, arena_strdup(arena, e->text), ret_value) < 0)
            return err_set(err, -EINVAL, "\"%.40s\" is no %s", e->text, vim_shape_name(shape));
        return 0;
    }
}

/* --- the request --- */

static void read_headers(struct call *call, const struct xml_element *envelope,
                         const char **ret_cookie)
{
    const struct xml_element *header = xml_child(envelope, "Header");
    const struct xml_element *id = xml_child(header, "operationID");
    const struct xml_element *cookie = xml_child(header, "vcSessionCookie");
    call->operation_id = id ? trim(call->arena, id->text) : NULL;
    *ret_cookie = cookie ? trim(call->arena, cookie->text) : NULL;
}

static int read_target(struct call *call, const struct xml_element *request, struct err *err)
{
    const struct xml_element *this = xml_child(request, "_this");
    struct vim_any value = vim_any_none();
    struct vim_shape shape = {.kind = VIM_REF, .of = (uint16_t)(call->method->owner - vim_managed)};
    int r = this ? read_ref(call->arena, this, shape, &value, err) : 0;
    if (r < 0)
        return r;
    if (value.shape.kind == VIM_NONE)
        return err_set(err, -EINVAL, "_this is missing");
    call->target = value.ref;
    return 0;
}

static int read_envelope(struct call *call, const struct xml_element *envelope,
                         const char **ret_cookie, struct err *err)
{
    const struct xml_element *body = xml_child(envelope, "Body");
    if (strcmp(envelope->name, "Envelope") != 0 || !body || !body->first)
        return err_set(err, -EINVAL, "it is no SOAP envelope");
    const struct xml_element *request = body->first;
    read_headers(call, envelope, ret_cookie);
    call->method = vim_find_method(request->name);
    if (!call->method && call->api && call->api->ops->rewrite &&
        call->api->ops->rewrite(call, request))
        return 0;
    if (!call->method)
        return err_set(err, -ENOENT, "there is no method \"%.80s\"", request->name);
    struct vim_data *args = vim_new(call->arena, call->method->args);
    call->args = args;
    int r = read_target(call, request, err);
    return r < 0 ? r : read_members(call->arena, request, args, err);
}

int soap_read(struct call *call, const char *action, const void *body, size_t len,
              const char **ret_cookie)
{
    struct err err = ERR_INIT;
    struct arena cleanup_arena tree; /* goes with this function: a call may wait for long */
    struct xml_element *envelope = NULL;
    arena_init(&tree, arena_left(call->arena));
    *ret_cookie = NULL;
    call->version = soap_version(action);
    int r = xml_parse(&tree, body, len, &envelope, &err);
    if (!r)
        r = read_envelope(call, envelope, ret_cookie, &err);
    if (r < 0)
        CALL_FAULT_TEXT(call, InvalidRequest, "The request is not valid: %s", err.text);
    return r;
}
