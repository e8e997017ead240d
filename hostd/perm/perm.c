/* SPDX-License-Identifier: Apache-2.0 */
/* Deliberately missing: groups as principals, until there is a directory to have groups in. */
#include "hostd/perm/perm.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/range.h"
#include "hostd/api/vim.h"

enum { FILE_MAX = 8 << 20, PRIVS_MAX = 2048 };

static const struct role system_roles[] = {
    {.id = ROLE_NO_CRYPTO_ADMIN,
     .name = "NoCryptoAdmin",
     .label = "No cryptography administrator",
     .summary = "Full access without cryptographic operations"},
    {.id = ROLE_NO_ACCESS,
     .name = "NoAccess",
     .label = "No access",
     .summary = "Used for restricting granted access"},
    {.id = ROLE_ANONYMOUS,
     .name = "Anonymous",
     .label = "Anonymous",
     .summary = "Not logged-in user (cannot be granted)"},
    {.id = ROLE_VIEW,
     .name = "View",
     .label = "View",
     .summary = "Visibility access (cannot be granted)"},
    {.id = ROLE_READ_ONLY,
     .name = "ReadOnly",
     .label = "Read-only",
     .summary = "See details of objects, but not make changes"},
    {.id = ROLE_ADMIN, .name = "Admin", .label = "Administrator", .summary = "Full access rights"},
};
static const char *const always[] = {"System.Anonymous", "System.Read", "System.View"};

/* --- privileges --- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void note_priv(struct perms *perms, const char *priv)
{
    if (priv && *priv && strchr(priv, '.') && perms->priv_count < PRIVS_MAX)
        perms->privs[perms->priv_count++] = priv;
}

static void note_privs_of(struct perms *perms, const struct vim_property *props, size_t count)
{
    for (size_t i = 0; i < count; i++)
        note_priv(perms, props[i].priv);
}

/* Privileges that no method's declaration names, but roles do. */
static const char *const other_privs[] = {
#define PRIV(name) name,
#include "hostd/perm/privilege.def"
#undef PRIV
};

/* Sorted, each once. */
static void tidy_privs(struct perms *perms)
{
    size_t kept = 0;

    qsort(perms->privs, perms->priv_count, sizeof *perms->privs, compare_names);
    for (size_t i = 0; i < perms->priv_count; i++)
        if (!i || strcmp(perms->privs[i], perms->privs[kept - 1]))
            perms->privs[kept++] = perms->privs[i];
    perms->priv_count = kept;
}

static int collect_privs(struct perms *perms)
{
    perms->privs = calloc(PRIVS_MAX, sizeof *perms->privs);
    if (!perms->privs)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(other_privs); i++)
        note_priv(perms, other_privs[i]);
    for (unsigned i = 0; i < vim_method_count; i++) {
        note_priv(perms, vim_methods[i].priv);
        note_privs_of(perms, vim_methods[i].args->props, vim_methods[i].args->prop_count);
        if (perms->priv_count > PRIVS_MAX / 2)
            tidy_privs(perms);
    }
    tidy_privs(perms);
    return 0;
}

static const char *known_priv(const struct perms *perms, const char *priv)
{
    const char **found =
        bsearch(&priv, perms->privs, perms->priv_count, sizeof *perms->privs, compare_names);

    return found ? *found : NULL;
}

bool priv_known(const struct perms *perms, const char *priv)
{
    return known_priv(perms, priv);
}

void priv_group(const char *priv, char *text, size_t size)
{
    const char *dot = strrchr(priv, '.');

    (void)snprintf(text, size, "%.*s", dot ? (int)(dot - priv) : 0, priv);
}

/* --- roles --- */

const struct role *role_find(const struct perms *perms, int id)
{
    for (unsigned i = 0; i < perms->role_count; i++)
        if (perms->roles[i].id == id)
            return &perms->roles[i];
    return NULL;
}

static bool is_one_of(const char *const *list, size_t count, const char *priv)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i], priv))
            return true;
    return false;
}

