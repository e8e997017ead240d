/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that are programs of their own, which `socle` becomes: what they are made of (TLS, HTTP,
 * password hashes, JSON) would cost each start of a VM 4 million instructions to link. */
#pragma once

int cmd_up_program(int argc, char **argv); /* argv[0]: the command; these return only if it fails */
int cmd_client(int argc, char **argv);
