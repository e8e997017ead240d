/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/entity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "base/utf8.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/inventory.h"
#include "hostd/perm/perm.h"
#include "hostd/session/session.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/task/task.h"

/* --- life --- */

int entity_add(struct hostd *hostd, struct entity *entity, const struct mo_class *class,
               const char *id, const char *name, struct entity *parent)
{
    entity->hostd = hostd;
    entity->parent = parent;
    (void)snprintf(entity->id, sizeof entity->id, "%s", id);
    (void)snprintf(entity->name, sizeof entity->name, "%s", name);
    entity->mo.class = class;
    entity->mo.id = entity->id;
    return mo_add(hostd->api.registry, NULL, &entity->mo);
}

void entity_remove(struct entity *entity)
{
    if (entity->mo.registry)
        perm_forget_entity(entity->hostd->perms, entity->id);
    mo_remove(&entity->mo);
    entity->parent = NULL;
}

struct entity *entity_from(struct mo *mo)
{
    return vim_managed_is(mo->class->type, VIM_MANAGED(ManagedEntity)) ? (struct entity *)(void *)mo
                                                                       : NULL;
}

struct mo *entity_parent(struct mo *mo)
{
    struct entity *entity = entity_from(mo);

    return entity && entity->parent ? &entity->parent->mo : NULL;
}

/* --- permissions --- */

struct entity *entity_guarding(struct hostd *hostd, struct mo *mo)
{
    struct entity *entity = entity_from(mo);

    if (entity)
        return entity;
    if (vim_managed_is(mo->class->type, VIM_MANAGED(Task)))
        entity = task_entity(hostd, mo);
    if (vim_managed_is(mo->class->type, VIM_MANAGED(VirtualMachineSnapshot)))
        entity = &vm_of_snapshot(mo)->e;
    return entity ? entity : inventory_root(hostd->inventory);
}

const struct permission *entity_permission(struct hostd *hostd, const char *user,
                                           const struct entity *entity)
{
    for (const struct entity *at = entity; at; at = at->parent) {
        const struct permission *found = perm_find(hostd->perms, at->id, user);
        if (found && (at == entity || found->propagate))
            return found;
    }
    return NULL;
}

bool entity_allows(struct hostd *hostd, const char *user, struct entity *entity, const char *priv)
{
    const struct permission *found = entity_permission(hostd, user, entity);
    const struct role *role = found ? role_find(hostd->perms, found->role) : NULL;

    return role && role_has(role, priv);
}

/* Somewhere: enough to look at what belongs to no entity. */
static bool allows_anywhere(struct hostd *hostd, const char *user, const char *priv)
{
    for (unsigned i = 0; i < hostd->perms->count; i++) {
        const struct permission *p = &hostd->perms->list[i];
        const struct role *role = role_find(hostd->perms, p->role);
        if (!strcmp(p->principal, user) && role && role_has(role, priv))
            return true;
    }
    return false;
}

/* Seen is also what is on the way to something that may be seen. */
static bool leads_to_visible(struct hostd *hostd, const char *user, const struct entity *entity)
{
    for (unsigned i = 0; i < hostd->perms->count; i++) {
        const struct permission *p = &hostd->perms->list[i];
        const struct role *role = role_find(hostd->perms, p->role);
        if (strcmp(p->principal, user) || !role || !role_has(role, "System.View"))
            continue;
        struct mo *mo = mo_find(hostd->api.registry, p->entity);
        for (struct entity *at = mo ? entity_from(mo) : NULL; at; at = at->parent)
            if (at == entity)
                return true;
    }
    return false;
}

int entity_authorize(struct call *call, struct mo *mo, const char *priv)
{
    struct hostd *hostd = hostd_of(call);
    const char *user = call->session ? call->session->user : NULL;
    bool looks = !strcmp(priv, "System.View") || !strcmp(priv, "System.Read");

    if (!user)
        return -EACCES;
    struct entity *entity = entity_from(mo);
    if (entity_allows(hostd, user, entity_guarding(hostd, mo), priv))
        return 0;
    if (entity)
        return !strcmp(priv, "System.View") && leads_to_visible(hostd, user, entity) ? 0 : -EACCES;
    return looks && allows_anywhere(hostd, user, priv) ? 0 : -EACCES;
}

bool entity_visible(struct call *call, struct mo *mo)
{
    struct entity *entity = entity_from(mo);
    struct hostd *hostd = hostd_of(call);

    if (!entity)
        return true;
    return call->session && (entity_allows(hostd, call->session->user, entity, "System.View") ||
                             leads_to_visible(hostd, call->session->user, entity));
}

/* --- names --- */

static void fault_name(struct call *call, const char *name, const struct entity *taken_by)
{
    if (taken_by) {
        struct vim_DuplicateName *fault = VIM_NEW(call->arena, DuplicateName);
        fault->name = name;
        fault->object = mo_ref(&taken_by->mo);
        call_fault(call, &fault->self);
    } else {
        struct vim_InvalidName *fault = VIM_NEW(call->arena, InvalidName);
        fault->name = name;
        call_fault(call, &fault->self);
    }
}

