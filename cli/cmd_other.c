/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd_other.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/program.h"
#include "cli/exit.h"

static int become(const char *program, char **argv)
{
    char path[PATH_MAX];
    struct err err = ERR_INIT;

    if (program_find(program, path, sizeof path, &err) == 0) {
        (void)execv(path, argv);
        (void)err_sys(&err, -errno, "cannot start %s", path);
    }
    (void)fprintf(stderr, "socle %s: %s\n", argv[0], err.text);
    return EXIT_FAILED;
}

int cmd_up_program(int argc, char **argv)
{
    (void)argc;
    return become("socle-up", argv);
}

int cmd_client(int argc, char **argv)
{
    (void)argc;
    return become("socle-client", argv);
}
