/* SPDX-License-Identifier: Apache-2.0 */
/* `socle datastore`: what there is room for, and files. A file is named "[datastore1] a/b",
 * "datastore1:a/b", or "a/b" of the datastore that is meant by none. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/client/follow.h"
#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/nouns.h"

/* --- list --- */

static const struct column list_columns[] = {
    {"name", "NAME", COLUMN_TEXT},
    {"type", "TYPE", COLUMN_TEXT},
    {"capacity", "SIZE", COLUMN_SIZE},
    {"free", "FREE", COLUMN_SIZE},
    {"accessible", "ACCESSIBLE", COLUMN_BOOL},
    {"url", "URL", COLUMN_TEXT, .wide = true},
};

static int list(struct command *command, struct err *err)
{
    static const char *const members[][2] = {{"type", "type"},
                                             {"capacity", "capacity"},
                                             {"free", "freeSpace"},
                                             {"accessible", "accessible"},
                                             {"url", "url"}};
    cleanup_json json_t *stores = NULL, *rows = json_array();
    struct api *api;
    json_t *store;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = inventory_list(api, "Datastore", "name summary", &stores, err);
    json_array_foreach(stores, i, store)
    {
        json_t *row = json_pack("{s:s}", "name", api_text(store, "name"));
        for (unsigned m = 0; m < ARRAY_SIZE(members); m++)
            (void)json_object_set(
                row, members[m][0],
                json_object_get(json_object_get(store, "summary"), members[m][1]));
        (void)json_array_append_new(rows, row);
    }
    return rc < 0 ? rc : out_rows(command, list_columns, ARRAY_SIZE(list_columns), rows, err);
}

/* --- browse --- */

static const struct column browse_columns[] = {
    {"name", "NAME", COLUMN_TEXT},
    {"type", "TYPE", COLUMN_TEXT},
    {"size", "SIZE", COLUMN_SIZE},
    {"modified", "MODIFIED", COLUMN_TIME},
};

static void datastore_of(const char *path, char name[128])
{
    (void)snprintf(name, 128, "%.*s", (int)strcspn(path + 1, "]"), path + 1);
}

static json_t *browse_row(const json_t *file)
{
    bool folder = !strcmp(api_type(file), "FolderFileInfo");
    json_t *row =
        json_pack("{s:s, s:s}", "name", api_text(file, "path"), "type", folder ? "folder" : "file");

    if (!folder)
        (void)json_object_set(row, "size", json_object_get(file, "fileSize"));
    (void)json_object_set(row, "modified", json_object_get(file, "modification"));
    return row;
}

static int browse(struct command *command, struct err *err)
{
    cleanup_json json_t *store = NULL, *result = NULL, *rows = json_array();
    cleanup_free char *path = NULL;
    const char *where = command_operand(command, 0);
    char name[128];
    struct api *api;
    json_t *file;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = datastore_path(api, where ? where : "", &path, err);
    if (rc < 0)
        return rc;
    datastore_of(path, name);
    rc = datastore_find(api, name, &store, err);
    if (rc == 0)
        rc = follow_call(command, api, json_object_get(store, "browser"), "SearchDatastore_Task",
                         json_pack("{s:s, s:{s:[{s:s}, {s:s}], s:{s:b, s:b, s:b, s:b}}}",
                                   "datastorePath", path, "searchSpec", "query", "_typeName",
                                   "FolderFileQuery", "_typeName", "FileQuery", "details",
                                   "fileType", 1, "fileSize", 1, "modification", 1, "fileOwner", 0),
                         "browse", &result, err);
    json_array_foreach(json_object_get(result, "file"), i, file)(void)
        json_array_append_new(rows, browse_row(file));
    return rc < 0 ? rc : out_rows(command, browse_columns, ARRAY_SIZE(browse_columns), rows, err);
}

/* --- transfers --- */

