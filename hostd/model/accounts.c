/* SPDX-License-Identifier: Apache-2.0 */
/* HostLocalAccountManager and UserDirectory: local accounts (session/account.h). Hashing a new
 * password takes some tens of milliseconds of the loop; it is an administrator's rare act. That
 * of ChangePassword, which whoever reaches the host may ask for, waits in the vestibule. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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
#include "hostd/session/vestibule.h"

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

/* What is kept of an account in an event: never its password. */
static struct vim_HostAccountSpec *told(struct call *call, const struct vim_HostAccountSpec *user)
{
    struct vim_HostAccountSpec *out = VIM_NEW(call->arena, HostAccountSpec);

    out->id = user->id;
    out->description = user->description;
    return out;
}

#define POST(call, event, ...)                                                                   \
    event_post(hostd_of(call), (struct vim_Event *)(void *)(event), NULL, (call)->session->user, \
               __VA_ARGS__)

static void create_user(struct mo *mo, struct call *call)
{
    const struct vim_CreateUser_args *args = call->args;
    const struct vim_HostAccountSpec *user = args->user;
    struct hostd *hostd = hostd_of(call);
    struct err err = ERR_INIT;

    (void)mo;
    int rc = account_add(&hostd->accounts, user->id, user->password, user->description, &err);
    if (rc < 0) {
        fault_errno(call, rc, &err, user->id);
        return;
    }
    struct vim_AccountCreatedEvent *event = VIM_NEW(call->arena, AccountCreatedEvent);
    event->spec = told(call, user);
    POST(call, event, "Account %s was created", user->id);
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
    struct vim_AccountUpdatedEvent *event = VIM_NEW(call->arena, AccountUpdatedEvent);
    event->spec = told(call, user);
    POST(call, event, "Account %s was updated", user->id);
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
    struct vim_AccountRemovedEvent *event = VIM_NEW(call->arena, AccountRemovedEvent);
    event->account = args->userName;
    POST(call, event, "Account %s was removed", args->userName);
}

/* --- ChangePassword: by who knows the old one --- */

struct change {
    struct hostd *hostd;
    struct call *call; /* NULL: the client has gone */
    struct vestibule_entry entry;
    char user[ACCOUNT_NAME_MAX + 1];
    char old_hash[ACCOUNT_HASH_MAX], new_hash[ACCOUNT_HASH_MAX];
    char *old_password, *new_password;
    struct err err;
    bool good;
    int rc; /* of the new hash */
};

static void free_password(char *password)
{
    if (password)
        explicit_bzero(password, strlen(password));
    free(password);
}

static void change_free(struct change *change)
{
    if (!change)
        return;
    free_password(change->old_password);
    free_password(change->new_password);
    free(change);
}

static void change_work(void *arg)
{
    struct change *change = arg;

    change->good = account_check(change->old_hash, change->old_password);
    if (change->good)
        change->rc = account_make_hash(change->new_password, change->new_hash, &change->err);
}

/* The account may have gone meanwhile, been locked, or been given another password. */
static bool still_good(const struct change *change)
{
    const struct account *account = account_find(&change->hostd->accounts, change->user);

    return change->good && account && !strcmp(account->hash, change->old_hash) &&
           !login_locked(change->hostd->sessions, change->user);
}

/* What others opened with the old password ends; who changes his own goes on, as in UpdateUser. */
static void replace(struct change *change)
{
    struct hostd *hostd = change->hostd;
    struct call *call = change->call;
    int rc = change->rc;

    if (rc == 0)
        rc = account_set_hash(&hostd->accounts, change->user, change->new_hash, &change->err);
    if (rc < 0) {
        fault_errno(call, rc, &change->err, change->user);
        return;
    }
    login_succeeded(hostd->sessions, change->user);
    EVENT_POST(hostd, AccountUpdatedEvent, NULL, change->user,
               "The password of account %s was changed", change->user);
    if (!call->session || strcmp(call->session->user, change->user) != 0)
        session_close_user(hostd->sessions, change->user);
}

static void change_done(void *arg)
{
    struct change *change = arg;
    struct call *call = change->call;
    bool good = still_good(change);

    if (!good)
        login_failed(change->hostd->sessions, change->user);
    if (call) {
        if (good) {
            replace(change);
        } else {
            event_login_failed(change->hostd, change->user, call->peer);
            CALL_FAULT(call, InvalidLogin);
        }
        call_finish(call);
    }
    change_free(change);
}

static void change_cancel(struct call *call)
{
    struct change *change = call->waiting;

    change->call = NULL;
    if (vestibule_leave(&change->entry))
        change_free(change);
}

static void change_password(struct mo *mo, struct call *call)
{
    const struct vim_ChangePassword_args *args = call->args;
    struct hostd *hostd = hostd_of(call);
    struct err err = ERR_INIT;

    (void)mo;
    if (account_password_ok(args->newPassword, &err) < 0) {
        struct vim_InvalidArgument *fault = VIM_NEW(call->arena, InvalidArgument);
        fault->invalidProperty = "newPassword";
        call_fault_text(call, &fault->self, "%s", err.text);
        return;
    }
    struct change *change = calloc(1, sizeof *change);
    if (!change || !(change->old_password = strdup(args->oldPassword)) ||
        !(change->new_password = strdup(args->newPassword))) {
        change_free(change);
        CALL_FAULT(call, SystemError);
        return;
    }
    change->hostd = hostd;
    change->call = call;
    (void)snprintf(change->user, sizeof change->user, "%.*s", ACCOUNT_NAME_MAX, args->user);
    account_hash(&hostd->accounts, args->user, change->old_hash);
    change->entry = (struct vestibule_entry){.peer = call->peer ? call->peer : "",
                                             .work = change_work,
                                             .done = change_done,
                                             .arg = change};
    if (vestibule_enter(hostd->vestibule, &change->entry) < 0) {
        change_free(change);
        CALL_FAULT(call, SystemError);
        return;
    }
    call_later(call, change_cancel, change);
}

static const struct mo_method account_methods[] = {
    MO_METHOD(ChangePassword, change_password),
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
