/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/http/handshake.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { WEBSOCKET_KEY_TEXT = 24, ACCEPT_TEXT = 32 };

/* One of a header's words, separated by commas. */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (; list && *list; list += strcspn(list, ",")) {
        list += strspn(list, ", \t");
        if (!strncasecmp(list, word, len) && strchr(", \t", list[len]))
            return true;
    }
    return false;
}

static bool accept_of(const char *key, char accept[ACCEPT_TEXT])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[EVP_MAX_MD_SIZE], plain[WEBSOCKET_KEY_TEXT];
    char text[WEBSOCKET_KEY_TEXT + sizeof guid];
    unsigned len;

    if (!key || strlen(key) != WEBSOCKET_KEY_TEXT || strcmp(key + 22, "==") != 0 ||
        EVP_DecodeBlock(plain, (const unsigned char *)key, WEBSOCKET_KEY_TEXT) < 0)
        return false;
    (void)snprintf(text, sizeof text, "%s%s", key, guid);
    if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL) != 1)
        return false;
    (void)EVP_EncodeBlock((unsigned char *)accept, digest, (int)len);
    return true;
}

bool http_handshake(const struct http_head *head, char headers[HTTP_HANDSHAKE_MAX])
{
    const char *protocols = http_header(head, "Sec-WebSocket-Protocol");
    const char *version = http_header(head, "Sec-WebSocket-Version");
    bool binary = has_word(protocols, "binary");
    char accept[ACCEPT_TEXT];

    if (head->method != HTTP_GET || !has_word(http_header(head, "Upgrade"), "websocket") ||
        !version || strcmp(version, "13") != 0 || (protocols && !binary) ||
        !accept_of(http_header(head, "Sec-WebSocket-Key"), accept))
        return false;
    (void)snprintf(headers, HTTP_HANDSHAKE_MAX,
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s",
                   accept, binary ? "Sec-WebSocket-Protocol: binary\r\n" : "");
    return true;
}
