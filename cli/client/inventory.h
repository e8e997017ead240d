/* SPDX-License-Identifier: Apache-2.0 */
/* Reading many objects at once, and finding one by what a person calls it. A row is a JSON object:
 * "ref" and one member for each property path that is set, without the boxes of any-typed values.
 */
#pragma once

#include "cli/client/api.h"

/* `paths`: apart by one blank. *ret_rows: owned array, sorted by "name" if that is among them. */
int inventory_list(struct api *api, const char *type, const char *paths, json_t **ret_rows,
                   struct err *err);
/* The same of one object: its row. */
int inventory_read(struct api *api, const json_t *object, const char *paths, json_t **ret_row,
                   struct err *err);

/* The object of `type` called `name`, else with that id: its row. -ENOENT, with the nearest name;
 * -EINVAL: several are called so. `what`: "virtual machine". */
int inventory_find(struct api *api, const char *type, const char *what, const char *name,
                   const char *paths, json_t **ret_row, struct err *err);
int vm_find(struct api *api, const char *name, const char *paths, json_t **ret_row,
            struct err *err);

/* The host itself; and the datastore that is meant when none was named: the only one, else
 * "datastore1", else the one with most room. */
int host_find(struct api *api, const char *paths, json_t **ret_row, struct err *err);
int datastore_find(struct api *api, const char *name, json_t **ret_row, struct err *err);

/* "[datastore1] a/b" of "[datastore1] a/b", "datastore1:a/b" or "a/b" (the datastore that is meant
 * by none). *ret_path is owned. */
int datastore_path(struct api *api, const char *text, char **ret_path, struct err *err);

/* A reference's copy for the arguments of a call. */
json_t *ref_of(const json_t *row);
/* One property of a row by its path, with nested objects below: row_at(row, "config", "hardware",
 * NULL). */
const json_t *json_at(const json_t *object, ...) __attribute__((sentinel));
