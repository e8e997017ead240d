/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up in the tables, and values of any type: built, taken apart, compared, copied.
 * All by the tables' shapes; the only place that turns a shape into a C type. */
#include "hostd/api/vim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

const uint64_t vim_no_items[2] = {0};

static int by_name(const void *key, const void *entry)
{
    return strcmp(key, *(const char *const *)entry); /* each entry begins with its name */
}

const struct vim_type *vim_find_type(const char *name)
{
    return bsearch(name, vim_types, vim_type_count, sizeof vim_types[0], by_name);
}

const struct vim_enum *vim_find_enum(const char *name)
{
    return bsearch(name, vim_enums, vim_enum_count, sizeof vim_enums[0], by_name);
}

const struct vim_managed *vim_find_managed(const char *name)
{
    return bsearch(name, vim_managed, vim_managed_count, sizeof vim_managed[0], by_name);
}

const struct vim_method *vim_find_method(const char *name)
{
    return bsearch(name, vim_methods, vim_method_count, sizeof vim_methods[0], by_name);
}

/* Numbers between dots compare as numbers, what follows them as text: 6.7 < 6.7.1, 2.5 < 2.5u2.
 * What is not said is 0: 7.0 is 7.0.0.0. */
static int version_compare(const char *a, const char *a_end, const char *b)
{
    while (a < a_end && *b) {
        char *a_next, *b_next;
        unsigned long x = strtoul(a, &a_next, 10), y = strtoul(b, &b_next, 10);
        if (a_next == a || a_next > a_end || b_next == b)
            break;
        if (x != y)
            return x < y ? -1 : 1;
        a = a_next;
        b = b_next;
        while (a < a_end && *b && *a == *b && (*a < '0' || *a > '9'))
            a++, b++;
    }
    if (a == a_end)
        return b[strspn(b, ".0")] ? -1 : 0;
    return *b ? strncmp(a, b, (size_t)(a_end - a)) : 1;
}

unsigned vim_find_version(const char *name, size_t len)
{
    if (!len || *name < '0' || *name > '9')
        return vim_version_count - 1;
    unsigned best = 0;
    for (unsigned i = 0; i < vim_version_count; i++)
        if (version_compare(name, name + len, vim_versions[i]) >= 0)
            best = i;
    return best;
}

unsigned vim_chain(const struct vim_type *type, const struct vim_type *chain[VIM_CHAIN_MAX])
{
    unsigned depth = 0;
    for (const struct vim_type *t = type; t; t = t->base)
        depth++;
    unsigned i = depth;
    for (const struct vim_type *t = type; t; t = t->base)
        chain[--i] = t;
    return depth;
}

bool vim_type_is(const struct vim_type *type, const struct vim_type *base)
{
    while (type && type != base)
        type = type->base;
    return type != NULL;
}

bool vim_managed_is(const struct vim_managed *type, const struct vim_managed *base)
{
    while (type && type != base)
        type = type->base;
    return type != NULL;
}

static const struct vim_property *find_property(const struct vim_property *props, unsigned count,
                                                const char *name, size_t len)
{
    for (unsigned i = 0; i < count; i++)
        if (!strncmp(props[i].name, name, len) && !props[i].name[len])
            return &props[i];
    return NULL;
}

const struct vim_property *vim_type_property(const struct vim_type *type, const char *name,
                                             size_t len)
{
    const struct vim_property *found = NULL;
    for (; type && !found; type = type->base)
        found = find_property(type->props, type->prop_count, name, len);
    return found;
}

const struct vim_property *vim_managed_property(const struct vim_managed *type, const char *name,
                                                size_t len)
{
    const struct vim_property *found = NULL;
    for (; type && !found; type = type->base)
        found = find_property(type->props, type->prop_count, name, len);
    return found;
}

const char *vim_shape_name(struct vim_shape shape)
{
    static const char *const names[VIM_KIND_MAX] = {
        [VIM_NONE] = "void",       [VIM_BOOL] = "boolean",  [VIM_BYTE] = "byte",
        [VIM_SHORT] = "short",     [VIM_INT] = "int",       [VIM_LONG] = "long",
        [VIM_FLOAT] = "float",     [VIM_DOUBLE] = "double", [VIM_TIME] = "dateTime",
        [VIM_STRING] = "string",   [VIM_URI] = "anyURI",    [VIM_BINARY] = "base64Binary",
        [VIM_TYPENAME] = "string", [VIM_ANY] = "anyType",
    };
    switch (shape.kind) {
    case VIM_ENUM:
        return vim_enums[shape.of].name;
    case VIM_REF:
        return vim_managed[shape.of].name;
    case VIM_DATA:
        return vim_types[shape.of].name;
    default:
        return names[shape.kind];
    }
}

