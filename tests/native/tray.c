/* SPDX-License-Identifier: Apache-2.0 */
/* In the guest: `tray eject|load|status FILE` of a CD drive. */
#include <fcntl.h>
#include <limits.h>
#include <linux/cdrom.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
    static const char *const states[] = {"no information", "empty", "open", "not ready", "disc"};
    int fd = argc == 3 ? open(argv[2], O_RDONLY | O_NONBLOCK) : -1, rc = 0;

    if (fd < 0)
        return 2;
    if (!strcmp(argv[1], "eject"))
        rc = ioctl(fd, CDROMEJECT);
    else if (!strcmp(argv[1], "load"))
        rc = ioctl(fd, CDROMCLOSETRAY);
    rc = rc < 0 ? rc : ioctl(fd, CDROM_DRIVE_STATUS, CDSL_CURRENT);
    if (rc < 0 || rc >= (int)(sizeof states / sizeof *states)) {
        perror(argv[1]);
        return 1;
    }
    puts(states[rc]);
    return 0;
}
