/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables. getopt_long is not used: it prints by itself, takes abbreviations that break when
 * an option is added, and knows nothing of help or of near misses. */
#include "cli/options.h"

#include <errno.h>
#include <string.h>

#include "base/range.h"

enum { WORD_MAX = 32 };

/* Edits (insert, delete, replace, swap of neighbours) from a to b; both shorter than WORD_MAX. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1], m = (unsigned)strlen(a), n = (unsigned)strlen(b);

    for (unsigned j = 0; j <= n; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= m; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned replaced = up[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = MIN(up[j], row[j - 1]) + 1;
            row[j] = MIN(row[j], replaced);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], up2[j - 2] + 1);
        }
    }
    return rows[m % 3][n];
}

const char *nearest_word(const char *word, const char *(*words)(const void *ctx, unsigned i),
                         const void *ctx)
{
    const char *best = NULL, *candidate;
    unsigned best_distance = 3; /* further away is no near miss */

    if (strlen(word) >= WORD_MAX)
        return NULL;
    for (unsigned i = 0; (candidate = words(ctx, i)); i++) {
        unsigned distance = strlen(candidate) < WORD_MAX ? edit_distance(word, candidate) : 99;
        if (distance < best_distance && distance < strlen(candidate)) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

static const char *option_word(const void *ctx, unsigned i)
{
    const struct command_line *line = ctx;

    return i < line->count ? line->options[i].name : i == line->count ? "help" : NULL;
}

static int unknown_option(const struct command_line *line, const char *arg, struct err *err)
{
    char word[WORD_MAX] = "";
    const char *name = arg + strspn(arg, "-");

    if (strcspn(name, "=") < sizeof word)
        memcpy(word, name, strcspn(name, "="));
    const char *near = *word ? nearest_word(word, option_word, line) : NULL;
    if (near)
        return err_set(err, -EINVAL, "unknown option \"%s\"; did you mean --%s?", arg, near);
    return err_set(err, -EINVAL, "unknown option \"%s\"; \"%s --help\" lists all", arg,
                   line->command);
}

static const struct option *find_option(const struct command_line *line, const char *name,
                                        size_t len)
{
    for (unsigned i = 0; i < line->count; i++)
        if (strlen(line->options[i].name) == len && !memcmp(line->options[i].name, name, len))
            return &line->options[i];
    return NULL;
}

static const struct option *find_letter(const struct command_line *line, char letter)
{
    for (unsigned i = 0; i < line->count; i++)
        if (letter && line->options[i].letter == letter)
            return &line->options[i];
    return NULL;
}

/* "-o" and *next, or "-ovalue". */
static int parse_letter(const struct command_line *line, const char *arg, const char *next,
                        struct option_hit *ret_hit, bool *ret_used, struct err *err)
{
    const struct option *option = find_letter(line, arg[1]);
    const char *glued = arg[1] ? arg + 2 : "";

    *ret_used = false;
    if (!option || (!option->arg && *glued))
        return unknown_option(line, arg, err);
    if (option->arg && !*glued && !next)
        return err_set(err, -EINVAL, "-%c needs a value: -%c %s", option->letter, option->letter,
                       option->arg);
    ret_hit->option = option;
    ret_hit->value = !option->arg ? NULL : *glued ? glued : next;
    *ret_used = option->arg && !*glued;
    return 0;
}

/* One "--name", "--name=value" or "--name" and *next. *ret_used: also the next argument. */
static int parse_option(const struct command_line *line, const char *arg, const char *next,
                        struct option_hit *ret_hit, bool *ret_used, struct err *err)
{
    const char *equals = strchr(arg, '=');
    size_t len = equals ? (size_t)(equals - arg) - 2 : strlen(arg + 2);
    const struct option *option = find_option(line, arg + 2, len);

    *ret_used = false;
    if (!option)
        return unknown_option(line, arg, err);
    if (!option->arg && equals)
        return err_set(err, -EINVAL, "--%s takes no value", option->name);
    if (option->arg && !equals && !next)
        return err_set(err, -EINVAL, "--%s needs a value: --%s %s", option->name, option->name,
                       option->arg);
    ret_hit->option = option;
    ret_hit->value = !option->arg ? NULL : equals ? equals + 1 : next;
    *ret_used = option->arg && !equals;
    return 0;
}

static int parse_arguments(const struct command_line *line, int argc, char **argv,
                           struct parsed_options *parsed, struct err *err)
{
    bool only_operands = false, used;

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (only_operands || arg[0] != '-' || !arg[1]) {
            parsed->operands[parsed->operand_count++] = arg;
        } else if (!strcmp(arg, "--")) {
            only_operands = true;
        } else if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
            parsed->help = true;
            return 0;
        } else {
            const char *next = i + 1 < argc ? argv[i + 1] : NULL;
            struct option_hit *hit = &parsed->hits[parsed->hit_count];
            int rc = arg[1] == '-' ? parse_option(line, arg, next, hit, &used, err)
                                   : parse_letter(line, arg, next, hit, &used, err);
            if (rc < 0)
                return rc;
            parsed->hit_count++;
            i += used;
        }
    }
    return 0;
}

