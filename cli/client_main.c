/* SPDX-License-Identifier: Apache-2.0 */
/* `socle-client`: the commands of socle(1) that speak to a host, which starts this program with the
 * command as its name (cmd_other.h). */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli/client/command.h"
#include "cli/client/complete.h"

/* What was printed must have arrived: a full disk behind `>` is a failure. */
static int finish(int status)
{
    if ((fflush(stdout) || ferror(stdout)) && status == CLIENT_OK) {
        (void)fprintf(stderr, "socle: cannot write to standard output\n");
        return CLIENT_FAILED;
    }
    return status;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} others[] = {
    {"completion", completion_main},
    {"complete", complete_main},
};

int main(int argc, char **argv)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* names are UTF-8, whatever the terminal says */
    for (unsigned i = 0; argc > 0 && i < ARRAY_SIZE(others); i++)
        if (!strcmp(argv[0], others[i].name))
            return finish(others[i].run(argc, argv));
    if (argc > 1 && !strcmp(argv[1], "man"))
        return finish(man_main(argc - 1, argv + 1));
    if (argc > 0 && noun_find(argv[0]))
        return finish(command_main(argc, argv));
    (void)fprintf(stderr, "socle-client: started by \"socle\"\n");
    return CLIENT_USAGE;
}
