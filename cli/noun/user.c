/* SPDX-License-Identifier: Apache-2.0 */
/* `socle user`: the host's own accounts. */
#include <errno.h>
#include <string.h>

#include "cli/client/out.h"
#include "cli/client/password.h"
#include "cli/noun/nouns.h"

static const struct column columns[] = {{"name", "NAME", COLUMN_TEXT},
                                        {"description", "DESCRIPTION", COLUMN_TEXT}};

static int list(struct command *command, struct err *err)
{
    cleanup_json json_t *users = NULL, *rows = json_array();
    struct api *api;
    json_t *user;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = api_call(api, api_manager(api, "userDirectory"), "RetrieveUserGroups",
                      json_pack("{s:s, s:b, s:b, s:b}", "searchStr", "", "exactMatch", 0,
                                "findUsers", 1, "findGroups", 0),
                      &users, err);
    json_array_foreach(users, i, user)(void)
        json_array_append_new(rows, json_pack("{s:s, s:s}", "name", api_text(user, "principal"),
                                              "description", api_text(user, "fullName")));
    return rc < 0 ? rc : out_rows(command, columns, ARRAY_SIZE(columns), rows, err);
}

/* --- passwords --- */

static int new_password(const struct command *command, char password[PASSWORD_MAX], struct err *err)
{
    const char *path = command_value(command, "new-password-file");
    char again[PASSWORD_MAX] = "";

    if (path)
        return password_read(path, password, err);
    int rc = password_ask("New password", password, err);
    if (rc == 0)
        rc = password_ask("Again", again, err);
    if (rc == -ENOTTY)
        rc = err_set(err, -EINVAL, "no terminal to ask on; use --new-password-file");
    if (rc == 0 && strcmp(password, again) != 0)
        rc = err_set(err, -EINVAL, "these are two passwords");
    explicit_bzero(again, sizeof again);
    return rc;
}

static const struct option add_options[] = {
    {"new-password-file", "FILE", "its password is the first line of FILE (default: asks)", NULL},
    {"description", "TEXT", "who or what it is", NULL},
};

static const struct option password_options[] = {
    {"new-password-file", "FILE", "its password is the first line of FILE (default: asks)", NULL},
    {"old-password-file", "FILE",
     "with its old password, the first line of FILE: nobody has to be administrator", NULL},
};

/* CreateUser and UpdateUser have the same arguments. */
static int change(struct command *command, const char *method, struct err *err)
{
    char password[PASSWORD_MAX] = "";
    const char *description = command_value(command, "description");
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = new_password(command, password, err);
    if (rc == 0) {
        json_t *spec = json_pack("{s:s, s:s, s:s}", "_typeName", "HostAccountSpec", "id",
                                 command_operand(command, 0), "password", password);
        if (description)
            (void)json_object_set_new(spec, "description", json_string(description));
        rc = api_call(api, api_manager(api, "accountManager"), method,
                      json_pack("{s:o}", "user", spec), NULL, err);
    }
    explicit_bzero(password, sizeof password);
    return rc;
}

static int add(struct command *command, struct err *err)
{
    return change(command, "CreateUser", err);
}

/* By who knows the old one. */
static int change_password(struct command *command, const char *old_path, struct err *err)
{
    char old[PASSWORD_MAX] = "", password[PASSWORD_MAX] = "";
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = password_read(old_path, old, err);
    if (rc == 0)
        rc = new_password(command, password, err);
    if (rc == 0)
        rc = api_call(api, api_manager(api, "accountManager"), "ChangePassword",
                      json_pack("{s:s, s:s, s:s}", "user", command_operand(command, 0),
                                "oldPassword", old, "newPassword", password),
                      NULL, err);
    explicit_bzero(old, sizeof old);
    explicit_bzero(password, sizeof password);
    return rc;
}

static int set_password(struct command *command, struct err *err)
{
    const char *old_path = command_value(command, "old-password-file");

    return old_path ? change_password(command, old_path, err) : change(command, "UpdateUser", err);
}

static int remove_user(struct command *command, struct err *err)
{
    struct api *api;
    int rc = command_api(command, &api, err);

    return rc < 0
               ? rc
               : api_call(api, api_manager(api, "accountManager"), "RemoveUser",
                          json_pack("{s:s}", "userName", command_operand(command, 0)), NULL, err);
}

static const struct verb verbs[] = {
    {"list", "", "shows all accounts", NO_OPTIONS, list},
    {"add", "NAME", "makes an account; permissions are given with socle permission set",
     OPTIONS(add_options), add},
    {"password", "USER", "gives it another password", OPTIONS(password_options), set_password},
    {"remove", "USER", "removes it", NO_OPTIONS, remove_user},
};

const struct noun noun_user = {"user", "Accounts of the host.", verbs, ARRAY_SIZE(verbs)};
