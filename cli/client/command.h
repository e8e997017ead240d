/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `socle vm|host|...`: one table a noun (cli/noun/), from which come the parsing,
 * the help, the manual pages and the completion in shells.
 *
 *     static const struct option start_options[] = {{"wait-ip", NULL, "...", NULL}};
 *     {"start", "VM...", "switches them on", OPTIONS(start_options), vm_start}
 *
 * The operands' text is also their rule: WORD must be there, [WORD] may, WORD... may be repeated.
 * VM, DATASTORE, NETWORK, USER and ROLE are words whose values the completion knows. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/range.h"
#include "cli/client/api.h"
#include "cli/options.h"

/* How a command ends; each noun's manual promises these numbers to scripts. */
enum client_exit {
    CLIENT_OK = 0,
    CLIENT_FAILED = 1, /* the host said no, or something on the way failed */
    CLIENT_USAGE = 2,
    CLIENT_NOT_FOUND = 3, /* what the command names is not there */
    CLIENT_NO_HOST = 4,   /* no host answers, or it is not the one that it was */
    CLIENT_DENIED = 5,    /* wrong password, or no permission */
    CLIENT_CANCELLED = 130,
};

/* One command under way. */
struct command {
    const struct noun *noun;
    const struct verb *verb;
    struct parsed_options options;
    struct api *api; /* connected at first need: command_api */
};

struct verb {
    const char *name; /* "snapshot take" */
    const char *operands;
    const char *about;
    const struct option *options;
    unsigned option_count;
    /* 0 or a negative errno with a message. What it means for the exit status: -EINVAL usage,
     * -ENOENT not found, -ENOTCONN no host, -EACCES denied, -ECANCELED cancelled. */
    int (*run)(struct command *command, struct err *err);
    const char *notes; /* below the options in help and manual; may be NULL */
};
#define OPTIONS(table) (table), ARRAY_SIZE(table)
#define NO_OPTIONS     NULL, 0

struct noun {
    const char *name, *about;
    const struct verb *verbs;
    unsigned verb_count;
};

/* All of them, NULL at the end: the table is in nouns.c. */
extern const struct noun *const nouns[];
const struct noun *noun_find(const char *name);

/* The options that every verb has: which host, which output. */
extern const struct option common_options[];
extern const unsigned common_option_count;

/* argv[0] is the noun. The exit status. */
int command_main(int argc, char **argv);
void verb_help(const struct noun *noun, const struct verb *verb, FILE *out);

/* The host, connected and logged in. Ours to close, at the command's end. */
int command_api(struct command *command, struct api **ret_api, struct err *err);
int command_status(int rc);

/* An option's value, NULL when it was not given; whether it was given; an operand, NULL beyond. */
const char *command_value(const struct command *command, const char *name);
bool command_flag(const struct command *command, const char *name);
const char *command_operand(const struct command *command, unsigned i);

/* Numbers of options: *ret_v is left alone when the option was not given. */
int command_unsigned(const struct command *command, const char *name, unsigned min, unsigned max,
                     unsigned *ret_v, struct err *err);
int command_size(const struct command *command, const char *name, uint64_t unit, uint64_t *ret_v,
                 struct err *err);
