/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/inventory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "cli/options.h"

json_t *ref_of(const json_t *row)
{
    return json_deep_copy(json_object_get(row, "ref"));
}

const json_t *json_at(const json_t *object, ...)
{
    va_list args;
    const char *member;

    va_start(args, object);
    while ((member = va_arg(args, const char *)))
        object = json_object_get(object, member);
    va_end(args);
    return object;
}

/* --- retrieving --- */

static json_t *path_set(const char *paths)
{
    json_t *set = json_array();

    while (*paths) {
        size_t len = strcspn(paths, " ");
        (void)json_array_append_new(set, json_stringn(paths, len));
        paths += len + (paths[len] == ' ');
    }
    return set;
}

static json_t *unboxed(json_t *value)
{
    json_t *inner = json_object_get(value, "_value");

    return json_incref(inner ? inner : value);
}

static void add_row(json_t *rows, const json_t *content)
{
    json_t *row = json_object(), *property;
    size_t i;

    (void)json_object_set(row, "ref", json_object_get(content, "obj"));
    json_array_foreach(json_object_get(content, "propSet"), i, property)(void) json_object_set_new(
        row, api_text(property, "name"), unboxed(json_object_get(property, "val")));
    (void)json_array_append_new(rows, row);
}

/* All pages. `spec` is taken. */
static int retrieve(struct api *api, json_t *spec, json_t **ret_rows, struct err *err)
{
    const json_t *collector = api_manager(api, "propertyCollector");
    cleanup_json json_t *rows = json_array();
    json_t *result = NULL, *object;
    size_t i;
    int rc = api_call(api, collector, "RetrievePropertiesEx",
                      json_pack("{s:[o], s:{}}", "specSet", spec, "options"), &result, err);

    while (rc == 0) {
        json_array_foreach(json_object_get(result, "objects"), i, object) add_row(rows, object);
        cleanup_json json_t *token = json_incref(json_object_get(result, "token"));
        json_decref(result);
        if (!json_is_string(token)) {
            *ret_rows = TAKE_PTR(rows);
            return 0;
        }
        rc = api_call(api, collector, "ContinueRetrievePropertiesEx",
                      json_pack("{s:O}", "token", token), &result, err);
    }
    return rc;
}

static json_t *property_spec(const char *type, const char *paths)
{
    return json_pack("{s:s, s:o}", "type", type, "pathSet", path_set(paths));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(api_text(*(json_t *const *)a, "name"), api_text(*(json_t *const *)b, "name"));
}

static json_t *sorted(json_t *rows)
{
    size_t count = json_array_size(rows), i;
    json_t **list = calloc(count + 1, sizeof *list), *row, *out = json_array();

    json_array_foreach(rows, i, row) if (list) list[i] = row;
    if (list)
        qsort(list, count, sizeof(json_t *), by_name);
    for (i = 0; list && i < count; i++)
        (void)json_array_append(out, list[i]);
    free(list);
    json_decref(rows);
    return out;
}

int inventory_list(struct api *api, const char *type, const char *paths, json_t **ret_rows,
                   struct err *err)
{
    cleanup_json json_t *view = NULL;
    json_t *rows = NULL;
    int rc = api_call(api, api_manager(api, "viewManager"), "CreateContainerView",
                      json_pack("{s:O, s:[s], s:b}", "container", api_manager(api, "rootFolder"),
                                "type", type, "recursive", 1),
                      &view, err);

    if (rc < 0)
        return rc;
    json_t *step = json_pack("{s:s, s:s, s:s, s:b}", "_typeName", "TraversalSpec", "type",
                             "ContainerView", "path", "view", "skip", 0);
    json_t *spec =
        json_pack("{s:[o], s:[{s:O, s:b, s:[o]}]}", "propSet", property_spec(type, paths),
                  "objectSet", "obj", view, "skip", 1, "selectSet", step);
    rc = retrieve(api, spec, &rows, err);
    (void)api_call(api, view, "DestroyView", NULL, NULL, NULL);
    if (rc == 0)
        *ret_rows = sorted(rows);
    return rc;
}

int inventory_read(struct api *api, const json_t *object, const char *paths, json_t **ret_row,
                   struct err *err)
{
    cleanup_json json_t *rows = NULL;
    json_t *spec =
        json_pack("{s:[o], s:[{s:O}]}", "propSet", property_spec(api_text(object, "type"), paths),
                  "objectSet", "obj", object);
    int rc = retrieve(api, spec, &rows, err);

