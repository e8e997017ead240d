/* SPDX-License-Identifier: Apache-2.0 */
/* Is the host ready? What a client would see: a request through the front's TLS, answered by hostd.
 */
#pragma once

#include <stdint.h>

/* Before anything is started: 0, or -EADDRINUSE, -EACCES, -EADDRNOTAVAIL. */
int ready_port_free(const char *address, uint16_t port);

/* 0: hostd answered by way of the front, with our certificate (whoever signed it,
 * and whatever the clock says). Takes some milliseconds, at most two
 * seconds. */
int ready_check(const char *address, uint16_t port);