/* --- building --- */

void *vim_new(struct arena *arena, const struct vim_type *type)
{
    struct vim_data *data = arena_alloc(arena, type->size);
    data->type = type;
    return data;
}

void vim_list_room(struct arena *arena, struct vim_list *list, size_t item_size)
{
    /* Full when the count is a power of two from 4 on: the room is not stored. */
    if (list->items && list->items != vim_no_items && list->count &&
        (list->count < 4 || !is_power_of_two(list->count)))
        return;
    size_t room = list->count < 4 ? 4 : list->count * 2;
    void *items = arena_array(arena, room, item_size);
    if (list->count)
        memcpy(items, list->items, list->count * item_size);
    list->items = items;
}

struct vim_any vim_any_bool(bool v)
{
    return (struct vim_any){.shape = {.kind = VIM_BOOL}, .b = v};
}

struct vim_any vim_any_int(int32_t v)
{
    return (struct vim_any){.shape = {.kind = VIM_INT}, .i = v};
}

struct vim_any vim_any_short(int16_t v)
{
    return (struct vim_any){.shape = {.kind = VIM_SHORT}, .s = v};
}

struct vim_any vim_any_long(int64_t v)
{
    return (struct vim_any){.shape = {.kind = VIM_LONG}, .l = v};
}

struct vim_any vim_any_double(double v)
{
    return (struct vim_any){.shape = {.kind = VIM_DOUBLE}, .d = v};
}

struct vim_any vim_any_time(int64_t usec)
{
    return (struct vim_any){.shape = {.kind = VIM_TIME}, .l = usec};
}

struct vim_any vim_any_string(const char *text)
{
    return text ? (struct vim_any){.shape = {.kind = VIM_STRING}, .str = text} : vim_any_none();
}

struct vim_any vim_any_ref(struct vim_ref ref)
{
    if (!ref.id)
        return vim_any_none();
    return (struct vim_any){
        .shape = {.kind = VIM_REF, .of = (uint16_t)(ref.type - vim_managed)},
        .ref = ref,
    };
}

struct vim_any vim_any_data_(struct vim_data *data)
{
    if (!data)
        return vim_any_none();
    return (struct vim_any){
        .shape = {.kind = VIM_DATA, .of = (uint16_t)(data->type - vim_types)},
        .data = data,
    };
}

struct vim_any vim_any_enum(unsigned of, int value)
{
    if (!value)
        return vim_any_none();
    return (struct vim_any){.shape = {.kind = VIM_ENUM, .of = (uint16_t)of}, .i = value};
}

struct vim_any vim_any_list(enum vim_kind kind, unsigned of, const struct vim_list *list)
{
    if (!list->items)
        return vim_any_none();
    return (struct vim_any){
        .shape = {.kind = (uint8_t)kind, .list = true, .of = (uint16_t)of},
        .list = *list,
    };
}

/* --- members --- */

size_t vim_item_size(struct vim_shape shape)
{
    static const uint8_t sizes[VIM_KIND_MAX] = {
        [VIM_BOOL] = sizeof(bool),
        [VIM_BYTE] = 1,
        [VIM_SHORT] = 2,
        [VIM_INT] = 4,
        [VIM_LONG] = 8,
        [VIM_FLOAT] = sizeof(float),
        [VIM_DOUBLE] = sizeof(double),
        [VIM_TIME] = 8,
        [VIM_STRING] = sizeof(char *),
        [VIM_URI] = sizeof(char *),
        [VIM_BINARY] = sizeof(struct vim_binary),
        [VIM_TYPENAME] = sizeof(char *),
        [VIM_ENUM] = sizeof(int),
        [VIM_REF] = sizeof(struct vim_ref),
        [VIM_DATA] = sizeof(struct vim_data *),
        [VIM_ANY] = sizeof(struct vim_any),
    };
    return sizes[shape.kind];
}

/* A single value at p. References and data objects say themselves what they are; unset yields none.
 */
