/* SPDX-License-Identifier: Apache-2.0 */
/* HostServiceSystem: the daemons beside hostd that people ask a host for, by ESXi's names. In
 * hosted mode they are the machine's: whether one runs is looked up among the processes, and who
 * wants to change that does it there. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/host_config.h"

enum { PROGRAMS = 3 };
#define LOOK_NS UINT64_C(5000000000)

static const struct service {
    const char *key, *label;
    const char *program[PROGRAMS]; /* as /proc/PID/comm has them: 15 characters */
} services[] = {
    {"TSM-SSH", "SSH", {"sshd"}},
    {"ntpd", "NTP Daemon", {"ntpd", "chronyd", "systemd-timesyn"}},
    {"snmpd", "SNMP Server", {"snmpd"}},
};

static bool is_program(const struct service *service, const char *comm)
{
    for (unsigned i = 0; i < PROGRAMS && service->program[i]; i++)
        if (!strcmp(service->program[i], comm))
            return true;
    return false;
}

/* One bit a service. */
static unsigned look_at_processes(void)
{
    DIR *dir = opendir("/proc");
    unsigned running = 0;
    char path[300];

    for (struct dirent *e; dir && (e = readdir(dir));) {
        cleanup_buf struct buf text = {0};
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
        if (file_load(AT_FDCWD, path, 64, &text, NULL) < 0 || !text.len)
            continue;
        text.len--; /* the line's end */
        for (unsigned i = 0; i < ARRAY_SIZE(services); i++)
            if (is_program(&services[i], buf_cstr(&text)))
                running |= 1u << i;
    }
    if (dir)
        (void)closedir(dir);
    return running;
}

/* Clients read the host's configuration often, and a busy host has thousands of processes. */
static unsigned running_services(void)
{
    static uint64_t looked;
    static unsigned running;

    if (!looked || clock_now() - looked > LOOK_NS) {
        running = look_at_processes();
        looked = clock_now();
    }
    return running;
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    struct vim_HostServiceInfo *info = VIM_NEW(call->arena, HostServiceInfo);
    unsigned running = running_services();

    (void)mo;
    for (unsigned i = 0; i < ARRAY_SIZE(services); i++) {
        struct vim_HostService *s = VIM_NEW(call->arena, HostService);
        s->key = services[i].key;
        s->label = services[i].label;
        s->running = running >> i & 1;
        s->policy = s->running ? "on" : "off";
        VIM_ADD(call->arena, &info->service, s);
    }
    return vim_any_data(info);
}

static void refuse(struct call *call, const char *id)
{
    for (unsigned i = 0; i < ARRAY_SIZE(services); i++)
        if (!strcmp(services[i].key, id)) {
            host_config_refuse(call, services[i].label);
            return;
        }
    CALL_FAULT_TEXT(call, NotFound, "There is no service \"%s\".", id);
}

static void start(struct mo *mo, struct call *call)
{
    (void)mo;
    refuse(call, ((const struct vim_StartService_args *)call->args)->id);
}

static void stop(struct mo *mo, struct call *call)
{
    (void)mo;
    refuse(call, ((const struct vim_StopService_args *)call->args)->id);
}

static void restart(struct mo *mo, struct call *call)
{
    (void)mo;
    refuse(call, ((const struct vim_RestartService_args *)call->args)->id);
}

static void update_policy(struct mo *mo, struct call *call)
{
    (void)mo;
    refuse(call, ((const struct vim_UpdateServicePolicy_args *)call->args)->id);
}

static void refresh(struct mo *mo, struct call *call)
{
    (void)call;
    mo_changed(mo, VIM_P_HostServiceSystem_serviceInfo);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostServiceSystem, serviceInfo, get_info),
};
static const struct mo_method methods[] = {
    MO_METHOD(StartService, start),      MO_METHOD(StopService, stop),
    MO_METHOD(RestartService, restart),  MO_METHOD(UpdateServicePolicy, update_policy),
    MO_METHOD(RefreshServices, refresh),
};
const struct mo_class host_service_system_class = {
    .type = VIM_MANAGED(HostServiceSystem),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
