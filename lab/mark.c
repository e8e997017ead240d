/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark N [COMMAND [ARGUMENT]...]: executes mark N (1 to 8), which the counting plugin sees wherever
 * it runs, in L1 or in L2, and becomes the command. The number is part of the marking instruction,
 * hence the switch.
 */
#include <stdlib.h>
#include <unistd.h>

#include "lab.h"

#define CASE(n)      \
    case n:          \
        LAB_MARK(n); \
        return 0

static int mark(int number)
{
    switch (number) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
    }
    return -1;
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
