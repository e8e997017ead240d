/* SPDX-License-Identifier: Apache-2.0 */
/* Roles and permissions.
 *
 * A role is a set of privileges. A permission gives a principal (a user) a role on an entity, and
 * on what is below it if it propagates. What counts for a user at an entity is the permission
 * nearest to it on the way up: a permission on a VM replaces, not extends, one on a folder above
 * it. Without any, the user has no privilege there; a user without any permission at all can not
 * log in.
 *
 * System roles are constants: Admin (-1) has everything and can not be taken from root at the root
 * folder. Own roles have positive ids, given out once, and always contain System.Anonymous,
 * System.View and System.Read.
 *
 * Kept in one file, replaced at each change. On the loop's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define PERM_FILE "config/permissions.json"

enum {
    ROLE_ADMIN = -1,
    ROLE_READ_ONLY = -2,
    ROLE_VIEW = -3,
    ROLE_ANONYMOUS = -4,
    ROLE_NO_ACCESS = -5,
    ROLE_NO_CRYPTO_ADMIN = -6,
    ROLE_NAME_MAX = 80,
    ROLES_MAX = 256,
    PERMISSIONS_MAX = 4096,
};

struct role {
    int id;
    char name[ROLE_NAME_MAX + 1];
    const char *label, *summary; /* of system roles; NULL otherwise */
    const char **privs;          /* sorted; of own roles: constants of the tables. Owned array */
    size_t priv_count;
};

struct permission {
    char entity[64]; /* managed object id */
    char principal[64];
    int role;
    bool group, propagate;
};

struct perms {
    int root_fd;
    struct role *roles; /* system roles first */
    unsigned role_count;
    struct permission *list;
    unsigned count;
    int next_role;
    const char **privs; /* all there are, sorted; owned array of constants */
    size_t priv_count;
};

/* Reads the file; without one: root is Admin at `root_entity`. */
int perms_create(int root_fd, const char *root_entity, struct perms **ret_perms, struct err *err);
void perms_destroy(struct perms *perms);

const struct role *role_find(const struct perms *perms, int id);
bool role_has(const struct role *role, const char *priv);
/* Every privilege that the role has: walks perms->privs. */
bool priv_known(const struct perms *perms, const char *priv);
/* The part in front of the last dot: "VirtualMachine.Interact". Into `text`. */
void priv_group(const char *priv, char *text, size_t size);

/* -EEXIST: the name is taken; -EINVAL: a name that can not be, a privilege that is none; -EPERM: a
 * system role; -ENOENT; -EBUSY: removing one that permissions use, unless `force` (these go too).
 */
int role_add(struct perms *perms, const char *name, const char *const *privs, size_t count,
             int *ret_id, struct err *err);
int role_update(struct perms *perms, int id, const char *name, const char *const *privs,
                size_t count, struct err *err);
int role_remove(struct perms *perms, int id, bool force, struct err *err);

const struct permission *perm_find(const struct perms *perms, const char *entity,
                                   const char *principal);
/* -ENOENT: no such role; -EPERM: would take Admin from root at the root folder. */
int perm_set(struct perms *perms, const struct permission *permission, struct err *err);
int perm_remove(struct perms *perms, const char *entity, const char *principal, struct err *err);
/* An entity or an account is gone; not being able to write that down is no failure. */
void perm_forget_entity(struct perms *perms, const char *entity);
void perm_forget_principal(struct perms *perms, const char *principal);
bool perm_any(const struct perms *perms, const char *principal);