bool role_has(const struct role *role, const char *priv)
{
    switch (role->id) {
    case ROLE_ADMIN:
        return true;
    case ROLE_NO_CRYPTO_ADMIN:
        return strncmp(priv, "Cryptographer.", 14) != 0;
    case ROLE_READ_ONLY:
        return is_one_of(always, ARRAY_SIZE(always), priv);
    case ROLE_VIEW:
        return !strcmp(priv, "System.View") || !strcmp(priv, "System.Anonymous");
    case ROLE_ANONYMOUS:
        return !strcmp(priv, "System.Anonymous");
    case ROLE_NO_ACCESS:
        return false;
    default:
        return bsearch(&priv, role->privs, role->priv_count, sizeof *role->privs, compare_names);
    }
}

/* --- the file --- */

static json_t *role_to_json(const struct role *role)
{
    json_t *privs = json_array();

    for (size_t i = 0; i < role->priv_count; i++)
        (void)json_array_append_new(privs, json_string(role->privs[i]));
    return json_pack("{s:i, s:s, s:o}", "id", role->id, "name", role->name, "privileges", privs);
}

static int save(const struct perms *perms, struct err *err)
{
    json_t *roles = json_array(), *list = json_array();

    for (unsigned i = 0; i < perms->role_count; i++)
        if (perms->roles[i].id > 0)
            (void)json_array_append_new(roles, role_to_json(&perms->roles[i]));
    for (unsigned i = 0; i < perms->count; i++) {
        const struct permission *p = &perms->list[i];
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:s, s:i, s:b, s:b}", "entity", p->entity,
                                              "principal", p->principal, "role", p->role, "group",
                                              p->group, "propagate", p->propagate));
    }
    json_t *root = json_pack("{s:i, s:o, s:o}", "nextRole", perms->next_role, "roles", roles,
                             "permissions", list);
    cleanup_free char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    return text ? file_replace(perms->root_fd, PERM_FILE, 0600, text, strlen(text), err)
                : err_sys(err, -ENOMEM, "permissions");
}

static struct role *new_role(struct perms *perms)
{
    struct role *roles = realloc(perms->roles, (perms->role_count + 1) * sizeof *roles);

    if (!roles)
        return NULL;
    perms->roles = roles;
    roles[perms->role_count] = (struct role){0};
    return &roles[perms->role_count++];
}

static int fill_role(const struct perms *perms, struct role *role, const char *name,
                     const char *const *privs, size_t count, struct err *err)
{
    const char **list = calloc(count + ARRAY_SIZE(always), sizeof *list);
    size_t used = 0;

    if (!list)
        return err_sys(err, -ENOMEM, "roles");
    for (size_t i = 0; i < ARRAY_SIZE(always); i++)
        list[used++] = always[i];
    for (size_t i = 0; i < count; i++) {
        const char *known = known_priv(perms, privs[i]);
        if (!known) {
            free(list);
            return err_set(err, -EINVAL, "\"%.80s\" is no privilege", privs[i]);
        }
        if (!is_one_of(list, used, known))
            list[used++] = known;
    }
    qsort(list, used, sizeof *list, compare_names);
    (void)snprintf(role->name, sizeof role->name, "%s", name);
    role->privs = list;
    role->priv_count = used;
    return 0;
}

static int read_role(struct perms *perms, json_t *item, struct err *err)
{
    const char *name, *privs[PRIVS_MAX];
    json_t *list, *one;
    size_t i, count = 0;
    int id;

    if (json_unpack(item, "{s:i, s:s, s:o}", "id", &id, "name", &name, "privileges", &list) < 0 ||
        id <= 0 || strlen(name) > ROLE_NAME_MAX || json_array_size(list) > PRIVS_MAX)
        return -EBADMSG;
    json_array_foreach(list, i,
                       one) if (json_is_string(one) && priv_known(perms, json_string_value(one)))
        privs[count++] = json_string_value(one); /* a privilege of another version goes */
    struct role *role = new_role(perms);
    if (!role)
        return -ENOMEM;
    role->id = id;
    return fill_role(perms, role, name, privs, count, err);
}

static struct permission *new_permission(struct perms *perms)
{
    struct permission *list = realloc(perms->list, (perms->count + 1) * sizeof *list);

    if (!list)
        return NULL;
    perms->list = list;
    list[perms->count] = (struct permission){0};
    return &list[perms->count++];
}