static struct vim_any load(struct vim_shape shape, const void *p)
{
    struct vim_any v = {.shape = {.kind = shape.kind, .of = shape.of}};
    switch (shape.kind) {
    case VIM_ANY:
        return *(const struct vim_any *)p;
    case VIM_REF:
        return vim_any_ref(*(const struct vim_ref *)p);
    case VIM_DATA:
        return vim_any_data_(*(struct vim_data *const *)p);
    case VIM_ENUM:
        return vim_any_enum(shape.of, *(const int *)p);
    case VIM_BINARY:
        v.bin = *(const struct vim_binary *)p;
        return v.bin.data ? v : vim_any_none();
    case VIM_STRING:
    case VIM_URI:
    case VIM_TYPENAME:
        v.str = *(const char *const *)p;
        return v.str ? v : vim_any_none();
    default:
        memcpy(&v.b, p, vim_item_size(shape)); /* all members of the union begin at one place */
        return v;
    }
}

static bool is_scalar(struct vim_shape shape)
{
    return shape.kind >= VIM_BOOL && shape.kind <= VIM_TIME;
}

/* Where an optional scalar's value stands: behind `set`, aligned to itself. */
static size_t optional_offset(struct vim_shape shape)
{
    size_t size = vim_item_size(shape);
    return size > sizeof(bool) ? size : sizeof(bool);
}

struct vim_any vim_get(const struct vim_data *data, const struct vim_property *prop)
{
    const char *p = (const char *)data + prop->offset;
    if (prop->shape.list)
        return vim_any_list(prop->shape.kind, prop->shape.of,
                            (const struct vim_list *)(const void *)p);
    if (is_scalar(prop->shape) && (prop->flags & VIM_OPTIONAL)) {
        if (!*(const bool *)p)
            return vim_any_none();
        p += optional_offset(prop->shape);
    }
    return load(prop->shape, p);
}

struct vim_any vim_told(const struct vim_data *data, const struct vim_property *prop)
{
    struct vim_any value = vim_get(data, prop);
    bool text = prop->shape.kind == VIM_STRING || prop->shape.kind == VIM_URI ||
                prop->shape.kind == VIM_TYPENAME;

    if (value.shape.kind == VIM_NONE && text && !prop->shape.list && !(prop->flags & VIM_OPTIONAL))
        return vim_any_string("");
    return value;
}

static bool fits(struct vim_shape shape, const struct vim_any *value)
{
    if (shape.kind != value->shape.kind || shape.list != value->shape.list)
        return false;
    if (shape.kind == VIM_ENUM || shape.list)
        return shape.of == value->shape.of;
    if (shape.kind == VIM_REF)
        return vim_managed_is(value->ref.type, &vim_managed[shape.of]);
    if (shape.kind == VIM_DATA)
        return vim_type_is(value->data->type, &vim_types[shape.of]);
    return true;
}

int vim_put(struct vim_data *data, const struct vim_property *prop, const struct vim_any *value)
{
    char *p = (char *)data + prop->offset;
    if (prop->shape.kind == VIM_ANY && !prop->shape.list) {
        *(struct vim_any *)(void *)p = *value;
        return 0;
    }
    if (!fits(prop->shape, value))
        return -EINVAL;
    if (is_scalar(prop->shape) && !prop->shape.list && (prop->flags & VIM_OPTIONAL)) {
        *(bool *)p = true;
        p += optional_offset(prop->shape);
    }
    memcpy(p, &value->b, prop->shape.list ? sizeof value->list : vim_item_size(prop->shape));
    return 0;
}

struct vim_any vim_item(const struct vim_any *list, size_t i)
{
    return load(list->shape, (const char *)list->list.items + i * vim_item_size(list->shape));
}

/* --- comparing and copying --- */

static bool equal_data(const struct vim_data *a, const struct vim_data *b)
{
    if (a->type != b->type)
        return false;
    for (const struct vim_type *t = a->type; t; t = t->base)
        for (unsigned i = 0; i < t->prop_count; i++) {
            struct vim_any x = vim_get(a, &t->props[i]), y = vim_get(b, &t->props[i]);
            if (!vim_equal(&x, &y))
                return false;
        }
    return true;
}

