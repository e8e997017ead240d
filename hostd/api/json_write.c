/* SPDX-License-Identifier: Apache-2.0 */
/* Writing VI/JSON. Numbers that JSON cannot carry (not a number, infinities) become null. */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "hostd/api/json.h"
#include "hostd/api/text.h"
#include "hostd/api/vim_types.gen.h"

static void put_string(struct buf *out, const char *text)
{
    bool valid = utf8_valid(text);
    buf_put(out, "\"", 1);
    const char *from = text;
    for (;; text++) {
        uint8_t c = (uint8_t)*text;
        bool plain = c >= 0x20 && c != '"' && c != '\\' && (c < 0x80 || valid);
        if (plain)
            continue;
        buf_put(out, from, (size_t)(text - from));
        from = text + 1;
        if (!c)
            break;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_put(out, "\\n", 2);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_put(out, "?", 1);
    }
    buf_put(out, "\"", 1);
}

static void put_type_name(struct buf *out, const char *prefix, const char *name)
{
    buf_put_str(out, "\"_typeName\":\"");
    buf_put_str(out, prefix);
    if (*prefix && *name >= 'a' && *name <= 'z')
        buf_put_u8(out, (uint8_t)(*name++ - 'a' + 'A'));
    buf_put_str(out, name);
    buf_put(out, "\"", 1);
}

static const char *name_of(struct vim_shape shape)
{
    if (shape.kind == VIM_REF)
        return "ManagedObjectReference";
    return shape.kind == VIM_BINARY ? "binary" : vim_shape_name(shape);
}

static void put_properties(struct buf *out, const struct vim_data *data,
                           const struct vim_type *type, unsigned version)
{
    const struct vim_type *chain[VIM_CHAIN_MAX];
    unsigned depth = vim_chain(type, chain);
    for (unsigned i = 0; i < depth; i++)
        for (unsigned j = 0; j < chain[i]->prop_count; j++) {
            const struct vim_property *prop = &chain[i]->props[j];
            struct vim_any value = vim_told(data, prop);
            if (prop->since > version || value.shape.kind == VIM_NONE)
                continue;
            buf_put(out, ",", 1);
            put_string(out, prop->name);
            buf_put(out, ":", 1);
            json_write_value(out, &value, prop->shape, version);
        }
}

static const struct vim_type *known_type(const struct vim_type *type, unsigned version)
{
    while (type->base && type->since > version)
        type = type->base;
    return type;
}

static void put_data(struct buf *out, const struct vim_data *data, unsigned version)
{
    const struct vim_type *type = known_type(data->type, version);
    buf_put(out, "{", 1);
    put_type_name(out, "", type->name);
    put_properties(out, data, type, version);
    buf_put(out, "}", 1);
}

static void put_list(struct buf *out, const struct vim_any *list, struct vim_shape declared,
                     unsigned version)
{
    bool first = true;
    declared.list = false;
    buf_put(out, "[", 1);
    for (size_t i = 0; i < list->list.count; i++) {
        struct vim_any item = vim_item(list, i);
        if (item.shape.kind == VIM_NONE)
            continue;
        if (!first)
            buf_put(out, ",", 1);
        first = false;
        json_write_value(out, &item, declared, version);
    }
    buf_put(out, "]", 1);
}

static void put_plain(struct buf *out, const struct vim_any *value)
{
    char scalar[TEXT_TIME_MAX];
    switch (value->shape.kind) {
    case VIM_STRING:
    case VIM_URI:
    case VIM_TYPENAME:
        put_string(out, value->str);
        break;
    case VIM_ENUM:
        put_string(out, vim_enums[value->shape.of].values[value->i]);
        break;
    case VIM_TIME:
        put_string(out, text_time(scalar, value->l));
        break;
    case VIM_BINARY:
        buf_put(out, "\"", 1);
        text_base64(out, value->bin.data, value->bin.len);
        buf_put(out, "\"", 1);
        break;
    case VIM_FLOAT:
    case VIM_DOUBLE:
        if (!isfinite(value->shape.kind == VIM_FLOAT ? (double)value->f : value->d)) {
            buf_put_str(out, "null");
            break;
        }
        buf_put_str(out, text_scalar(scalar, value));
        break;
    default:
        buf_put_str(out, text_scalar(scalar, value));
        break;
    }
}

void json_write_value(struct buf *out, const struct vim_any *value, struct vim_shape declared,
                      unsigned version)
{
    bool box =
        declared.kind == VIM_ANY && !declared.list &&
        (value->shape.list || (value->shape.kind != VIM_DATA && value->shape.kind != VIM_REF));
    if (box) {
        buf_put(out, "{", 1);
        put_type_name(out, value->shape.list ? "ArrayOf" : "", name_of(value->shape));
        buf_put_str(out, ",\"_value\":");
    }
    if (value->shape.list) {
        put_list(out, value, box ? value->shape : declared, version);
    } else if (value->shape.kind == VIM_DATA) {
        put_data(out, value->data, version);
    } else if (value->shape.kind == VIM_REF) {
        buf_put_str(out, "{\"_typeName\":\"ManagedObjectReference\",\"type\":");
        put_string(out, value->ref.type->name);
        buf_put_str(out, ",\"value\":");
        put_string(out, value->ref.id);
        buf_put(out, "}", 1);
    } else {
        put_plain(out, value);
    }
    if (box)
        buf_put(out, "}", 1);
}

/* What Fetch brings is written as the property's own declaration says: bare. */
static struct vim_shape declared_result(const struct call *call)
{
    if (call->method != &vim_methods[VIM_C_Fetch] || !call->mo)
        return call->method->result;
    const struct vim_Fetch_args *args = call->args;
    const struct vim_property *prop =
        vim_managed_property(call->mo->class->type, args->prop, strlen(args->prop));
    return prop ? prop->shape : call->method->result;
}

int json_write(struct buf *out, const struct call *call)
{
    if (call->fault) {
        const struct vim_type *type = known_type(call->fault->type, call->version);
        buf_put(out, "{", 1);
        put_type_name(out, "", type->name);
        buf_put_str(out, ",\"faultstring\":");
        put_string(out, call->fault_text);
        put_properties(out, call->fault, type, call->version);
        buf_put(out, "}", 1);
        return type == VIM_TYPE(NotAuthenticated) ? 401 : 500;
    }
    if (call->result.shape.kind == VIM_NONE)
        return 204;
    json_write_value(out, &call->result, declared_result(call), call->version);
    return 200;
}
