/* SPDX-License-Identifier: Apache-2.0 */
/* `socle up` and `socle down`, handed over to the program socle-up. What they are made of (TLS,
 * password hashes, JSON) would cost each start of a VM 4 million instructions to link. */
#pragma once

int cmd_host(int argc, char **argv); /* argv[0]: the command; returns only if it fails */
