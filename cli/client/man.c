/* SPDX-License-Identifier: Apache-2.0 */
/* The manual page of a noun, from its table: mdoc(7). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/client/command.h"
#include "cli/client/complete.h"

/* As text of its own lines: what roff would take for a request or an escape is none. */
static void put_text(const char *text)
{
    bool start = true;

    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            (void)fputs("\\&", stdout);
        if (*text == '\\')
            (void)fputs("\\e", stdout);
        else if (*text == '-')
            (void)fputs("\\-", stdout);
        else
            (void)putchar(*text);
        start = *text == '\n';
        if (text[0] == '.' && text[1] == ' ' && isupper((unsigned char)text[2])) {
            (void)putchar('\n'); /* a sentence begins its line */
            text++;
        }
    }
}

static void put_sentence(const char *about)
{
    char first[2] = {(char)toupper((unsigned char)about[0]), '\0'};

    put_text(first);
    put_text(about + 1);
    (void)fputs(about[strlen(about) - 1] == '.' ? "\n" : ".\n", stdout);
}

static void put_options(const struct option *options, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)printf(".It ");
        if (options[i].letter)
            (void)printf("Fl %c , ", options[i].letter);
        (void)printf("Fl \\-%s", options[i].name);
        if (options[i].arg) {
            (void)printf(" Ar \"");
            put_text(options[i].arg);
            (void)putchar('"');
        }
        (void)putchar('\n');
        put_sentence(options[i].help);
    }
}

static void put_verb(const struct noun *noun, const struct verb *verb)
{
    (void)printf(".It Xo\n.Nm socle %s %s\n", noun->name, verb->name);
    if (verb->option_count)
        (void)printf(".Op Ar option ...\n");
    if (*verb->operands) {
        (void)printf(".Ar \"");
        put_text(verb->operands);
        (void)printf("\"\n");
    }
    (void)printf(".Xc\n");
    put_sentence(verb->about);
    if (verb->notes) {
        put_text(verb->notes);
        (void)putchar('\n');
    }
    if (verb->option_count) {
        (void)printf(".Bl -tag -width Ds\n");
        put_options(verb->options, verb->option_count);
        (void)printf(".El\n");
    }
}

static void put_end(void)
{
    static const char *const ends[][2] = {
        {"0", "Done."},
        {"1", "The host refused, or something on the way failed."},
        {"2", "The command line makes no sense."},
        {"3", "What the command names is not there."},
        {"4", "No host answers, or it has another certificate than before."},
        {"5", "Wrong password, or no permission."},
        {"130", "Cancelled."},
    };

    (void)printf(".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
                 ".It Ev SOCLE_ROOT\nThe folder of the host, as with\n.Fl \\-root .\n"
                 ".It Ev SOCLE_URL , SOCLE_USER , SOCLE_PASSWORD\n"
                 "A host elsewhere, who logs in there, and the password.\n.El\n");
    (void)printf(".Sh FILES\n.Bl -tag -width Ds\n.It Pa ~/.config/socle/hosts\n"
                 "Hosts whose certificates were accepted, a line each: name, port, SHA\\-256 "
                 "fingerprint.\n.El\n");
    (void)printf(".Sh EXIT STATUS\n.Bl -tag -width Ds -compact\n");
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++)
        (void)printf(".It %s\n%s\n", ends[i][0], ends[i][1]);
    (void)printf(".El\n.Sh SEE ALSO\n.Xr socle 1 ,\n.Xr socle-up 1\n");
}

int man_main(int argc, char **argv)
{
    const struct noun *noun = argc == 2 ? noun_find(argv[1]) : NULL;
    char title[32];

    if (!noun)
        return CLIENT_USAGE;
    for (unsigned i = 0; i < sizeof title; i++)
        title[i] = (char)toupper((unsigned char)noun->name[MIN(i, strlen(noun->name))]);
    title[sizeof title - 1] = '\0';
    (void)printf(".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" Made from the table of commands "
                 "in cli/noun.\n.Dd November 20, 2026\n.Dt SOCLE-%s 1\n.Os\n.Sh NAME\n"
                 ".Nm socle-%s\n.Nd ",
                 title, noun->name);
    char first[] = {(char)tolower((unsigned char)noun->about[0]), '\0'};
    put_text(first);
    for (const char *c = noun->about + 1; *c && *c != '.'; c++)
        (void)putchar(*c);
    (void)printf("\n.Sh SYNOPSIS\n.Nm socle %s\n.Ar command\n.Op Ar option ...\n"
                 ".Op Ar operand ...\n.Sh DESCRIPTION\n",
                 noun->name);
    put_text(noun->about);
    (void)printf("\n.Bl -tag -width Ds\n");
    for (unsigned i = 0; i < noun->verb_count; i++)
        put_verb(noun, &noun->verbs[i]);
    (void)printf(".El\n.Pp\nAll of them have these options:\n.Bl -tag -width Ds\n");
    put_options(common_options, common_option_count);
    (void)printf(".El\n");
    put_end();
    return CLIENT_OK;
}
