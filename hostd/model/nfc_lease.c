/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/nfc_lease.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/loop.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/session/session.h"
#include "hostd/task/task.h"
#include "hostd/up/cert.h"

#define SECONDS(n) ((uint64_t)(n)*1000000000)

struct nfc_leases {
    struct hostd *hostd;
    struct nfc_lease *first;
    unsigned count, serial;
    struct loop_source tick;
};

static const struct mo_class lease_class;

static struct nfc_lease *lease_of(struct mo *mo)
{
    return container_of(mo, struct nfc_lease, mo);
}

static void changed(struct nfc_lease *lease)
{
    static const unsigned props[] = {VIM_P_HttpNfcLease_state, VIM_P_HttpNfcLease_info,
                                     VIM_P_HttpNfcLease_error,
                                     VIM_P_HttpNfcLease_initializeProgress};

    for (unsigned i = 0; i < ARRAY_SIZE(props); i++)
        mo_changed(&lease->mo, props[i]);
}

static void touch(struct nfc_lease *lease)
{
    lease->deadline = clock_now() + SECONDS(NFC_LEASE_S);
}

/* --- life --- */

static void lease_free(struct nfc_lease *lease)
{
    mo_remove(&lease->mo);
    for (unsigned i = 0; i < lease->device_count; i++)
        file_place_free(&lease->device[i].place);
    arena_free(&lease->arena);
    (void)pthread_mutex_destroy(&lease->lock);
    free(lease);
}

static int random_token(char token[NFC_TOKEN_TEXT])
{
    uint8_t b[(NFC_TOKEN_TEXT - 1) / 2];

    if (getrandom(b, sizeof b, 0) != sizeof b)
        return -errno;
    for (unsigned i = 0; i < sizeof b; i++)
        (void)snprintf(token + 2 * i, 3, "%02x", b[i]);
    return 0;
}

static void cancel_task(struct task *task);

struct nfc_lease *nfc_lease_new(struct hostd *hostd, enum nfc_kind kind, struct task *task,
                                void (*ended)(struct nfc_lease *lease, bool complete), void *ctx)
{
    struct nfc_leases *leases = hostd->leases;
    struct nfc_lease *lease = leases->count < NFC_LEASES_MAX ? calloc(1, sizeof *lease) : NULL;

    if (!lease)
        return NULL;
    *lease = (struct nfc_lease){.hostd = hostd,
                                .kind = kind,
                                .state = VIM_HttpNfcLeaseState_initializing,
                                .task = task,
                                .ended = ended,
                                .ctx = ctx};
    (void)pthread_mutex_init(&lease->lock, NULL);
    (void)snprintf(lease->user, sizeof lease->user, "%s", task->user);
    (void)snprintf(lease->id, sizeof lease->id, "nfclease-%u", ++leases->serial);
    lease->mo.class = &lease_class;
    lease->mo.id = lease->id;
    if (random_token(lease->token) < 0 || mo_add(hostd->api.registry, NULL, &lease->mo) < 0) {
        lease_free(lease);
        return NULL;
    }
    lease->next = leases->first;
    leases->first = lease;
    leases->count++;
    return lease;
}

bool nfc_lease_add(struct nfc_lease *lease, enum nfc_what what, const char *key,
                   const struct datastore *datastore, const char *rel, uint64_t capacity)
{
    static const char *const ends[] = {"vmdk", "iso", "nvram"};
    struct nfc_device *device = &lease->device[lease->device_count];

    if (lease->device_count == NFC_DEVICES_MAX)
        return false;
    (void)snprintf(device->key, sizeof device->key, "%s", key);
    device->what = what;
    (void)snprintf(device->target, sizeof device->target, "disk-%u.%s", lease->device_count,
                   ends[what]);
    file_place_set(&device->place, datastore, rel);
    device->capacity = capacity;
    lease->device_count++;
    return true;
}

void nfc_lease_ready(struct nfc_lease *lease, struct entity *entity)
{
    lease->entity = entity;
    lease->state = VIM_HttpNfcLeaseState_ready;
    lease->task->ctx = lease;
    lease->task->cancel = cancel_task;
    touch(lease);
    changed(lease);
}

static void set_error(struct nfc_lease *lease, const struct vim_data *fault, const char *text)
{
    struct vim_any value = {.shape = {VIM_DATA, false, (uint16_t)(fault->type - vim_types)},
                            .data = (struct vim_data *)(uintptr_t)fault};
    struct vim_any copy = vim_copy(&lease->arena, &value);

    lease->error = fault_localized(&lease->arena, copy.data, arena_strdup(&lease->arena, text));
    lease->state = VIM_HttpNfcLeaseState_error;
}

static void retire(struct nfc_lease *lease)
{
    lease->task = NULL;
    lease->deadline = clock_now() + SECONDS(NFC_KEEP_S);
    changed(lease);
}

