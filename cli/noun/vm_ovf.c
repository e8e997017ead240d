/* SPDX-License-Identifier: Apache-2.0 */
/* `socle vm export` and `import`: packages as a folder with NAME.ovf, its disks, and NAME.mf with
 * their SHA-256, or in one file (.ova), which is read as it is. Deliberately missing: writing such
 * a file, for its descriptor comes first and is known last; tar makes one of the folder. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "cli/client/follow.h"
#include "cli/client/inventory.h"
#include "cli/client/package.h"
#include "cli/noun/vm.h"

enum { DESCRIPTOR_MAX = 16 << 20, HASH_TEXT = 2 * EVP_MAX_MD_SIZE + 1, CHUNK = 1 << 16 };

/* --- leases --- */

static int on_state(void *ctx, const json_t *state)
{
    const char *text = json_string_value(state);

    (void)ctx;
    return text && strcmp(text, "initializing") != 0;
}

/* Waits until its URLs can be used; *ret_info is the caller's. */
static int wait_ready(struct api *api, const json_t *lease, json_t **ret_info, struct err *err)
{
    cleanup_json json_t *state = NULL, *error = NULL;
    int rc = follow_property(api, lease, "state", on_state, NULL, err);

    if (rc >= 0)
        rc = api_get(api, lease, "state", &state, err);
    if (rc == 0 && strcmp(json_string_value(state) ? json_string_value(state) : "", "ready") != 0) {
        rc = api_get(api, lease, "error", &error, err);
        return rc < 0 ? rc : api_fault(error, err);
    }
    return rc < 0 ? rc : api_get(api, lease, "info", ret_info, err);
}

/* Its end, good or bad; `rc` or what ending it said. */
static int end_lease(struct api *api, const json_t *lease, int rc, struct err *err)
{
    struct err ignored = ERR_INIT;

    (void)api_interrupted();
    if (rc == 0)
        return api_call(api, lease, "HttpNfcLeaseComplete", NULL, NULL, err);
    (void)api_call(api, lease, "HttpNfcLeaseAbort", NULL, NULL, &ignored);
    return rc;
}

/* What is behind the host's name: it is reached as the rest is. */
static const char *path_of(const char *url)
{
    const char *host = strstr(url, "://");

    return host && strchr(host + 3, '/') ? strchr(host + 3, '/') : "";
}

static void on_moved(void *ctx, uint64_t done, uint64_t total)
{
    bar_show(ctx, done, total);
}

/* --- hashes --- */

/* `size` bytes from where `fd` stands. */
static int hash_fd(int fd, uint64_t size, const char *digest, char text[HASH_TEXT], struct err *err)
{
    cleanup_free unsigned char *chunk = malloc(CHUNK);
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ssize_t n = 0;

    if (ctx && chunk && EVP_DigestInit_ex(ctx, EVP_get_digestbyname(digest), NULL) == 1)
        for (; size && (n = read(fd, chunk, MIN(size, (uint64_t)CHUNK))) > 0; size -= (uint64_t)n)
            (void)EVP_DigestUpdate(ctx, chunk, (size_t)n);
    bool ok = ctx && chunk && !size && EVP_DigestFinal_ex(ctx, hash, &len) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return err_set(err, -EIO, "it can not be read");
    for (unsigned i = 0; i < len; i++)
        (void)snprintf(text + (size_t)2 * i, 3, "%02x", hash[i]);
    return 0;
}

static int hash_file(const struct package *package, const char *name, const char *digest,
                     char text[HASH_TEXT], struct err *err)
{
    cleanup_fd int fd = -1;
    uint64_t size;
    int rc = package_file(package, name, &fd, &size, err);

    if (rc < 0)
        return rc;
    rc = hash_fd(fd, size, digest, text, err);
    return rc < 0 ? err_prefix(err, rc, "\"%s\"", name) : 0;
}

static int add_hash(struct buf *manifest, const char *folder, const char *name, struct err *err)
{
    struct package package = {.fd = -1};
    char text[HASH_TEXT];

    (void)snprintf(package.folder, sizeof package.folder, "%s/", folder);
    int rc = hash_file(&package, name, "SHA256", text, err);
    if (rc == 0)
        buf_printf(manifest, "SHA256(%s)= %s\n", name, text);
    return rc;
}

/* --- export --- */

