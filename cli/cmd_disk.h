/* SPDX-License-Identifier: Apache-2.0 */
/* `socle disk`: disk images without a VM. */
#pragma once

/* argv[0] is "disk". Returns an enum exit_status; says on standard error what went wrong. */
int cmd_disk(int argc, char **argv);
