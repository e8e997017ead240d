/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/api.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/range.h"
#include "cli/client/descriptor.h"
#include "cli/client/http.h"
#include "cli/client/password.h"
#include "cli/client/websocket.h"

#define VERSION "8.0.3.0"
enum { LOGOUT_S = 3 };

struct api {
    struct http http;
    json_t *content;       /* ServiceContent */
    json_t *host_managers; /* HostConfigManager, NULL until asked for */
};

/* --- JSON --- */

json_t *api_data(const char *type)
{
    return json_pack("{s:s}", "_typeName", type);
}

const char *api_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text ? text : "";
}

const char *api_type(const json_t *object)
{
    return api_text(object, "_typeName");
}

const char *api_id(const json_t *reference)
{
    return api_text(reference, "value");
}

bool api_is(const json_t *a, const json_t *b)
{
    return !strcmp(api_id(a), api_id(b)) && !strcmp(api_text(a, "type"), api_text(b, "type"));
}

/* --- faults --- */

static bool is_one_of(const char *word, const char *const *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(word, list[i]))
            return true;
    return false;
}

static int code_of(const char *type)
{
    static const char *const missing[] = {"ManagedObjectNotFound", "FileNotFound", "NotFound",
                                          "UserNotFound"};
    static const char *const denied[] = {"NoPermission", "NotAuthenticated", "InvalidLogin",
                                         "InvalidLocale"};

    if (is_one_of(type, missing, ARRAY_SIZE(missing)))
        return -ENOENT;
    if (is_one_of(type, denied, ARRAY_SIZE(denied)))
        return -EACCES;
    return !strcmp(type, "RequestCanceled") ? -ECANCELED : -EREMOTEIO;
}

/* What makes a fault understood besides its text: the member that names the thing. */
static void put_detail(const json_t *fault, struct err *err)
{
    static const char *const members[] = {"file",   "reason",  "name",           "path",
                                          "device", "feature", "invalidProperty"};

    for (unsigned i = 0; i < ARRAY_SIZE(members); i++) {
        const char *text = api_text(fault, members[i]);
        if (*text && !strstr(err->text, text)) {
            char before[ERR_TEXT_MAX];
            (void)snprintf(before, sizeof before, "%s", err->text);
            (void)err_set(err, err->code, "%s (%s)", before, text);
            return;
        }
    }
}

int api_fault(const json_t *given, struct err *err)
{
    struct err said = ERR_INIT;
    const json_t *fault = json_object_get(given, "fault");
    const char *text = api_text(given, "localizedMessage");

    if (!fault)
        fault = given;
    if (!*text)
        text = api_text(fault, "faultstring");
    const char *type = api_type(fault);
    int code = code_of(type);
    if (!strcmp(type, "NotSupported"))
        (void)err_set(&said, code, "this host does not support it (yet)");
    else
        (void)err_set(&said, code, "%s", *text ? text : *type ? type : "the host failed");
    put_detail(fault, &said);
    size_t len = strlen(said.text);
    if (len && said.text[len - 1] == '.')
        said.text[len - 1] = '\0';
    return err_set(err, code, "%s", said.text);
}

/* --- calls --- */

static int put_path(struct buf *path, const json_t *object, const char *last)
{
    const char *words[] = {api_text(object, "type"), api_id(object), last};

    buf_put_str(path, "/sdk/vim25/" VERSION);
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (!*words[i])
            return -EPROTO;
        buf_put_u8(path, '/');
        for (const char *c = words[i]; *c; c++)
            if (isalnum((unsigned char)*c) || strchr("-_.", *c))
                buf_put_u8(path, (uint8_t)*c);
            else
                buf_printf(path, "%%%02X", (unsigned char)*c);
    }
    return 0;
}

