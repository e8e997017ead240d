/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd_host.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/exit.h"

/* Beside the running program (a build tree, an unpacked archive), else where it was installed. */
int cmd_host(int argc, char **argv)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "socle-up");

    (void)argc;
    if (n > 0) {
        path[n] = '\0';
        memcpy(strrchr(path, '/') + 1, "socle-up", sizeof "socle-up");
        (void)execv(path, argv);
    }
    (void)execv(SOCLE_LIBEXECDIR "/socle-up", argv);
    (void)fprintf(stderr, "socle %s: cannot start socle-up, beside socle or in %s: %s\n", argv[0],
                  SOCLE_LIBEXECDIR, strerror(errno));
    return EXIT_FAILED;
}
