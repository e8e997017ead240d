/* SPDX-License-Identifier: Apache-2.0 */
/* `socle disk` as a program of its own, so that these tests need nothing but the disk library. */
#include "cli/cmd_disk.h"

int main(int argc, char **argv)
{
    return cmd_disk(argc, argv);
}