static int understand(const struct http_request *request, json_t **ret_result, struct err *err)
{
    json_error_t why;
    cleanup_json json_t *answer = NULL;

    if (request->answer.len)
        answer = json_loadb((const char *)request->answer.data, request->answer.len,
                            JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (request->status / 100 == 2) {
        if (!answer && request->answer.len)
            return err_set(err, -EPROTO, "the host's answer makes no sense: %s", why.text);
        if (ret_result)
            *ret_result = answer ? TAKE_PTR(answer) : json_null();
        return 0;
    }
    if (json_is_object(answer))
        return api_fault(answer, err);
    if (request->status == 404)
        return err_set(err, -EREMOTEIO, "this host does not know that");
    return err_set(err, -EREMOTEIO, "the host answers with status %ld", request->status);
}

static int send_call(struct api *api, const json_t *object, const char *member, bool get,
                     const json_t *args, long timeout_s, json_t **ret_result, struct err *err)
{
    cleanup_buf struct buf path = {0};
    cleanup_free char *body = args ? json_dumps(args, JSON_COMPACT) : NULL;
    struct http_request request = {.method = get ? "GET" : "POST",
                                   .content_type = get ? NULL : "application/json",
                                   .body = get    ? NULL
                                           : body ? body
                                                  : "{}",
                                   .in_fd = -1,
                                   .out_fd = -1,
                                   .timeout_s = timeout_s};
    int rc = put_path(&path, object, member);

    if (rc < 0)
        return err_set(err, rc, "the host named no object for %s", member);
    request.path = buf_cstr(&path);
    request.size = request.body ? strlen(request.body) : 0;
    rc = http_send(&api->http, &request, err);
    if (rc == 0)
        rc = understand(&request, ret_result, err);
    buf_free(&request.answer);
    return rc;
}

int api_call(struct api *api, const json_t *object, const char *method, json_t *args,
             json_t **ret_result, struct err *err)
{
    int rc = send_call(api, object, method, false, args, 0, ret_result, err);

    json_decref(args);
    return rc;
}

int api_get(struct api *api, const json_t *object, const char *property, json_t **ret_value,
            struct err *err)
{
    return send_call(api, object, property, true, NULL, 0, ret_value, err);
}

const json_t *api_manager(struct api *api, const char *name)
{
    return json_object_get(api->content, name);
}

int api_host_manager(struct api *api, const char *name, const json_t **ret_object, struct err *err)
{
    int rc = 0;

    if (!api->host_managers) {
        cleanup_json json_t *host =
            json_pack("{s:s, s:s}", "type", "HostSystem", "value", "ha-host");
        rc = api_get(api, host, "configManager", &api->host_managers, err);
    }
    *ret_object = json_object_get(api->host_managers, name);
    return rc < 0 || *ret_object ? rc : err_set(err, -EREMOTEIO, "this host has no %s", name);
}

/* --- files --- */

static int file_status(const struct http_request *request, const char *path, struct err *err)
{
    if (request->status / 100 == 2)
        return 0;
    if (request->status == 404)
        return err_set(err, -ENOENT, "the host has no such %s",
                       memmem(request->answer.data, request->answer.len, "datastore", 9)
                           ? "datastore"
                           : "file");
    if (request->status == 401 || request->status == 403)
        return err_set(err, -EACCES, "the host does not allow that");
    if (request->status == 507)
        return err_set(err, -EREMOTEIO, "the datastore is full");
    if (request->status == 409)
        return err_set(err, -EREMOTEIO, "the file is in use, or the VM does not run");
    (void)path;
    return err_set(err, -EREMOTEIO, "the host answers with status %ld", request->status);
}

static int move_file(struct api *api, struct http_request *request, struct err *err)
{
    int rc = http_send(&api->http, request, err);

    if (rc == 0)
        rc = file_status(request, request->path, err);
    buf_free(&request->answer);
    return rc;
}

int api_put_file(struct api *api, const char *path, int fd, uint64_t size,
                 const struct api_progress *progress, struct err *err)
{
    struct http_request request = {.method = "PUT",
                                   .path = path,
                                   .content_type = "application/octet-stream",
                                   .in_fd = fd,
                                   .size = size,
                                   .out_fd = -1,
                                   .progress = progress};

    return move_file(api, &request, err);
}

int api_get_file(struct api *api, const char *path, int fd, const struct api_progress *progress,
                 struct err *err)
{
    struct http_request request = {
        .method = "GET", .path = path, .in_fd = -1, .out_fd = fd, .progress = progress};

    return move_file(api, &request, err);
}

int api_save_file(struct api *api, const char *path, const char *target,
                  const struct api_progress *progress, struct err *err)
{
    cleanup_free char *part = NULL;

    if (asprintf(&part, "%s.part", target) < 0) {
        part = NULL;
        return err_sys(err, -ENOMEM, "name");
    }
    cleanup_fd int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set(err, -EIO, "cannot write \"%s\": %s", part, strerror(errno));
    /* A lease's address serves one at a time, and has no descriptor to give. */
    int rc = strncmp(path, "/folder/", 8) ? -EOPNOTSUPP
                                          : descriptor_save(&api->http, path, fd, progress, err);
    if (rc == -EOPNOTSUPP)
        rc = api_get_file(api, path, fd, progress, err);
    if (rc == 0 && rename(part, target) < 0)
        rc = err_set(err, -EIO, "cannot write \"%s\": %s", target, strerror(errno));
    if (rc < 0)
        (void)unlink(part);
    return rc;
}

/* --- sockets --- */

int api_socket_open(struct api *api, const char *path, struct api_socket **ret_socket,
                    struct err *err)
{
    struct api_socket *socket;
    int rc = http_socket(&api->http, &socket, err);

    if (rc < 0)
        return rc;
    rc = websocket_connect(socket, path, api->http.session, err);
    if (rc < 0)
        api_socket_close(socket);
    else
        *ret_socket = socket;
    return rc;
}

/* --- logging in --- */

static const char *given(const char *value, const char *variable)
{
    const char *text = value ? value : getenv(variable);

    return text && *text ? text : NULL;
}

static int login(struct api *api, const struct api_config *config, struct err *err)
{
    const char *user = given(config->user, "SOCLE_USER"), *text = getenv("SOCLE_PASSWORD");
    char password[PASSWORD_MAX] = "", question[512];
    int rc = 0;

    if (!user)
        user = "root";
    (void)snprintf(question, sizeof question, "Password of %s at %s", user, api->http.name);
    if (config->password_file)
        rc = password_read(config->password_file, password, err);
    else if (text)
        (void)snprintf(password, sizeof password, "%s", text);
    else if ((rc = password_ask(question, password, err)) == -ENOTTY)
        rc = err_set(err, -EACCES,
                     "no password: use --password-file or SOCLE_PASSWORD, or a terminal");
    if (rc == 0)
        rc = api_call(api, json_object_get(api->content, "sessionManager"), "Login",
                      json_pack("{s:s, s:s}", "userName", user, "password", password), NULL, err);
    explicit_bzero(password, sizeof password);
    return rc;
}

static int connect_to(struct api *api, const struct api_config *config, struct err *err)
{
    const char *root = config->url ? config->root : given(config->root, "SOCLE_ROOT");
    const char *url = config->root ? config->url : given(config->url, "SOCLE_URL");

    if (config->root && config->url)
        return err_set(err, -EINVAL, "--root and --url are two hosts; give one");
    if (root)
        return http_open_local(&api->http, root, err);
    if (url)
        return http_open_url(&api->http, config, url, err);
    return err_set(err, -EINVAL, "which host? --root DIR (of \"socle up\"), or --url https://HOST");
}

int api_open(const struct api_config *config, struct api **ret_api, struct err *err)
{
    cleanup_json json_t *service =
        json_pack("{s:s, s:s}", "type", "ServiceInstance", "value", "ServiceInstance");
    struct api *api = calloc(1, sizeof *api);

    if (!api)
        return err_sys(err, -ENOMEM, "host");
    api->http.folder_fd = -1;
    int rc = connect_to(api, config, err);
    if (rc == 0)
        rc = api_call(api, service, "RetrieveServiceContent", NULL, &api->content, err);
    if (rc == 0 && !*api->http.socket)
        rc = login(api, config, err);
    if (rc < 0)
        api_close(api);
    else
        *ret_api = api;
    return rc;
}

void api_close(struct api *api)
{
    if (!api)
        return;
    (void)api_interrupted(); /* it is over either way */
    if (*api->http.session)
        (void)send_call(api, api_manager(api, "sessionManager"), "Logout", false, NULL, LOGOUT_S,
                        NULL, NULL);
    http_close(&api->http);
    json_decref(api->host_managers);
    json_decref(api->content);
    free(api);
}