/* "[ds] a b/c" to "/folder/a%20b/c?dcPath=ha-datacenter&dsName=ds". */
static void put_url(struct buf *url, const char *path)
{
    const char *rel = strchr(path, ']') ? strchr(path, ']') + 1 : path;
    char name[128];

    datastore_of(path, name);
    buf_put_str(url, "/folder/");
    for (rel += strspn(rel, " "); *rel; rel++)
        if (isalnum((unsigned char)*rel) || strchr("-_./", *rel))
            buf_put_u8(url, (uint8_t)*rel);
        else
            buf_printf(url, "%%%02X", (unsigned char)*rel);
    buf_put_str(url, "?dcPath=ha-datacenter&dsName=");
    for (const char *c = name; *c; c++)
        if (isalnum((unsigned char)*c) || strchr("-_.", *c))
            buf_put_u8(url, (uint8_t)*c);
        else
            buf_printf(url, "%%%02X", (unsigned char)*c);
}

static void on_moved(void *ctx, uint64_t done, uint64_t total)
{
    bar_show(ctx, done, total);
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *volume = path[0] == '[' ? strstr(path, "] ") : NULL;

    return slash ? slash + 1 : volume ? volume + 2 : path;
}

/* The target's name: what was said; with '/' at its end or nothing of it, the source's in there. */
static int target_path(struct api *api, const char *said, const char *source, char **ret_path,
                       struct err *err)
{
    cleanup_free char *path = NULL;
    int rc = datastore_path(api, said ? said : "", &path, err);
    char last = rc < 0 ? '\0' : path[strlen(path) - 1];

    if (rc < 0)
        return rc;
    if (asprintf(ret_path, "%s%s%s", path, last == ']' ? " " : "",
                 last == '/' || last == ']' || last == ' ' ? base_of(source) : "") < 0) {
        *ret_path = NULL;
        return err_sys(err, -ENOMEM, "path");
    }
    return 0;
}

static int upload(struct command *command, struct err *err)
{
    const char *source = command_operand(command, 0);
    cleanup_fd int fd = open(source, O_RDONLY | O_CLOEXEC);
    cleanup_free char *path = NULL;
    cleanup_buf struct buf url = {0};
    struct stat st;
    struct api *api;
    struct bar bar;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, -errno, "cannot read \"%s\"", source);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "\"%s\" is no file", source);
    int rc = command_api(command, &api, err);
    if (rc == 0)
        rc = target_path(api, command_operand(command, 1), source, &path, err);
    if (rc < 0)
        return rc;
    put_url(&url, path);
    bar_begin(&bar, command, base_of(source), true);
    api_catch_interrupt();
    rc = api_put_file(api, buf_cstr(&url), fd, (uint64_t)st.st_size,
                      &(struct api_progress){on_moved, &bar}, err);
    bar_end(&bar);
    return rc < 0 ? err_prefix(err, rc, "\"%s\"", path) : 0;
}

