/* SPDX-License-Identifier: Apache-2.0 */
/* How the VM's screen is asked for: what is said to the program socle-rfb, which shows it
 * (vm/console/rfb.h) and has nothing of the VM but video memory, which it cannot write, and the
 * console page.
 *
 * One SOCK_SEQPACKET message is one struct console_message, with descriptors by SCM_RIGHTS. Its
 * starter's socket is descriptor VM_FD_CONTROL, and when that ends, it does. Any number of others
 * (USERS_MAX) may speak on sockets that came by USER; they are trusted with the screen and with
 * nothing else. A message that is not as it should be ends its socket. */
#pragma once

#include <stdint.h>

#include "base/err.h"

enum { CONSOLE_KEYS_MAX = 120, CONSOLE_TEXT_MAX = 256, CONSOLE_FDS_MAX = 2 };

enum console_kind {
    CONSOLE_NAME,       /* text: the VM's, for viewers. The starter's, as the two after it */
    CONSOLE_USER,       /* 1 descriptor: another socket for these messages */
    CONSOLE_LISTEN,     /* 1: a listening socket for viewers; text: their password, or "" */
    CONSOLE_VIEWER,     /* 1: a viewer's connection; value 1: WebSocket, past its handshake */
    CONSOLE_STREAM,     /* 2: such a WebSocket, and the stream that it carries */
    CONSOLE_SCREENSHOT, /* 1: a file of CONSOLE_PNG_MAX bytes, which gets the PNG; width, height:
                           its limits or 0. Answer: DONE, value: bytes of it, 0: it failed */
    CONSOLE_TYPE,       /* keys, one after the other. Answer: DONE, value: how many it took */
    CONSOLE_DONE,
    CONSOLE_KIND_MAX
};

enum { CONSOLE_PNG_MAX = 32 << 20 };

struct console_key {
    uint8_t usage;     /* USB HID, page 7 */
    uint8_t modifiers; /* bit n: usage 0xe0 + n goes with it */
};

struct console_message {
    uint32_t kind, value;
    union {
        char text[CONSOLE_TEXT_MAX];
        struct {
            uint32_t width, height;
        };
        struct console_key keys[CONSOLE_KEYS_MAX]; /* `value` of them */
    };
};

/* Descriptors stay the caller's. 0, -EAGAIN: the socket is full, -EPIPE. */
int console_send(int socket, const struct console_message *message, const int *fds,
                 unsigned fd_count);
/* Sends and waits for DONE, CONSOLE_ANSWER_MS at most: -ETIMEDOUT. `fd`: goes along, or -1. */
enum { CONSOLE_ANSWER_MS = 5000 };
int console_ask(int socket, const struct console_message *message, int fd, uint32_t *ret_value);
/* `fds` (CONSOLE_FDS_MAX; NULL: none are taken) are the caller's then, -1 where there is none. 0,
 * -EAGAIN, -EPIPE: gone, -EBADMSG. */
int console_receive(int socket, struct console_message *ret_message, int *fds);
