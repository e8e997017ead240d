/* SPDX-License-Identifier: Apache-2.0 */
/* Reading VI/JSON: jansson makes the tree, the declared shapes make values of it. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "hostd/api/json.h"
#include "hostd/api/text.h"
#include "hostd/api/value.h"
#include "hostd/api/vim_types.gen.h"

struct reader {
    struct arena *arena;
    struct err *err;
    unsigned depth;
    bool ours; /* written by ourselves: members that must be there may be missing */
};

static int read_single(struct reader *r, const json_t *json, struct vim_shape shape,
                       struct vim_any *ret_value);

static const char *member(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name)); /* NULL: not there or no string */
}

static int read_ref(struct reader *r, const json_t *json, struct vim_shape shape,
                    struct vim_any *ret_value)
{
    const char *name = member(json, "type"), *id = member(json, "value");
    const struct vim_managed *type = name ? vim_find_managed(name) : &vim_managed[shape.of];
    if (!id || !*id || !type)
        return err_set(r->err, -EINVAL, "is no reference to a managed object");
    *ret_value = vim_any_ref((struct vim_ref){type, arena_strdup(r->arena, id)});
    return 0;
}

/* One member: a single value, or the items of a list one by one. */
static int read_member(struct reader *r, const json_t *json, struct vim_data *data,
                       const struct vim_property *prop, struct value_seen *seen)
{
    struct vim_shape shape = {.kind = prop->shape.kind, .of = prop->shape.of};
    struct vim_any value;
    if (!prop->shape.list) {
        int e = read_single(r, json, shape, &value);
        return e ? e : value_set(r->arena, data, prop, &value, seen, r->err);
    }
    if (!json_is_array(json))
        return err_set(r->err, -EINVAL, "is no array");
    if (!json_array_size(json))
        VIM_EMPTY((struct vim_list *)(void *)((char *)data + prop->offset));
    for (size_t i = 0; i < json_array_size(json); i++) {
        int e = read_single(r, json_array_get(json, i), shape, &value);
        if (!e)
            e = value_set(r->arena, data, prop, &value, seen, r->err);
        if (e)
            return e;
    }
    return 0;
}

static int read_members(struct reader *r, json_t *json, struct vim_data *data)
{
    struct value_seen seen = {0};
    const char *name;
    json_t *item;
    json_object_foreach(json, name, item)
    {
        const struct vim_property *prop = vim_type_property(data->type, name, strlen(name));
        if (!prop || json_is_null(item))
            continue;
        int e = read_member(r, item, data, prop, &seen);
        if (e)
            return err_prefix(r->err, e, "%s", prop->name);
    }
    return r->ours ? 0 : value_complete(data, &seen, r->err);
}

static int read_data(struct reader *r, const json_t *json, struct vim_shape shape,
                     struct vim_any *ret_value)
{
    const struct vim_type *base = &vim_types[shape.of], *type = base;
    const char *name = member(json, "_typeName");
    if (!json_is_object(json))
        return err_set(r->err, -EINVAL, "is no object");
    if (name)
        type = vim_find_type(name);
    if (!type || !vim_type_is(type, base))
        return err_set(r->err, -EINVAL, "a %.80s cannot be a %s", name, base->name);
    struct vim_data *data = vim_new(r->arena, type);
    int e = read_members(r, (json_t *)json, data);
    if (!e)
        *ret_value = vim_any_data_(data);
    return e;
}

static int read_array(struct reader *r, const json_t *json, struct vim_shape shape,
                      struct vim_any *ret_value)
{
    struct vim_list list = {0};
    VIM_EMPTY(&list);
    shape.list = false;
    if (!json_is_array(json))
        return err_set(r->err, -EINVAL, "is no array");
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct vim_any value;
        int e = read_single(r, json_array_get(json, i), shape, &value);
        if (!e)
            e = value_append(r->arena, &list, shape, &value, r->err);
        if (e)
            return e;
    }
    *ret_value = vim_any_list(shape.kind, shape.of, &list);
    return 0;
}

/* Boxed, an object with its type, or a bare value whose type JSON tells. */
static int read_any(struct reader *r, const json_t *json, struct vim_any *ret_value)
{
    const char *name = member(json, "_typeName");
    const json_t *boxed = json_object_get(json, "_value");
    struct vim_shape shape = {.kind = VIM_STRING};
    if (name) {
        if (value_shape(name, &shape) < 0 || (shape.kind == VIM_ANY && !shape.list))
            return err_set(r->err, -EINVAL, "there is no type \"%.80s\"", name);
        json = boxed ? boxed : json;
        return shape.list ? read_array(r, json, shape, ret_value)
                          : read_single(r, json, shape, ret_value);
    }
    if (json_is_boolean(json))
        shape.kind = VIM_BOOL;
    else if (json_is_integer(json))
        shape.kind =
            json_integer_value(json) == (int32_t)json_integer_value(json) ? VIM_INT : VIM_LONG;
    else if (json_is_real(json))
        shape.kind = VIM_DOUBLE;
    else if (!json_is_string(json))
        return err_set(r->err, -EINVAL, "a value of any type must name its type");
    return read_single(r, json, shape, ret_value);
}

static int read_integer(struct reader *r, json_int_t v, uint8_t kind, struct vim_any *value)
{
    bool fits = true;
    switch (kind) {
    case VIM_BYTE:
        value->byte = (int8_t)v;
        fits = value->byte == v;
        break;
    case VIM_SHORT:
        value->s = (int16_t)v;
        fits = value->s == v;
        break;
    case VIM_INT:
        value->i = (int32_t)v;
        fits = value->i == v;
        break;
    default:
        value->l = v;
        break;
    }
    return fits ? 0 : err_set(r->err, -EINVAL, "%lld is out of range", (long long)v);
}

