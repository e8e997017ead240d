/* SPDX-License-Identifier: Apache-2.0 */
/* `socle role` and `socle permission`: what roles allow, and who has which role where. */
#include <errno.h>
#include <string.h>

#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/nouns.h"

static const json_t *authorization(struct api *api)
{
    return api_manager(api, "authorizationManager");
}

/* --- roles --- */

static const struct column role_columns[] = {
    {"id", "ID", COLUMN_NUMBER},
    {"name", "NAME", COLUMN_TEXT},
    {"system", "SYSTEM", COLUMN_BOOL},
    {"privileges", "PRIVILEGES", COLUMN_NUMBER},
    {"privilege", "PRIVILEGE", COLUMN_TEXT, .wide = true},
};

static json_t *role_row(const json_t *role)
{
    const json_t *all = json_object_get(role, "privilege");
    json_t *row = json_pack("{s:s, s:i}", "name", api_text(role, "name"), "privileges",
                            (int)json_array_size(all));

    (void)json_object_set(row, "id", json_object_get(role, "roleId"));
    (void)json_object_set(row, "system", json_object_get(role, "system"));
    (void)json_object_set(row, "privilege", json_object_get(role, "privilege"));
    return row;
}

static int role_list(struct command *command, struct err *err)
{
    cleanup_json json_t *roles = NULL, *rows = json_array();
    struct api *api;
    json_t *role;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = api_get(api, authorization(api), "roleList", &roles, err);
    json_array_foreach(roles, i, role)(void) json_array_append_new(rows, role_row(role));
    return rc < 0 ? rc : out_rows(command, role_columns, ARRAY_SIZE(role_columns), rows, err);
}

static const char *role_word(const void *ctx, unsigned i)
{
    const json_t *role = json_array_get(ctx, i);

    return role ? api_text(role, "name") : NULL;
}

/* By its name; borrowed from *ret_roles, which is the caller's. */
static int find_role(struct api *api, const char *name, json_t **ret_roles, const json_t **ret_role,
                     struct err *err)
{
    json_t *role;
    size_t i;
    int rc = api_get(api, authorization(api), "roleList", ret_roles, err);

    if (rc < 0)
        return rc;
    json_array_foreach(*ret_roles, i, role) if (!strcmp(api_text(role, "name"), name))
    {
        *ret_role = role;
        return 0;
    }
    const char *near = nearest_word(name, role_word, *ret_roles);
    return near ? err_set(err, -ENOENT, "there is no role \"%s\"; did you mean %s?", name, near)
                : err_set(err, -ENOENT, "there is no role \"%s\"", name);
}

static const struct column privilege_columns[] = {{"privilege", "PRIVILEGE", COLUMN_TEXT}};

static int role_show(struct command *command, struct err *err)
{
    cleanup_json json_t *roles = NULL, *rows = json_array();
    const json_t *role = NULL;
    struct api *api;
    json_t *privilege;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = find_role(api, command_operand(command, 0), &roles, &role, err);
    json_array_foreach(json_object_get(role, "privilege"), i, privilege)(void)
        json_array_append_new(rows, json_pack("{s:O}", "privilege", privilege));
    return rc < 0 ? rc
                  : out_rows(command, privilege_columns, ARRAY_SIZE(privilege_columns), rows, err);
}

static int role_add(struct command *command, struct err *err)
{
    json_t *privileges = json_array();
    const char *word;
    struct api *api;
    int rc = command_api(command, &api, err);

    for (unsigned i = 1; (word = command_operand(command, i)); i++)
        (void)json_array_append_new(privileges, json_string(word));
    json_t *args =
        json_pack("{s:s, s:o}", "name", command_operand(command, 0), "privIds", privileges);
    if (rc == 0)
        return api_call(api, authorization(api), "AddAuthorizationRole", args, NULL, err);
    json_decref(args);
    return rc;
}

static int role_remove(struct command *command, struct err *err)
{
    cleanup_json json_t *roles = NULL;
    const json_t *role = NULL;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = find_role(api, command_operand(command, 0), &roles, &role, err);
    return rc < 0 ? rc
                  : api_call(api, authorization(api), "RemoveAuthorizationRole",
                             json_pack("{s:O, s:b}", "roleId", json_object_get(role, "roleId"),
                                       "failIfUsed", 1),
                             NULL, err);
}