void nfc_lease_fail(struct nfc_lease *lease, const struct vim_data *fault, const char *text)
{
    set_error(lease, fault, text);
    retire(lease);
}

/* --- the end --- */

static unsigned transfers_of(struct nfc_lease *lease)
{
    (void)pthread_mutex_lock(&lease->lock);
    unsigned count = lease->transfers;
    (void)pthread_mutex_unlock(&lease->lock);
    return count;
}

static void end_if_idle(struct nfc_lease *lease)
{
    if (!lease->ending || transfers_of(lease))
        return;
    lease->ending = false;
    lease->task->cancel = NULL;
    lease->task->ctx = NULL;
    lease->entity = lease->complete ? lease->entity : NULL;
    lease->ended(lease, lease->complete);
    retire(lease);
}

static void begin_end(struct nfc_lease *lease, bool complete)
{
    (void)pthread_mutex_lock(&lease->lock);
    lease->cancelled = true;
    (void)pthread_mutex_unlock(&lease->lock);
    lease->ending = true;
    lease->complete = complete;
    changed(lease);
    end_if_idle(lease);
}

static void give_up(struct nfc_lease *lease, const struct vim_data *fault, const char *text)
{
    if (lease->state != VIM_HttpNfcLeaseState_ready)
        return;
    set_error(lease, fault, text);
    begin_end(lease, false);
}

static void cancel_task(struct task *task)
{
    struct arena arena = {0};

    give_up(task->ctx, &VIM_NEW(&arena, RequestCanceled)->self, NULL);
    arena_free(&arena);
}

/* --- transfers --- */

int nfc_transfer_begin(struct hostd *hostd, const char *token, const char *target,
                       enum nfc_kind kind, struct nfc_lease **ret_lease,
                       struct nfc_device **ret_device)
{
    struct nfc_lease *lease = hostd->leases->first;

    while (lease && (strlen(token) != NFC_TOKEN_TEXT - 1 ||
                     CRYPTO_memcmp(lease->token, token, NFC_TOKEN_TEXT - 1) != 0))
        lease = lease->next;
    if (!lease || lease->state != VIM_HttpNfcLeaseState_ready || lease->kind != kind)
        return -ENOENT;
    for (unsigned i = 0; i < lease->device_count; i++) {
        struct nfc_device *device = &lease->device[i];
        if (strcmp(device->target, target) != 0)
            continue;
        (void)pthread_mutex_lock(&lease->lock);
        bool busy = device->busy;
        if (!busy) {
            device->busy = true;
            device->whole = false;
            device->bytes = device->at = device->populated = 0;
            lease->transfers++;
        }
        (void)pthread_mutex_unlock(&lease->lock);
        *ret_lease = lease;
        *ret_device = device;
        return busy ? -EBUSY : 0;
    }
    return -ENOENT;
}

int nfc_transfer_progress(struct nfc_lease *lease, struct nfc_device *device, uint64_t bytes,
                          uint64_t at)
{
    (void)pthread_mutex_lock(&lease->lock);
    device->bytes = bytes;
    device->at = at;
    int rc = lease->cancelled ? -ECANCELED : 0;
    (void)pthread_mutex_unlock(&lease->lock);
    return rc;
}

void nfc_transfer_end(struct nfc_lease *lease, struct nfc_device *device,
                      const struct nfc_sums *sums, uint64_t bytes, uint64_t populated)
{
    (void)pthread_mutex_lock(&lease->lock);
    device->busy = false;
    device->bytes = bytes;
    device->whole = sums;
    device->populated = populated;
    if (sums) {
        memcpy(device->sha1, sums->sha1, sizeof device->sha1);
        memcpy(device->sha256, sums->sha256, sizeof device->sha256);
    }
    lease->transfers--;
    (void)pthread_mutex_unlock(&lease->lock);
}

/* Looks after all: signs of life, time-outs, those that wait for their transfers to end. */
static void look_after(struct nfc_lease *lease)
{
    struct arena arena = {0};
    uint64_t moved = 0, at = 0, total = 0;

    (void)pthread_mutex_lock(&lease->lock);
    for (unsigned i = 0; i < lease->device_count; i++) {
        moved += lease->device[i].bytes;
        at += lease->device[i].at;
        total += lease->device[i].capacity;
    }
    (void)pthread_mutex_unlock(&lease->lock);
    if (moved != lease->moved) {
        lease->moved = moved;
        int percent = total ? (int)((double)MIN(at, total) / (double)total * 100) : 0;
        lease->percent = MAX(lease->percent, MIN(percent, 99));
        task_progress(lease->task, lease->percent);
        mo_changed(&lease->mo, VIM_P_HttpNfcLease_transferProgress);
        touch(lease);
    } else if (clock_now() > lease->deadline) {
        give_up(lease, &VIM_NEW(&arena, Timedout)->self, NULL);
    }
    arena_free(&arena);
}

