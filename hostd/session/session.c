/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/session/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/loop.h"

enum { SWEEP_S = 10, FAILED_MAX = 4096 };
#define SECONDS(n) ((uint64_t)(n)*1000000000)

/* A name whose logins failed. */
struct failed {
    struct failed *next;
    char name[ACCOUNT_NAME_MAX + 1];
    unsigned count;
    uint64_t last; /* ns; the newest failure */
};

struct ticket {
    struct ticket *next;
    enum ticket_kind kind;
    char text[SESSION_SECRET_TEXT];
    char key[SESSION_KEY_TEXT]; /* of the session */
    char *bound;
    uint64_t ends;
};

struct sessions {
    struct session_limits limits;
    struct session *first;
    unsigned count;
    struct failed *failed;
    unsigned failed_count;
    struct ticket *tickets;
    unsigned ticket_count;
    struct loop_source sweep;
};

static int random_hex(char *text, size_t digits)
{
    uint8_t bytes[32];

    if (getrandom(bytes, digits / 2, 0) != (ssize_t)(digits / 2))
        return -errno;
    for (size_t i = 0; i < digits / 2; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

/* As ESXi's look: a UUID that begins with 52. */
static int make_key(char key[SESSION_KEY_TEXT])
{
    char hex[33];
    int rc = random_hex(hex, 32);

    if (rc == 0)
        (void)snprintf(key, SESSION_KEY_TEXT, "52%.6s-%.4s-%.4s-%.4s-%.12s", hex, hex + 6, hex + 10,
                       hex + 14, hex + 18);
    return rc;
}

/* Secrets are compared in a time that does not tell how much of one was right. */
static bool same_secret(const char *a, const char *b)
{
    unsigned char difference = 0;

    if (strlen(a) != strlen(b))
        return false;
    for (size_t i = 0; a[i]; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return !difference;
}

static void copy_text(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%.*s", (int)size - 1, from ? from : "");
}

static unsigned count_of(const struct sessions *sessions, const char *user)
{
    unsigned count = 0;

    for (const struct session *s = sessions->first; s; s = s->next)
        count += !strcmp(s->user, user);
    return count;
}

int session_open(struct sessions *sessions, const char *user, const char *peer, const char *agent,
                 const char *locale, struct session **ret_session)
{
    if (sessions->count >= SESSIONS_MAX || count_of(sessions, user) >= SESSION_USER_MAX)
        return -ENOSPC;
    struct session *session = calloc(1, sizeof *session);
    int rc = session ? make_key(session->key) : -ENOMEM;
    if (rc == 0)
        rc = random_hex(session->secret, SESSION_SECRET_TEXT - 1);
    if (rc < 0) {
        free(session);
        return rc;
    }
    copy_text(session->user, sizeof session->user, user);
    copy_text(session->peer, sizeof session->peer, peer);
    copy_text(session->agent, sizeof session->agent, agent);
    copy_text(session->locale, sizeof session->locale, locale && *locale ? locale : "en");
    session->login_us = session->active_us = clock_realtime(&clock_host) / 1000;
    session->active_ns = clock_now();
    session->next = sessions->first;
    sessions->first = session;
    sessions->count++;
    *ret_session = session;
    return 0;
}

static void forget(struct sessions *sessions, struct session *session)
{
    struct session **at = &sessions->first;

    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    sessions->count--;
    explicit_bzero(session, sizeof *session);
    free(session);
}

void session_close(struct sessions *sessions, struct session *session)
{
    bool first = !session->closing;

    session->closing = true;
    if (first) {
        session->calls++; /* ends of its waiting calls must not free it under us */
        mo_scope_end(&session->scope);
        session->calls--;
    }
    if (!session->calls)
        forget(sessions, session);
}

void session_close_user(struct sessions *sessions, const char *user)
{
    for (struct session *s = sessions->first, *next; s; s = next) {
        next = s->next;
        if (!s->closing && !strcmp(s->user, user))
            session_close(sessions, s);
    }
}

struct session *session_find(struct sessions *sessions, const char *secret)
{
    for (struct session *s = sessions->first; s; s = s->next)
        if (!s->closing && same_secret(s->secret, secret))
            return s;
    return NULL;
}

struct session *session_find_key(struct sessions *sessions, const char *key)
{
    for (struct session *s = sessions->first; s; s = s->next)
        if (!s->closing && !strcmp(s->key, key))
            return s;
    return NULL;
}

struct session *session_next(struct sessions *sessions, struct session *session)
{
    session = session ? session->next : sessions->first;
    while (session && session->closing)
        session = session->next;
    return session;
}

static void touch(struct session *session)
{
    session->active_ns = clock_now();
    session->active_us = clock_realtime(&clock_host) / 1000;
}

void session_enter(struct session *session)
{
    session->calls++;
    session->call_count++;
    touch(session);
}

void session_leave(struct sessions *sessions, struct session *session)
{
    session->calls--;
    touch(session);
    if (session->closing && !session->calls)
        forget(sessions, session);
}

/* --- lock-out --- */

static struct failed *find_failed(struct sessions *sessions, const char *name)
{
    for (struct failed *f = sessions->failed; f; f = f->next)
        if (!strncmp(f->name, name, ACCOUNT_NAME_MAX))
            return f;
    return NULL;
}

static bool too_often(const struct sessions *sessions, const struct failed *failed)
{
    return sessions->limits.lock_failures && failed->count >= sessions->limits.lock_failures;
}

static bool is_locked(const struct sessions *sessions, const struct failed *failed)
{
    return too_often(sessions, failed) &&
           clock_now() - failed->last < SECONDS(sessions->limits.lock_s);
}

bool login_locked(struct sessions *sessions, const char *name)
{
    const struct failed *failed = find_failed(sessions, name);

    return failed && is_locked(sessions, failed);
}

void login_failed(struct sessions *sessions, const char *name)
{
    struct failed *failed = find_failed(sessions, name);

    if (!failed) {
        if (sessions->failed_count >= FAILED_MAX || !(failed = calloc(1, sizeof *failed)))
            return;
        copy_text(failed->name, sizeof failed->name, name);
        failed->next = sessions->failed;
        sessions->failed = failed;
        sessions->failed_count++;
    } else if (is_locked(sessions, failed)) {
        return; /* trying on does not prolong it */
    } else if (too_often(sessions, failed)) {
        failed->count = 0;
    }
    failed->count++;
    failed->last = clock_now();
}

static void forget_failed(struct sessions *sessions, struct failed **at)
{
    struct failed *gone = *at;

    *at = gone->next;
    sessions->failed_count--;
    free(gone);
}

void login_succeeded(struct sessions *sessions, const char *name)
{
    for (struct failed **at = &sessions->failed; *at; at = &(*at)->next)
        if (!strncmp((*at)->name, name, ACCOUNT_NAME_MAX)) {
            forget_failed(sessions, at);
            return;
        }
}

/* --- tickets --- */

static void forget_ticket(struct sessions *sessions, struct ticket **at)
{
    struct ticket *gone = *at;

    *at = gone->next;
    sessions->ticket_count--;
    free(gone->bound);
    free(gone);
}

int ticket_issue(struct sessions *sessions, struct session *session, enum ticket_kind kind,
                 const char *bound, char text[SESSION_SECRET_TEXT])
{
    if (sessions->ticket_count >= TICKETS_MAX)
        return -ENOSPC;
    struct ticket *ticket = calloc(1, sizeof *ticket);
    if (!ticket || (bound && !(ticket->bound = strdup(bound))) ||
        random_hex(ticket->text, SESSION_SECRET_TEXT - 1) < 0) {
        free(ticket ? ticket->bound : NULL);
        free(ticket);
        return -ENOMEM;
    }
    ticket->kind = kind;
    ticket->ends = clock_now() + SECONDS(kind == TICKET_CONSOLE ? TICKET_CONSOLE_S : TICKET_S);
    copy_text(ticket->key, sizeof ticket->key, session->key);
    copy_text(text, SESSION_SECRET_TEXT, ticket->text);
    ticket->next = sessions->tickets;
    sessions->tickets = ticket;
    sessions->ticket_count++;
    return 0;
}

/* Where a ticket of that kind and text stands; NULL: nowhere. */
static struct ticket **find_ticket(struct sessions *sessions, enum ticket_kind kind,
                                   const char *text)
{
    for (struct ticket **at = &sessions->tickets; *at; at = &(*at)->next)
        if ((*at)->kind == kind && same_secret((*at)->text, text))
            return at;
    return NULL;
}

/* Uses it up, good or not. */
static struct session *use_ticket(struct sessions *sessions, struct ticket **at, bool good)
{
    good = good && clock_now() < (*at)->ends;
    struct session *session = good ? session_find_key(sessions, (*at)->key) : NULL;

    forget_ticket(sessions, at);
    return session;
}

struct session *ticket_redeem(struct sessions *sessions, enum ticket_kind kind, const char *text,
                              const char *bound)
{
    struct ticket **at = find_ticket(sessions, kind, text);

    return at ? use_ticket(sessions, at, !(*at)->bound || (bound && !strcmp((*at)->bound, bound)))
              : NULL;
}

struct session *ticket_open(struct sessions *sessions, enum ticket_kind kind, const char *text,
                            char *ret_bound, size_t size)
{
    struct ticket **at = find_ticket(sessions, kind, text);

    if (!at)
        return NULL;
    copy_text(ret_bound, size, (*at)->bound ? (*at)->bound : "");
    return use_ticket(sessions, at, true);
}

/* --- time --- */

static void on_sweep(void *ctx, uint32_t events)
{
    struct sessions *sessions = ctx;
    const struct session_limits *limits = &sessions->limits;
    uint64_t now = clock_now();

    (void)events;
    for (struct session *s = sessions->first, *next; s; s = next) {
        next = s->next;
        if (limits->idle_s && !s->calls && !s->closing &&
            now - s->active_ns > SECONDS(limits->idle_s))
            session_close(sessions, s);
    }
    for (struct failed **at = &sessions->failed; *at;)
        if (now - (*at)->last > SECONDS(limits->lock_s))
            forget_failed(sessions, at);
        else
            at = &(*at)->next;
    for (struct ticket **at = &sessions->tickets; *at;)
        if (now > (*at)->ends)
            forget_ticket(sessions, at);
        else
            at = &(*at)->next;
    (void)loop_timer_arm(&sessions->sweep, now + SECONDS(SWEEP_S));
}

int sessions_create(struct loop *loop, struct sessions **ret_sessions)
{
    struct sessions *sessions = calloc(1, sizeof *sessions);
    int rc = sessions ? loop_add_timer(loop, &sessions->sweep, on_sweep, sessions) : -ENOMEM;

    if (rc < 0) {
        free(sessions);
        return rc;
    }
    (void)loop_timer_arm(&sessions->sweep, clock_now() + SECONDS(SWEEP_S));
    sessions->limits = (struct session_limits){SESSION_IDLE_S, LOCK_FAILURES, LOCK_S};
    *ret_sessions = sessions;
    return 0;
}

void sessions_set_limits(struct sessions *sessions, const struct session_limits *limits)
{
    sessions->limits = *limits;
}

void sessions_destroy(struct sessions *sessions)
{
    if (!sessions)
        return;
    loop_del(&sessions->sweep);
    while (sessions->first) {
        sessions->first->calls = 0;
        session_close(sessions, sessions->first);
    }
    while (sessions->failed)
        forget_failed(sessions, &sessions->failed);
    while (sessions->tickets)
        forget_ticket(sessions, &sessions->tickets);
    free(sessions);
}
