/* SPDX-License-Identifier: Apache-2.0 */
/* DiagnosticManager: the logs of hostd, the front and the VMs (diag/log_file.h), and all of it in
 * one file (diag/bundle.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/diag/bundle.h"
#include "hostd/diag/log_file.h"
#include "hostd/model/classes.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/task/task.h"
#include "hostd/task/worker.h"

static void describe(struct call *call, struct vim_list *list, const char *key, const char *label,
                     const char *summary)
{
    struct vim_DiagnosticManagerLogDescriptor *d =
        VIM_NEW(call->arena, DiagnosticManagerLogDescriptor);
    VIM_LIST(struct vim_DiagnosticManagerLogDescriptor *) *typed = (void *)list;
    char path[LOG_PATH_MAX];

    if (log_path(key, path) < 0 || access(path, R_OK) < 0)
        return;
    d->key = arena_strdup(call->arena, key);
    d->fileName = arena_strdup(call->arena, path);
    d->creator = strncmp(key, "vm-", 3) ? key : "keeper";
    d->format = "plain";
    d->mimeType = "text/plain";
    d->info = VIM_NEW(call->arena, Description);
    d->info->label = arena_strdup(call->arena, label);
    d->info->summary = arena_strdup(call->arena, summary);
    VIM_ADD(call->arena, typed, d);
}

static void query_descriptions(struct mo *mo, struct call *call)
{
    struct vim_list list = {0};
    char key[LOG_KEY_MAX + 1];

    (void)mo;
    VIM_EMPTY(&list);
    describe(call, &list, "hostd", "Host daemon", "The host daemon's log");
    describe(call, &list, "front", "Front", "The web server's errors");
    for (struct entity *e = NULL;
         (e = inventory_next(hostd_of(call)->inventory, VIM_MANAGED(VirtualMachine), e));) {
        (void)snprintf(key, sizeof key, "vm-%.16s", e->id);
        describe(call, &list, key, e->name, "Log of a VM's processes");
    }
    call_return(call, vim_any_list(VIM_DATA, VIM_T_DiagnosticManagerLogDescriptor, &list));
}

static void browse(struct mo *mo, struct call *call)
{
    const struct vim_BrowseDiagnosticLog_args *args = call->args;
    struct vim_DiagnosticManagerLogHeader *header =
        VIM_NEW(call->arena, DiagnosticManagerLogHeader);
    uint32_t first = args->start.set ? (uint32_t)MAX(args->start.v, 1) : 1, total = 0;
    uint32_t count = args->lines.set ? (uint32_t)MAX(args->lines.v, 0) : LOG_LINES_MAX;
    struct log_lines lines;
    char path[LOG_PATH_MAX];

    (void)mo;
    int rc = log_path(args->key, path);
    if (rc == 0)
        rc = log_read(path, first, count, call->arena, &lines, &total);
    if (rc < 0) {
        struct vim_CannotAccessFile *fault = VIM_NEW(call->arena, CannotAccessFile);
        fault->file = args->key;
        call_fault(call, &fault->self);
        return;
    }
    header->lineStart = (int32_t)MIN(first, total + 1);
    header->lineEnd = (int32_t)(lines.count ? first + lines.count - 1 : total);
    header->lineText.count = lines.count;
    header->lineText.items = lines.items;
    call_return(call, vim_any_data(header));
}

/* --- all of it --- */

struct job {
    struct task *task;
    struct bundle *bundle;
    char name[BUNDLE_NAME_MAX];
    int rc;
    struct err err;
};

static void work(void *arg)
{
    struct job *job = arg;

    job->rc = bundle_write(job->bundle, job->name, &job->err);
}

