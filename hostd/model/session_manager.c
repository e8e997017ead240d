/* SPDX-License-Identifier: Apache-2.0 */
/* SessionManager: login and its relatives. The password is checked on a worker thread, for the hash
 * is made to take long; a name that no account has takes the same way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/hostd.h"
#include "hostd/model/classes.h"
#include "hostd/perm/perm.h"
#include "hostd/session/session.h"
#include "hostd/session/vestibule.h"
#include "hostd/up/cert.h"

static struct vim_UserSession *user_session(struct arena *arena, const struct session *session)
{
    struct vim_UserSession *out = VIM_NEW(arena, UserSession);

    out->key = arena_strdup(arena, session->key);
    out->userName = arena_strdup(arena, session->user);
    out->fullName = arena_strdup(arena, session->user);
    out->loginTime = session->login_us;
    out->lastActiveTime = session->active_us;
    out->locale = arena_strdup(arena, session->locale);
    out->messageLocale = arena_strdup(arena, session->locale);
    out->ipAddress = arena_strdup(arena, session->peer);
    out->userAgent = arena_strdup(arena, session->agent);
    out->callCount = (int64_t)session->call_count;
    return out;
}

/* --- login --- */

struct login {
    struct hostd *hostd;
    struct call *call; /* NULL: the client has gone */
    struct vestibule_entry entry;
    char user[ACCOUNT_NAME_MAX + 1], hash[ACCOUNT_HASH_MAX];
    char *password;
    bool known, good;
};

static void login_free(struct login *login)
{
    if (login->password)
        explicit_bzero(login->password, strlen(login->password));
    free(login->password);
    free(login);
}

static void login_work(void *arg)
{
    struct login *login = arg;

    login->good = account_check(login->hash, login->password);
}

static void refuse(struct hostd *hostd, struct call *call, const char *user)
{
    login_failed(hostd->sessions, user);
    event_login_failed(hostd, user, call->peer);
    CALL_FAULT(call, InvalidLogin);
}

static void admit(struct hostd *hostd, struct call *call, const char *user, const char *locale)
{
    struct session *session;

    if (session_open(hostd->sessions, user, call->peer, call->agent, locale, &session) < 0) {
        CALL_FAULT_TEXT(call, InvalidLogin, "There are too many sessions.");
        return;
    }
    call->session = session;
    event_session(hostd, session, true);
    call_return(call, vim_any_data(user_session(call->arena, session)));
}

static void login_done(void *arg)
{
    struct login *login = arg;
    struct hostd *hostd = login->hostd;
    struct call *call = login->call;
    /* What counts is what is so now: the account may have gone meanwhile, or been locked. */
    bool good = login->good && login->known && account_find(&hostd->accounts, login->user) &&
                !login_locked(hostd->sessions, login->user) && perm_any(hostd->perms, login->user);

    if (good)
        login_succeeded(hostd->sessions, login->user);
    if (!call && !good)
        login_failed(hostd->sessions, login->user);
    if (call) {
        const struct vim_Login_args *args = call->args;
        if (good)
            admit(hostd, call, login->user, args->locale);
        else
            refuse(hostd, call, login->user);
        call_finish(call);
    }
    login_free(login);
}

static void login_cancel(struct call *call)
{
    struct login *login = call->waiting;

    login->call = NULL;
    if (vestibule_leave(&login->entry))
        login_free(login);
}

static void invoke_login(struct mo *mo, struct call *call)
{
    const struct vim_Login_args *args = call->args;
    struct hostd *hostd = hostd_of(call);
    struct login *login = calloc(1, sizeof *login);

    (void)mo;
    if (call->session) {
        CALL_FAULT_TEXT(call, InvalidLogin, "This session is logged in already.");
        free(login);
        return;
    }
    if (!login || !(login->password = strdup(args->password))) {
        free(login);
        CALL_FAULT(call, SystemError);
        return;
    }
    login->hostd = hostd;
    login->call = call;
    login->known = account_find(&hostd->accounts, args->userName);
    (void)snprintf(login->user, sizeof login->user, "%.*s", ACCOUNT_NAME_MAX, args->userName);
    account_hash(&hostd->accounts, args->userName, login->hash);
    login->entry = (struct vestibule_entry){
        .peer = call->peer ? call->peer : "", .work = login_work, .done = login_done, .arg = login};
    if (vestibule_enter(hostd->vestibule, &login->entry) < 0) {
        login_free(login);
        CALL_FAULT(call, SystemError);
        return;
    }
    call_later(call, login_cancel, login);
}

static void invoke_logout(struct mo *mo, struct call *call)
{
    struct hostd *hostd = hostd_of(call);

    (void)mo;
    if (!call->session->by_owner)
        event_session(hostd, call->session, false);
    session_close(hostd->sessions, call->session);
}

/* --- other sessions --- */

static void terminate_session(struct mo *mo, struct call *call)
{
    const struct vim_TerminateSession_args *args = call->args;
    struct hostd *hostd = hostd_of(call);

    (void)mo;
    for (size_t i = 0; i < args->sessionId.count; i++) {
        struct session *session = session_find_key(hostd->sessions, args->sessionId.items[i]);
        if (!session || session == call->session) {
            if (!session)
                CALL_FAULT(call, NotFound);
            else
                call_fault_argument(call, "sessionId");
            return;
        }
    }
    for (size_t i = 0; i < args->sessionId.count; i++) {
        struct session *session = session_find_key(hostd->sessions, args->sessionId.items[i]);
        if (session)
            session_close(hostd->sessions, session);
    }
}

