/* SPDX-License-Identifier: Apache-2.0 */
/* AuthorizationManager: roles and permissions (perm/perm.h) in the API's words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/model/classes.h"
#include "hostd/model/entity.h"
#include "hostd/perm/perm.h"
#include "hostd/session/session.h"

static void fault_errno(struct call *call, int rc, const struct err *err, const char *name)
{
    if (rc == -EEXIST) {
        struct vim_AlreadyExists *fault = VIM_NEW(call->arena, AlreadyExists);
        fault->name = name;
        call_fault(call, &fault->self);
    } else if (rc == -ENOENT) {
        CALL_FAULT(call, NotFound);
    } else if (rc == -EINVAL || rc == -EPERM) {
        struct vim_InvalidArgument *fault = VIM_NEW(call->arena, InvalidArgument);
        call_fault_text(call, &fault->self, "%s", err->text);
    } else {
        CALL_FAULT_TEXT(call, SystemError, "%s", err->text);
    }
}

/* --- events --- */

static struct vim_RoleEventArgument *role_argument(struct call *call, int id)
{
    const struct role *role = role_find(hostd_of(call)->perms, id);
    struct vim_RoleEventArgument *out = VIM_NEW(call->arena, RoleEventArgument);

    out->roleId = id;
    out->name = arena_strdup(call->arena, role ? role->name : "");
    return out;
}

#define POST(call, event, entity, ...)                                                             \
    event_post(hostd_of(call), (struct vim_Event *)(void *)(event), entity, (call)->session->user, \
               __VA_ARGS__)

/* `event` is a PermissionEvent without what all of them have. */
static void fill_permission(struct call *call, struct vim_PermissionEvent *event,
                            const struct entity *entity, const struct permission *permission)
{
    event->entity = VIM_NEW(call->arena, ManagedEntityEventArgument);
    event->entity->name = entity->name;
    event->entity->entity = mo_ref(&entity->mo);
    event->principal = arena_strdup(call->arena, permission->principal);
    event->group = permission->group;
}

static const char *propagation(const struct permission *permission)
{
    return permission->propagate ? "Enabled" : "Disabled";
}

static void post_permission_set(struct call *call, struct entity *entity,
                                const struct permission *now, const struct permission *before)
{
    struct vim_RoleEventArgument *role = role_argument(call, now->role);

    if (!before) {
        struct vim_PermissionAddedEvent *event = VIM_NEW(call->arena, PermissionAddedEvent);
        fill_permission(call, VIM_AS(PermissionEvent, event), entity, now);
        event->role = role;
        event->propagate = now->propagate;
        POST(call, event, entity, "Permission created for %s on %s, role is %s, propagation is %s",
             now->principal, entity->name, role->name, propagation(now));
        return;
    }
    struct vim_PermissionUpdatedEvent *event = VIM_NEW(call->arena, PermissionUpdatedEvent);
    fill_permission(call, VIM_AS(PermissionEvent, event), entity, now);
    event->role = role;
    event->propagate = now->propagate;
    event->prevRole = role_argument(call, before->role);
    event->prevPropagate = vim_bool(before->propagate);
    POST(call, event, entity, "Permission changed for %s on %s, role is %s, propagation is %s",
         now->principal, entity->name, role->name, propagation(now));
}

static void permission_changed(struct mo *target)
{
    mo_changed(target, VIM_P_ManagedEntity_permission);
    mo_changed(target, VIM_P_ManagedEntity_effectiveRole);
}

static void permission_gone(struct call *call, const struct permission *before)
{
    struct mo *target = mo_find(call->api->registry, before->entity);
    struct vim_PermissionRemovedEvent *event = VIM_NEW(call->arena, PermissionRemovedEvent);

    if (!target)
        return;
    struct entity *entity = entity_from(target);
    permission_changed(target);
    fill_permission(call, VIM_AS(PermissionEvent, event), entity, before);
    POST(call, event, entity, "Permission rule removed for %s on %s", before->principal,
         entity->name);
}

/* --- roles --- */

static struct vim_AuthorizationRole *role_value(struct call *call, const struct role *role)
{
    const struct perms *perms = hostd_of(call)->perms;
    struct vim_AuthorizationRole *out = VIM_NEW(call->arena, AuthorizationRole);