static int read_plain(struct reader *r, const json_t *json, struct vim_shape shape,
                      struct vim_any *ret_value)
{
    struct vim_any value = {.shape = {.kind = shape.kind, .of = shape.of}};
    bool number = shape.kind >= VIM_BYTE && shape.kind <= VIM_LONG;
    bool real = shape.kind == VIM_FLOAT || shape.kind == VIM_DOUBLE;
    int e = 0;
    if (shape.kind == VIM_BOOL && json_is_boolean(json))
        value.b = json_is_true(json);
    else if (number && json_is_integer(json))
        e = read_integer(r, json_integer_value(json), shape.kind, &value);
    else if (shape.kind == VIM_FLOAT && json_is_number(json))
        value.f = (float)json_number_value(json);
    else if (shape.kind == VIM_DOUBLE && json_is_number(json))
        value.d = json_number_value(json);
    else if (!json_is_string(json) || number || real || shape.kind == VIM_BOOL ||
             text_parse_value(r->arena, shape, arena_strdup(r->arena, json_string_value(json)),
                              &value) < 0)
        return err_set(r->err, -EINVAL, "is no %s", vim_shape_name(shape));
    *ret_value = value;
    return e;
}

static int read_single(struct reader *r, const json_t *json, struct vim_shape shape,
                       struct vim_any *ret_value)
{
    int e;
    if (arena_exceeded(r->arena) || r->depth == JSON_DEPTH_MAX)
        return err_set(r->err, -E2BIG, "too large or nested too deeply");
    r->depth++;
    switch (shape.kind) {
    case VIM_ANY:
        e = read_any(r, json, ret_value);
        break;
    case VIM_REF:
        e = read_ref(r, json, shape, ret_value);
        break;
    case VIM_DATA:
        e = read_data(r, json, shape, ret_value);
        break;
    default:
        e = read_plain(r, json, shape, ret_value);
        break;
    }
    r->depth--;
    return e;
}

int json_read_data(struct arena *arena, const struct vim_type *type, const void *text, size_t len,
                   struct vim_data **ret_data, struct err *err)
{
    struct reader r = {.arena = arena, .err = err};
    struct vim_shape shape = {.kind = VIM_DATA, .of = (uint16_t)(type - vim_types)};
    struct vim_any value;
    json_error_t why;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

    if (!json)
        return err_set(err, -EBADMSG, "line %d: %s", why.line, why.text);
    int e = read_data(&r, json, shape, &value);
    json_decref(json);
    if (!e)
        *ret_data = value.data;
    return e;
}

/* --- the request --- */

/* The parser's tree costs far more than its text: what would be too many values is not parsed. */
static bool too_many(const char *text, size_t len)
{
    size_t items = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == ',' || text[i] == '[' || text[i] == '{'))
            items++;
    }
    return items > JSON_ITEMS_MAX;
}

static int bad_request(struct call *call, int code, const struct err *err)
{
    CALL_FAULT_TEXT(call, InvalidRequest, "The request is not valid: %s", err->text);
    return code;
}

int json_read(struct call *call, const void *body, size_t len)
{
    struct err err = ERR_INIT;
    struct reader r = {.arena = call->arena, .err = &err};
    struct vim_data *args = vim_new(call->arena, call->method->args);
    call->args = args;
    if (len && too_many(body, len))
        return bad_request(call, err_set(&err, -E2BIG, "too large"), &err);
    json_error_t why;
    json_t *json = len ? json_loadb(body, len, JSON_REJECT_DUPLICATES, &why) : json_object();
    if (!json)
        return bad_request(call, err_set(&err, -EINVAL, "line %d: %s", why.line, why.text), &err);
    int e = json_is_object(json) ? read_members(&r, json, args)
                                 : err_set(&err, -EINVAL, "it is no object");
    json_decref(json);
    return e < 0 ? bad_request(call, e, &err) : 0;
}

int json_read_value(struct arena *arena, const char *text, size_t len, struct vim_shape declared,
                    struct vim_any *ret_value)
{
    struct reader r = {.arena = arena, .ours = true};
    json_t *json = json_loadb(text, len, 0, NULL);
    int e = json ? read_single(&r, json, declared, ret_value) : -EBADMSG;
    json_decref(json);
    return e;
}

int json_route(struct call *call, bool get, const char *path)
{
    const char *type_at = strchr(path, '/'), *id_at = type_at ? strchr(type_at + 1, '/') : NULL;
    const char *name = strrchr(path, '/');
    if (!id_at || name == id_at || path[0] < '0' || path[0] > '9' || !name[1])
        return -ENOENT;
    call->version = vim_find_version(path, (size_t)(type_at - path));
    const struct vim_managed *type =
        vim_find_managed(arena_strndup(call->arena, type_at + 1, (size_t)(id_at - type_at - 1)));
    call->method = get ? &vim_methods[VIM_C_Fetch] : vim_find_method(name + 1);
    if (!type || !call->method)
        return -ENOENT;
    const char *id = arena_strndup(call->arena, id_at + 1, (size_t)(name - id_at - 1));
    call->target = (struct vim_ref){type, id};
    call->json = true;
    if (!get)
        return 0;
    if (!vim_managed_property(type, name + 1, strlen(name + 1)))
        return -ENOENT;
    struct vim_Fetch_args *args = vim_new(call->arena, call->method->args);
    args->prop = arena_strdup(call->arena, name + 1);
    call->args = args;
    return 0;
}