static int read_permission(struct perms *perms, json_t *item)
{
    const char *entity, *principal;
    int role, group, propagate;

    if (json_unpack(item, "{s:s, s:s, s:i, s:b, s:b}", "entity", &entity, "principal", &principal,
                    "role", &role, "group", &group, "propagate", &propagate) < 0)
        return -EBADMSG;
    struct permission *p = new_permission(perms);
    if (!p)
        return -ENOMEM;
    (void)snprintf(p->entity, sizeof p->entity, "%s", entity);
    (void)snprintf(p->principal, sizeof p->principal, "%s", principal);
    p->role = role;
    p->group = group;
    p->propagate = propagate;
    return 0;
}

static int load(struct perms *perms, const char *root_entity, struct err *err)
{
    cleanup_buf struct buf text = {0};
    json_t *item;
    size_t i;
    int rc = file_load(perms->root_fd, PERM_FILE, FILE_MAX, &text, err);

    if (rc == -ENOENT) {
        struct permission root = {.role = ROLE_ADMIN, .propagate = true, .principal = "root"};
        (void)snprintf(root.entity, sizeof root.entity, "%s", root_entity);
        return perm_set(perms, &root, err);
    }
    if (rc < 0)
        return rc;
    json_t *root = json_loadb((const char *)text.data, text.len, 0, NULL);
    json_array_foreach(json_object_get(root, "roles"), i, item) rc =
        rc < 0 ? rc : read_role(perms, item, err);
    json_array_foreach(json_object_get(root, "permissions"), i, item) rc =
        rc < 0 ? rc : read_permission(perms, item);
    perms->next_role = (int)json_integer_value(json_object_get(root, "nextRole"));
    if (!root || perms->next_role < 1)
        rc = -EBADMSG;
    json_decref(root);
    return rc < 0 ? err_sys(err, rc, "\"%s\" is damaged", PERM_FILE) : 0;
}

int perms_create(int root_fd, const char *root_entity, struct perms **ret_perms, struct err *err)
{
    struct perms *perms = calloc(1, sizeof *perms);
    int rc = perms ? collect_privs(perms) : -ENOMEM;

    for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(system_roles); i++) {
        struct role *role = new_role(perms);
        rc = role ? 0 : -ENOMEM;
        if (role)
            *role = system_roles[i];
    }
    if (rc == 0) {
        perms->root_fd = root_fd;
        perms->next_role = 10;
        rc = load(perms, root_entity, err);
    }
    if (rc < 0) {
        perms_destroy(perms);
        return err && !err->code ? err_sys(err, rc, "permissions") : rc;
    }
    *ret_perms = perms;
    return 0;
}

void perms_destroy(struct perms *perms)
{
    if (!perms)
        return;
    for (unsigned i = 0; i < perms->role_count; i++)
        free(perms->roles[i].privs);
    free(perms->roles);
    free(perms->list);
    free(perms->privs);
    free(perms);
}

/* --- changing roles --- */

static int check_name(const struct perms *perms, int id, const char *name, struct err *err)
{
    if (!*name || strlen(name) > ROLE_NAME_MAX)
        return err_set(err, -EINVAL, "a role's name has 1 to %d bytes", ROLE_NAME_MAX);
    for (unsigned i = 0; i < perms->role_count; i++)
        if (perms->roles[i].id != id && !strcmp(perms->roles[i].name, name))
            return err_set(err, -EEXIST, "the role \"%s\" is there already", name);
    return 0;
}

int role_add(struct perms *perms, const char *name, const char *const *privs, size_t count,
             int *ret_id, struct err *err)
{
    int rc = check_name(perms, 0, name, err);

    if (rc < 0)
        return rc;
    if (perms->role_count >= ROLES_MAX)
        return err_set(err, -ENOSPC, "there are %d roles already", ROLES_MAX);
    struct role *role = new_role(perms);
    if (!role)
        return err_sys(err, -ENOMEM, "roles");
    role->id = perms->next_role++;
    rc = fill_role(perms, role, name, privs, count, err);
    if (rc == 0)
        rc = save(perms, err);
    if (rc < 0) {
        free(role->privs);
        perms->role_count--;
        return rc;
    }
    *ret_id = role->id;
    return 0;
}

static struct role *own_role(struct perms *perms, int id, int *ret_rc, struct err *err)
{
    const struct role *role = role_find(perms, id);

    *ret_rc = !role    ? err_set(err, -ENOENT, "there is no role %d", id)
              : id < 0 ? err_set(err, -EPERM, "the role %s is the system's", role->name)
                       : 0;
    return *ret_rc < 0 ? NULL : &perms->roles[role - perms->roles];
}