    out->roleId = role->id;
    out->system = role->id < 0;
    out->name = arena_strdup(call->arena, role->name);
    out->info = VIM_NEW(call->arena, Description);
    out->info->label = role->label ? role->label : out->name;
    out->info->summary = role->summary ? role->summary : out->name;
    for (size_t i = 0; i < perms->priv_count; i++)
        if (role_has(role, perms->privs[i]))
            VIM_ADD(call->arena, &out->privilege, perms->privs[i]);
    return out;
}

static struct vim_any get_role_list(struct mo *mo, struct call *call)
{
    const struct perms *perms = hostd_of(call)->perms;
    VIM_LIST(struct vim_AuthorizationRole *) list = {0};

    (void)mo;
    for (unsigned i = 0; i < perms->role_count; i++)
        VIM_ADD(call->arena, &list, role_value(call, &perms->roles[i]));
    return VIM_ANY_LIST(VIM_DATA, VIM_T_AuthorizationRole, &list);
}

static struct vim_any get_privilege_list(struct mo *mo, struct call *call)
{
    const struct perms *perms = hostd_of(call)->perms;
    VIM_LIST(struct vim_AuthorizationPrivilege *) list = {0};

    (void)mo;
    for (size_t i = 0; i < perms->priv_count; i++) {
        struct vim_AuthorizationPrivilege *p = VIM_NEW(call->arena, AuthorizationPrivilege);
        char group[128];
        priv_group(perms->privs[i], group, sizeof group);
        p->privId = perms->privs[i];
        p->name = strrchr(perms->privs[i], '.') + 1;
        p->privGroupName = arena_strdup(call->arena, group);
        VIM_ADD(call->arena, &list, p);
    }
    return VIM_ANY_LIST(VIM_DATA, VIM_T_AuthorizationPrivilege, &list);
}

static struct vim_ElementDescription *describe(struct call *call, const char *key)
{
    struct vim_ElementDescription *d = VIM_NEW(call->arena, ElementDescription);

    d->key = d->label = d->summary = key;
    return d;
}

static struct vim_any get_description(struct mo *mo, struct call *call)
{
    const struct perms *perms = hostd_of(call)->perms;
    struct vim_AuthorizationDescription *d = VIM_NEW(call->arena, AuthorizationDescription);
    char group[128], last[128] = "";

    (void)mo;
    for (size_t i = 0; i < perms->priv_count; i++) {
        priv_group(perms->privs[i], group, sizeof group);
        VIM_ADD(call->arena, &d->privilege, describe(call, perms->privs[i]));
        if (strcmp(group, last) != 0)
            VIM_ADD(call->arena, &d->privilegeGroup,
                    describe(call, arena_strdup(call->arena, group)));
        (void)snprintf(last, sizeof last, "%s", group);
    }
    return vim_any_data(d);
}

static void roles_changed(struct mo *mo)
{
    mo_changed(mo, VIM_P_AuthorizationManager_roleList);
}

static void add_role(struct mo *mo, struct call *call)
{
    const struct vim_AddAuthorizationRole_args *args = call->args;
    struct perms *perms = hostd_of(call)->perms;
    struct err err = ERR_INIT;
    int id, rc = role_add(perms, args->name, args->privIds.items, args->privIds.count, &id, &err);

    if (rc < 0) {
        fault_errno(call, rc, &err, args->name);
        return;
    }
    roles_changed(mo);
    struct vim_RoleAddedEvent *event = VIM_NEW(call->arena, RoleAddedEvent);
    const struct vim_AuthorizationRole *role = role_value(call, role_find(perms, id));
    event->role = role_argument(call, id);
    event->privilegeList.items = role->privilege.items;
    event->privilegeList.count = role->privilege.count;
    POST(call, event, NULL, "New role %s created", role->name);
    call_return(call, vim_any_int(id));
}

static bool lists(const struct vim_AuthorizationRole *role, const char *priv)
{
    for (size_t i = 0; i < role->privilege.count; i++)
        if (!strcmp(role->privilege.items[i], priv))
            return true;
    return false;
}

