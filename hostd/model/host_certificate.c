/* SPDX-License-Identifier: Apache-2.0 */
/* HostCertificateManager: the certificate of the front (up/cert.h). A new one serves new
 * connections as soon as it is installed; who is connected stays so. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/parse_num.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/up/cert.h"

enum { DAY = 24 * 3600 };

static const char *status_of(int64_t not_after)
{
    int64_t left = not_after - clock_realtime(&clock_host) / 1000000000;

    return left < 0           ? "expired"
           : left < 7 * DAY   ? "expirationImminent"
           : left < 60 * DAY  ? "expiringShortly"
           : left < 240 * DAY ? "expiring"
                              : "good";
}

static struct vim_HostCertificateManagerCertificateInfo *certificate_info(struct arena *arena)
{
    struct vim_HostCertificateManagerCertificateInfo *info =
        VIM_NEW(arena, HostCertificateManagerCertificateInfo);
    struct cert_info cert;

    info->kind = "Machine";
    info->status = "unknown";
    if (cert_read(&cert, NULL) < 0)
        return info;
    info->issuer = arena_strdup(arena, cert.issuer);
    info->subject = arena_strdup(arena, cert.subject);
    info->notBefore = vim_time(cert.not_before * 1000000);
    info->notAfter = vim_time(cert.not_after * 1000000);
    info->status = status_of(cert.not_after);
    return info;
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(certificate_info(call->arena));
}

static void retrieve_list(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_HostCertificateManagerCertificateInfo *) list = {0};

    (void)mo;
    VIM_ADD(call->arena, &list, certificate_info(call->arena));
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HostCertificateManagerCertificateInfo, &list));
}

static void request(struct call *call, const char *subject)
{
    cleanup_buf struct buf text = {0};
    struct err err = ERR_INIT;

    if (cert_request(subject, &text, &err) < 0)
        CALL_FAULT_TEXT(call, HostConfigFault, "%s", err.text);
    else
        call_return(call, vim_any_string(arena_strdup(call->arena, buf_cstr(&text))));
}

static void generate(struct mo *mo, struct call *call)
{
    (void)mo;
    request(call, NULL);
}

static void generate_by_dn(struct mo *mo, struct call *call)
{
    const struct vim_GenerateCertificateSigningRequestByDn_args *args = call->args;

    (void)mo;
    request(call, args->distinguishedName);
}

/* The front's process, if the file that names it does not lie. */
static bool front_pid(pid_t *ret_pid)
{
    cleanup_buf struct buf text = {0};
    cleanup_buf struct buf name = {0};
    unsigned pid;
    char path[64];

    if (file_load(AT_FDCWD, "run/front.pid", 32, &text, NULL) < 0 || !text.len)
        return false;
    text.len -= text.data[text.len - 1] == '\n';
    if (parse_unsigned(buf_cstr(&text), 2, INT32_MAX, &pid) < 0)
        return false;
    (void)snprintf(path, sizeof path, "/proc/%u/comm", pid);
    *ret_pid = (pid_t)pid;
    return file_load(AT_FDCWD, path, 64, &name, NULL) == 0 && !strcmp(buf_cstr(&name), "nginx\n");
}

static void tell_front(void)
{
    pid_t pid;

    if (front_pid(&pid))
        (void)kill(pid, SIGHUP);
}

static void install(struct mo *mo, struct call *call)
{
    const struct vim_InstallServerCertificate_args *args = call->args;
    struct err err = ERR_INIT;

    if (cert_install(args->cert, &err) < 0) {
        CALL_FAULT_TEXT(call, HostConfigFault, "%s", err.text);
        return;
    }
    tell_front();
    mo_changed(mo, VIM_P_HostCertificateManager_certificateInfo);
}

static void notify(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    tell_front();
}

/* Nobody's signatures are trusted here: there is no list. */
static void list_none(struct mo *mo, struct call *call)
{
    VIM_LIST(const char *) list = {0};

    (void)mo;
    VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_STRING, 0, &list));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostCertificateManager, certificateInfo, get_info),
};
static const struct mo_method methods[] = {
    MO_METHOD(RetrieveCertificateInfoList, retrieve_list),
    MO_METHOD(GenerateCertificateSigningRequest, generate),
    MO_METHOD(GenerateCertificateSigningRequestByDn, generate_by_dn),
    MO_METHOD(InstallServerCertificate, install),
    MO_METHOD(NotifyAffectedServices, notify),
    MO_METHOD(ListCACertificates, list_none),
    MO_METHOD(ListCACertificateRevocationLists, list_none),
};
const struct mo_class host_certificate_manager_class = {
    .type = VIM_MANAGED(HostCertificateManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
