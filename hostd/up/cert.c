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

static X509 *load_cert(void)
{
    BIO *file CLEANUP(BIO_free_all_cleanup_) = BIO_new_file(ROOTDIR_CERT, "r");

    return file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
}

int cert_thumbprint(const char *digest, char text[CERT_THUMBPRINT_MAX])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    X509 *cert CLEANUP(X509_free_cleanup_) = load_cert();

    if (!cert || X509_digest(cert, EVP_get_digestbyname(digest), hash, &len) != 1 ||
        len * 3 > CERT_THUMBPRINT_MAX)
        return -EIO;
    for (unsigned i = 0; i < len; i++)
        (void)snprintf(text + (size_t)3 * i, 4, "%02X%s", hash[i], i + 1 < len ? ":" : "");
    return 0;
}

/* --- what is there, and another one --- */

DEFINE_CLEANUP(X509_REQ *, X509_REQ_free)
DEFINE_CLEANUP(X509_NAME *, X509_NAME_free)

static EVP_PKEY *load_key(void)
{
    BIO *file CLEANUP(BIO_free_all_cleanup_) = BIO_new_file(ROOTDIR_KEY, "r");

    return file ? PEM_read_bio_PrivateKey(file, NULL, NULL, NULL) : NULL;
}

static void name_text(const X509_NAME *name, char *text, size_t size)
{
    BIO *bio CLEANUP(BIO_free_all_cleanup_) = BIO_new(BIO_s_mem());
    char *data;

    text[0] = '\0';
    if (!bio || X509_NAME_print_ex(bio, name, 0,
                                   XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB & ~XN_FLAG_SPC_EQ) < 0)
        return;
    long len = BIO_get_mem_data(bio, &data);
    (void)snprintf(text, size, "%.*s", (int)len, data);
}

static int64_t seconds(const ASN1_TIME *time)
{
    struct tm tm;

    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int cert_read(struct cert_info *ret_info, struct err *err)
{
    X509 *cert CLEANUP(X509_free_cleanup_) = load_cert();

    if (!cert)
        return err_set(err, -EIO, "\"%s\" is no certificate", ROOTDIR_CERT);
    name_text(X509_get_issuer_name(cert), ret_info->issuer, sizeof ret_info->issuer);
    name_text(X509_get_subject_name(cert), ret_info->subject, sizeof ret_info->subject);
    ret_info->not_before = seconds(X509_get0_notBefore(cert));
    ret_info->not_after = seconds(X509_get0_notAfter(cert));
    return 0;
}

/* "/O=Org/CN=name": a backslash takes its meaning from a slash. NULL: it is none. */
static X509_NAME *parse_name(const char *text)
{
    X509_NAME *name = X509_NAME_new();
    char part[256];

    while (name && *text == '/') {
        size_t len = 0;
        for (text++; *text && *text != '/' && len + 1 < sizeof part; text++)
            part[len++] = *text == '\\' && text[1] ? *++text : *text;
        part[len] = '\0';
        char *equals = strchr(part, '=');
        if (!equals)
            break;
        *equals = '\0';
        if (X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8, (const unsigned char *)equals + 1,
                                       -1, -1, 0) != 1)
            break;
    }
    if (name && !*text && X509_NAME_entry_count(name) > 0)
        return name;
    X509_NAME_free(name);
    return NULL;
}

int cert_request(const char *subject, struct buf *out, struct err *err)
{
    EVP_PKEY *key CLEANUP(EVP_PKEY_free_cleanup_) = load_key();
    X509 *cert CLEANUP(X509_free_cleanup_) = load_cert();
    X509_NAME *name CLEANUP(X509_NAME_free_cleanup_) =
        subject ? parse_name(subject) : X509_NAME_dup(cert ? X509_get_subject_name(cert) : NULL);
    X509_REQ *request CLEANUP(X509_REQ_free_cleanup_) = X509_REQ_new();
    BIO *text CLEANUP(BIO_free_all_cleanup_) = BIO_new(BIO_s_mem());
    char *data;

    if (!name)
        return err_set(err, -EINVAL, "\"%s\" is no distinguished name", subject ? subject : "");
    if (!key || !request || !text || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_subject_name(request, name) != 1 || X509_REQ_set_pubkey(request, key) != 1 ||
        X509_REQ_sign(request, key, EVP_sha256()) <= 0 ||
        PEM_write_bio_X509_REQ(text, request) != 1)
        return err_set(err, -EIO, "cannot make a signing request");
    long len = BIO_get_mem_data(text, &data);
    buf_put(out, data, (size_t)len);
    return 0;
}

int cert_install(const char *pem, struct err *err)
{
    BIO *text CLEANUP(BIO_free_all_cleanup_) = BIO_new_mem_buf(pem, -1);
    X509 *cert CLEANUP(X509_free_cleanup_) =
        text ? PEM_read_bio_X509(text, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key CLEANUP(EVP_PKEY_free_cleanup_) = load_key();

    if (!cert)
        return err_set(err, -EINVAL, "this is no certificate in PEM");
    if (!key || X509_check_private_key(cert, key) != 1)
        return err_set(err, -EINVAL, "the certificate is not for this host's key");
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0 ||
        X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        return err_set(err, -EINVAL, "the certificate is not valid now");
    return file_replace(AT_FDCWD, ROOTDIR_CERT, 0644, pem, strlen(pem), err);
}
