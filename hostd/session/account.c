/* SPDX-License-Identifier: Apache-2.0 */
/* Deliberately missing: groups, expiry, password history. Domain users come with directory login.
 */
#include "hostd/session/account.h"

#include <crypt.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/utf8.h"

enum { FILE_MAX = 4 << 20, PASSWORD_MIN = 7, FIRST_ID = 1000 };

_Static_assert(ACCOUNT_HASH_MAX == CRYPT_OUTPUT_SIZE, "crypt(3)'s output");

/* --- the file --- */

static int read_one(struct account *account, json_t *item)
{
    const char *name, *hash, *description;
    int id;

    if (json_unpack(item, "{s:s, s:s, s:s, s:i}", "name", &name, "hash", &hash, "description",
                    &description, "id", &id) < 0 ||
        strlen(name) > ACCOUNT_NAME_MAX || strlen(hash) >= ACCOUNT_HASH_MAX ||
        strlen(description) > ACCOUNT_DESCRIPTION_MAX)
        return -EBADMSG;
    (void)snprintf(account->name, sizeof account->name, "%s", name);
    (void)snprintf(account->hash, sizeof account->hash, "%s", hash);
    (void)snprintf(account->description, sizeof account->description, "%s", description);
    account->id = (unsigned)id;
    return 0;
}

static int read_list(struct accounts *accounts, json_t *list)
{
    size_t count = json_array_size(list);

    if (!json_is_array(list) || count > ACCOUNTS_MAX)
        return -EBADMSG;
    accounts->list = calloc(count + 1, sizeof *accounts->list);
    if (!accounts->list)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        int rc = read_one(&accounts->list[i], json_array_get(list, i));
        if (rc < 0)
            return rc;
        accounts->count++;
    }
    return 0;
}

int accounts_load(struct accounts *accounts, int root_fd, struct err *err)
{
    cleanup_buf struct buf text = {0};

    *accounts = (struct accounts){.root_fd = root_fd};
    int rc = file_load(root_fd, ACCOUNT_FILE, FILE_MAX, &text, err);
    if (rc < 0)
        return rc;
    json_t *root = json_loadb((const char *)text.data, text.len, 0, NULL);
    rc = read_list(accounts, json_object_get(root, "users"));
    json_decref(root);
    if (rc < 0)
        accounts_free(accounts);
    return rc < 0 ? err_sys(err, rc, "\"%s\" is damaged", ACCOUNT_FILE) : 0;
}

static int save(const struct accounts *accounts, struct err *err)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < accounts->count; i++) {
        const struct account *a = &accounts->list[i];
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:i}", "name", a->name, "hash",
                                                    a->hash, "description", a->description, "id",
                                                    (int)a->id));
    }
    json_t *root = json_pack("{s:o}", "users", list);
    cleanup_free char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    return text ? file_replace(accounts->root_fd, ACCOUNT_FILE, 0600, text, strlen(text), err)
                : err_sys(err, -ENOMEM, "accounts");
}

void accounts_free(struct accounts *accounts)
{
    free(TAKE_PTR(accounts->list));
    accounts->count = 0;
}

/* --- passwords --- */

int account_make_hash(const char *password, char hash[ACCOUNT_HASH_MAX], struct err *err)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    int rc = -ENOMEM;

    if (data && crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof salt) &&
        crypt_r(password, salt, data) && data->output[0] == '$') {
        (void)snprintf(hash, ACCOUNT_HASH_MAX, "%s", data->output);
        rc = 0;
    }
    if (data)
        explicit_bzero(data, sizeof *data);
    free(data);
    return rc < 0 ? err_sys(err, rc, "cannot hash the password") : 0;
}

/* Nobody's: a salt with the parameters of real ones and a digest that nothing hashes to. */
static void nobodys_hash(char hash[ACCOUNT_HASH_MAX])
{
    static char salt[CRYPT_GENSALT_OUTPUT_SIZE];

    if (!*salt)
        (void)crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof salt);
    (void)snprintf(hash, ACCOUNT_HASH_MAX, "%s$%043d", salt, 0);
}

void account_hash(const struct accounts *accounts, const char *name, char hash[ACCOUNT_HASH_MAX])
{
    const struct account *account = account_find(accounts, name);

    if (account)
        (void)snprintf(hash, ACCOUNT_HASH_MAX, "%s", account->hash);
    else
        nobodys_hash(hash);
}

/* In a time that depends on the lengths only. */
static bool same_text(const char *a, const char *b)
{
    size_t len = strlen(a);
    unsigned char difference = strlen(b) != len;

    for (size_t i = 0; i < len && b[i]; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return !difference;
}

bool account_check(const char *hash, const char *password)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    bool ok = false;

    if (data && strlen(password) <= ACCOUNT_PASSWORD_MAX && crypt_r(password, hash, data))
        ok = data->output[0] == '$' && same_text(data->output, hash);
    if (data)
        explicit_bzero(data, sizeof *data);
    free(data);
    return ok;
}

