/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/follow.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "cli/client/out.h"

enum { WAIT_S = 1, BLINK_MS = 300, BAR = 30 };

/* --- the bar --- */

void bar_begin(struct bar *bar, const struct command *command, const char *label, bool bytes)
{
    *bar = (struct bar){.label = label, .bytes = bytes};
    if (isatty(STDERR_FILENO) && !command_flag(command, "quiet"))
        bar->started = clock_now();
}

void bar_show(struct bar *bar, uint64_t done, uint64_t total)
{
    cleanup_buf struct buf label = {0};
    uint64_t spent = clock_now() - bar->started;
    unsigned filled = total ? (unsigned)(MIN(done, total) * BAR / total) : 0;

    if (!bar->started || spent < (uint64_t)BLINK_MS * 1000000)
        return;
    out_safe(&label, bar->label);
    (void)fprintf(stderr, "\r\033[K%s  ", buf_cstr(&label));
    if (total)
        (void)fprintf(stderr, "[%.*s%.*s] %3u %%", (int)filled, "##############################",
                      (int)(BAR - filled), "..............................",
                      (unsigned)(MIN(done, total) * 100 / total));
    if (bar->bytes && spent)
        (void)fprintf(stderr, "  %" PRIu64 " MiB, %" PRIu64 " MiB/s", done >> 20,
                      (uint64_t)((double)done / ((double)spent / 1e9)) >> 20);
    (void)fflush(stderr);
    bar->shown = true;
}

void bar_end(struct bar *bar)
{
    if (bar->shown)
        (void)fprintf(stderr, "\r\033[K");
    bar->shown = false;
}

/* --- properties --- */

static json_t *filter_args(const json_t *object, const char *property)
{
    return json_pack("{s:{s:[{s:s, s:[s]}], s:[{s:O}]}, s:b}", "spec", "propSet", "type",
                     api_text(object, "type"), "pathSet", property, "objectSet", "obj", object,
                     "partialUpdates", 0);
}

/* The value in an UpdateSet; NULL: none. */
static const json_t *changed_value(const json_t *update)
{
    const json_t *filter = json_array_get(json_object_get(update, "filterSet"), 0);
    const json_t *object = json_array_get(json_object_get(filter, "objectSet"), 0);
    const json_t *change = json_array_get(json_object_get(object, "changeSet"), 0);
    const json_t *value = json_object_get(change, "val"), *inner = json_object_get(value, "_value");

    return inner ? inner : value;
}

/* One wait of at most WAIT_S, so that Ctrl-C is noticed. */
static int wait_once(struct api *api, char version[64], json_t **ret_update, struct err *err)
{
    int rc = api_call(
        api, api_manager(api, "propertyCollector"), "WaitForUpdatesEx",
        json_pack("{s:s, s:{s:i}}", "version", version, "options", "maxWaitSeconds", WAIT_S),
        ret_update, err);

    if (rc == 0 && *api_text(*ret_update, "version"))
        (void)snprintf(version, 64, "%s", api_text(*ret_update, "version"));
    return rc;
}

int follow_property(struct api *api, const json_t *object, const char *property,
                    int (*changed)(void *ctx, const json_t *value), void *ctx, struct err *err)
{
    cleanup_json json_t *filter = NULL;
    char version[64] = "";
    int rc = api_call(api, api_manager(api, "propertyCollector"), "CreateFilter",
                      filter_args(object, property), &filter, err);

    api_catch_interrupt();
    while (rc == 0) {
        cleanup_json json_t *update = NULL;
        rc = wait_once(api, version, &update, err);
        const json_t *value = rc == 0 ? changed_value(update) : NULL;
        if (value)
            rc = changed(ctx, value);
    }
    bool cancelled = api_interrupted();
    if (filter)
        (void)api_call(api, filter, "DestroyPropertyFilter", NULL, NULL, NULL);
    if (cancelled && rc <= 0)
        return err_set(err, -ECANCELED, "cancelled");
    return rc;
}

/* --- tasks --- */

struct following {
    struct bar bar;
    json_t *info;
};

static int on_info(void *ctx, const json_t *info)
{
    struct following *f = ctx;
    const char *state = api_text(info, "state");
    const json_t *progress = json_object_get(info, "progress");

    json_decref(f->info);
    f->info = json_deep_copy(info);
    if (json_is_integer(progress))
        bar_show(&f->bar, (uint64_t)json_integer_value(progress), 100);
    return !strcmp(state, "success") || !strcmp(state, "error");
}

/* True: the person wants it cancelled. */
static bool ask_cancel(struct following *f)
{
    char answer[16];
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    bar_end(&f->bar);
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    (void)fprintf(stderr, "\nCancel \"%s\"? [y/N] ", f->bar.label);
    int rc = poll(&input, 1, -1);
    if (rc < 0) { /* Ctrl-C again: yes, and at once */
        (void)api_interrupted();
        (void)fputc('\n', stderr);
        return true;
    }
    ssize_t n = read(STDIN_FILENO, answer, sizeof answer);
    return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

int follow_task(struct command *command, struct api *api, const json_t *task, const char *label,
                json_t **ret_result, struct err *err)
{
    struct following f = {0};
    int rc;

    bar_begin(&f.bar, command, label, false);
    while ((rc = follow_property(api, task, "info", on_info, &f, err)) == -ECANCELED)
        if (ask_cancel(&f)) {
            struct err why = ERR_INIT;
            if (api_call(api, task, "CancelTask", NULL, NULL, &why) < 0)
                (void)fprintf(stderr, "it goes on: %s\n", why.text);
        }
    bar_end(&f.bar);
    if (rc > 0)
        rc = strcmp(api_text(f.info, "state"), "success")
                 ? api_fault(json_object_get(f.info, "error"), err)
                 : 0;
    if (rc == 0 && ret_result) {
        json_t *result = json_object_get(f.info, "result"),
               *inner = json_object_get(result, "_value");
        *ret_result = result ? json_incref(inner ? inner : result) : json_null();
    }
    json_decref(f.info);
    return rc;
}

int follow_call(struct command *command, struct api *api, const json_t *object, const char *method,
                json_t *args, const char *label, json_t **ret_result, struct err *err)
{
    cleanup_json json_t *task = NULL;
    int rc = api_call(api, object, method, args, &task, err);

    return rc < 0 ? rc : follow_task(command, api, task, label, ret_result, err);
}