static void post_role_updated(struct call *call, const struct vim_AuthorizationRole *before)
{
    struct vim_RoleUpdatedEvent *event = VIM_NEW(call->arena, RoleUpdatedEvent);
    const struct role *role = role_find(hostd_of(call)->perms, before->roleId);
    const struct vim_AuthorizationRole *now = role_value(call, role);

    event->role = role_argument(call, now->roleId);
    event->prevRoleName = before->name;
    event->privilegeList.items = now->privilege.items;
    event->privilegeList.count = now->privilege.count;
    for (size_t i = 0; i < now->privilege.count; i++)
        if (!lists(before, now->privilege.items[i]))
            VIM_ADD(call->arena, &event->privilegesAdded, now->privilege.items[i]);
    for (size_t i = 0; i < before->privilege.count; i++)
        if (!lists(now, before->privilege.items[i]))
            VIM_ADD(call->arena, &event->privilegesRemoved, before->privilege.items[i]);
    POST(call, event, NULL, "Modified role %s", now->name);
}

static void update_role(struct mo *mo, struct call *call)
{
    const struct vim_UpdateAuthorizationRole_args *args = call->args;
    struct perms *perms = hostd_of(call)->perms;
    const struct role *role = role_find(perms, args->roleId);
    const char *name = *args->newName || !role ? args->newName : role->name;
    bool keeps = !args->privIds.items && role; /* only renamed */
    struct err err = ERR_INIT;
    char copy[ROLE_NAME_MAX + 1];
    const struct vim_AuthorizationRole *before = role ? role_value(call, role) : NULL;

    (void)snprintf(copy, sizeof copy, "%s", name);
    int rc = role_update(perms, args->roleId, copy, keeps ? role->privs : args->privIds.items,
                         keeps ? role->priv_count : args->privIds.count, &err);
    if (rc < 0) {
        fault_errno(call, rc, &err, args->newName);
        return;
    }
    roles_changed(mo);
    post_role_updated(call, before);
}

/* Permissions that give the role go with it: each is told of, too. */
static void remove_role(struct mo *mo, struct call *call)
{
    const struct vim_RemoveAuthorizationRole_args *args = call->args;
    struct perms *perms = hostd_of(call)->perms;
    struct vim_RoleRemovedEvent *event = VIM_NEW(call->arena, RoleRemovedEvent);
    struct permission *gone = arena_array(call->arena, perms->count, sizeof *gone);
    unsigned gone_count = 0;
    struct err err = ERR_INIT;

    event->role = role_argument(call, args->roleId);
    for (unsigned i = 0; i < perms->count; i++)
        if (perms->list[i].role == args->roleId)
            gone[gone_count++] = perms->list[i];
    int rc = role_remove(perms, args->roleId, !args->failIfUsed, &err);
    if (rc == -EBUSY) {
        CALL_FAULT_TEXT(call, RemoveFailed, "%s", err.text);
        return;
    }
    if (rc < 0) {
        fault_errno(call, rc, &err, NULL);
        return;
    }
    roles_changed(mo);
    for (unsigned i = 0; i < gone_count; i++)
        permission_gone(call, &gone[i]);
    POST(call, event, NULL, "Role %s removed", event->role->name);
}

/* --- permissions --- */

typedef VIM_LIST(struct vim_Permission *) permissions;

static void add_permission(struct call *call, permissions *list, const struct permission *p)
{
    struct mo *mo = mo_find(call->api->registry, p->entity);
    struct vim_Permission *out = VIM_NEW(call->arena, Permission);

    if (!mo)
        return;
    out->entity = mo_ref(mo);
    out->principal = arena_strdup(call->arena, p->principal);
    out->group = p->group;
    out->roleId = p->role;
    out->propagate = p->propagate;
    VIM_ADD(call->arena, list, out);
}

static void return_permissions(struct call *call, permissions *list)
{
    if (!list->items)
        VIM_EMPTY(list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_Permission, list));
}

static void retrieve_all(struct mo *mo, struct call *call)
{
    const struct perms *perms = hostd_of(call)->perms;
    permissions list = {0};

    (void)mo;
    for (unsigned i = 0; i < perms->count; i++)
        add_permission(call, &list, &perms->list[i]);
    return_permissions(call, &list);
}

static void retrieve_role_permissions(struct mo *mo, struct call *call)
{
    const struct vim_RetrieveRolePermissions_args *args = call->args;
    const struct perms *perms = hostd_of(call)->perms;
    permissions list = {0};

    (void)mo;
    if (!role_find(perms, args->roleId)) {
        CALL_FAULT(call, NotFound);
        return;
    }
    for (unsigned i = 0; i < perms->count; i++)
        if (perms->list[i].role == args->roleId)
            add_permission(call, &list, &perms->list[i]);
    return_permissions(call, &list);
}

