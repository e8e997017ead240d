/* SPDX-License-Identifier: Apache-2.0 */
/* HostLocalAccountManager and UserDirectory: local accounts (session/account.h). Hashing a new
 * password takes some tens of milliseconds of the loop; it is an administrator's rare act. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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
        struct vim_UserNotFound *fault = VIM_NEW(call->arena, UserNotFound);
        fault->principal = name;
        call_fault(call, &fault->self);
    } else if (rc == -EINVAL) {
        CALL_FAULT_TEXT(call, InvalidArgument, "%s", err->text);
    } else {
        CALL_FAULT_TEXT(call, SystemError, "%s", err->text);
    }
}

static void create_user(struct mo *mo, struct call *call)
{
    const struct vim_CreateUser_args *args = call->args;
    const struct vim_HostAccountSpec *user = args->user;
    struct hostd *hostd = hostd_of(call);
    struct err err = ERR_INIT;

    (void)mo;
    int rc = account_add(&hostd->accounts, user->id, user->password, user->description, &err);
    if (rc < 0)
        fault_errno(call, rc, &err, user->id);
    else
        EVENT_POST(hostd, AccountCreatedEvent, NULL, call->session->user, "Account %s was created",
                   user->id);
}

/* A new password ends what the old one opened. */
static void update_user(struct mo *mo, struct call *call)
{
    const struct vim_UpdateUser_args *args = call->args;
    const struct vim_HostAccountSpec *user = args->user;
    struct hostd *hostd = hostd_of(call);
    struct err err = ERR_INIT;

    (void)mo;
    int rc = account_update(&hostd->accounts, user->id, user->password, user->description, &err);
    if (rc < 0) {
        fault_errno(call, rc, &err, user->id);
        return;
    }
    EVENT_POST(hostd, AccountUpdatedEvent, NULL, call->session->user, "Account %s was updated",
               user->id);
    if (user->password && strcmp(call->session->user, user->id) != 0)
        session_close_user(hostd->sessions, user->id);
}

static void remove_user(struct mo *mo, struct call *call)
{
    const struct vim_RemoveUser_args *args = call->args;
    struct hostd *hostd = hostd_of(call);
    struct err err = ERR_INIT;

    (void)mo;
    if (!strcmp(call->session->user, args->userName)) {
        CALL_FAULT_TEXT(call, SecurityError, "Nobody removes the account that he works with.");
        return;
    }
    int rc = account_remove(&hostd->accounts, args->userName, &err);
    if (rc < 0) {
        fault_errno(call, rc, &err, args->userName);
        return;
    }
    perm_forget_principal(hostd->perms, args->userName);
    session_close_user(hostd->sessions, args->userName);
    EVENT_POST(hostd, AccountRemovedEvent, NULL, call->session->user, "Account %s was removed",
               args->userName);
}

static const struct mo_method account_methods[] = {
    MO_METHOD(CreateUser, create_user),
    MO_METHOD(UpdateUser, update_user),
    MO_METHOD(RemoveUser, remove_user),
};
const struct mo_class local_account_manager_class = {
    .type = VIM_MANAGED(HostLocalAccountManager),
    .methods = account_methods,
    .method_count = ARRAY_SIZE(account_methods),
};

/* --- the directory --- */

static void retrieve_user_groups(struct mo *mo, struct call *call)
{
    const struct vim_RetrieveUserGroups_args *args = call->args;
    const struct accounts *accounts = &hostd_of(call)->accounts;
    VIM_LIST(struct vim_PosixUserSearchResult *) list = {0};

    (void)mo;
    for (unsigned i = 0; args->findUsers && !args->belongsToGroup && i < accounts->count; i++) {
        const struct account *a = &accounts->list[i];
        if (args->exactMatch ? strcmp(a->name, args->searchStr) != 0
                             : !strcasestr(a->name, args->searchStr))
            continue;
        struct vim_PosixUserSearchResult *out = VIM_NEW(call->arena, PosixUserSearchResult);
        out->principal = arena_strdup(call->arena, a->name);
        out->fullName = arena_strdup(call->arena, *a->description ? a->description : a->name);
        out->id = (int32_t)a->id;
        out->shellAccess = vim_bool(false);
        VIM_ADD(call->arena, &list, out);
    }
    if (!list.items)
        VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_UserSearchResult, &list));
}

static struct vim_any get_domain_list(struct mo *mo, struct call *call)
{
    VIM_LIST(const char *) list = {0};

    (void)mo;
    (void)call;
    VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_STRING, 0, &list);
}

static const struct mo_property directory_properties[] = {
    MO_PROPERTY(UserDirectory, domainList, get_domain_list),
};
static const struct mo_method directory_methods[] = {
    MO_METHOD(RetrieveUserGroups, retrieve_user_groups),
};
const struct mo_class user_directory_class = {
    .type = VIM_MANAGED(UserDirectory),
    .props = directory_properties,
    .methods = directory_methods,
    .prop_count = ARRAY_SIZE(directory_properties),
    .method_count = ARRAY_SIZE(directory_methods),
};
