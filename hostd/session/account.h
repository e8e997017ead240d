/* SPDX-License-Identifier: Apache-2.0 */
/* Local accounts: names, password hashes (yescrypt, crypt(5)) and descriptions, kept in one file
 * that is replaced at each change (base/file.h). "root" is always there and has id 0.
 *
 * account_check does the same work for a name that does not exist as for one that does; it needs
 * tens of milliseconds and may run on any thread, with a copy of the hash (account_hash). All else
 * belongs to the loop's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
    ACCOUNT_NAME_MAX = 32,
    ACCOUNT_PASSWORD_MAX = 256,
    ACCOUNT_HASH_MAX = 384,
    ACCOUNT_DESCRIPTION_MAX = 256,
    ACCOUNTS_MAX = 1024,
};
#define ACCOUNT_FILE "config/accounts.json"

struct account {
    char name[ACCOUNT_NAME_MAX + 1];
    char hash[ACCOUNT_HASH_MAX];
    char description[ACCOUNT_DESCRIPTION_MAX + 1];
    unsigned id;
};

struct accounts {
    int root_fd; /* borrowed: the folder that ACCOUNT_FILE is in */
    struct account *list;
    unsigned count;
};

/* -ENOENT: there is no file yet; accounts is empty and usable. */
int accounts_load(struct accounts *accounts, int root_fd, struct err *err);
void accounts_free(struct accounts *accounts);

const struct account *account_find(const struct accounts *accounts, const char *name);

/* -EEXIST, -ENOENT (account_update), -EINVAL (a name or password that cannot be), or what writing
 * said. password NULL: unchanged (update). On failure nothing has changed. */
int account_add(struct accounts *accounts, const char *name, const char *password,
                const char *description, struct err *err);
int account_update(struct accounts *accounts, const char *name, const char *password,
                   const char *description, struct err *err);
/* The same with a password that is hashed already. -ENOENT, or what writing said. */
int account_set_hash(struct accounts *accounts, const char *name, const char *hash,
                     struct err *err);
int account_remove(struct accounts *accounts, const char *name, struct err *err);

/* The hash to check against: the account's, or one that no password has. */
void account_hash(const struct accounts *accounts, const char *name, char hash[ACCOUNT_HASH_MAX]);
bool account_check(const char *hash, const char *password);
/* A new hash, on any thread as account_check: tens of milliseconds. */
int account_make_hash(const char *password, char hash[ACCOUNT_HASH_MAX], struct err *err);

/* Can it be a password? -EINVAL with a message: too short or long, or what no client could send. */
int account_password_ok(const char *password, struct err *err);

/* Letters and digits without those that look alike. */
int account_generate_password(char *password, size_t size);
