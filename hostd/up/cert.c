/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/up/cert.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/range.h"
#include "hostd/up/rootdir.h"

enum { NAME_MAX_ = 64, YEARS = 10 };

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)

static void host_name(char name[NAME_MAX_ + 1])
{
    if (gethostname(name, NAME_MAX_) < 0 || !*name)
        (void)snprintf(name, NAME_MAX_ + 1, "localhost");
    name[NAME_MAX_] = '\0';
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool set_serial(X509 *cert)
{
    unsigned char serial[16];

    if (RAND_bytes(serial, sizeof serial) != 1)
        return false;
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, of full length */
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return ok;
}

static bool fill(X509 *cert, EVP_PKEY *key, const char *name)
{
    char names[3 * NAME_MAX_];
    X509_NAME *subject = X509_get_subject_name(cert);

    (void)snprintf(names, sizeof names, "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", name);
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -24 * 3600) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), YEARS * 365, 0, NULL) &&
           X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)"Socle",
                                      -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(cert, subject) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, NID_basic_constraints, "critical,CA:TRUE") &&
           add_extension(cert, NID_subject_alt_name, names) &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") &&
           add_extension(cert, NID_subject_key_identifier, "hash") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static int put(const char *path, mode_t mode, BIO *bio, struct err *err)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);

    return file_replace(AT_FDCWD, path, mode, data, (size_t)len, err);
}

int cert_ensure(struct err *err)
{
    char name[NAME_MAX_ + 1];

    if (access(ROOTDIR_CERT, F_OK) == 0 && access(ROOTDIR_KEY, F_OK) == 0)
        return 0;
    host_name(name);
    EVP_PKEY *key CLEANUP(EVP_PKEY_free_cleanup_) = EVP_EC_gen("P-256");
    X509 *cert CLEANUP(X509_free_cleanup_) = X509_new();
    BIO *key_text CLEANUP(BIO_free_all_cleanup_) = BIO_new(BIO_s_mem());
    BIO *cert_text CLEANUP(BIO_free_all_cleanup_) = BIO_new(BIO_s_mem());
    if (!key || !cert || !key_text || !cert_text || !fill(cert, key, name) ||
        PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(cert_text, cert) != 1)
        return err_set(err, -EIO, "cannot make a certificate");
    int rc = put(ROOTDIR_KEY, 0600, key_text, err);
    return rc < 0 ? rc : put(ROOTDIR_CERT, 0644, cert_text, err);
}

int cert_thumbprint(const char *digest, char text[CERT_THUMBPRINT_MAX])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    BIO *file CLEANUP(BIO_free_all_cleanup_) = BIO_new_file(ROOTDIR_CERT, "r");
    X509 *cert CLEANUP(X509_free_cleanup_) =
        file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;

    if (!cert || X509_digest(cert, EVP_get_digestbyname(digest), hash, &len) != 1 ||
        len * 3 > CERT_THUMBPRINT_MAX)
        return -EIO;
    for (unsigned i = 0; i < len; i++)
        (void)snprintf(text + (size_t)3 * i, 4, "%02X%s", hash[i], i + 1 < len ? ":" : "");
    return 0;
}
