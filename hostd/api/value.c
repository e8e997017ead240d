/* SPDX-License-Identifier: Apache-2.0 */
/* Members filled in one by one as a reader meets them. */
#include "hostd/api/value.h"

#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"

static const struct {
    const char *name;
    uint8_t kind;
} plain[] = {
    {"string", VIM_STRING},
    {"boolean", VIM_BOOL},
    {"int", VIM_INT},
    {"long", VIM_LONG},
    {"short", VIM_SHORT},
    {"byte", VIM_BYTE},
    {"float", VIM_FLOAT},
    {"double", VIM_DOUBLE},
    {"dateTime", VIM_TIME},
    {"base64Binary", VIM_BINARY},
    {"binary", VIM_BINARY},
    {"anyURI", VIM_URI},
    {"anyType", VIM_ANY},
    {"String", VIM_STRING},
    {"Boolean", VIM_BOOL},
    {"Int", VIM_INT},
    {"Long", VIM_LONG},
    {"Short", VIM_SHORT},
    {"Byte", VIM_BYTE},
    {"Float", VIM_FLOAT},
    {"Double", VIM_DOUBLE},
    {"DateTime", VIM_TIME},
    {"Base64Binary", VIM_BINARY},
    {"AnyURI", VIM_URI},
    {"AnyType", VIM_ANY},
};

static int single_shape(const char *name, struct vim_shape *ret_shape)
{
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
        if (!strcmp(plain[i].name, name)) {
            *ret_shape = (struct vim_shape){.kind = plain[i].kind};
            return 0;
        }
    const struct vim_type *type = vim_find_type(name);
    const struct vim_enum *e = vim_find_enum(name);
    bool ref = !strcmp(name, "ManagedObjectReference") || vim_find_managed(name);
    if (type)
        *ret_shape = (struct vim_shape){.kind = VIM_DATA, .of = (uint16_t)(type - vim_types)};
    else if (e)
        *ret_shape = (struct vim_shape){.kind = VIM_ENUM, .of = (uint16_t)(e - vim_enums)};
    else if (ref) /* of which type says the reference itself */
        *ret_shape = (struct vim_shape){.kind = VIM_REF, .of = VIM_M_ManagedObject};
    else
        return -ENOENT;
    return 0;
}

int value_shape(const char *name, struct vim_shape *ret_shape)
{
    bool list = !strncmp(name, "ArrayOf", 7);
    int r = single_shape(list ? name + 7 : name, ret_shape);
    if (!r)
        ret_shape->list = list;
    return r;
}

static unsigned member_index(const struct vim_type *type, const struct vim_property *prop)
{
    while (prop < type->props || prop >= type->props + type->prop_count)
        type = type->base;
    unsigned index = (unsigned)(prop - type->props);
    for (const struct vim_type *base = type->base; base; base = base->base)
        index += base->prop_count;
    return index;
}

/* Does a single value belong where `shape` is declared? */
static bool belongs(struct vim_shape shape, const struct vim_any *value)
{
    if (shape.kind == VIM_ANY)
        return true;
    if (value->shape.list || value->shape.kind != shape.kind)
        return false;
    if (shape.kind == VIM_DATA)
        return vim_type_is(value->data->type, &vim_types[shape.of]);
    return shape.kind != VIM_ENUM || value->shape.of == shape.of;
}

int value_append(struct arena *arena, struct vim_list *list, struct vim_shape shape,
                 const struct vim_any *value, struct err *err)
{
    if (value->shape.kind == VIM_NONE)
        return 0;
    if (!belongs(shape, value))
        return err_set(err, -EINVAL, "an item is no %s", vim_shape_name(shape));
    size_t size = vim_item_size(shape);
    vim_list_room(arena, list, size);
    const void *from = shape.kind == VIM_ANY ? (const void *)value : &value->b;
    memcpy((char *)list->items + list->count++ * size, from, size);
    return 0;
}

int value_set(struct arena *arena, struct vim_data *data, const struct vim_property *prop,
              const struct vim_any *value, struct value_seen *seen, struct err *err)
{
    unsigned index = member_index(data->type, prop);
    uint64_t *word = &seen->bits[index / 64], bit = BIT64(index % 64);
    if (value->shape.kind == VIM_NONE)
        return 0;
    if (prop->shape.list) {
        struct vim_list *list = (void *)((char *)data + prop->offset);
        struct vim_shape item = {.kind = prop->shape.kind, .of = prop->shape.of};
        *word |= bit;
        return value_append(arena, list, item, value, err);
    }
    if (*word & bit)
        return err_set(err, -EEXIST, "is there twice");
    *word |= bit;
    /* A reference may be of a more general type than declared: only the object itself tells. */
    if (prop->shape.kind == VIM_REF && value->shape.kind == VIM_REF && !value->shape.list) {
        memcpy((char *)data + prop->offset, &value->ref, sizeof value->ref);
        return 0;
    }
    if (vim_put(data, prop, value) < 0)
        return err_set(err, -EINVAL, "is no %s", vim_shape_name(prop->shape));
    return 0;
}

int value_complete(const struct vim_data *data, const struct value_seen *seen, struct err *err)
{
    for (const struct vim_type *type = data->type; type; type = type->base)
        for (unsigned i = 0; i < type->prop_count; i++) {
            const struct vim_property *prop = &type->props[i];
            unsigned index = member_index(data->type, prop);
            if ((prop->flags & VIM_OPTIONAL) || prop->shape.list || prop->since > type->since ||
                (seen->bits[index / 64] & BIT64(index % 64)))
                continue;
            return err_set(err, -EINVAL, "%s of %s is missing", prop->name, data->type->name);
        }
    return 0;
}
