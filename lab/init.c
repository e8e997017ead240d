/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first program of the test guest: marks "the guest is up" for the counting plugin and becomes
 * the shell script. It is a program so that the mark does not depend on how long a shell takes to
 * start.
 */
#include <unistd.h>

#include "lab.h"

int main(void)
{
    LAB_MARK(LAB_READY);
    execl("/bin/sh", "sh", "/lab/init", (char *)NULL);
    return 1;
}
