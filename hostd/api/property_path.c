/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/api/property_path.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "hostd/api/text.h"

struct step {
    const char *name, *key; /* key NULL: none */
    size_t name_len, key_len;
};

/* [key] or ["key"]; a quote within is not possible. */
static bool read_key(const char **p, struct step *step)
{
    bool quoted = (*p)[1] == '"';
    step->key = *p + (quoted ? 2 : 1);
    const char *end = strstr(step->key, quoted ? "\"]" : "]");
    if (!end)
        return false;
    step->key_len = (size_t)(end - step->key);
    *p = end + (quoted ? 2 : 1);
    return true;
}

/* The step at *p; *p then stands behind it and its dot. */
static bool read_step(const char **p, struct step *step)
{
    *step = (struct step){.name = *p};
    while (isalnum((unsigned char)**p) || **p == '_')
        (*p)++;
    step->name_len = (size_t)(*p - step->name);
    if (!step->name_len || (**p == '[' && !read_key(p, step)))
        return false;
    if (**p == '.')
        return *++*p != '\0';
    return !**p;
}

bool property_path_is_whole(const char *path)
{
    return !path[strcspn(path, ".[")];
}

/* A property that only a derived type has: the value may well be of that one. */
static const struct vim_property *property_of_derived(const struct vim_type *base,
                                                      const struct step *step)
{
    if (!base->derived)
        return NULL;
    for (unsigned i = 0; i < vim_type_count; i++) {
        const struct vim_property *prop =
            vim_type_is(&vim_types[i], base)
                ? vim_type_property(&vim_types[i], step->name, step->name_len)
                : NULL;
        if (prop)
            return prop;
    }
    return NULL;
}

static const struct vim_property *step_property(struct vim_shape shape, const struct step *step)
{
    if (shape.kind != VIM_DATA || shape.list)
        return NULL;
    const struct vim_property *prop =
        vim_type_property(&vim_types[shape.of], step->name, step->name_len);
    return prop ? prop : property_of_derived(&vim_types[shape.of], step);
}

const struct vim_property *property_path_check(const struct vim_managed *type, const char *path)
{
    struct step step;
    if (strlen(path) > PROPERTY_PATH_MAX || !read_step(&path, &step))
        return NULL;
    const struct vim_property *first = vim_managed_property(type, step.name, step.name_len);
    const struct vim_property *prop = first;
    for (unsigned steps = 1; prop; steps++) {
        struct vim_shape shape = prop->shape;
        if (step.key && !shape.list)
            return NULL;
        shape.list = shape.list && !step.key;
        if (!*path || (shape.kind == VIM_ANY && !shape.list))
            return first;
        if (steps == PROPERTY_PATH_STEPS_MAX || !read_step(&path, &step))
            return NULL;
        prop = step_property(shape, &step);
    }
    return NULL;
}

/* --- walking --- */

static bool text_is(const char *text, const struct step *step)
{
    return !strncmp(text, step->key, step->key_len) && !text[step->key_len];
}

static bool has_key(const struct vim_any *item, const struct step *step)
{
    char scalar[TEXT_TIME_MAX];
    switch (item->shape.kind) {
    case VIM_NONE:
    case VIM_ANY:
    case VIM_BINARY:
        return false;
    case VIM_DATA: {
        const struct vim_property *key = vim_type_property(item->data->type, "key", 3);
        struct vim_any value = key ? vim_get(item->data, key) : vim_any_none();
        return value.shape.kind != VIM_DATA && !value.shape.list && has_key(&value, step);
    }
    case VIM_REF:
        return text_is(item->ref.id, step);
    case VIM_STRING:
    case VIM_URI:
    case VIM_TYPENAME:
        return text_is(item->str, step);
    case VIM_ENUM:
        return text_is(vim_enums[item->shape.of].values[item->i], step);
    default:
        return text_is(text_scalar(scalar, item), step);
    }
}

static struct vim_any select_item(const struct vim_any *list, const struct step *step)
{
    if (!list->shape.list)
        return vim_any_none();
    for (size_t i = 0; i < list->list.count; i++) {
        struct vim_any item = vim_item(list, i);
        if (has_key(&item, step))
            return item;
    }
    return vim_any_none();
}

struct vim_any property_path_walk(struct vim_any top, const char *path)
{
    struct step step;
    struct vim_any value = top;
    for (bool first = true; read_step(&path, &step); first = false) {
        if (!first) {
            const struct vim_property *prop =
                value.shape.kind == VIM_DATA && !value.shape.list
                    ? vim_type_property(value.data->type, step.name, step.name_len)
                    : NULL;
            value = prop ? vim_told(value.data, prop) : vim_any_none();
        }
        if (step.key)
            value = select_item(&value, &step);
        if (!*path || value.shape.kind == VIM_NONE)
            return value;
    }
    return vim_any_none();
}
