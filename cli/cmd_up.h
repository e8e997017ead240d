/* SPDX-License-Identifier: Apache-2.0 */
/* `socle up` and `socle down` (hostd/up/up.h). */
#pragma once

int cmd_up(int argc, char **argv);
int cmd_down(int argc, char **argv);