struct export
{
    struct command *command;
    struct api *api;
    const char *folder, *name;
    json_t *files;       /* OvfFile[], for the descriptor */
    struct buf manifest; /* of the disks */
    struct err *err;
};

static int write_text(const struct export *e, const char *suffix, const void *data, size_t len)
{
    cleanup_free char *path = NULL;

    if (asprintf(&path, "%s/%s%s", e->folder, e->name, suffix) < 0)
        return err_sys(e->err, -ENOMEM, "name");
    return file_replace(AT_FDCWD, path, 0666, data, len, e->err);
}

/* One of the lease's URLs into the folder. */
static int fetch(struct export *e, const json_t *device)
{
    cleanup_free char *name = NULL, *path = NULL;
    const char *target = api_text(device, "targetId");
    struct stat st;
    struct bar bar;

    if (!*target || strchr(target, '/'))
        return err_set(e->err, -EPROTO, "the host named a file \"%s\"", target);
    if (asprintf(&name, "%s-%s", e->name, target) < 0 ||
        asprintf(&path, "%s/%s", e->folder, name) < 0)
        return err_sys(e->err, -ENOMEM, "name");
    bar_begin(&bar, e->command, name, true);
    int rc = api_save_file(e->api, path_of(api_text(device, "url")), path,
                           &(struct api_progress){on_moved, &bar}, e->err);
    bar_end(&bar);
    if (rc == 0 && stat(path, &st) < 0)
        rc = err_sys(e->err, -EIO, "\"%s\"", path);
    if (rc == 0)
        rc = add_hash(&e->manifest, e->folder, name, e->err);
    if (rc == 0)
        (void)json_array_append_new(e->files, json_pack("{s:s, s:s, s:I}", "deviceId",
                                                        api_text(device, "key"), "path", name,
                                                        "size", (json_int_t)st.st_size));
    return rc;
}

static int describe(struct export *e, const json_t *vm)
{
    cleanup_json json_t *result = NULL;
    cleanup_buf struct buf all = {0};
    cleanup_free char *file = NULL;
    int rc = api_call(e->api, api_manager(e->api, "ovfManager"), "CreateDescriptor",
                      json_pack("{s:O, s:{s:O, s:s}}", "obj", json_object_get(vm, "ref"), "cdp",
                                "ovfFiles", e->files, "name", e->name),
                      &result, e->err);
    const json_t *error = json_array_get(json_object_get(result, "error"), 0);

    if (rc == 0 && error)
        rc = api_fault(error, e->err);
    if (rc < 0)
        return rc;
    const char *text = api_text(result, "ovfDescriptor");
    rc = write_text(e, ".ovf", text, strlen(text));
    if (rc == 0 && asprintf(&file, "%s.ovf", e->name) < 0)
        rc = err_sys(e->err, -ENOMEM, "name");
    if (rc == 0)
        rc = add_hash(&all, e->folder, file, e->err);
    if (rc == 0) {
        buf_put(&all, e->manifest.data, e->manifest.len);
        rc = write_text(e, ".mf", all.data, all.len);
    }
    return rc;
}

int vm_export(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL, *lease = NULL, *info = NULL, *files = json_array();
    struct export e = {.command = command, .files = files, .err = err};
    json_t *device;
    size_t i;
    int rc = first_vm(command, "name", &e.api, &vm, err);

    e.name = api_text(vm, "name");
    e.folder = command_operand(command, 1) ? command_operand(command, 1) : e.name;
    if (rc == 0 && strchr(e.name, '/'))
        rc = err_set(err, -EINVAL, "its name cannot be a file's");
    if (rc == 0 && mkdir(e.folder, 0777) < 0 && errno != EEXIST)
        rc = err_set(err, -EIO, "cannot make the folder \"%s\": %s", e.folder, strerror(errno));
    if (rc == 0)
        rc = api_call(e.api, json_object_get(vm, "ref"), "ExportVm", NULL, &lease, err);
    if (rc < 0)
        return rc;
    rc = wait_ready(e.api, lease, &info, err);
    json_array_foreach(json_object_get(info, "deviceUrl"), i, device) if (rc == 0) rc =
        fetch(&e, device);
    if (rc == 0)
        rc = describe(&e, vm);
    buf_free(&e.manifest);
    return end_lease(e.api, lease, rc, err);
}

/* --- import --- */

