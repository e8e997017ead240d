/* SPDX-License-Identifier: Apache-2.0 */
/* A host as its clients see it: VI/JSON (docs/api.md) by libcurl, over the local socket of a host's
 * folder or over HTTPS. Values are jansson's; a managed object is named by its reference, the JSON
 * object {_typeName, type, value} as it came from the host.
 *
 * Errors come with the host's own words: -ENOENT when what was named is not there, -EACCES when it
 * is not allowed or the password is wrong, -ENOTCONN when no host answers or it has another
 * certificate than before, -ECANCELED after Ctrl-C, -EREMOTEIO for all else that a host says. What
 * a host answers is foreign: bounded (API_ANSWER_MAX), and every value looked at before it is used.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

enum { API_ANSWER_MAX = 256 << 20 };

struct api;

/* NULL members: the environment decides, SOCLE_ROOT, SOCLE_URL, SOCLE_USER, SOCLE_PASSWORD. */
struct api_config {
    const char *root; /* by the local socket of this folder */
    const char *url;  /* https://HOST[:PORT][/...] */
    const char *user, *password_file;
    const char *fingerprint;
    bool insecure;
};

/* Connects and logs in; asks on the terminal for what is not known. */
int api_open(const struct api_config *config, struct api **ret_api, struct err *err);
void api_close(struct api *api); /* logs out; accepts NULL */

/* A method. `args` is taken, NULL for none. *ret_result (may be NULL): owned, JSON null for void.
 */
int api_call(struct api *api, const json_t *object, const char *method, json_t *args,
             json_t **ret_result, struct err *err);
int api_get(struct api *api, const json_t *object, const char *property, json_t **ret_value,
            struct err *err);

/* A manager of the host: "taskManager". Borrowed; NULL: this host has none. */
const json_t *api_manager(struct api *api, const char *name);
/* The same for those of HostSystem.configManager, asked for at first need. */
int api_host_manager(struct api *api, const char *name, const json_t **ret_object, struct err *err);

/* Files of datastores (/folder), and others by URL as a lease says; `path` on the host with its
 * query, escaped. `fd` is read up to `size` bytes (put), written (get). `progress` may be NULL. */
struct api_progress {
    void (*moved)(void *ctx, uint64_t done, uint64_t total); /* total 0: not known */
    void *ctx;
};
int api_put_file(struct api *api, const char *path, int fd, uint64_t size,
                 const struct api_progress *progress, struct err *err);
int api_get_file(struct api *api, const char *path, int fd, const struct api_progress *progress,
                 struct err *err);
/* The same into a local file, which is there when it is whole. */
int api_save_file(struct api *api, const char *path, const char *target,
                  const struct api_progress *progress, struct err *err);

/* A WebSocket at `path`: the connection behind the handshake, and what goes through it; close with
 * api_socket_close. See websocket.h. */
struct api_socket;
int api_socket_open(struct api *api, const char *path, struct api_socket **ret_socket,
                    struct err *err);
int api_socket_fd(const struct api_socket *socket); /* to poll */
/* Bytes, -EAGAIN, -errno. TLS may have more than poll knows: read until -EAGAIN. */
ssize_t api_socket_read(struct api_socket *socket, void *data, size_t len);
ssize_t api_socket_write(struct api_socket *socket, const void *data, size_t len);
void api_socket_close(struct api_socket *socket); /* accepts NULL */

/* What to say for a LocalizedMethodFault or a fault, and the errno that it is. */
int api_fault(const json_t *fault, struct err *err);

/* Ctrl-C. While it is caught, a request under way ends with -ECANCELED soon after the key. */
void api_catch_interrupt(void);
bool api_interrupted(void); /* and forgets it */

/* --- JSON --- */

static inline void json_cleanup_(json_t **json)
{
    json_decref(*json);
}
#define cleanup_json CLEANUP(json_cleanup_)

/* A new reference to an object of the API: {_typeName: type, ...}, as json_pack's format goes. */
json_t *api_data(const char *type);
const char *api_text(const json_t *object, const char *member); /* "" if there is none */
const char *api_type(const json_t *object);                     /* its _typeName, or "" */
const char *api_id(const json_t *reference);                    /* its value, or "" */
bool api_is(const json_t *a, const json_t *b);                  /* the same object */
