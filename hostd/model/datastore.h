/* SPDX-License-Identifier: Apache-2.0 */
/* Datastores: in hosted mode the folders below datastores/ of the host's folder, each known by its
 * name and by an id that stays when it is renamed. Clients see it mounted at
 * /vmfs/volumes/<id>; paths in .vmx files are meant so (datastore/dspath.h). */
#pragma once

#include <jansson.h>

#include "hostd/datastore/dspath.h"
#include "hostd/model/inventory.h"

struct datastore {
    struct entity e;
    int fd; /* its folder; while it is lost a folder in which nothing is */
    /* datastore_watch.h */
    bool lost, readonly, full;
    bool marked; /* its mark has been written or seen: without it, a folder is another one */
    struct single *browser;
    char browser_id[ENTITY_ID_MAX + 32];
};

/* The folder of that name below datastores/, which may be a link to one elsewhere. `known` as with
 * the next. -errno. */
int datastore_add(struct inventory *inventory, const char *name, json_t *known,
                  struct datastore **ret_datastore);
void datastore_free(struct datastore *datastore);         /* and out of the inventory; files stay */
void datastore_destroy(struct mo *mo, struct call *call); /* DestroyDatastore */

/* Finds the folders that are there; `known` (may be NULL) has their ids. */
int datastores_scan(struct inventory *inventory, json_t *known, struct err *err);
void datastores_destroy(struct inventory *inventory);

/* By name, or by id; NULL. */
struct datastore *datastore_find(struct inventory *inventory, const char *name);

/* A path of the API's ("[ds] a/b") or of a .vmx file ("/vmfs/volumes/..."), to the datastore and
 * the relative name. NULL when it is none or the datastore is not there. */
struct datastore *datastore_resolve(struct inventory *inventory, const char *text,
                                    struct dspath *ret_path);
/* May the call's user do that there? `text` is what he called it. One that he does not see is as
 * one that is not there (NULL). False: the call has its fault. */
bool datastore_may(struct call *call, struct datastore *datastore, const char *text,
                   const char *priv);

/* The name by which Linux knows a file on it, relative to the working directory. */
void datastore_real_path(const struct datastore *datastore, const char *rel, char *text,
                         size_t size);
/* Each folder carries its datastore's id in a file of this name, so that another one of the same
 * name, such as the folder that a file system was mounted on, is not taken for it. */
#define DATASTORE_MARK DSPATH_OWN "datastore"
/* What the mark in a folder says, "" without one; any thread. */
void datastore_read_mark(int folder_fd, char id[ENTITY_ID_MAX]);

/* Where clients believe it is mounted. */
const char *datastore_url(struct arena *arena, const struct datastore *datastore);
uint64_t datastore_capacity(const struct datastore *datastore); /* 0: it can not be reached */
void datastore_mount_path(const struct datastore *datastore, char *text, size_t size);