int account_generate_password(char *password, size_t size)
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    enum { LETTERS = sizeof letters - 1, LENGTH = 16 };

    for (size_t i = 0; i < LENGTH && i + 1 < size;) {
        uint8_t r;
        if (getrandom(&r, 1, 0) != 1)
            return -errno;
        if (r < 256 / LETTERS * LETTERS) /* no letter is likelier than another */
            password[i++] = letters[r % LETTERS];
        password[i] = '\0';
    }
    return 0;
}

/* --- changes --- */

const struct account *account_find(const struct accounts *accounts, const char *name)
{
    for (unsigned i = 0; i < accounts->count; i++)
        if (!strcmp(accounts->list[i].name, name))
            return &accounts->list[i];
    return NULL;
}

static bool name_ok(const char *name)
{
    size_t len = strlen(name);

    return len && len <= ACCOUNT_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               len &&
           name[0] != '-' && name[0] != '.';
}

/* XML knows no control characters, and neither binding anything but UTF-8. */
int account_password_ok(const char *password, struct err *err)
{
    size_t len = strlen(password);

    if (len < PASSWORD_MIN || len > ACCOUNT_PASSWORD_MAX)
        return err_set(err, -EINVAL, "a password has %d to %d bytes", PASSWORD_MIN,
                       ACCOUNT_PASSWORD_MAX);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)password[i] < ' ' || password[i] == '\x7f')
            return err_set(err, -EINVAL, "a password has no control characters");
    return utf8_valid(password) ? 0 : err_set(err, -EINVAL, "a password is text in UTF-8");
}

static int set(struct account *account, const char *password, const char *description,
               struct err *err)
{
    int rc = password ? account_password_ok(password, err) : 0;

    if (rc < 0)
        return rc;
    if (description && (strlen(description) > ACCOUNT_DESCRIPTION_MAX || !utf8_valid(description)))
        return err_set(err, -EINVAL, "the description is too long or no UTF-8");
    if (description)
        (void)snprintf(account->description, sizeof account->description, "%s", description);
    return password ? account_make_hash(password, account->hash, err) : 0;
}

static unsigned free_id(const struct accounts *accounts)
{
    unsigned id = FIRST_ID;

    for (unsigned i = 0; i < accounts->count; i++)
        if (accounts->list[i].id >= id)
            id = accounts->list[i].id + 1;
    return id;
}

int account_add(struct accounts *accounts, const char *name, const char *password,
                const char *description, struct err *err)
{
    if (!name_ok(name))
        return err_set(err, -EINVAL, "\"%.40s\" can not be an account's name", name);
    if (account_find(accounts, name))
        return err_set(err, -EEXIST, "the account \"%s\" is there already", name);
    if (accounts->count >= ACCOUNTS_MAX)
        return err_set(err, -ENOSPC, "there are %d accounts already", ACCOUNTS_MAX);
    struct account *list = realloc(accounts->list, (accounts->count + 2) * sizeof *accounts->list);
    if (!list)
        return err_sys(err, -ENOMEM, "accounts");
    accounts->list = list;
    struct account *account = &list[accounts->count];
    *account = (struct account){.id = strcmp(name, "root") ? free_id(accounts) : 0};
    (void)snprintf(account->name, sizeof account->name, "%s", name);
    int rc = set(account, password ? password : "", description ? description : "", err);
    if (rc < 0)
        return rc;
    accounts->count++;
    rc = save(accounts, err);
    accounts->count -= rc < 0;
    return rc;
}

int account_update(struct accounts *accounts, const char *name, const char *password,
                   const char *description, struct err *err)
{
    const struct account *found = account_find(accounts, name);

    if (!found)
        return err_set(err, -ENOENT, "there is no account \"%.40s\"", name);
    struct account *account = &accounts->list[found - accounts->list], before = *account;
    int rc = set(account, password, description, err);
    if (rc == 0)
        rc = save(accounts, err);
    if (rc < 0)
        *account = before;
    return rc;
}

int account_set_hash(struct accounts *accounts, const char *name, const char *hash, struct err *err)
{
    const struct account *found = account_find(accounts, name);

    if (!found)
        return err_set(err, -ENOENT, "there is no account \"%.40s\"", name);
    struct account *account = &accounts->list[found - accounts->list], before = *account;
    (void)snprintf(account->hash, sizeof account->hash, "%s", hash);
    int rc = save(accounts, err);
    if (rc < 0)
        *account = before;
    return rc;
}

int account_remove(struct accounts *accounts, const char *name, struct err *err)
{
    const struct account *found = account_find(accounts, name);

    if (!found)
        return err_set(err, -ENOENT, "there is no account \"%.40s\"", name);
    if (!strcmp(name, "root"))
        return err_set(err, -EINVAL, "root can not be removed");
    struct account *account = &accounts->list[found - accounts->list], gone = *account;
    *account = accounts->list[--accounts->count];
    int rc = save(accounts, err);
    if (rc < 0) {
        accounts->list[accounts->count++] = *account;
        *account = gone;
    }
    return rc;
}