/* With those that come from above, each principal's nearest. */
static void retrieve_entity_permissions(struct mo *mo, struct call *call)
{
    const struct vim_RetrieveEntityPermissions_args *args = call->args;
    struct mo *target = call_resolve(call, args->entity);
    const struct perms *perms = hostd_of(call)->perms;
    permissions list = {0};

    (void)mo;
    if (!target)
        return;
    for (struct entity *at = entity_from(target); at; at = args->inherited ? at->parent : NULL)
        for (unsigned i = 0; i < perms->count; i++) {
            const struct permission *p = &perms->list[i];
            if (strcmp(p->entity, at->id) || (at != entity_from(target) && !p->propagate))
                continue;
            if (entity_permission(hostd_of(call), p->principal, entity_from(target)) == p)
                add_permission(call, &list, p);
        }
    return_permissions(call, &list);
}

static bool from_value(struct call *call, const struct entity *entity,
                       const struct vim_Permission *from, struct permission *to)
{
    if (from->group || strlen(from->principal) >= sizeof to->principal ||
        !account_find(&hostd_of(call)->accounts, from->principal)) {
        struct vim_UserNotFound *fault = VIM_NEW(call->arena, UserNotFound);
        fault->principal = from->principal;
        call_fault(call, &fault->self);
        return false;
    }
    *to = (struct permission){.role = from->roleId, .propagate = from->propagate};
    (void)snprintf(to->entity, sizeof to->entity, "%.63s", entity->id);
    (void)snprintf(to->principal, sizeof to->principal, "%s", from->principal);
    return true;
}

static int set_permission(struct call *call, struct entity *entity,
                          const struct permission *permission, struct err *err)
{
    struct perms *perms = hostd_of(call)->perms;
    const struct permission *was = perm_find(perms, entity->id, permission->principal);
    struct permission before = was ? *was : (struct permission){0};
    int rc = perm_set(perms, permission, err);

    if (rc == 0)
        post_permission_set(call, entity, permission, was ? &before : NULL);
    return rc;
}

/* What `list` gives again is changed, not removed. */
static void forget_others(struct call *call, const struct entity *entity,
                          const struct vim_Permission *const *list, size_t count)
{
    struct perms *perms = hostd_of(call)->perms;

    for (unsigned i = perms->count; i-- > 0;) {
        struct permission p = perms->list[i];
        bool again = strcmp(p.entity, entity->id) != 0;
        for (size_t j = 0; j < count && !again; j++)
            again = !strcmp(list[j]->principal, p.principal);
        if (!again && perm_remove(perms, p.entity, p.principal, NULL) == 0)
            permission_gone(call, &p);
    }
}

static void set_permissions(struct call *call, struct vim_ref ref,
                            const struct vim_Permission *const *list, size_t count, bool reset)
{
    struct mo *target = call_resolve(call, ref);
    struct err err = ERR_INIT;
    struct permission permission;
    int rc = 0;

    if (!target)
        return;
    for (size_t i = 0; i < count; i++)
        if (!from_value(call, entity_from(target), list[i], &permission))
            return;
    if (reset)
        forget_others(call, entity_from(target), list, count);
    for (size_t i = 0; i < count && rc == 0; i++)
        if (from_value(call, entity_from(target), list[i], &permission))
            rc = set_permission(call, entity_from(target), &permission, &err);
    if (rc < 0)
        fault_errno(call, rc, &err, NULL);
    permission_changed(target);
}

static void set_entity_permissions(struct mo *mo, struct call *call)
{
    const struct vim_SetEntityPermissions_args *args = call->args;

    (void)mo;
    set_permissions(call, args->entity,
                    (const struct vim_Permission *const *)args->permission.items,
                    args->permission.count, false);
}

static void reset_entity_permissions(struct mo *mo, struct call *call)
{
    const struct vim_ResetEntityPermissions_args *args = call->args;

    (void)mo;
    if (args->entity.id && !strcmp(args->entity.id, "ha-folder-root"))
        call_fault_argument(call, "entity"); /* somebody must stay administrator */
    else
        set_permissions(call, args->entity,
                        (const struct vim_Permission *const *)args->permission.items,
                        args->permission.count, true);
}

