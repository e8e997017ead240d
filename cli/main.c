/* SPDX-License-Identifier: Apache-2.0 */
/* `socle`, the command line: a table of commands. Each command has its own file and help. */
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "cli/cmd_disk.h"
#include "cli/cmd_other.h"
#include "cli/cmd_run.h"
#include "cli/exit.h"
#include "cli/options.h"

static int cmd_help(int argc, char **argv);

static const struct command {
    const char *name, *about;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", "run a virtual machine in the foreground", cmd_run},
    {"up", "bring a host up: the vSphere API over HTTPS", cmd_up_program},
    {"down", "end a host that is up", cmd_up_program},
    {"disk", "create, inspect, check and convert disk images", cmd_disk},
    {"vm", "a host's virtual machines: list, create, start, console ...", cmd_client},
    {"host", "the host: show, advanced options", cmd_client},
    {"datastore", "a host's datastores and their files", cmd_client},
    {"network", "a host's networks", cmd_client},
    {"task", "what a host is doing", cmd_client},
    {"event", "what has happened on a host", cmd_client},
    {"user", "a host's accounts", cmd_client},
    {"role", "what the roles of a host allow", cmd_client},
    {"permission", "who has which role", cmd_client},
    {"perf", "what a host and its virtual machines do, measured", cmd_client},
    {"completion", "print a script for bash or zsh that completes commands", cmd_client},
    {"help", "show this, or the help of a command", cmd_help},
};

static const char *command_word(const void *ctx, unsigned i)
{
    (void)ctx;
    return i < ARRAY_SIZE(commands) ? commands[i].name : NULL;
}

static const struct command *find_command(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    const char *near = nearest_word(name, command_word, NULL);
    if (near)
        (void)fprintf(stderr, "socle: unknown command \"%s\"; did you mean %s?\n", name, near);
    else
        (void)fprintf(stderr, "socle: unknown command \"%s\"; \"socle help\" lists all\n", name);
    return NULL;
}

static void print_help(FILE *out)
{
    (void)fprintf(out, "Usage: socle COMMAND [OPTION]...\n"
                       "Socle runs virtual machines.\n\n");
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        (void)fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].about);
    (void)fprintf(out, "\n\"socle COMMAND --help\" shows a command's options; socle(1) is the "
                       "manual.\n\"socle --version\" shows the version.\n");
}

static int cmd_help(int argc, char **argv)
{
    char help[] = "--help";

    if (argc < 2 || argv[1][0] == '-' || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return EXIT_OK;
    }
    const struct command *command = find_command(argv[1]);
    if (!command)
        return EXIT_USAGE;
    /* "help vm list" is "vm list --help". */
    for (int i = 1; i < argc; i++)
        argv[i - 1] = argv[i];
    argv[argc - 1] = help;
    return command->run(argc, argv);
}

/* What was printed must have arrived: a full disk behind `>` is a failure. */
static int finish(int status)
{
    if ((fflush(stdout) || ferror(stdout)) && status == EXIT_OK) {
        (void)fprintf(stderr, "socle: cannot write to standard output\n");
        return EXIT_FAILED;
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        (void)printf("socle %s\n", SOCLE_VERSION);
        return finish(EXIT_OK);
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return finish(cmd_help(1, argv));
    if (argv[1][0] == '-') {
        (void)fprintf(stderr,
                      "socle: unknown option \"%s\"; a command comes first, \"socle help\" "
                      "lists all\n",
                      argv[1]);
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "complete")) /* the completion's question; in no list */
        return cmd_client(argc - 1, argv + 1);
    const struct command *command = find_command(argv[1]);
    return command ? finish(command->run(argc - 1, argv + 1)) : EXIT_USAGE;
}
