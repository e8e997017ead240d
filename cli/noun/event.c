/* SPDX-License-Identifier: Apache-2.0 */
/* `socle event`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/client/follow.h"
#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/nouns.h"

enum { COUNT = 50, COUNT_MAX = 1000 };

static const struct column columns[] = {
    {"key", "KEY", COLUMN_NUMBER, .wide = true}, {"time", "TIME", COLUMN_TIME},
    {"type", "TYPE", COLUMN_TEXT, .wide = true}, {"user", "USER", COLUMN_TEXT},
    {"object", "OBJECT", COLUMN_TEXT},           {"message", "MESSAGE", COLUMN_TEXT},
};

static json_t *event_row(const json_t *event)
{
    const char *name = api_text(json_object_get(event, "vm"), "name");
    json_t *row =
        json_pack("{s:s, s:s, s:s}", "type", api_type(event), "user", api_text(event, "userName"),
                  "message", api_text(event, "fullFormattedMessage"));

    if (*name)
        (void)json_object_set_new(row, "object", json_string(name));
    (void)json_object_set(row, "key", json_object_get(event, "key"));
    (void)json_object_set(row, "time", json_object_get(event, "createdTime"));
    return row;
}

static int by_key(const void *a, const void *b)
{
    json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "key"));
    json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "key"));

    return (x > y) - (x < y);
}

/* Rows of a page, oldest first; those behind `after` only. */
static json_t *page_rows(const json_t *page, json_int_t after)
{
    size_t count = json_array_size(page), i;
    json_t **list = calloc(count + 1, sizeof *list), *event, *rows = json_array();

    json_array_foreach(page, i, event) if (list) list[i] = event;
    if (list)
        qsort(list, count, sizeof(json_t *), by_key);
    for (i = 0; list && i < count; i++)
        if (json_integer_value(json_object_get(list[i], "key")) > after)
            (void)json_array_append_new(rows, event_row(list[i]));
    free(list);
    return rows;
}

static const struct option list_options[] = {
    {"count", "N", "the last N, up to 1000 (default 50)", NULL},
    {"vm", "VM", "of this virtual machine only", NULL},
};

static int open_collector(struct command *command, struct api **ret_api, json_t **ret_collector,
                          struct err *err)
{
    cleanup_json json_t *vm = NULL, *filter = json_object();
    const char *name = command_value(command, "vm");
    int rc = command_api(command, ret_api, err);

    if (rc == 0 && name)
        rc = vm_find(*ret_api, name, "name", &vm, err);
    if (rc == 0 && name)
        (void)json_object_set_new(
            filter, "entity",
            json_pack("{s:O, s:s}", "entity", json_object_get(vm, "ref"), "recursion", "self"));
    return rc < 0 ? rc
                  : api_call(*ret_api, api_manager(*ret_api, "eventManager"),
                             "CreateCollectorForEvents", json_pack("{s:O}", "filter", filter),
                             ret_collector, err);
}

static int list(struct command *command, struct err *err)
{
    cleanup_json json_t *collector = NULL, *page = NULL, *rows = NULL;
    unsigned count = COUNT;
    struct api *api;
    int rc = command_unsigned(command, "count", 1, COUNT_MAX, &count, err);

    if (rc == 0)
        rc = open_collector(command, &api, &collector, err);
    if (rc == 0)
        rc = api_call(api, collector, "SetCollectorPageSize",
                      json_pack("{s:i}", "maxCount", (int)count), NULL, err);
    if (rc == 0)
        rc = api_get(api, collector, "latestPage", &page, err);
    if (rc < 0)
        return rc;
    rows = page_rows(page, -1);
    return out_rows(command, columns, ARRAY_SIZE(columns), rows, err);
}

/* --- follow --- */

struct following {
    const struct command *command;
    json_int_t last;
    bool table;
    struct err *err;
};

static void print_line(const json_t *row)
{
    static const char *const members[] = {"time", "user", "object", "message"};
    cleanup_buf struct buf line = {0};

    for (unsigned i = 0; i < ARRAY_SIZE(members); i++) {
        const char *text = api_text(row, members[i]);
        if (*text) {
            buf_put_str(&line, line.len ? "  " : "");
            out_safe(&line, text);
        }
    }
    (void)printf("%s\n", buf_cstr(&line));
}

static int on_page(void *ctx, const json_t *page)
{
    struct following *f = ctx;
    cleanup_json json_t *rows = page_rows(page, f->last);
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        if (f->table)
            print_line(row);
        else
            (void)json_dumpf(row, stdout, JSON_COMPACT), (void)putchar('\n');
        f->last = MAX(f->last, json_integer_value(json_object_get(row, "key")));
    }
    /* Whoever reads a pipe of ours may have gone. */
    return fflush(stdout) == EOF ? err_set(f->err, -EPIPE, "nobody reads the output") : 0;
}

static const struct option follow_options[] = {
    {"vm", "VM", "of this virtual machine only", NULL},
};

static int follow(struct command *command, struct err *err)
{
    cleanup_json json_t *collector = NULL;
    struct following f = {.command = command, .last = -1, .err = err};
    struct api *api;
    int rc = out_is_table(command, &f.table, err);

    if (rc == 0)
        rc = open_collector(command, &api, &collector, err);
    if (rc == 0)
        rc = follow_property(api, collector, "latestPage", on_page, &f, err);
    if (rc == -ECANCELED)
        *err = ERR_INIT; /* that is how it is meant to end */
    return rc;
}

static const struct verb verbs[] = {
    {"list", "", "shows the last events", OPTIONS(list_options), list},
    {"follow", "", "shows events as they come, until Ctrl-C", OPTIONS(follow_options), follow,
     "With -o json each event is one line."},
};

const struct noun noun_event = {"event", "What has happened on the host.", verbs,
                                ARRAY_SIZE(verbs)};