static void on_tick(void *ctx, uint32_t events)
{
    struct nfc_leases *leases = ctx;

    (void)events;
    for (struct nfc_lease **at = &leases->first, *lease; (lease = *at);) {
        if (lease->state == VIM_HttpNfcLeaseState_ready)
            look_after(lease);
        end_if_idle(lease);
        if (!lease->task && clock_now() > lease->deadline && !transfers_of(lease)) {
            *at = lease->next;
            leases->count--;
            lease_free(lease);
        } else {
            at = &lease->next;
        }
    }
    (void)loop_timer_arm(&leases->tick, clock_now() + SECONDS(1) / (leases->first ? 4 : 1));
}

int nfc_leases_create(struct hostd *hostd, struct nfc_leases **ret_leases)
{
    struct nfc_leases *leases = calloc(1, sizeof *leases);
    int rc = leases ? loop_add_timer(hostd->loop, &leases->tick, on_tick, leases) : -ENOMEM;

    if (rc < 0) {
        free(leases);
        return rc;
    }
    leases->hostd = hostd;
    (void)loop_timer_arm(&leases->tick, clock_now() + SECONDS(1));
    *ret_leases = leases;
    return 0;
}

void nfc_leases_stop(struct nfc_leases *leases)
{
    struct arena arena = {0};

    for (struct nfc_lease *lease = leases ? leases->first : NULL; lease; lease = lease->next)
        give_up(lease, &VIM_NEW(&arena, RequestCanceled)->self, NULL);
    arena_free(&arena);
}

void nfc_leases_destroy(struct nfc_leases *leases)
{
    if (!leases)
        return;
    nfc_leases_stop(leases);
    for (struct nfc_lease *lease; (lease = leases->first);) {
        end_if_idle(lease);
        leases->first = lease->next;
        lease_free(lease);
    }
    loop_del(&leases->tick);
    free(leases);
}

/* --- the managed object --- */

/* "https" and port in URLs are the front's: clients put the host in for the asterisk. */
static const char *url_of(struct call *call, const struct nfc_lease *lease,
                          const struct nfc_device *device)
{
    unsigned port = lease->hostd->port;

    return port == 443
               ? arena_printf(call->arena, "https://*/nfc/%s/%s", lease->token, device->target)
               : arena_printf(call->arena, "https://*:%u/nfc/%s/%s", port, lease->token,
                              device->target);
}

static bool is_mine(const struct call *call, const struct nfc_lease *lease)
{
    return call->session && !strcmp(call->session->user, lease->user);
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    struct nfc_lease *lease = lease_of(mo);
    struct vim_HttpNfcLeaseInfo *info = VIM_NEW(call->arena, HttpNfcLeaseInfo);
    char thumbprint[CERT_THUMBPRINT_MAX] = "";

    if (lease->state != VIM_HttpNfcLeaseState_ready || !lease->entity || !is_mine(call, lease))
        return vim_any_none();
    (void)cert_thumbprint("SHA1", thumbprint);
    info->lease = mo_ref(mo);
    info->entity = mo_ref(&lease->entity->mo);
    info->leaseTimeout = NFC_LEASE_S;
    for (unsigned i = 0; i < lease->device_count; i++) {
        const struct nfc_device *device = &lease->device[i];
        struct vim_HttpNfcLeaseDeviceUrl *url = VIM_NEW(call->arena, HttpNfcLeaseDeviceUrl);
        url->key = arena_strdup(call->arena, device->key);
        url->importKey = lease->kind == NFC_IMPORT ? url->key : "";
        url->url = url_of(call, lease, device);
        url->sslThumbprint = arena_strdup(call->arena, thumbprint);
        url->disk = vim_bool(device->what == NFC_DISK);
        if (device->what != NFC_DISK && device->capacity)
            url->fileSize = vim_long((int64_t)device->capacity);
        url->targetId = arena_strdup(call->arena, device->target);
        VIM_ADD(call->arena, &info->deviceUrl, url);
        info->totalDiskCapacityInKB +=
            device->what == NFC_DISK ? (int64_t)(device->capacity >> 10) : 0;
    }
    return vim_any_data(info);
}

static struct vim_any get_state(struct mo *mo, struct call *call)
{
    (void)call;
    return vim_any_enum(VIM_E_HttpNfcLeaseState, lease_of(mo)->state);
}

static struct vim_any get_error(struct mo *mo, struct call *call)
{
    struct vim_any error = vim_any_data(lease_of(mo)->error);

    return vim_copy(call->arena, &error);
}