static void remove_entity_permission(struct mo *mo, struct call *call)
{
    const struct vim_RemoveEntityPermission_args *args = call->args;
    struct mo *target = call_resolve(call, args->entity);
    struct perms *perms = hostd_of(call)->perms;
    const struct permission *was = target ? perm_find(perms, target->id, args->user) : NULL;
    struct permission before = was ? *was : (struct permission){0};
    struct err err = ERR_INIT;

    (void)mo;
    if (!target)
        return;
    int rc = perm_remove(perms, target->id, args->user, &err);
    if (rc < 0)
        fault_errno(call, rc, &err, NULL);
    else
        permission_gone(call, &before);
}

/* --- questions --- */

static const char *user_of_session(struct call *call, const char *key)
{
    struct session *session = session_find_key(hostd_of(call)->sessions, key);

    if (!session)
        call_fault_argument(call, "sessionId");
    return session ? session->user : NULL;
}

static struct vim_EntityPrivilege *ask(struct call *call, const char *user, struct mo *mo,
                                       const char *const *privs, size_t count)
{
    struct vim_EntityPrivilege *out = VIM_NEW(call->arena, EntityPrivilege);

    out->entity = mo_ref(mo);
    for (size_t i = 0; i < count; i++) {
        struct vim_PrivilegeAvailability *p = VIM_NEW(call->arena, PrivilegeAvailability);
        p->privId = privs[i];
        p->isGranted =
            entity_allows(hostd_of(call), user, entity_guarding(hostd_of(call), mo), privs[i]);
        VIM_ADD(call->arena, &out->privAvailability, p);
    }
    return out;
}

static void ask_all(struct call *call, const char *user, const struct vim_ref *entities,
                    size_t count, const char *const *privs, size_t priv_count)
{
    VIM_LIST(struct vim_EntityPrivilege *) list = {0};

    for (size_t i = 0; user && i < count; i++) {
        struct mo *target = call_resolve(call, entities[i]);
        if (!target)
            return;
        VIM_ADD(call->arena, &list, ask(call, user, target, privs, priv_count));
    }
    if (!user)
        return;
    if (!list.items)
        VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_EntityPrivilege, &list));
}

static void has_privilege_on_entities(struct mo *mo, struct call *call)
{
    const struct vim_HasPrivilegeOnEntities_args *args = call->args;

    (void)mo;
    ask_all(call, user_of_session(call, args->sessionId), args->entity.items, args->entity.count,
            args->privId.items, args->privId.count);
}

static void has_user_privilege_on_entities(struct mo *mo, struct call *call)
{
    const struct vim_HasUserPrivilegeOnEntities_args *args = call->args;

    (void)mo;
    ask_all(call, args->userName, args->entities.items, args->entities.count, args->privId.items,
            args->privId.count);
}

static void has_privilege_on_entity(struct mo *mo, struct call *call)
{
    const struct vim_HasPrivilegeOnEntity_args *args = call->args;
    const char *user = user_of_session(call, args->sessionId);
    struct mo *target = user ? call_resolve(call, args->entity) : NULL;
    VIM_LIST(bool) list = {0};

    (void)mo;
    if (!target)
        return;
    for (size_t i = 0; i < args->privId.count; i++)
        VIM_ADD(call->arena, &list,
                entity_allows(hostd_of(call), user, entity_from(target), args->privId.items[i]));
    if (!list.items)
        VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_BOOL, 0, &list));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(AuthorizationManager, roleList, get_role_list),
    MO_PROPERTY(AuthorizationManager, privilegeList, get_privilege_list),
    MO_PROPERTY(AuthorizationManager, description, get_description),
};
static const struct mo_method methods[] = {
    MO_METHOD(AddAuthorizationRole, add_role),
    MO_METHOD(UpdateAuthorizationRole, update_role),
    MO_METHOD(RemoveAuthorizationRole, remove_role),
    MO_METHOD(RetrieveAllPermissions, retrieve_all),
    MO_METHOD(RetrieveRolePermissions, retrieve_role_permissions),
    MO_METHOD(RetrieveEntityPermissions, retrieve_entity_permissions),
    MO_METHOD(SetEntityPermissions, set_entity_permissions),
    MO_METHOD(ResetEntityPermissions, reset_entity_permissions),
    MO_METHOD(RemoveEntityPermission, remove_entity_permission),
    MO_METHOD(HasPrivilegeOnEntities, has_privilege_on_entities),
    MO_METHOD(HasUserPrivilegeOnEntities, has_user_privilege_on_entities),
    MO_METHOD(HasPrivilegeOnEntity, has_privilege_on_entity),
};
const struct mo_class authorization_manager_class = {
    .type = VIM_MANAGED(AuthorizationManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