static void done(void *arg)
{
    struct arena cleanup_arena arena = {0};
    struct job *job = arg;
    struct vim_DiagnosticManagerBundleInfo *info = VIM_NEW(&arena, DiagnosticManagerBundleInfo);
    VIM_LIST(struct vim_DiagnosticManagerBundleInfo *) list = {0};

    info->system = VIM_REF(HostSystem, "ha-host");
    info->url = arena_printf(&arena, "https://*/downloads/%s", job->name);
    VIM_ADD(&arena, &list, info);
    if (job->rc < 0)
        task_fail(job->task, &VIM_NEW(&arena, LogBundlingFailed)->self, job->err.text);
    else
        task_succeed(job->task, VIM_ANY_LIST(VIM_DATA, VIM_T_DiagnosticManagerBundleInfo, &list));
    bundle_destroy(job->bundle);
    free(job);
}

/* "key = "value"" lines, but for values of keys that speak of passwords. */
static void put_vmx(struct buf *out, const struct vmxfile *vmx)
{
    cleanup_buf struct buf text = {0};

    vmxfile_write(vmx, &text);
    for (char *line = (char *)(uintptr_t)buf_cstr(&text), *next; *line; line = next) {
        next = line + strcspn(line, "\n");
        next += *next == '\n';
        char *equals = memchr(line, '=', (size_t)(next - line));
        char saved = equals ? *equals : '\0';
        if (equals)
            *equals = '\0';
        bool secret = equals && (strcasestr(line, "password") || strcasestr(line, "keysafe"));
        if (equals)
            *equals = saved;
        if (secret)
            buf_printf(out, "%.*s= (left out)\n", (int)(equals - line), line);
        else
            buf_put(out, line, (size_t)(next - line));
    }
}

static int add_vms(struct bundle *bundle, struct inventory *inventory)
{
    int rc = 0;

    for (struct entity *e = NULL;
         rc == 0 && (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        cleanup_buf struct buf text = {0};
        char name[40];
        if (!vm_of(&e->mo)->vmx)
            continue;
        (void)snprintf(name, sizeof name, "vm/%.16s.vmx", e->id);
        put_vmx(&text, vm_of(&e->mo)->vmx);
        rc = bundle_add_text(bundle, name, &text);
    }
    return rc;
}

static int fill(struct bundle *bundle, struct inventory *inventory)
{
    static const struct {
        const char *name, *path;
    } files[] = {
        {"config/autostart.json", "config/autostart.json"},
        {"config/host.json", "config/host.json"},
        {"config/inventory.json", "config/inventory.json"},
        {"config/permissions.json", "config/permissions.json"},
        {"tls/cert.pem", "tls/cert.pem"},
        {"machine/cpuinfo", "/proc/cpuinfo"},
        {"machine/meminfo", "/proc/meminfo"},
        {"machine/mounts", "/proc/self/mounts"},
        {"machine/net-dev", "/proc/net/dev"},
        {"machine/version", "/proc/version"},
    };
    int rc = bundle_add_folder(bundle, "log", "log");

    for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(files); i++)
        rc = bundle_add_file(bundle, files[i].name, files[i].path);
    return rc < 0 ? rc : add_vms(bundle, inventory);
}

static void generate(struct mo *mo, struct call *call)
{
    struct hostd *hostd = hostd_of(call);
    struct job *job = calloc(1, sizeof *job);
    int rc = job ? bundle_create(&job->bundle) : -ENOMEM;

    (void)mo;
    if (rc == 0)
        rc = fill(job->bundle, hostd->inventory);
    if (rc == 0)
        job->task = task_start(call, &hostd->inventory->host);
    if (rc == 0 && job->task && worker_post(hostd->worker, work, done, job) == 0)
        return;
    if (job && job->task) {
        job->rc = -ENOMEM;
        done(job);
        return;
    }
    bundle_destroy(job ? job->bundle : NULL);
    free(job);
    if (!call->fault)
        CALL_FAULT(call, LogBundlingFailed);
}

static const struct mo_method methods[] = {
    MO_METHOD(QueryDescriptions, query_descriptions),
    MO_METHOD(BrowseDiagnosticLog, browse),
    MO_METHOD(GenerateLogBundles_Task, generate),
};
const struct mo_class diagnostic_manager_class = {
    .type = VIM_MANAGED(DiagnosticManager),
    .methods = methods,
    .method_count = ARRAY_SIZE(methods),
};