int role_update(struct perms *perms, int id, const char *name, const char *const *privs,
                size_t count, struct err *err)
{
    int rc;
    struct role *role = own_role(perms, id, &rc, err), before;

    if (rc == 0)
        rc = check_name(perms, id, name, err);
    if (rc < 0)
        return rc;
    before = *role;
    rc = fill_role(perms, role, name, privs, count, err);
    if (rc == 0)
        rc = save(perms, err);
    if (rc < 0 && role->privs != before.privs)
        free(role->privs);
    if (rc < 0)
        *role = before;
    else
        free(before.privs);
    return rc;
}

int role_remove(struct perms *perms, int id, bool force, struct err *err)
{
    int rc;
    struct role *role = own_role(perms, id, &rc, err);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < perms->count; i++)
        if (perms->list[i].role == id && !force)
            return err_set(err, -EBUSY, "the role %s is in use", role->name);
    for (unsigned i = 0; i < perms->count;)
        if (perms->list[i].role == id)
            perms->list[i] = perms->list[--perms->count];
        else
            i++;
    free(role->privs);
    *role = perms->roles[--perms->role_count];
    return save(perms, err);
}

/* --- permissions --- */

const struct permission *perm_find(const struct perms *perms, const char *entity,
                                   const char *principal)
{
    for (unsigned i = 0; i < perms->count; i++)
        if (!strcmp(perms->list[i].entity, entity) && !strcmp(perms->list[i].principal, principal))
            return &perms->list[i];
    return NULL;
}

/* Somebody must be able to do everything. */
static bool is_last_resort(const char *entity, const char *principal)
{
    return !strcmp(entity, "ha-folder-root") && !strcmp(principal, "root");
}

int perm_set(struct perms *perms, const struct permission *permission, struct err *err)
{
    const struct permission *found = perm_find(perms, permission->entity, permission->principal);
    struct permission before = {0};

    if (!role_find(perms, permission->role))
        return err_set(err, -ENOENT, "there is no role %d", permission->role);
    if (is_last_resort(permission->entity, permission->principal) && permission->role != ROLE_ADMIN)
        return err_set(err, -EPERM, "root stays administrator");
    if (!found && perms->count >= PERMISSIONS_MAX)
        return err_set(err, -ENOSPC, "there are %d permissions already", PERMISSIONS_MAX);
    struct permission *p = found ? &perms->list[found - perms->list] : new_permission(perms);
    if (!p)
        return err_sys(err, -ENOMEM, "permissions");
    before = *p;
    *p = *permission;
    int rc = save(perms, err);
    if (rc < 0)
        *p = before;
    if (rc < 0 && !found)
        perms->count--;
    return rc;
}

int perm_remove(struct perms *perms, const char *entity, const char *principal, struct err *err)
{
    const struct permission *found = perm_find(perms, entity, principal);

    if (!found)
        return err_set(err, -ENOENT, "%s has no permission there", principal);
    if (is_last_resort(entity, principal))
        return err_set(err, -EPERM, "root stays administrator");
    struct permission gone = *found, *at = &perms->list[found - perms->list];
    *at = perms->list[--perms->count];
    int rc = save(perms, err);
    if (rc < 0) {
        perms->list[perms->count++] = *at;
        *at = gone;
    }
    return rc;
}

static void forget(struct perms *perms, const char *entity, const char *principal)
{
    struct err err = ERR_INIT;
    bool any = false;

    for (unsigned i = 0; i < perms->count;) {
        const struct permission *p = &perms->list[i];
        bool gone = (entity && !strcmp(p->entity, entity)) ||
                    (principal && !strcmp(p->principal, principal));
        any |= gone;
        if (gone)
            perms->list[i] = perms->list[--perms->count];
        else
            i++;
    }
    if (any)
        (void)save(perms, &err);
}

void perm_forget_entity(struct perms *perms, const char *entity)
{
    forget(perms, entity, NULL);
}

void perm_forget_principal(struct perms *perms, const char *principal)
{
    forget(perms, NULL, principal);
}

bool perm_any(const struct perms *perms, const char *principal)
{
    for (unsigned i = 0; i < perms->count; i++)
        if (!strcmp(perms->list[i].principal, principal) && perms->list[i].role != ROLE_NO_ACCESS)
            return true;
    return false;
}