/* A line "SHA256(file)= 12ab..." */
static int check_line(const struct package *package, const char *line, size_t len, struct err *err)
{
    char digest[16], name[PACKAGE_NAME_MAX], want[HASH_TEXT], got[HASH_TEXT];
    const char *open = memchr(line, '(', len), *close = memmem(line, len, ")=", 2);

    if (!open || !close || close < open || (size_t)(open - line) >= sizeof digest)
        return 0; /* an empty line, a remark */
    (void)snprintf(digest, sizeof digest, "%.*s", (int)(open - line), line);
    (void)snprintf(name, sizeof name, "%.*s", (int)(close - open - 1), open + 1);
    const char *hex = close + 2 + strspn(close + 2, " ");
    (void)snprintf(want, sizeof want, "%.*s", (int)strcspn(hex, "\r\n "), hex);
    if (strchr(name, '/') || !EVP_get_digestbyname(digest))
        return err_set(err, -EINVAL, "the manifest's line \"%.*s\" makes no sense", (int)len, line);
    int rc = hash_file(package, name, digest, got, err);
    if (rc == 0 && strcasecmp(want, got) != 0)
        rc = err_set(err, -EBADMSG, "\"%s\" is not as the manifest says: it is damaged", name);
    return rc;
}

/* The whole of a file that is text. */
static int load(const struct package *package, const char *name, struct buf *ret_text,
                struct err *err)
{
    cleanup_fd int fd = -1;
    uint64_t size;
    int rc = package_file(package, name, &fd, &size, err);

    if (rc < 0)
        return rc;
    if (size > DESCRIPTOR_MAX)
        return err_set(err, -EFBIG, "\"%s\" is too large", name);
    char *data = buf_grow(ret_text, (size_t)size);
    for (uint64_t at = 0; data && at < size;) {
        ssize_t n = read(fd, data + at, size - at);
        if (n <= 0)
            return err_set(err, -EIO, "\"%s\" can not be read", name);
        at += (uint64_t)n;
    }
    return data ? 0 : err_sys(err, -ENOMEM, "\"%s\"", name);
}

static int check_manifest(const struct package *package, struct err *err)
{
    cleanup_buf struct buf text = {0};
    char name[PACKAGE_NAME_MAX + 4];
    size_t len = strlen(package->descriptor);
    bool known = len > 4 && !strcasecmp(package->descriptor + len - 4, ".ovf");

    (void)snprintf(name, sizeof name, "%.*s.mf", (int)(known ? len - 4 : len), package->descriptor);
    int rc = load(package, name, &text, err);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc; /* packages may have none */
    for (const char *line = buf_cstr(&text); rc == 0 && *line;) {
        size_t line_len = strcspn(line, "\n");
        rc = check_line(package, line, line_len, err);
        line += line_len + (line[line_len] == '\n');
    }
    return rc;
}

/* --map "bridged=VM Network" */
static int add_maps(const struct command *command, struct api *api, json_t *params, struct err *err)
{
    json_t *list = json_array();
    int rc = 0;

    (void)json_object_set_new(params, "networkMapping", list);
    for (unsigned i = 0; rc == 0 && i < command->options.hit_count; i++) {
        const struct option_hit *hit = &command->options.hits[i];
        const char *equals = hit->value ? strchr(hit->value, '=') : NULL;
        cleanup_json json_t *network = NULL;
        if (strcmp(hit->option->name, "map") != 0)
            continue;
        if (!equals)
            return err_set(err, -EINVAL, "--map \"%s\": not NAME=NETWORK", hit->value);
        rc = inventory_find(api, "Network", "network", equals + 1, "name", &network, err);
        if (rc == 0)
            (void)json_array_append_new(
                list, json_pack("{s:o, s:o}", "name",
                                json_stringn(hit->value, (size_t)(equals - hit->value)), "network",
                                ref_of(network)));
    }
    return rc;
}

