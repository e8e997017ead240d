/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/session/http_login.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hostd/session/session.h"
#include "hostd/session/vestibule.h"
#include "hostd/web.h"

static struct session *by_ticket(struct hostd *hostd, const struct http_exchange *x)
{
    static const char *const names[HTTP_METHOD_MAX] = {"GET", "HEAD", "POST", "PUT", "DELETE", ""};
    char ticket[SESSION_SECRET_TEXT], bound[2048];

    if (x->head.method == HTTP_METHOD_MAX ||
        !http_cookie(&x->head, "vmware_cgi_ticket", ticket, sizeof ticket))
        return NULL;
    (void)snprintf(bound, sizeof bound, "%s %s", names[x->head.method], x->head.target);
    return ticket_redeem(hostd->sessions, TICKET_SERVICE, ticket, bound);
}

/* Basic authorization: the password's hash takes its time, in the vestibule. */
struct basic {
    struct hostd *hostd;
    struct http_exchange *x; /* NULL: the client has gone */
    struct vestibule_entry entry;
    char user[ACCOUNT_NAME_MAX + 1], password[ACCOUNT_PASSWORD_MAX + 1], hash[ACCOUNT_HASH_MAX];
    http_admitted *admitted;
    bool good;
};

/* A page of ours that asks has a log-in of its own; challenged, its browser would come up with
 * another window for a name and a password, over the page. Fetch Metadata Request Headers
 * (W3C), 2.3. */
static bool is_page(const struct http_exchange *x)
{
    const char *mode = http_header(&x->head, "Sec-Fetch-Mode");

    return mode && strcmp(mode, "navigate") != 0;
}

static void unauthorized(struct http_exchange *x)
{
    struct buf body = {0};

    buf_put_str(&body, "log in first\n");
    http_answer(x, 401, "text/plain; charset=utf-8",
                is_page(x) ? NULL
                           : "WWW-Authenticate: Basic realm=\"Socle\", charset=\"UTF-8\"\r\n",
                &body);
}

static void basic_work(void *arg)
{
    struct basic *basic = arg;

    basic->good = account_check(basic->hash, basic->password);
    explicit_bzero(basic->password, sizeof basic->password);
}

static void basic_done(void *arg)
{
    struct basic *basic = arg;
    struct hostd *hostd = basic->hostd;
    bool good = basic->good && account_find(&hostd->accounts, basic->user) &&
                !login_locked(hostd->sessions, basic->user);

    if (good)
        login_succeeded(hostd->sessions, basic->user);
    else
        login_failed(hostd->sessions, basic->user);
    if (basic->x) {
        basic->x->gone = NULL;
        if (good)
            basic->admitted(hostd, basic->x, basic->user);
        else
            unauthorized(basic->x);
    }
    free(basic);
}

static void basic_gone(struct http_exchange *x)
{
    struct basic *basic = x->user;

    basic->x = NULL;
    if (vestibule_leave(&basic->entry)) {
        explicit_bzero(basic->password, sizeof basic->password);
        free(basic);
    }
}

static bool decode(const char *text, struct basic *basic)
{
    unsigned char plain[ACCOUNT_NAME_MAX + ACCOUNT_PASSWORD_MAX + 8];
    size_t len = strlen(text);

    if (!len || len % 4 || len / 4 * 3 >= sizeof plain)
        return false;
    int n = EVP_DecodeBlock(plain, (const unsigned char *)text, (int)len);
    while (n > 0 && len && text[len - 1] == '=') {
        n--;
        len--;
    }
    if (n < 0)
        return false;
    plain[n] = '\0';
    char *colon = strchr((char *)plain, ':');
    if (!colon || colon - (char *)plain > ACCOUNT_NAME_MAX ||
        strlen(colon + 1) > ACCOUNT_PASSWORD_MAX)
        return false;
    *colon = '\0';
    (void)snprintf(basic->user, sizeof basic->user, "%.32s", (char *)plain);
    (void)snprintf(basic->password, sizeof basic->password, "%s", colon + 1);
    explicit_bzero(plain, sizeof plain);
    return true;
}

bool http_is_from_elsewhere(const struct http_exchange *x)
{
    const char *origin = http_header(&x->head, "Origin"), *host = http_header(&x->head, "Host");
    const char *at = origin ? strstr(origin, "://") : NULL;

    return origin && (!at || !host || strcasecmp(at + strlen("://"), host) != 0);
}

static bool only_reads(const struct http_exchange *x)
{
    return x->head.method == HTTP_GET || x->head.method == HTTP_HEAD;
}

static void authenticate(struct hostd *hostd, struct http_exchange *x, http_admitted *admitted)
{
    const char *header = http_header(&x->head, "Authorization");
    struct basic *basic = calloc(1, sizeof *basic);

    if (!basic || !header || (http_is_from_elsewhere(x) && !only_reads(x)) ||
        strncasecmp(header, "Basic ", 6) || !decode(header + 6 + strspn(header + 6, " "), basic)) {
        free(basic);
        unauthorized(x);
        return;
    }
    basic->hostd = hostd;
    basic->x = x;
    basic->admitted = admitted;
    account_hash(&hostd->accounts, basic->user, basic->hash);
    x->user = basic;
    x->gone = basic_gone;
    basic->entry = (struct vestibule_entry){
        .peer = x->peer, .work = basic_work, .done = basic_done, .arg = basic};
    if (vestibule_enter(hostd->vestibule, &basic->entry) < 0) {
        x->gone = NULL;
        free(basic);
        http_answer_text(x, 503, "out of memory");
    }
}

void http_login(struct hostd *hostd, struct http_exchange *x, http_admitted *admitted)
{
    struct session *session = by_ticket(hostd, x);

    if (!session)
        session = web_session(hostd, x);
    if (!session) {
        authenticate(hostd, x, admitted);
        return;
    }
    session_enter(session);
    admitted(hostd, x, session->user);
    session_leave(hostd->sessions, session);
}