static void acquire_clone_ticket(struct mo *mo, struct call *call)
{
    char ticket[SESSION_SECRET_TEXT];

    (void)mo;
    if (ticket_issue(hostd_of(call)->sessions, call->session, TICKET_CLONE, NULL, ticket) < 0)
        CALL_FAULT(call, SystemError);
    else
        call_return(call, vim_any_string(arena_strdup(call->arena, ticket)));
}

static void clone_session(struct mo *mo, struct call *call)
{
    const struct vim_CloneSession_args *args = call->args;
    struct hostd *hostd = hostd_of(call);
    struct session *from = ticket_redeem(hostd->sessions, TICKET_CLONE, args->cloneTicket, NULL);

    (void)mo;
    if (!from)
        CALL_FAULT(call, InvalidLogin);
    else
        admit(hostd, call, from->user, from->locale);
}

static const char *method_word(const char *method)
{
    static const char *const words[][2] = {{"httpGet", "GET"},
                                           {"httpHead", "HEAD"},
                                           {"httpPut", "PUT"},
                                           {"httpPost", "POST"},
                                           {"httpDelete", "DELETE"}};

    for (unsigned i = 0; method && i < ARRAY_SIZE(words); i++)
        if (!strcmp(method, words[i][0]))
            return words[i][1];
    return method ? NULL : "GET";
}

/* Good for one request of this method to this URL's path and query. */
static void acquire_service_ticket(struct mo *mo, struct call *call)
{
    const struct vim_AcquireGenericServiceTicket_args *args = call->args;
    struct vim_SessionManagerHttpServiceRequestSpec *spec =
        VIM_AS(SessionManagerHttpServiceRequestSpec, args->spec);
    const char *word = spec ? method_word(spec->method) : NULL, *path;
    char ticket[SESSION_SECRET_TEXT], print[CERT_THUMBPRINT_MAX];

    (void)mo;
    if (!call->session) {
        CALL_FAULT(call, NotAuthenticated);
        return;
    }
    path = word && spec->url ? strstr(spec->url, "://") : NULL;
    path = path ? strchr(path + 3, '/') : NULL;
    if (!path || ticket_issue(hostd_of(call)->sessions, call->session, TICKET_SERVICE,
                              arena_printf(call->arena, "%s %s", word, path), ticket) < 0) {
        call_fault_argument(call, "spec");
        return;
    }
    struct vim_SessionManagerGenericServiceTicket *out =
        VIM_NEW(call->arena, SessionManagerGenericServiceTicket);
    out->id = arena_strdup(call->arena, ticket);
    if (cert_thumbprint("SHA1", print) == 0)
        out->sslThumbprint = arena_strdup(call->arena, print);
    call_return(call, vim_any_data(out));
}

/* As on ESXi: only a vCenter answers it. */
static void session_is_active(struct mo *mo, struct call *call)
{
    (void)mo;
    CALL_FAULT(call, NotImplemented);
}

static void set_locale(struct mo *mo, struct call *call)
{
    const struct vim_SetLocale_args *args = call->args;

    (void)mo;
    if (strncmp(args->locale, "en", 2) != 0) {
        CALL_FAULT(call, InvalidLocale);
        return;
    }
    (void)snprintf(call->session->locale, sizeof call->session->locale, "%.15s", args->locale);
}

/* --- properties --- */

static struct vim_any get_current_session(struct mo *mo, struct call *call)
{
    (void)mo;
    return call->session ? vim_any_data(user_session(call->arena, call->session)) : vim_any_none();
}

static struct vim_any get_session_list(struct mo *mo, struct call *call)
{
    struct hostd *hostd = hostd_of(call);
    VIM_LIST(struct vim_UserSession *) list = {0};

    (void)mo;
    for (struct session *s = NULL; (s = session_next(hostd->sessions, s));)
        VIM_ADD(call->arena, &list, user_session(call->arena, s));
    if (!list.items)
        VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_DATA, VIM_T_UserSession, &list);
}

static struct vim_any get_default_locale(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_string("en");
}

static struct vim_any get_message(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_string("");
}

static struct vim_any get_locales(struct mo *mo, struct call *call)
{
    VIM_LIST(const char *) list = {0};

    (void)mo;
    VIM_ADD(call->arena, &list, "en");
    return VIM_ANY_LIST(VIM_STRING, 0, &list);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(SessionManager, currentSession, get_current_session),
    MO_PROPERTY(SessionManager, sessionList, get_session_list),
    MO_PROPERTY(SessionManager, defaultLocale, get_default_locale),
    MO_PROPERTY(SessionManager, message, get_message),
    MO_PROPERTY(SessionManager, supportedLocaleList, get_locales),
    MO_PROPERTY(SessionManager, messageLocaleList, get_locales),
};
static const struct mo_method methods[] = {
    MO_METHOD(Login, invoke_login),
    MO_METHOD(Logout, invoke_logout),
    MO_METHOD(TerminateSession, terminate_session),
    MO_METHOD(AcquireCloneTicket, acquire_clone_ticket),
    MO_METHOD(CloneSession, clone_session),
    MO_METHOD(AcquireGenericServiceTicket, acquire_service_ticket),
    MO_METHOD(SessionIsActive, session_is_active),
    MO_METHOD(SetLocale, set_locale),
};
const struct mo_class session_manager_class = {
    .type = VIM_MANAGED(SessionManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