    if (rc == 0 && !json_array_size(rows))
        rc = err_set(err, -ENOENT, "%s is not there any more", api_id(object));
    if (rc == 0)
        *ret_row = json_incref(json_array_get(rows, 0));
    return rc;
}

/* --- finding --- */

static const char *row_name(const void *ctx, unsigned i)
{
    const json_t *row = json_array_get(ctx, i);

    return row ? api_text(row, "name") : NULL;
}

static int not_found(const json_t *rows, const char *what, const char *name, struct err *err)
{
    const char *near = nearest_word(name, row_name, rows);

    if (near)
        return err_set(err, -ENOENT, "there is no %s \"%s\"; did you mean \"%s\"?", what, name,
                       near);
    return err_set(err, -ENOENT, "there is no %s \"%s\"", what, name);
}

int inventory_find(struct api *api, const char *type, const char *what, const char *name,
                   const char *paths, json_t **ret_row, struct err *err)
{
    cleanup_json json_t *rows = NULL;
    json_t *row, *found = NULL;
    unsigned named = 0;
    size_t i;
    int rc = inventory_list(api, type, "name", &rows, err);

    if (rc < 0)
        return rc;
    json_array_foreach(rows, i, row)
    {
        bool match = !strcmp(api_text(row, "name"), name);
        named += match;
        if (match || (!found && !strcmp(api_id(json_object_get(row, "ref")), name)))
            found = row;
    }
    if (named > 1)
        return err_set(err, -EINVAL, "%u have the name \"%s\"; give the id (column id of the list)",
                       named, name);
    if (!found)
        return not_found(rows, what, name, err);
    return inventory_read(api, json_object_get(found, "ref"), paths, ret_row, err);
}

int vm_find(struct api *api, const char *name, const char *paths, json_t **ret_row, struct err *err)
{
    return inventory_find(api, "VirtualMachine", "virtual machine", name, paths, ret_row, err);
}

int host_find(struct api *api, const char *paths, json_t **ret_row, struct err *err)
{
    cleanup_json json_t *rows = NULL;
    int rc = inventory_list(api, "HostSystem", paths, &rows, err);

    if (rc == 0 && !json_array_size(rows))
        rc = err_set(err, -ENOENT, "no host is to be seen");
    if (rc == 0)
        *ret_row = json_incref(json_array_get(rows, 0));
    return rc;
}

/* --- datastores --- */

static const char datastore_paths[] = "name summary browser";

int datastore_find(struct api *api, const char *name, json_t **ret_row, struct err *err)
{
    cleanup_json json_t *rows = NULL;
    json_t *row, *best = NULL;
    json_int_t most = -1;
    size_t i;

    if (name)
        return inventory_find(api, "Datastore", "datastore", name, datastore_paths, ret_row, err);
    int rc = inventory_list(api, "Datastore", datastore_paths, &rows, err);
    json_array_foreach(rows, i, row)
    {
        json_int_t room = json_integer_value(json_at(row, "summary", "freeSpace", NULL));
        bool first = !strcmp(api_text(row, "name"), "datastore1");
        if (room > most || first) {
            most = first ? INT64_MAX : room;
            best = row;
        }
    }
    if (rc == 0 && !best)
        rc = err_set(err, -ENOENT, "the host has no datastore");
    if (rc == 0)
        *ret_row = json_incref(best);
    return rc;
}

int datastore_path(struct api *api, const char *text, char **ret_path, struct err *err)
{
    cleanup_json json_t *row = NULL;
    const char *colon = strchr(text, ':'), *slash = strchr(text, '/'), *rest = text;
    char name[128] = "";

    if (text[0] == '[') {
        *ret_path = strdup(text);
        return *ret_path ? 0 : err_sys(err, -ENOMEM, "path");
    }
    if (colon && colon != text && (!slash || colon < slash)) {
        (void)snprintf(name, sizeof name, "%.*s", (int)(colon - text), text);
        rest = colon + 1;
    }
    int rc = datastore_find(api, *name ? name : NULL, &row, err);
    if (rc < 0)
        return rc;
    while (*rest == '/')
        rest++;
    if (asprintf(ret_path, "[%s] %s", api_text(row, "name"), rest) < 0) {
        *ret_path = NULL;
        return err_sys(err, -ENOMEM, "path");
    }
    return 0;
}
