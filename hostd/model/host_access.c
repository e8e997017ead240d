/* SPDX-License-Identifier: Apache-2.0 */
/* HostAccessManager: permissions on the root folder, as a host's simple list of who may what. There
 * is no lockdown mode: nobody but a vCenter could lift it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/host_config.h"
#include "hostd/model/inventory.h"
#include "hostd/perm/perm.h"

#define ROOT "ha-folder-root"

static const struct {
    enum vim_HostAccessMode mode;
    int role;
} modes[] = {
    {VIM_HostAccessMode_accessAdmin, ROLE_ADMIN},
    {VIM_HostAccessMode_accessNoAccess, ROLE_NO_ACCESS},
    {VIM_HostAccessMode_accessReadOnly, ROLE_READ_ONLY},
};

static enum vim_HostAccessMode mode_of(int role)
{
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (modes[i].role == role)
            return modes[i].mode;
    return VIM_HostAccessMode_accessOther;
}

static void retrieve_entries(struct mo *mo, struct call *call)
{
    const struct perms *perms = hostd_of(call)->perms;
    VIM_LIST(struct vim_HostAccessControlEntry *) list = {0};

    (void)mo;
    for (unsigned i = 0; i < perms->count; i++) {
        const struct permission *p = &perms->list[i];
        if (strcmp(p->entity, ROOT) != 0)
            continue;
        struct vim_HostAccessControlEntry *entry = VIM_NEW(call->arena, HostAccessControlEntry);
        entry->principal = arena_strdup(call->arena, p->principal);
        entry->group = p->group;
        entry->accessMode = mode_of(p->role);
        VIM_ADD(call->arena, &list, entry);
    }
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostAccessControlEntry, &list));
}

static bool role_of(enum vim_HostAccessMode mode, int *ret_role)
{
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (modes[i].mode == mode) {
            *ret_role = modes[i].role;
            return true;
        }
    return false;
}

static int change(struct hostd *hostd, const char *user, enum vim_HostAccessMode mode,
                  struct err *err)
{
    struct permission p = {.entity = ROOT, .propagate = true};

    if (!role_of(mode, &p.role))
        return perm_find(hostd->perms, ROOT, user) ? perm_remove(hostd->perms, ROOT, user, err) : 0;
    (void)snprintf(p.principal, sizeof p.principal, "%s", user);
    return perm_set(hostd->perms, &p, err);
}

static void change_mode(struct mo *mo, struct call *call)
{
    const struct vim_ChangeAccessMode_args *args = call->args;
    struct hostd *hostd = hostd_of(call);
    struct err err = ERR_INIT;

    (void)mo;
    if (args->isGroup || !account_find(&hostd->accounts, args->principal)) {
        struct vim_UserNotFound *fault = VIM_NEW(call->arena, UserNotFound);
        fault->principal = args->principal;
        fault->unresolved = true;
        call_fault(call, &fault->self);
        return;
    }
    if (args->accessMode == VIM_HostAccessMode_accessOther) {
        call_fault_argument(call, "accessMode");
        return;
    }
    int rc = change(hostd, args->principal, args->accessMode, &err);
    if (rc == -EPERM)
        CALL_FAULT(call, AuthMinimumAdminPermission);
    else if (rc < 0)
        CALL_FAULT_TEXT(call, SystemError, "%s", err.text);
    else
        mo_changed(&hostd->inventory->root.e.mo, VIM_P_ManagedEntity_permission);
}

static void query_none(struct mo *mo, struct call *call)
{
    VIM_LIST(const char *) list = {0};

    (void)mo;
    VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_STRING, 0, &list));
}

static struct vim_any get_lockdown(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return VIM_ANY_ENUM(HostLockdownMode, lockdownDisabled);
}

static void change_lockdown(struct mo *mo, struct call *call)
{
    const struct vim_ChangeLockdownMode_args *args = call->args;

    (void)mo;
    if (args->mode != VIM_HostLockdownMode_lockdownDisabled)
        CALL_FAULT(call, NotSupported);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostAccessManager, lockdownMode, get_lockdown),
};
static const struct mo_method methods[] = {
    MO_METHOD(RetrieveHostAccessControlEntries, retrieve_entries),
    MO_METHOD(ChangeAccessMode, change_mode),
    MO_METHOD(QueryLockdownExceptions, query_none),
    MO_METHOD(QuerySystemUsers, query_none),
    MO_METHOD(ChangeLockdownMode, change_lockdown),
};
const struct mo_class host_access_manager_class = {
    .type = VIM_MANAGED(HostAccessManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