static const struct verb role_verbs[] = {
    {"list", "", "shows all roles", NO_OPTIONS, role_list},
    {"show", "ROLE", "shows what one allows", NO_OPTIONS, role_show},
    {"add", "NAME [PRIVILEGE]...", "makes one", NO_OPTIONS, role_add},
    {"remove", "ROLE", "removes one that nobody has", NO_OPTIONS, role_remove},
};

const struct noun noun_role = {"role", "Roles: sets of privileges.", role_verbs,
                               ARRAY_SIZE(role_verbs)};

/* --- permissions --- */

static const struct column permission_columns[] = {
    {"user", "USER", COLUMN_TEXT},
    {"role", "ROLE", COLUMN_TEXT},
    {"object", "OBJECT", COLUMN_TEXT},
    {"propagate", "BELOW", COLUMN_BOOL},
    {"group", "GROUP", COLUMN_BOOL, .wide = true},
};

static const char *role_name(const json_t *roles, const json_t *id)
{
    json_t *role;
    size_t i;

    json_array_foreach(roles, i, role) if (json_equal(json_object_get(role, "roleId"),
                                                      id)) return api_text(role, "name");
    return "?";
}

static int permission_list(struct command *command, struct err *err)
{
    cleanup_json json_t *all = NULL, *roles = NULL, *rows = json_array();
    struct api *api;
    json_t *one;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = api_get(api, authorization(api), "roleList", &roles, err);
    if (rc == 0)
        rc = api_call(api, authorization(api), "RetrieveAllPermissions", NULL, &all, err);
    json_array_foreach(all, i, one)
    {
        cleanup_json json_t *entity = NULL;
        const json_t *ref = json_object_get(one, "entity");
        if (rc == 0)
            (void)inventory_read(api, ref, "name", &entity, NULL);
        json_t *row = json_pack("{s:s, s:s, s:s}", "user", api_text(one, "principal"), "role",
                                role_name(roles, json_object_get(one, "roleId")), "object",
                                entity ? api_text(entity, "name") : api_id(ref));
        (void)json_object_set(row, "propagate", json_object_get(one, "propagate"));
        (void)json_object_set(row, "group", json_object_get(one, "group"));
        (void)json_array_append_new(rows, row);
    }
    return rc < 0
               ? rc
               : out_rows(command, permission_columns, ARRAY_SIZE(permission_columns), rows, err);
}

static const struct option set_options[] = {
    {"vm", "VM", "on this virtual machine (default: on the whole host)", NULL},
    {"only", NULL, "not for what is below it", NULL},
};

/* What the permission is on. */
static int find_entity(struct command *command, struct api *api, json_t **ret_ref, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    const char *name = command_value(command, "vm");
    int rc = name ? vm_find(api, name, "name", &vm, err) : 0;

    if (rc == 0)
        *ret_ref = name ? ref_of(vm) : json_deep_copy(api_manager(api, "rootFolder"));
    return rc;
}

static int permission_set(struct command *command, struct err *err)
{
    cleanup_json json_t *roles = NULL, *entity = NULL;
    const json_t *role;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = find_role(api, command_operand(command, 1), &roles, &role, err);
    if (rc == 0)
        rc = find_entity(command, api, &entity, err);
    return rc < 0 ? rc
                  : api_call(api, authorization(api), "SetEntityPermissions",
                             json_pack("{s:O, s:[{s:s, s:b, s:O, s:b}]}", "entity", entity,
                                       "permission", "principal", command_operand(command, 0),
                                       "group", 0, "roleId", json_object_get(role, "roleId"),
                                       "propagate", !command_flag(command, "only")),
                             NULL, err);
}

static int permission_remove(struct command *command, struct err *err)
{
    cleanup_json json_t *entity = NULL;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = find_entity(command, api, &entity, err);
    return rc < 0 ? rc
                  : api_call(api, authorization(api), "RemoveEntityPermission",
                             json_pack("{s:O, s:s, s:b}", "entity", entity, "user",
                                       command_operand(command, 0), "isGroup", 0),
                             NULL, err);
}

static const struct verb permission_verbs[] = {
    {"list", "", "shows all permissions", NO_OPTIONS, permission_list},
    {"set", "USER ROLE", "gives a user a role", OPTIONS(set_options), permission_set},
    {"remove", "USER", "takes it away", set_options, 1, permission_remove},
};

const struct noun noun_permission = {"permission", "Who may do what, and where.", permission_verbs,
                                     ARRAY_SIZE(permission_verbs)};