int options_parse(const struct command_line *line, int argc, char **argv,
                  struct parsed_options *ret_parsed, struct err *err)
{
    cleanup_options struct parsed_options parsed = {
        .hits = calloc((size_t)argc + 1, sizeof *parsed.hits),
        .operands = calloc((size_t)argc + 1, sizeof *parsed.operands),
    };

    if (!parsed.hits || !parsed.operands)
        return err_sys(err, -ENOMEM, "options");
    int rc = parse_arguments(line, argc, argv, &parsed, err);
    if (rc < 0)
        return rc;
    *ret_parsed = parsed;
    parsed = (struct parsed_options){0};
    return 0;
}

void options_free(struct parsed_options *parsed)
{
    free(parsed->hits);
    free(parsed->operands);
    *parsed = (struct parsed_options){0};
}

int options_apply(const struct parsed_options *parsed, void *ctx, struct err *err)
{
    for (unsigned i = 0; i < parsed->hit_count; i++) {
        const struct option_hit *hit = &parsed->hits[i];
        int rc = hit->option->apply(ctx, hit->value, err);
        if (rc < 0 && hit->value)
            return err_prefix(err, rc, "--%s \"%s\"", hit->option->name, hit->value);
        if (rc < 0)
            return err_prefix(err, rc, "--%s", hit->option->name);
    }
    return 0;
}

static void print_option(const struct option *option, int width, FILE *out)
{
    char letter[8] = "  ";

    if (option->letter)
        (void)snprintf(letter, sizeof letter, "  -%c, ", option->letter);
    int used = fprintf(out, "%s--%s%s%s", letter, option->name, option->arg ? " " : "",
                       option->arg ? option->arg : "");
    const char *text = option->help;

    if (used > width) {
        (void)fputc('\n', out);
        used = 0;
    }
    while (*text) {
        int len = (int)strcspn(text, "\n");
        (void)fprintf(out, "%*s%.*s\n", width + 2 - used, "", len, text);
        text += len + (text[len] == '\n');
        used = 0;
    }
}

void options_print(const struct option *options, unsigned count, FILE *out)
{
    for (unsigned i = 0; i < count; i++)
        print_option(&options[i], 26, out);
}

const char *options_value(const struct parsed_options *parsed, const char *name)
{
    const char *value = NULL;

    for (unsigned i = 0; i < parsed->hit_count; i++)
        if (!strcmp(parsed->hits[i].option->name, name))
            value = parsed->hits[i].value ? parsed->hits[i].value : "";
    return value;
}

void options_help(const struct command_line *line, FILE *out)
{
    static const struct option help = {"help", NULL, "show this and do nothing", NULL};

    (void)fprintf(out, "Usage: %s [OPTION]... %s\n%s\n\n", line->command, line->operands,
                  line->about);
    options_print(line->options, line->count, out);
    print_option(&help, 26, out);
    if (line->notes)
        (void)fprintf(out, "\n%s\n", line->notes);
}
