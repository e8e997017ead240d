/* SPDX-License-Identifier: Apache-2.0 */
/* `socle disk`: makes, shows, checks and converts virtual disks. argv[0] is "disk"; returns the
 * exit status (docs/man/socle-disk.1). */
#pragma once

enum disk_exit {
    DISK_EXIT_OK = 0,
    DISK_EXIT_FAILED = 1,
    DISK_EXIT_USAGE = 2,
    DISK_EXIT_BAD_FILE = 3, /* as all of socle */
    DISK_EXIT_DAMAGED = 4,
    DISK_EXIT_CANCELLED = 130,
};

int cmd_disk(int argc, char **argv);