bool entity_check_name(struct call *call, const struct entity *parent, const struct entity *self,
                       const char *name)
{
    if (!name || !*name || strlen(name) > ENTITY_NAME_MAX || !utf8_valid(name) ||
        strpbrk(name, "\n\r\t")) {
        fault_name(call, name ? name : "", NULL);
        return false;
    }
    for (struct mo *mo = NULL;
         (mo = mo_next(call->api->registry, VIM_MANAGED(ManagedEntity), mo));) {
        struct entity *other = entity_from(mo);
        if (other != self && other->parent == parent && !strcmp(other->name, name)) {
            fault_name(call, name, other);
            return false;
        }
    }
    return true;
}

/* --- properties --- */

static struct vim_any get_name(struct mo *mo, struct call *call)
{
    return vim_any_string(arena_strdup(call->arena, ENTITY_OF(entity, mo)->name));
}

static struct vim_any get_parent(struct mo *mo, struct call *call)
{
    struct entity *entity = ENTITY_OF(entity, mo);

    (void)call;
    return entity->parent ? mo_value(&entity->parent->mo) : vim_any_none();
}

static struct vim_any get_status(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return VIM_ANY_ENUM(ManagedEntityStatus, green);
}

#define EMPTY_LIST_GETTER(name, NAME)                                \
    static struct vim_any name(struct mo *mo, struct call *call)     \
    {                                                                \
        struct vim_list none = {0, (void *)(uintptr_t)vim_no_items}; \
        (void)mo;                                                    \
        (void)call;                                                  \
        return vim_any_list(VIM_DATA, VIM_T_##NAME, &none);          \
    }
EMPTY_LIST_GETTER(get_alarm_states, AlarmState)
EMPTY_LIST_GETTER(get_custom_values, CustomFieldValue)
EMPTY_LIST_GETTER(get_field_defs, CustomFieldDef)
EMPTY_LIST_GETTER(get_config_issue, Event)
EMPTY_LIST_GETTER(get_tags, Tag)

static struct vim_any get_effective_role(struct mo *mo, struct call *call)
{
    struct entity *entity = ENTITY_OF(entity, mo);
    VIM_LIST(int32_t) roles = {0};
    const struct permission *found =
        call->session ? entity_permission(entity->hostd, call->session->user, entity) : NULL;

    if (found)
        VIM_ADD(call->arena, &roles, found->role);
    return VIM_ANY_LIST(VIM_INT, 0, &roles);
}

static struct vim_any get_permission(struct mo *mo, struct call *call)
{
    struct entity *entity = ENTITY_OF(entity, mo);
    const struct perms *perms = entity->hostd->perms;
    VIM_LIST(struct vim_Permission *) list = {0};

    for (unsigned i = 0; i < perms->count; i++) {
        const struct permission *p = &perms->list[i];
        if (strcmp(p->entity, entity->id))
            continue;
        struct vim_Permission *out = VIM_NEW(call->arena, Permission);
        out->entity = mo_ref(mo);
        out->principal = arena_strdup(call->arena, p->principal);
        out->group = p->group;
        out->roleId = p->role;
        out->propagate = p->propagate;
        VIM_ADD(call->arena, &list, out);
    }
    if (!list.items)
        VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_DATA, VIM_T_Permission, &list);
}

static struct vim_any get_disabled_method(struct mo *mo, struct call *call)
{
    struct vim_list none = {0, (void *)(uintptr_t)vim_no_items};

    (void)mo;
    (void)call;
    return vim_any_list(VIM_STRING, 0, &none);
}

static struct vim_any get_alarm_actions(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_bool(false);
}

static struct vim_any get_recent_task(struct mo *mo, struct call *call)
{
    return task_recent(ENTITY_OF(entity, mo)->hostd, ENTITY_OF(entity, mo), call);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(ManagedEntity, name, get_name),
    MO_PROPERTY(ManagedEntity, parent, get_parent),
    MO_PROPERTY(ManagedEntity, overallStatus, get_status),
    MO_PROPERTY(ManagedEntity, configStatus, get_status),
    MO_PROPERTY(ManagedEntity, configIssue, get_config_issue),
    MO_PROPERTY(ManagedEntity, effectiveRole, get_effective_role),
    MO_PROPERTY(ManagedEntity, permission, get_permission),
    MO_PROPERTY(ManagedEntity, disabledMethod, get_disabled_method),
    MO_PROPERTY(ManagedEntity, recentTask, get_recent_task),
    MO_PROPERTY(ManagedEntity, declaredAlarmState, get_alarm_states),
    MO_PROPERTY(ManagedEntity, triggeredAlarmState, get_alarm_states),
    MO_PROPERTY(ManagedEntity, alarmActionsEnabled, get_alarm_actions),
    MO_PROPERTY(ManagedEntity, customValue, get_custom_values),
    MO_PROPERTY(ManagedEntity, tag, get_tags),
    MO_PROPERTY(ExtensibleManagedObject, value, get_custom_values),
    MO_PROPERTY(ExtensibleManagedObject, availableField, get_field_defs),
};

const struct mo_class entity_class = {
    .type = VIM_MANAGED(ManagedEntity),
    .props = properties,
    .prop_count = ARRAY_SIZE(properties),
};