bool vim_equal(const struct vim_any *a, const struct vim_any *b)
{
    if (a->shape.kind != b->shape.kind || a->shape.list != b->shape.list ||
        a->shape.of != b->shape.of)
        return false;
    if (a->shape.list) {
        if (a->list.count != b->list.count)
            return false;
        for (size_t i = 0; i < a->list.count; i++) {
            struct vim_any x = vim_item(a, i), y = vim_item(b, i);
            if (!vim_equal(&x, &y))
                return false;
        }
        return true;
    }
    switch (a->shape.kind) {
    case VIM_NONE:
        return true;
    case VIM_STRING:
    case VIM_URI:
    case VIM_TYPENAME:
        return !strcmp(a->str, b->str);
    case VIM_BINARY:
        return a->bin.len == b->bin.len && !memcmp(a->bin.data, b->bin.data, a->bin.len);
    case VIM_REF:
        return a->ref.type == b->ref.type && !strcmp(a->ref.id, b->ref.id);
    case VIM_DATA:
        return a->data == b->data || equal_data(a->data, b->data);
    default:
        return !memcmp(&a->b, &b->b, vim_item_size(a->shape));
    }
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t mix_bytes(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t word = 0;
    for (; len >= 8; len -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = mix(h, word);
    }
    word = len;
    memcpy((uint8_t *)&word + 1, p, len);
    return mix(h, word);
}

static uint64_t hash_data(const struct vim_data *data)
{
    uint64_t h = (uint64_t)(data->type - vim_types) + 1;
    for (const struct vim_type *t = data->type; t; t = t->base)
        for (unsigned i = 0; i < t->prop_count; i++) {
            struct vim_any value = vim_get(data, &t->props[i]);
            h = mix(h, vim_hash(&value));
        }
    return h;
}

uint64_t vim_hash(const struct vim_any *value)
{
    uint64_t h = value->shape.kind + 1u;
    if (value->shape.kind == VIM_NONE)
        return 0;
    if (value->shape.list) {
        h = mix(h, value->list.count);
        for (size_t i = 0; i < value->list.count; i++) {
            struct vim_any item = vim_item(value, i);
            h = mix(h, vim_hash(&item));
        }
        return h | 1;
    }
    switch (value->shape.kind) {
    case VIM_STRING:
    case VIM_URI:
    case VIM_TYPENAME:
        h = mix_bytes(h, value->str, strlen(value->str));
        break;
    case VIM_BINARY:
        h = mix_bytes(h, value->bin.data, value->bin.len);
        break;
    case VIM_REF:
        h = mix_bytes(h, value->ref.id, strlen(value->ref.id));
        break;
    case VIM_DATA:
        h = mix(h, hash_data(value->data));
        break;
    default:
        h = mix_bytes(h, &value->b, vim_item_size(value->shape));
        break;
    }
    return h | 1;
}

static struct vim_data *copy_data(struct arena *arena, const struct vim_data *data)
{
    struct vim_data *copy = vim_new(arena, data->type);
    for (const struct vim_type *t = data->type; t; t = t->base)
        for (unsigned i = 0; i < t->prop_count; i++) {
            struct vim_any value = vim_get(data, &t->props[i]);
            if (value.shape.kind == VIM_NONE)
                continue;
            value = vim_copy(arena, &value);
            (void)vim_put(copy, &t->props[i], &value); /* it came from there */
        }
    return copy;
}

static struct vim_any copy_list(struct arena *arena, const struct vim_any *value)
{
    size_t size = vim_item_size(value->shape);
    struct vim_any copy = *value;
    copy.list.items = arena_array(arena, value->list.count, size);
    for (size_t i = 0; i < value->list.count; i++) {
        struct vim_any item = vim_item(value, i);
        item = vim_copy(arena, &item);
        const void *from = value->shape.kind == VIM_ANY ? (const void *)&item : &item.b;
        memcpy((char *)copy.list.items + i * size, from, size);
    }
    return copy;
}

struct vim_any vim_copy(struct arena *arena, const struct vim_any *value)
{
    if (value->shape.list)
        return copy_list(arena, value);
    struct vim_any copy = *value;
    switch (value->shape.kind) {
    case VIM_STRING:
    case VIM_URI:
    case VIM_TYPENAME:
        copy.str = arena_strdup(arena, value->str);
        break;
    case VIM_BINARY:
        copy.bin.data = arena_alloc(arena, value->bin.len);
        memcpy((void *)copy.bin.data, value->bin.data, value->bin.len);
        break;
    case VIM_REF:
        copy.ref.id = arena_strdup(arena, value->ref.id);
        break;
    case VIM_DATA:
        copy.data = copy_data(arena, value->data);
        break;
    default:
        break;
    }
    return copy;
}
