/* SPDX-License-Identifier: Apache-2.0 */
/* `socle-up`: the commands `up` and `down` of socle(1), which starts this program with the command
 * as its name (cmd_host.h). */
#include <stdio.h>
#include <string.h>

#include "cli/cmd_up.h"
#include "cli/exit.h"

int main(int argc, char **argv)
{
    if (argc > 0 && !strcmp(argv[0], "up"))
        return cmd_up(argc, argv);
    if (argc > 0 && !strcmp(argv[0], "down"))
        return cmd_down(argc, argv);
    (void)fprintf(stderr, "socle-up: started by \"socle up\" and \"socle down\"\n");
    return EXIT_USAGE;
}
