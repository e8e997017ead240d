/* SPDX-License-Identifier: Apache-2.0 */
/* Who is logged in. A session has two names: its key, which others may see (UserSession.key), and
 * its secret, which the client sends with each request (cookie vmware_soap_session, header
 * vmware-api-session-id). Both are random and used once.
 *
 * A session ends by logout, by an administrator, or after limits.idle_s without a call; one that
 * waits in a call is not idle. Its objects (views, filters) end with it.
 *
 * Login is locked for an account after limits.lock_failures wrong passwords in a row, for
 * limits.lock_s, also for names that no account has. Tickets stand for a session once (clone) or
 * for one HTTP request (service) or console, and not for long. All on the loop's thread; nothing
 * here is kept over a restart. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "hostd/api/mo.h"
#include "hostd/session/account.h"

enum {
    SESSION_KEY_TEXT = 37, /* with its NUL */
    SESSION_SECRET_TEXT = 41,
    SESSION_IDLE_S = 30 * 60,
    SESSIONS_MAX = 1000,
    SESSION_USER_MAX = 500, /* of one user */
    LOCK_FAILURES = 5,
    LOCK_S = 900,
    TICKET_S = 30,
    TICKET_CONSOLE_S = 120,
    TICKETS_MAX = 4096,
};

struct session {
    struct session *next;
    char key[SESSION_KEY_TEXT];
    char secret[SESSION_SECRET_TEXT];
    char user[ACCOUNT_NAME_MAX + 1];
    char peer[48], agent[128], locale[16];
    int64_t login_us, active_us; /* since 1970 */
    uint64_t active_ns;          /* monotonic */
    unsigned calls;              /* under way */
    uint64_t call_count;
    bool closing;  /* ends when its calls have */
    bool by_owner; /* of the host's folder, without a login: one a command, no event */
    struct mo_scope scope;
};

struct sessions;

/* At first those of the constants above. 0: sessions never end by idleness; logins are never
 * locked. */
struct session_limits {
    unsigned idle_s, lock_failures, lock_s;
};
void sessions_set_limits(struct sessions *sessions, const struct session_limits *limits);

int sessions_create(struct loop *loop, struct sessions **ret_sessions);
void sessions_destroy(struct sessions *sessions);

/* -ENOSPC: too many. `peer`, `agent`, `locale` may be NULL. */
int session_open(struct sessions *sessions, const char *user, const char *peer, const char *agent,
                 const char *locale, struct session **ret_session);
/* Its objects go now; the struct when no call of it is under way any more. */
void session_close(struct sessions *sessions, struct session *session);
void session_close_user(struct sessions *sessions, const char *user);

struct session *session_find(struct sessions *sessions, const char *secret);
struct session *session_find_key(struct sessions *sessions, const char *key);
struct session *session_next(struct sessions *sessions, struct session *session); /* NULL: first */

/* Around each call: it keeps the session alive. */
void session_enter(struct session *session);
void session_leave(struct sessions *sessions, struct session *session);

/* --- lock-out --- */

bool login_locked(struct sessions *sessions, const char *name);
void login_failed(struct sessions *sessions, const char *name); /* counts; may lock */
void login_succeeded(struct sessions *sessions, const char *name);

/* --- tickets --- */

enum ticket_kind {
    TICKET_CLONE,
    TICKET_SERVICE,
    TICKET_CONSOLE, /* bound: what it opens, "mks 12" or "serial 12" (hostd/vm/vm_screen.h) */
    TICKET_KINDS
};

/* `bound`: what it is good for (a service ticket's "METHOD URL"), or NULL. */
int ticket_issue(struct sessions *sessions, struct session *session, enum ticket_kind kind,
                 const char *bound, char ticket[SESSION_SECRET_TEXT]);
/* Uses it up; NULL when it is unknown, of another kind, too old, or its session has ended. */
struct session *ticket_redeem(struct sessions *sessions, enum ticket_kind kind, const char *ticket,
                              const char *bound);
/* The same for one who does not know what it is bound to, which is told. */
struct session *ticket_open(struct sessions *sessions, enum ticket_kind kind, const char *ticket,
                            char *ret_bound, size_t size);