static int import_spec(struct command *command, struct api *api, const char *text, const char *name,
                       const json_t *pool, json_t **ret_result, struct err *err)
{
    cleanup_json json_t *store = NULL, *params = NULL;
    int rc = datastore_find(api, command_value(command, "datastore"), &store, err);

    if (rc < 0)
        return rc;
    params = json_pack("{s:s, s:s, s:s, s:s}", "locale", "", "deploymentOption", "", "entityName",
                       name, "diskProvisioning", "thin");
    rc = add_maps(command, api, params, err);
    if (rc == 0)
        rc = api_call(api, api_manager(api, "ovfManager"), "CreateImportSpec",
                      json_pack("{s:s, s:O, s:O, s:O}", "ovfDescriptor", text, "resourcePool", pool,
                                "datastore", json_object_get(store, "ref"), "cisp", params),
                      ret_result, err);
    const json_t *error = rc < 0 ? NULL : json_array_get(json_object_get(*ret_result, "error"), 0);
    json_t *warning;
    size_t i;
    json_array_foreach(rc < 0 ? NULL : json_object_get(*ret_result, "warning"), i, warning)
    {
        struct err why = ERR_INIT;
        (void)api_fault(warning, &why);
        (void)fprintf(stderr, "socle vm import: warning: %s\n", why.text);
    }
    return error ? api_fault(error, err) : rc;
}

/* The lease's URL for a device of the package. */
static const char *url_for(const json_t *info, const char *device_id)
{
    json_t *device;
    size_t i;

    json_array_foreach(json_object_get(info, "deviceUrl"), i,
                       device) if (!strcmp(api_text(device, "importKey"),
                                           device_id)) return api_text(device, "url");
    return "";
}

static int send_file(struct command *command, struct api *api, const json_t *info,
                     const json_t *item, const struct package *package, struct err *err)
{
    const char *name = api_text(item, "path");
    cleanup_fd int fd = -1;
    uint64_t size;
    struct bar bar;
    int rc = package_file(package, name, &fd, &size, err);

    if (rc < 0)
        return rc;
    bar_begin(&bar, command, name, true);
    rc = api_put_file(api, path_of(url_for(info, api_text(item, "deviceId"))), fd, size,
                      &(struct api_progress){on_moved, &bar}, err);
    bar_end(&bar);
    return rc < 0 ? err_prefix(err, rc, "\"%s\"", name) : 0;
}

static int transfer(struct command *command, struct api *api, const json_t *result,
                    const json_t *lease, const struct package *package, json_t **ret_vm,
                    struct err *err)
{
    cleanup_json json_t *info = NULL;
    json_t *item;
    size_t i, count = json_array_size(json_object_get(result, "fileItem"));
    int rc = wait_ready(api, lease, &info, err);

    json_array_foreach(json_object_get(result, "fileItem"), i, item)
    {
        if (rc == 0)
            rc = send_file(command, api, info, item, package, err);
        if (rc == 0)
            rc = api_call(api, lease, "HttpNfcLeaseProgress",
                          json_pack("{s:i}", "percent", (int)((i + 1) * 100 / count)), NULL, err);
    }
    if (rc == 0)
        *ret_vm = json_deep_copy(json_object_get(info, "entity"));
    return end_lease(api, lease, rc, err);
}

const struct option vm_import_options[VM_IMPORT_OPTIONS] = {
    {"name", "NAME", "what it is called (default: as the file)", NULL},
    {"datastore", "NAME", "where its files go (default: the only one, or datastore1)", NULL},
    {"map", "NAME=NETWORK", "the package's network NAME is this one here; may be repeated", NULL},
};

int vm_import(struct command *command, struct err *err)
{
    cleanup_json json_t *folder = NULL, *pool = NULL, *result = NULL, *lease = NULL, *vm = NULL;
    cleanup_buf struct buf text = {0};
    cleanup_package struct package package;
    const char *name = command_value(command, "name");
    struct api *api;
    int rc = package_open(&package, command_operand(command, 0), err);

    if (rc == 0)
        rc = load(&package, package.descriptor, &text, err);
    if (rc == 0)
        rc = check_manifest(&package, err);
    if (rc == 0)
        rc = command_api(command, &api, err);
    if (rc == 0)
        rc = vm_places(api, &folder, &pool, err);
    if (rc == 0)
        rc = import_spec(command, api, buf_cstr(&text), name ? name : package.stem, pool, &result,
                         err);
    if (rc == 0)
        rc = api_call(api, pool, "ImportVApp",
                      json_pack("{s:O, s:O}", "spec", json_object_get(result, "importSpec"),
                                "folder", folder),
                      &lease, err);
    if (rc == 0)
        rc = transfer(command, api, result, lease, &package, &vm, err);
    return rc < 0 ? rc : vm_say_made(command, api, vm, err);
}