static int download(struct command *command, struct err *err)
{
    cleanup_free char *path = NULL, *inside = NULL;
    cleanup_buf struct buf url = {0};
    const char *target = command_operand(command, 1);
    struct stat st;
    struct api *api;
    struct bar bar;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = datastore_path(api, command_operand(command, 0), &path, err);
    if (rc < 0)
        return rc;
    put_url(&url, path);
    if (target && !strcmp(target, "-"))
        return api_get_file(api, buf_cstr(&url), STDOUT_FILENO, NULL, err);
    if (!target)
        target = base_of(path);
    if (stat(target, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (asprintf(&inside, "%s/%s", target, base_of(path)) < 0)
            inside = NULL;
        target = inside;
    }
    if (!target)
        return err_sys(err, -ENOMEM, "name");
    bar_begin(&bar, command, base_of(target), true);
    api_catch_interrupt();
    rc = api_save_file(api, buf_cstr(&url), target, &(struct api_progress){on_moved, &bar}, err);
    bar_end(&bar);
    return rc < 0 ? err_prefix(err, rc, "\"%s\"", path) : 0;
}

/* --- files --- */

static int datacenter(struct api *api, json_t **ret_ref, struct err *err)
{
    cleanup_json json_t *rows = NULL;
    int rc = inventory_list(api, "Datacenter", "name", &rows, err);

    if (rc == 0)
        *ret_ref = ref_of(json_array_get(rows, 0));
    return rc;
}

static const struct option mkdir_options[] = {{"parents", NULL, "those above it as well", NULL}};

static int make_folder(struct command *command, struct err *err)
{
    cleanup_json json_t *center = NULL;
    cleanup_free char *path = NULL;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = datastore_path(api, command_operand(command, 0), &path, err);
    if (rc == 0)
        rc = datacenter(api, &center, err);
    return rc < 0 ? rc
                  : api_call(api, api_manager(api, "fileManager"), "MakeDirectory",
                             json_pack("{s:s, s:O, s:b}", "name", path, "datacenter", center,
                                       "createParentDirectories", command_flag(command, "parents")),
                             NULL, err);
}

static int remove_files(struct command *command, struct err *err)
{
    cleanup_json json_t *center = NULL;
    struct api *api;
    const char *word;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = datacenter(api, &center, err);
    for (unsigned i = 0; rc == 0 && (word = command_operand(command, i)); i++) {
        cleanup_free char *path = NULL;
        rc = datastore_path(api, word, &path, err);
        if (rc == 0)
            rc = follow_call(
                command, api, api_manager(api, "fileManager"), "DeleteDatastoreFile_Task",
                json_pack("{s:s, s:O}", "name", path, "datacenter", center), "delete", NULL, err);
    }
    return rc;
}

static int two_files(struct command *command, const char *method, const char *label,
                     struct err *err)
{
    cleanup_json json_t *center = NULL;
    cleanup_free char *from = NULL, *to = NULL;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = datacenter(api, &center, err);
    if (rc == 0)
        rc = datastore_path(api, command_operand(command, 0), &from, err);
    if (rc == 0)
        rc = target_path(api, command_operand(command, 1), from, &to, err);
    return rc < 0 ? rc
                  : follow_call(command, api, api_manager(api, "fileManager"), method,
                                json_pack("{s:s, s:O, s:s, s:O, s:b}", "sourceName", from,
                                          "sourceDatacenter", center, "destinationName", to,
                                          "destinationDatacenter", center, "force",
                                          command_flag(command, "force")),
                                label, NULL, err);
}

static const struct option two_options[] = {{"force", NULL, "replace what is there", NULL}};

static int move(struct command *command, struct err *err)
{
    return two_files(command, "MoveDatastoreFile_Task", "move", err);
}

static int copy(struct command *command, struct err *err)
{
    return two_files(command, "CopyDatastoreFile_Task", "copy", err);
}

static const struct verb verbs[] = {
    {"list", "", "shows all datastores", NO_OPTIONS, list},
    {"browse", "[FOLDER]", "shows what is in a folder", NO_OPTIONS, browse},
    {"upload", "LOCAL [FILE]", "brings a file of this machine there", NO_OPTIONS, upload},
    {"download", "FILE [LOCAL]", "fetches a file; - is standard output", NO_OPTIONS, download},
    {"mkdir", "FOLDER", "makes a folder", OPTIONS(mkdir_options), make_folder},
    {"rm", "FILE...", "deletes files, and folders with what is in them", NO_OPTIONS, remove_files},
    {"mv", "FILE FILE", "moves or renames", OPTIONS(two_options), move},
    {"cp", "FILE FILE", "copies", OPTIONS(two_options), copy},
};

const struct noun noun_datastore = {
    "datastore",
    "Datastores and the files on them. A file is \"[datastore1] a/b\", datastore1:a/b, or a/b.",
    verbs, ARRAY_SIZE(verbs)};
