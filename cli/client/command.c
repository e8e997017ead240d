/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse_num.h"

const struct option common_options[] = {
    {"root", "DIR", "the host of this folder, by its local socket, without a password", NULL},
    {"url", "URL", "a host elsewhere: https://HOST[:PORT]", NULL},
    {"user", "NAME", "who logs in there (default root)", NULL},
    {"password-file", "FILE", "his password is the first line of FILE (default: asks)", NULL},
    {"fingerprint", "SHA256", "the host must have this certificate", NULL},
    {"insecure", NULL, "any certificate will do", NULL},
    {"output", "FORMAT", "table (default), json or csv", NULL, 'o'},
    {"columns", "NAME,...", "which columns, in this order", NULL},
    {"quiet", NULL, "no progress bar", NULL},
};
const unsigned common_option_count = ARRAY_SIZE(common_options);

static const char common_notes[] =
    "Which host: --root, --url, or the variables SOCLE_ROOT, SOCLE_URL, SOCLE_USER, "
    "SOCLE_PASSWORD.\n"
    "Exit status: 0 done, 1 refused or failed, 2 usage, 3 not found, 4 no host, 5 denied, "
    "130 cancelled.";

const struct noun *noun_find(const char *name)
{
    for (unsigned i = 0; nouns[i]; i++)
        if (!strcmp(nouns[i]->name, name))
            return nouns[i];
    return NULL;
}

/* --- which verb --- */

/* How many of the words a verb's name takes; 0: it is another one. */
static int match(const char *name, int argc, char **argv)
{
    int used = 0;

    while (used < argc) {
        size_t len = strcspn(name, " ");
        if (strlen(argv[used]) != len || memcmp(argv[used], name, len) != 0)
            return 0;
        used++;
        name += len;
        if (!*name)
            return used;
        name++;
    }
    return 0;
}

static const struct verb *find_verb(const struct noun *noun, int argc, char **argv, int *ret_used)
{
    for (unsigned i = 0; i < noun->verb_count; i++)
        if ((*ret_used = match(noun->verbs[i].name, argc, argv)) > 0)
            return &noun->verbs[i];
    return NULL;
}

static const char *verb_word(const void *ctx, unsigned i)
{
    const struct noun *noun = ctx;

    return i < noun->verb_count ? noun->verbs[i].name : NULL;
}

/* "snapshot" of "snapshot take". */
static bool in_group(const struct verb *verb, const char *group)
{
    size_t len = strlen(group);

    return !len || (!strncmp(verb->name, group, len) && verb->name[len] == ' ');
}

static bool is_group(const struct noun *noun, const char *word)
{
    for (unsigned i = 0; i < noun->verb_count && *word; i++)
        if (in_group(&noun->verbs[i], word))
            return true;
    return false;
}

static int unknown_verb(const struct noun *noun, int argc, char **argv)
{
    bool group = is_group(noun, argv[0]);
    char words[64];

    if (argv[0][0] == '-') {
        (void)fprintf(stderr, "socle %s: options come after the command: socle %s COMMAND %s ...\n",
                      noun->name, noun->name, argv[0]);
        return CLIENT_USAGE;
    }
    (void)snprintf(words, sizeof words, "%s%s%s", argv[0], argc > 1 ? " " : "",
                   argc > 1 ? argv[1] : "");
    const char *near = group ? NULL : nearest_word(argv[0], verb_word, noun);
    if (!near)
        near = nearest_word(words, verb_word, noun);
    (void)fprintf(stderr, "socle %s: unknown command \"%s\"; ", noun->name,
                  group ? words : argv[0]);
    if (near)
        (void)fprintf(stderr, "did you mean %s?\n", near);
    else
        (void)fprintf(stderr, "\"socle %s%s%s --help\" lists all\n", noun->name, group ? " " : "",
                      group ? argv[0] : "");
    return CLIENT_USAGE;
}

/* --- help --- */

/* `group`: of its verbs only; "": of all. */
static void noun_help(const struct noun *noun, const char *group, FILE *out)
{
    (void)fprintf(out, "Usage: socle %s %s%sCOMMAND [OPTION]... [OPERAND]...\n%s\n\n", noun->name,
                  group, *group ? " " : "", noun->about);
    for (unsigned i = 0; i < noun->verb_count; i++) {
        const struct verb *verb = &noun->verbs[i];
        if (!in_group(verb, group))
            continue;
        int used = fprintf(out, "  %s %s", verb->name, verb->operands);
        (void)fprintf(out, "%s%*s%s\n", used > 38 ? "\n" : "", used > 38 ? 40 : 40 - used, "",
                      verb->about);
    }
    (void)fprintf(out,
                  "\n\"socle %s %s%sCOMMAND --help\" shows a command's options; socle-%s(1) is "
                  "the manual.\n",
                  noun->name, group, *group ? " " : "", noun->name);
}

void verb_help(const struct noun *noun, const struct verb *verb, FILE *out)
{
    static const struct option help = {"help", NULL, "show this and do nothing", NULL};

    (void)fprintf(out, "Usage: socle %s %s [OPTION]... %s\n%c%s.\n\n", noun->name, verb->name,
                  verb->operands, verb->about[0] - ('a' <= verb->about[0] ? 'a' - 'A' : 0),
                  verb->about + 1);
    options_print(verb->options, verb->option_count, out);
    if (verb->option_count)
        (void)fputc('\n', out);
    options_print(common_options, common_option_count, out);
    options_print(&help, 1, out);
    if (verb->notes)
        (void)fprintf(out, "\n%s\n", verb->notes);
    (void)fprintf(out, "\n%s\n", common_notes);
}

/* --- options and operands --- */

const char *command_value(const struct command *command, const char *name)
{
    return options_value(&command->options, name);
}

