/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of one command, from a table: `--name VALUE` or `--name=VALUE`, flags, operands,
 * `--` ends the options, `--help` and `-h` everywhere. The same table prints the help.
 *
 *     static const struct option options[] = {{"cpus", "N", "number of virtual CPUs", set_cpus}};
 *     static const struct command_line line = {"socle run", "[VM.vmx]", "...", options, 1};
 *     rc = options_parse(&line, argc, argv, &parsed, &err);   then parsed.help, parsed.operands
 *     rc = options_apply(&parsed, &context, &err);            calls set_cpus(&context, "4", err)
 *
 * Parsing and applying are two steps so that a file named by an operand can be read in between and
 * be overridden by the options. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"

struct option {
    const char *name; /* without the dashes */
    const char *arg;  /* how help calls the value; NULL: a flag, applied with value NULL */
    const char *help; /* one line; '\n' continues below */
    /* err without the option's name; NULL in commands that look values up (options_value) */
    int (*apply)(void *ctx, const char *value, struct err *err);
    char letter; /* -o VALUE besides --output VALUE; 0: none */
};

struct command_line {
    const char *command;  /* "socle run" */
    const char *operands; /* as help shows them */
    const char *about;    /* what it does, for help */
    const struct option *options;
    unsigned count;
    const char *notes; /* printed below the options, may be NULL */
};

struct parsed_options {
    struct option_hit {
        const struct option *option;
        const char *value; /* borrowed from argv */
    } * hits;              /* owned; in the order given */
    unsigned hit_count;
    const char **operands; /* owned array of borrowed strings, NULL at its end */
    unsigned operand_count;
    bool help;
};

/* argv[0] is the command's name. -EINVAL with a message that ends in a hint; -ENOMEM. */
int options_parse(const struct command_line *line, int argc, char **argv,
                  struct parsed_options *ret_parsed, struct err *err);
void options_free(struct parsed_options *parsed);
#define cleanup_options CLEANUP(options_free)

/* Applies in order; a failure gets the option in front: --cpus "x": not a number ... */
int options_apply(const struct parsed_options *parsed, void *ctx, struct err *err);

/* What the last --name said: its value, "" of a flag, NULL when it was not given. */
const char *options_value(const struct parsed_options *parsed, const char *name);

/* Their lines in a help. */
void options_print(const struct option *options, unsigned count, FILE *out);
void options_help(const struct command_line *line, FILE *out);

/* The word nearest to `word` in spelling, NULL when none is near. words[i] by callback, NULL ends.
 */
const char *nearest_word(const char *word, const char *(*words)(const void *ctx, unsigned i),
                         const void *ctx);