static struct vim_any get_initialize_progress(struct mo *mo, struct call *call)
{
    (void)call;
    return vim_any_int(lease_of(mo)->state == VIM_HttpNfcLeaseState_initializing ? 0 : 100);
}

static struct vim_any get_transfer_progress(struct mo *mo, struct call *call)
{
    (void)call;
    return vim_any_int(lease_of(mo)->percent);
}

static struct vim_any get_mode(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_string("pushOrGet");
}

static struct vim_any get_capabilities(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(VIM_NEW(call->arena, HttpNfcLeaseCapabilities));
}

/* --- its methods --- */

static bool require_ready(struct call *call, struct nfc_lease *lease)
{
    if (!is_mine(call, lease)) {
        call_fault_no_permission(call, &lease->mo, "VApp.Import");
        return false;
    }
    if (lease->state == VIM_HttpNfcLeaseState_ready) {
        touch(lease);
        return true;
    }
    CALL_FAULT(call, InvalidState);
    return false;
}

static void get_manifest(struct mo *mo, struct call *call)
{
    struct nfc_lease *lease = lease_of(mo);
    VIM_LIST(struct vim_HttpNfcLeaseManifestEntry *) list = {0};

    if (!require_ready(call, lease))
        return;
    (void)pthread_mutex_lock(&lease->lock);
    for (unsigned i = 0; i < lease->device_count; i++) {
        const struct nfc_device *device = &lease->device[i];
        struct vim_HttpNfcLeaseManifestEntry *e = VIM_NEW(call->arena, HttpNfcLeaseManifestEntry);
        if (!device->whole)
            continue;
        e->key = arena_strdup(call->arena, device->key);
        e->sha1 = arena_strdup(call->arena, device->sha1);
        e->checksum = arena_strdup(call->arena, device->sha256);
        e->checksumType = "sha256";
        e->size = (int64_t)device->bytes;
        e->disk = device->what == NFC_DISK;
        if (e->disk) {
            e->capacity = vim_long((int64_t)device->capacity);
            e->populatedSize = vim_long((int64_t)device->populated);
        }
        VIM_ADD(call->arena, &list, e);
    }
    (void)pthread_mutex_unlock(&lease->lock);
    if (!list.items)
        VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_HttpNfcLeaseManifestEntry, &list));
}

/* Both are counted in any case. */
static void set_checksum_type(struct mo *mo, struct call *call)
{
    (void)require_ready(call, lease_of(mo));
}

static void progress(struct mo *mo, struct call *call)
{
    const struct vim_HttpNfcLeaseProgress_args *args = call->args;
    struct nfc_lease *lease = lease_of(mo);

    if (args->percent < 0 || args->percent > 100) {
        call_fault_argument(call, "percent");
        return;
    }
    if (!require_ready(call, lease))
        return;
    lease->percent = MAX(lease->percent, MIN(args->percent, 99));
    task_progress(lease->task, lease->percent);
    mo_changed(mo, VIM_P_HttpNfcLease_transferProgress);
}

static void complete(struct mo *mo, struct call *call)
{
    struct nfc_lease *lease = lease_of(mo);

    if (!require_ready(call, lease))
        return;
    if (transfers_of(lease)) {
        CALL_FAULT(call, InvalidState);
        return;
    }
    lease->state = VIM_HttpNfcLeaseState_done;
    begin_end(lease, true);
}

static void abort_lease(struct mo *mo, struct call *call)
{
    const struct vim_HttpNfcLeaseAbort_args *args = call->args;
    struct nfc_lease *lease = lease_of(mo);

    if (!require_ready(call, lease))
        return;
    if (args->fault && args->fault->fault)
        give_up(lease, &args->fault->fault->self, args->fault->localizedMessage);
    else
        give_up(lease, &VIM_NEW(call->arena, RequestCanceled)->self, NULL);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HttpNfcLease, initializeProgress, get_initialize_progress),
    MO_PROPERTY(HttpNfcLease, transferProgress, get_transfer_progress),
    MO_PROPERTY(HttpNfcLease, mode, get_mode),
    MO_PROPERTY(HttpNfcLease, capabilities, get_capabilities),
    MO_PROPERTY(HttpNfcLease, info, get_info),
    MO_PROPERTY(HttpNfcLease, state, get_state),
    MO_PROPERTY(HttpNfcLease, error, get_error),
};
static const struct mo_method methods[] = {
    MO_METHOD(HttpNfcLeaseGetManifest, get_manifest),
    MO_METHOD(HttpNfcLeaseSetManifestChecksumType, set_checksum_type),
    MO_METHOD(HttpNfcLeaseComplete, complete),
    MO_METHOD(HttpNfcLeaseAbort, abort_lease),
    MO_METHOD(HttpNfcLeaseProgress, progress),
};
static const struct mo_class lease_class = {
    .type = VIM_MANAGED(HttpNfcLease),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
