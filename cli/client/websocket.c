/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/websocket.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/range.h"

enum { OP_CONTINUE, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };
enum { FIN = 0x80, MASK = 0x80, HEAD_MAX = 8192, HANDSHAKE_MS = 15000 };

/* --- frames --- */

static void put_frame(struct buf *out, unsigned opcode, const uint8_t *data, size_t len)
{
    uint8_t mask[4];

    buf_put_u8(out, (uint8_t)(FIN | opcode));
    if (len < 126) {
        buf_put_u8(out, (uint8_t)(MASK | len));
    } else {
        bool wide = len > UINT16_MAX;
        buf_put_u8(out, MASK | (wide ? 127 : 126));
        for (int shift = wide ? 56 : 8; shift >= 0; shift -= 8)
            buf_put_u8(out, (uint8_t)((uint64_t)len >> shift));
    }
    (void)RAND_bytes(mask, sizeof mask);
    buf_put(out, mask, sizeof mask);
    uint8_t *at = buf_grow(out, len);
    for (size_t i = 0; at && i < len; i++)
        at[i] = data[i] ^ mask[i % 4];
}

void websocket_put(struct buf *out, const void *data, size_t len)
{
    put_frame(out, OP_BINARY, data, len);
}

/* The head so far, once it has its two first bytes: how long it is altogether. */
static unsigned head_length(const uint8_t *head)
{
    return 2u + (head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0);
}

static int begin_payload(struct websocket_decoder *d)
{
    unsigned len_bytes = d->head_len - 2;

    d->left = len_bytes ? 0 : d->head[1];
    for (unsigned i = 0; i < len_bytes; i++)
        d->left = d->left << 8 | d->head[2 + i];
    d->opcode = d->head[0] & 0x0f;
    d->control_len = 0;
    bool control = d->opcode & 8;
    if (d->left >> 63 || (control && (d->left > WEBSOCKET_CONTROL_MAX || !(d->head[0] & FIN))) ||
        (control ? d->opcode > OP_PONG : d->opcode > OP_BINARY))
        return -EPROTO;
    return 0;
}

static void end_payload(struct websocket_decoder *d, struct buf *reply)
{
    if (d->opcode == OP_PING)
        put_frame(reply, OP_PONG, d->control, d->control_len);
    if (d->opcode == OP_CLOSE) {
        put_frame(reply, OP_CLOSE, d->control, MIN(d->control_len, 2u));
        d->closed = true;
    }
    d->head_len = 0;
}

static int take_head(struct websocket_decoder *d, uint8_t byte, struct buf *reply)
{
    d->head[d->head_len++] = byte;
    if (d->head_len < 2)
        return 0;
    if (d->head_len == 2 && (d->head[0] & 0x70 || d->head[1] & MASK))
        return -EPROTO;
    if (d->head_len < head_length(d->head))
        return 0;
    int rc = begin_payload(d);
    d->need = 0;
    if (rc == 0 && d->left == 0)
        end_payload(d, reply);
    return rc;
}

static bool in_payload(const struct websocket_decoder *d)
{
    return d->head_len >= 2 && d->head_len == head_length(d->head);
}

int websocket_take(struct websocket_decoder *d, const void *bytes, size_t len, struct buf *data,
                   struct buf *reply)
{
    const uint8_t *at = bytes;

    while (len && !d->closed) {
        if (!in_payload(d)) {
            int rc = take_head(d, *at, reply);
            if (rc < 0)
                return rc;
            at++;
            len--;
            continue;
        }
        size_t n = (size_t)MIN((uint64_t)len, d->left);
        if (d->opcode & 8) {
            memcpy(d->control + d->control_len, at, n);
            d->control_len += (unsigned)n;
        } else {
            buf_put(data, at, n);
        }
        at += n;
        len -= n;
        d->left -= n;
        if (!d->left)
            end_payload(d, reply);
    }
    return data->failed || reply->failed ? -ENOMEM : 0;
}

/* --- handshake --- */

static int wait_for(struct api_socket *socket, short events)
{
    struct pollfd p = {.fd = api_socket_fd(socket), .events = events};

    return poll(&p, 1, HANDSHAKE_MS) == 1 ? 0 : -ETIMEDOUT;
}

static int send_all(struct api_socket *socket, const void *data, size_t len)
{
    const char *at = data;

    while (len) {
        ssize_t n = api_socket_write(socket, at, len);
        int rc = n == -EAGAIN ? wait_for(socket, POLLOUT) : n < 0 ? (int)n : 0;
        if (rc < 0)
            return rc;
        at += MAX(n, 0);
        len -= (size_t)MAX(n, 0);
    }
    return 0;
}

/* Byte for byte: what follows the head is no more the handshake's. */
static int read_head(struct api_socket *socket, struct buf *head)
{
    while (head->len < HEAD_MAX && !head->failed) {
        char c;
        ssize_t n = api_socket_read(socket, &c, 1);
        int rc = n == -EAGAIN ? wait_for(socket, POLLIN) : n < 0 ? (int)n : 0;
        if (rc < 0)
            return rc;
        if (n == 1)
            buf_put(head, &c, 1);
        if (head->len >= 4 && !memcmp(head->data + head->len - 4, "\r\n\r\n", 4))
            return 0;
    }
    return -EPROTO;
}

/* RFC 6455, 4.2.2, 5.4. */
static void accept_of(const char *key, char accept[32])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[80];
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    (void)snprintf(text, sizeof text, "%s%s", key, guid);
    (void)EVP_Digest(text, strlen(text), hash, &len, EVP_sha1(), NULL);
    (void)EVP_EncodeBlock((unsigned char *)accept, hash, (int)len);
}

static int check_answer(const char *head, const char *key, struct err *err)
{
    static const char name[] = "Sec-WebSocket-Accept:";
    char accept[32];

    accept_of(key, accept);
    if (!strncmp(head, "HTTP/1.1 409 ", 13))
        return err_set(
            err, -EREMOTEIO,
            "there is nothing to connect to: it does not run, or its port ends elsewhere");
    if (strncmp(head, "HTTP/1.1 101 ", 13) != 0)
        return err_set(err, -EREMOTEIO, "the host does not open the connection (%.*s)",
                       (int)strcspn(head, "\r\n"), head);
    for (const char *line = head; (line = strstr(line, "\r\n")); line += 2) {
        const char *value = line + 2 + sizeof name - 1;
        if (strncasecmp(line + 2, name, sizeof name - 1) != 0)
            continue;
        value += strspn(value, " ");
        return strncmp(value, accept, strlen(accept)) ? err_set(err, -EPROTO, "no WebSocket") : 0;
    }
    return err_set(err, -EPROTO, "no WebSocket");
}

int websocket_connect(struct api_socket *socket, const char *path, const char *session,
                      struct err *err)
{
    cleanup_buf struct buf text = {0}, head = {0};
    unsigned char random[16];
    char key[32];

    (void)RAND_bytes(random, sizeof random);
    (void)EVP_EncodeBlock((unsigned char *)key, random, sizeof random);
    buf_printf(&text,
               "GET %s HTTP/1.1\r\nHost: socle\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n"
               "Sec-WebSocket-Key: %s\r\n",
               path, key);
    if (*session)
        buf_printf(&text, "vmware-api-session-id: %s\r\n", session);
    buf_put_str(&text, "\r\n");
    int rc = text.failed ? -ENOMEM : send_all(socket, text.data, text.len);
    if (rc == 0)
        rc = read_head(socket, &head);
    return rc < 0 ? err_sys(err, rc, "the connection ended")
                  : check_answer(buf_cstr(&head), key, err);
}
