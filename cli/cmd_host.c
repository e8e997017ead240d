/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd_host.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/program.h"
#include "cli/exit.h"

int cmd_host(int argc, char **argv)
{
    char path[PATH_MAX];
    struct err err = ERR_INIT;

    (void)argc;
    if (program_find("socle-up", path, sizeof path, &err) == 0) {
        (void)execv(path, argv);
        (void)err_sys(&err, -errno, "cannot start %s", path);
    }
    (void)fprintf(stderr, "socle %s: %s\n", argv[0], err.text);
    return EXIT_FAILED;
}
