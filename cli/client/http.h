/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP to one host, by libcurl: for api.c only. */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/client/api.h"
#include "cli/client/pin.h"

struct http {
    CURL *curl;
    char base[300];   /* "https://host:443", "http://local" */
    char socket[64];  /* the local socket's path, "": TCP */
    char name[300];   /* what to call the host in messages */
    char session[64]; /* vmware-api-session-id */
    int folder_fd;    /* that `socket` goes by */
    struct pin pin;
};

struct http_request {
    const char *method, *path; /* path escaped, with its query */
    const char *content_type;
    const void *body; /* or: */
    int in_fd;        /* -1: none; read up to `size` */
    uint64_t size;
    int out_fd; /* -1: into `answer` */
    const struct api_progress *progress;
    long timeout_s; /* 0: as long as it takes */

    long status;
    struct buf answer; /* the caller's to free */
};

int http_open_local(struct http *http, const char *root, struct err *err);
int http_open_url(struct http *http, const struct api_config *config, const char *url,
                  struct err *err);
void http_close(struct http *http);

/* 0 when there is an answer, whatever its status. A certificate that is not known is asked for. */
int http_send(struct http *http, struct http_request *request, struct err *err);

/* A connection to the host without HTTP on it yet (api.h has its functions). */
int http_socket(struct http *from, struct api_socket **ret_socket, struct err *err);
