/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/up/ready.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hostd/up/rootdir.h"

DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
DEFINE_CLEANUP(SSL *, SSL_free)
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

static int try_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    const int on = 1;
    int v6only = address->sa_family == AF_INET6 &&
                 !IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    return bind(fd, address, len) < 0 ? -errno : 0;
}

/* An address that means "all" is asked at the loopback. */
static int dial(const char *address, uint16_t port, bool listen)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    const struct timeval limit = {.tv_sec = 2};
    bool is6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;

    if (!is6 && inet_pton(AF_INET, address, &v4.sin_addr) != 1)
        return -EINVAL;
    if (!listen && is6 && IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr))
        v6.sin6_addr = in6addr_loopback;
    if (!listen && !is6 && v4.sin_addr.s_addr == htonl(INADDR_ANY))
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cleanup_fd int fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && listen)
        return try_bind(fd, is6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
                        is6 ? sizeof v6 : sizeof v4);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
        return -errno;
    if (connect(fd, is6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
                is6 ? sizeof v6 : sizeof v4) < 0)
        return -errno;
    return TAKE_FD(fd);
}

int ready_port_free(const char *address, uint16_t port)
{
    return dial(address, port, true);
}

/* Somebody else's server at our port has another certificate. */
static bool is_ours(const SSL *ssl)
{
    BIO *file CLEANUP(BIO_free_all_cleanup_) = BIO_new_file(ROOTDIR_CERT, "r");
    X509 *ours CLEANUP(X509_free_cleanup_) =
        file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
    X509 *theirs CLEANUP(X509_free_cleanup_) = SSL_get1_peer_certificate(ssl);

    return ours && theirs && X509_cmp(ours, theirs) == 0;
}

int ready_check(const char *address, uint16_t port)
{
    static const char request[] = "GET /sdk/vimServiceVersions.xml HTTP/1.1\r\nHost: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    char answer[16] = "";
    int rc = dial(address, port, false);

    if (rc < 0 && !strcmp(address, "::")) /* IPv4 as well; the machine may have no more */
        rc = dial("127.0.0.1", port, false);
    cleanup_fd int fd = rc;
    if (fd < 0)
        return fd;
    SSL_CTX *ctx CLEANUP(SSL_CTX_free_cleanup_) = SSL_CTX_new(TLS_client_method());
    SSL *ssl CLEANUP(SSL_free_cleanup_) = ctx ? SSL_new(ctx) : NULL;
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1 || !is_ours(ssl) ||
        SSL_write(ssl, request, sizeof request - 1) <= 0 ||
        SSL_read(ssl, answer, sizeof answer - 1) < 12)
        return -EIO;
    return strncmp(answer, "HTTP/1.1 200", 12) ? -EAGAIN : 0;
}
