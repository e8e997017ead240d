/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/pin.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"

enum { DIGEST = 32, HOSTS_MAX = 1 << 20 };

/* --- the file --- */

/* The folder, or what is in it. */
static int hosts_path(char *path, size_t size, const char *file)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = config && *config ? snprintf(path, size, "%s/socle%s", config, file)
            : home && *home   ? snprintf(path, size, "%s/.config/socle%s", home, file)
                              : -1;

    return n < 0 || (size_t)n >= size ? -ENOENT : 0;
}

static int load_hosts(struct buf *text)
{
    char path[PATH_MAX];
    int rc = hosts_path(path, sizeof path, "/hosts");

    return rc < 0 ? rc : file_load(AT_FDCWD, path, HOSTS_MAX, text, NULL);
}

/* The line of a host in `text`, NULL without one. *ret_len: with its end. */
static const char *find_line(const struct pin *pin, const char *text, size_t *ret_len)
{
    char key[300];
    size_t key_len = (size_t)snprintf(key, sizeof key, "%s:%u ", pin->host, pin->port);

    for (size_t len; *text; text += len) {
        len = strcspn(text, "\n");
        len += text[len] == '\n';
        if (!strncasecmp(text, key, key_len)) {
            *ret_len = len;
            return text;
        }
    }
    return NULL;
}

static int remember(const struct pin *pin, struct err *err)
{
    cleanup_buf struct buf old = {0}, text = {0};
    char path[PATH_MAX];
    size_t len = 0;
    int rc = hosts_path(path, sizeof path, "");

    if (rc < 0)
        return err_set(err, rc, "no HOME to keep the fingerprint in");
    (void)load_hosts(&old);
    const char *all = buf_cstr(&old), *line = find_line(pin, all, &len);
    buf_put(&text, all, line ? (size_t)(line - all) : strlen(all));
    if (line)
        buf_put_str(&text, line + len);
    buf_printf(&text, "%s:%u %s\n", pin->host, pin->port, pin->seen);
    char *slash = strrchr(path, '/');
    *slash = '\0'; /* the folder above is there, or is made */
    (void)mkdir(path, 0700);
    *slash = '/';
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_sys(err, -errno, "cannot make the folder \"%s\"", path);
    (void)hosts_path(path, sizeof path, "/hosts");
    return file_replace(AT_FDCWD, path, 0600, text.data, text.len, err);
}

/* --- fingerprints --- */

/* "ab:cd:..." or "abcd..." to "AB:CD:..." */
static int normalize(const char *text, char out[PIN_TEXT_MAX])
{
    size_t n = 0;

    if (!strncasecmp(text, "sha256:", 7))
        text += 7;
    for (; *text; text++) {
        if (*text == ':' && n % 3 == 2)
            continue;
        if (!isxdigit((unsigned char)*text) || n >= (size_t)DIGEST * 3 - 1)
            return -EINVAL;
        if (n % 3 == 2)
            out[n++] = ':';
        out[n++] = (char)toupper((unsigned char)*text);
    }
    out[n] = '\0';
    return n == (size_t)DIGEST * 3 - 1 ? 0 : -EINVAL;
}

int pin_init(struct pin *pin, const char *host, unsigned port, const char *fingerprint,
             struct err *err)
{
    cleanup_buf struct buf text = {0};
    char known[PIN_TEXT_MAX + 1];
    size_t len;

    *pin = (struct pin){.port = port};
    if (snprintf(pin->host, sizeof pin->host, "%s", host) >= (int)sizeof pin->host)
        return err_set(err, -EINVAL, "the host's name is too long");
    if (fingerprint)
        return normalize(fingerprint, pin->wanted) < 0
                   ? err_set(err, -EINVAL, "\"%s\" is no SHA-256 fingerprint", fingerprint)
                   : 0;
    const char *line = load_hosts(&text) == 0 ? find_line(pin, buf_cstr(&text), &len) : NULL;
    if (line) {
        (void)snprintf(known, sizeof known, "%.*s", (int)strcspn(strchr(line, ' ') + 1, "\n"),
                       strchr(line, ' ') + 1);
        (void)normalize(known, pin->wanted);
    }
    return 0;
}

/* --- in the handshake --- */

static bool fingerprint_of(X509 *cert, char out[PIN_TEXT_MAX])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (!cert || X509_digest(cert, EVP_sha256(), hash, &len) != 1 || len != DIGEST)
        return false;
    for (unsigned i = 0; i < len; i++)
        (void)snprintf(out + (size_t)3 * i, 4, "%02X%s", hash[i], i + 1 < len ? ":" : "");
    return true;
}

static bool vouched_for(const struct pin *pin, X509_STORE_CTX *store)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, pin->host) != 1 &&
        X509_VERIFY_PARAM_set1_host(param, pin->host, 0) != 1)
        return false;
    return X509_verify_cert(store) == 1;
}

static int verify(X509_STORE_CTX *store, void *arg)
{
    struct pin *pin = arg;

    if (!fingerprint_of(X509_STORE_CTX_get0_cert(store), pin->seen))
        return 0;
    if (pin->insecure || !strcmp(pin->seen, pin->wanted))
        pin->verdict = PIN_GOOD;
    else if (*pin->wanted)
        pin->verdict = PIN_CHANGED;
    else
        pin->verdict = vouched_for(pin, store) ? PIN_GOOD : PIN_UNKNOWN;
    if (pin->verdict == PIN_GOOD)
        X509_STORE_CTX_set_error(store, X509_V_OK);
    return pin->verdict == PIN_GOOD;
}

void pin_guard(struct pin *pin, SSL_CTX *ctx)
{
    (void)SSL_CTX_set_default_verify_paths(ctx);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify, pin);
}

/* --- the person --- */

int pin_ask(struct pin *pin, struct err *err)
{
    char answer[16] = "";
    FILE *tty = isatty(STDIN_FILENO) ? fopen("/dev/tty", "r+e") : NULL;

    if (!tty)
        return err_set(err, -ENOTCONN,
                       "%s has a certificate that is not known here; --fingerprint %s accepts it",
                       pin->host, pin->seen);
    (void)fprintf(tty,
                  "The certificate of %s port %u is not known here. Its fingerprint (SHA-256):\n"
                  "%s\nIs this the host that you mean? [y/N] ",
                  pin->host, pin->port, pin->seen);
    (void)fflush(tty);
    char *got = fgets(answer, sizeof answer, tty);
    (void)fclose(tty);
    if (!got || (answer[0] != 'y' && answer[0] != 'Y'))
        return err_set(err, -ENOTCONN, "the certificate of %s was not accepted", pin->host);
    (void)snprintf(pin->wanted, sizeof pin->wanted, "%s", pin->seen);
    return remember(pin, err);
}

int pin_complain(const struct pin *pin, struct err *err)
{
    return err_set(err, -ENOTCONN,
                   "%s port %u has another certificate than before (%s): somebody may stand "
                   "between; if it is right, --fingerprint accepts it",
                   pin->host, pin->port, pin->seen);
}
