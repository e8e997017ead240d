/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark N [COMMAND [ARGUMENT]...]: executes mark N (1 to 8), which the counting plugin sees wherever it runs, in L1 or
 * in L2, and becomes the command. The number is part of the marking instruction, hence the switch.
 */
#include <stdlib.h>
#include <unistd.h>

#include "lab.h"

static int mark(int number)
{
    switch (number) {
    case 1: LAB_MARK(1); break;
    case 2: LAB_MARK(2); break;
    case 3: LAB_MARK(3); break;
    case 4: LAB_MARK(4); break;
    case 5: LAB_MARK(5); break;
    case 6: LAB_MARK(6); break;
    case 7: LAB_MARK(7); break;
    case 8: LAB_MARK(8); break;
    default: return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 || mark(atoi(argv[1])))
        return 2;
    if (argc == 2)
        return 0;
    execvp(argv[2], argv + 2);
    return 127;
}