bool command_flag(const struct command *command, const char *name)
{
    return command_value(command, name);
}

const char *command_operand(const struct command *command, unsigned i)
{
    return i < command->options.operand_count ? command->options.operands[i] : NULL;
}

int command_unsigned(const struct command *command, const char *name, unsigned min, unsigned max,
                     unsigned *ret_v, struct err *err)
{
    const char *text = command_value(command, name);

    return text && parse_unsigned(text, min, max, ret_v) < 0
               ? err_set(err, -EINVAL, "--%s \"%s\": not a number from %u to %u", name, text, min,
                         max)
               : 0;
}

int command_size(const struct command *command, const char *name, uint64_t unit, uint64_t *ret_v,
                 struct err *err)
{
    const char *text = command_value(command, name);

    return text && parse_size(text, unit, ret_v) < 0
               ? err_set(err, -EINVAL, "--%s \"%s\": not a size; write a number with K, M, G or T",
                         name, text)
               : 0;
}

/* What the operands' text allows. */
static void operand_counts(const char *text, unsigned *ret_min, unsigned *ret_max)
{
    unsigned min = 0, max = 0;

    while (*text) {
        size_t len = strcspn(text, " ");
        bool optional = text[0] == '[';
        min += !optional;
        max = max == UINT32_MAX || memmem(text, len, "...", 3) ? UINT32_MAX : max + 1;
        text += len;
        text += strspn(text, " ");
    }
    *ret_min = min;
    *ret_max = max;
}

static int check_operands(const struct command *command, struct err *err)
{
    const struct verb *verb = command->verb;
    unsigned min, max, count = command->options.operand_count;

    operand_counts(verb->operands, &min, &max);
    if (count < min)
        return err_set(err, -EINVAL, "something is missing: socle %s %s %s", command->noun->name,
                       verb->name, verb->operands);
    if (count > max)
        return err_set(err, -EINVAL, "\"%s\" is too much: socle %s %s%s%s",
                       command->options.operands[max], command->noun->name, verb->name,
                       *verb->operands ? " " : "", verb->operands);
    return 0;
}

static int parse(struct command *command, int argc, char **argv, struct err *err)
{
    const struct verb *verb = command->verb;
    char name[64];
    unsigned count = verb->option_count + common_option_count;
    cleanup_free struct option *all = calloc(count, sizeof *all);

    if (!all)
        return err_sys(err, -ENOMEM, "options");
    for (unsigned i = 0; i < count; i++)
        all[i] = i < verb->option_count ? verb->options[i] : common_options[i - verb->option_count];
    (void)snprintf(name, sizeof name, "socle %s %s", command->noun->name, verb->name);
    const struct command_line line = {.command = name, .options = all, .count = count};
    int rc = options_parse(&line, argc, argv, &command->options, err);
    /* What was hit lives longer than the list it was found in. */
    for (unsigned i = 0; rc == 0 && i < command->options.hit_count; i++) {
        struct option_hit *hit = &command->options.hits[i];
        size_t at = (size_t)(hit->option - all);
        hit->option =
            at < verb->option_count ? &verb->options[at] : &common_options[at - verb->option_count];
    }
    return rc;
}

/* --- running --- */

int command_status(int rc)
{
    switch (rc) {
    case 0:
        return CLIENT_OK;
    case -EINVAL:
        return CLIENT_USAGE;
    case -ENOENT:
        return CLIENT_NOT_FOUND;
    case -ENOTCONN:
        return CLIENT_NO_HOST;
    case -EACCES:
        return CLIENT_DENIED;
    case -ECANCELED:
        return CLIENT_CANCELLED;
    default:
        return CLIENT_FAILED;
    }
}

int command_api(struct command *command, struct api **ret_api, struct err *err)
{
    const struct api_config config = {
        .root = command_value(command, "root"),
        .url = command_value(command, "url"),
        .user = command_value(command, "user"),
        .password_file = command_value(command, "password-file"),
        .fingerprint = command_value(command, "fingerprint"),
        .insecure = command_flag(command, "insecure"),
    };
    int rc = command->api ? 0 : api_open(&config, &command->api, err);

    if (rc == 0)
        *ret_api = command->api;
    return rc;
}

static int run(struct command *command, int argc, char **argv)
{
    struct err err = ERR_INIT;
    int rc = parse(command, argc, argv, &err);

    if (rc == 0 && command->options.help) {
        verb_help(command->noun, command->verb, stdout);
        return CLIENT_OK;
    }
    if (rc == 0)
        rc = check_operands(command, &err);
    if (rc == 0)
        rc = command->verb->run(command, &err);
    if (rc < 0 && (rc != -ECANCELED || *err.text))
        (void)fprintf(stderr, "socle %s %s: %s\n", command->noun->name, command->verb->name,
                      *err.text ? err.text : strerror(-rc));
    api_close(command->api);
    return command_status(rc);
}

int command_main(int argc, char **argv)
{
    struct command command = {.noun = noun_find(argv[0])};
    int used = 0, status;

    if (!command.noun)
        return CLIENT_USAGE;
    const char *group = argc > 1 && is_group(command.noun, argv[1]) ? argv[1] : "";
    int rest = *group ? 2 : 1;
    if (argc <= rest || !strcmp(argv[rest], "--help") || !strcmp(argv[rest], "-h")) {
        noun_help(command.noun, group, argc <= rest ? stderr : stdout);
        return argc <= rest ? CLIENT_USAGE : CLIENT_OK;
    }
    command.verb = find_verb(command.noun, argc - 1, argv + 1, &used);
    if (!command.verb)
        return unknown_verb(command.noun, argc - 1, argv + 1);
    status = run(&command, argc - used, argv + used);
    options_free(&command.options);
    return status;
}
