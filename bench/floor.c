/* SPDX-License-Identifier: Apache-2.0 */
/* The least that a file's way through the loopback can cost, for bench/transfer.py to compare with:
 * one process sends SOURCE, another writes TARGET, and neither does anything else. No HTTP, no
 * names, no rights.
 *
 * usage: bench-floor plain|tls|discard SOURCE TARGET CERT KEY
 *
 *   plain    sendfile(2) to TCP; received and written in steps of 1 MiB
 *   tls      the same through OpenSSL with its default cipher, one connection
 *   discard  as tls, but what is received is thrown away
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEP = 1 << 20 };

static void need(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static int listen_somewhere(struct sockaddr_in *address)
{
    socklen_t len = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    need(fd >= 0 && bind(fd, (struct sockaddr *)address, len) == 0 && listen(fd, 1) == 0 &&
             getsockname(fd, (struct sockaddr *)address, &len) == 0,
         "listen");
    return fd;
}

static void send_plain(int fd, int file, size_t size)
{
    while (size) {
        ssize_t n = sendfile(fd, file, NULL, size < STEP ? size : STEP);
        need(n > 0, "sendfile");
        size -= (size_t)n;
    }
}

static void send_tls(int fd, int file, size_t size, const char *cert, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    const char *at = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);

    need(ctx && at != MAP_FAILED &&
             SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM) == 1 &&
             SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1,
         "certificate");
    SSL *ssl = SSL_new(ctx);
    need(ssl && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1, "TLS");
    for (size_t n; size; at += n, size -= n)
        need(SSL_write_ex(ssl, at, size < STEP ? size : STEP, &n) == 1, "SSL_write");
    (void)SSL_shutdown(ssl);
}

static void put(int out, const char *bytes, ssize_t n)
{
    for (ssize_t more; n > 0; bytes += more, n -= more) {
        more = write(out, bytes, (size_t)n);
        need(more > 0, "write");
    }
}

static void receive(int fd, int out, bool tls)
{
    static char bytes[STEP];
    SSL_CTX *ctx = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;

    need(!tls || (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1), "TLS");
    for (;;) {
        ssize_t n = 0;
        while (n < STEP) { /* a record is 16 KiB: as few writes as for plain bytes */
            int more = tls ? SSL_read(ssl, bytes + n, (int)(STEP - n))
                           : (int)read(fd, bytes + n, (size_t)(STEP - n));
            if (more <= 0)
                break;
            n += more;
        }
        if (n == 0)
            return;
        if (out >= 0)
            put(out, bytes, n);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    struct stat st;
    int status;

    need(argc == 6, "usage: bench-floor plain|tls|discard SOURCE TARGET CERT KEY");
    bool tls = strcmp(argv[1], "plain") != 0, discard = !strcmp(argv[1], "discard");
    int in = open(argv[2], O_RDONLY), door = listen_somewhere(&address);
    need(in >= 0 && fstat(in, &st) == 0, argv[2]);
    pid_t sender = fork();
    need(sender >= 0, "fork");
    if (sender == 0) {
        int fd = accept(door, NULL, NULL);
        need(fd >= 0, "accept");
        if (tls)
            send_tls(fd, in, (size_t)st.st_size, argv[4], argv[5]);
        else
            send_plain(fd, in, (size_t)st.st_size);
        return 0;
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int out = discard ? -1 : open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    need(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    need(discard || out >= 0, argv[3]);
    receive(fd, out, tls);
    need(waitpid(sender, &status, 0) == sender && status == 0, "sender");
    return 0;
}
