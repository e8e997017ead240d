/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark N: executes mark N (1 to 8), which the counting plugin sees wherever it runs, in L1 or in L2. Prints nothing.
 */
#include <stdlib.h>

#include "lab.h"

int main(int argc, char **argv)
{
    switch (argc == 2 ? atoi(argv[1]) : 0) {
    case 1: LAB_MARK(1); break;
    case 2: LAB_MARK(2); break;
    case 3: LAB_MARK(3); break;
    case 4: LAB_MARK(4); break;
    case 5: LAB_MARK(5); break;
    case 6: LAB_MARK(6); break;
    case 7: LAB_MARK(7); break;
    case 8: LAB_MARK(8); break;
    default: return 2;
    }
    return 0;
}
