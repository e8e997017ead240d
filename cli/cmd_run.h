/* SPDX-License-Identifier: Apache-2.0 */
/* `socle run`: one VM in the foreground, from a .vmx file, from options, or both. */
#pragma once

/* argv[0] is "run". Returns an enum exit_status; says on standard error what went wrong. */
int cmd_run(int argc, char **argv);
