/* SPDX-License-Identifier: Apache-2.0 */
/* HttpNfcLease: the right to send or fetch a VM's disks by HTTP for a while, without a session: a
 * lease's URLs have a secret in them. Who made the lease keeps the VM from being changed meanwhile
 * and is told how it ended.
 *
 *   initializing --ready--> ready --Complete--> done
 *        |                    |
 *        +------ error <------+-- Abort, time-out, the task's cancellation
 *
 * A lease lives NFC_LEASE_S after the last sign of life: a call of its methods, or bytes of a
 * transfer. What ends it also ends its transfers, and `ended` is called only when these are
 * over.
 *
 * Transfers run on threads (datastore/nfc_http.h); what they share with the loop's thread is in
 * nfc_device under the lease's lock. The lease itself is freed when nobody uses it. */
#pragma once

#include <pthread.h>

#include "hostd/model/file_place.h"

enum { NFC_LEASE_S = 300, NFC_KEEP_S = 60, NFC_LEASES_MAX = 256, NFC_DEVICES_MAX = 64 };
enum { NFC_TOKEN_TEXT = 33 };

enum nfc_kind { NFC_IMPORT, NFC_EXPORT };

/* The image of a CD and firmware's variables go over the wire byte by byte. */
enum nfc_what { NFC_DISK, NFC_IMAGE, NFC_NVRAM };

struct nfc_device {
    /* Set before the lease is ready, and then constant. */
    enum nfc_what what;
    char key[160];   /* what a client knows it by */
    char target[24]; /* "disk-0.vmdk": the name in its URL */
    struct file_place place;
    uint64_t capacity; /* bytes; of an image or nvram that comes: 0 */

    /* Of its transfer; the lease's lock. */
    bool busy, whole;
    uint64_t bytes, at, populated; /* on the wire; of the disk; of it written or read */
    char sha1[41], sha256[65];     /* of the bytes on the wire, when whole */
};

struct nfc_lease {
    struct mo mo;
    struct nfc_lease *next;
    struct hostd *hostd;
    char id[48], token[NFC_TOKEN_TEXT];
    char user[64]; /* whose it is: nobody else sees its URLs or ends it */
    enum nfc_kind kind;
    int state;             /* enum vim_HttpNfcLeaseState */
    struct entity *entity; /* NULL: gone, or not there yet */
    struct arena arena;    /* of the error */
    struct vim_LocalizedMethodFault *error;
    struct task *task; /* of the whole, until it ended */
    struct nfc_device device[NFC_DEVICES_MAX];
    unsigned device_count;
    int percent;
    uint64_t deadline; /* of a lease that is ready; of one that ended: when it is dropped */
    uint64_t moved;    /* bytes of all transfers, when last looked at */
    bool ending;       /* `ended` is due once no transfer is under way */
    bool complete;
    /* On the loop's thread, once. May free what `ctx` is. */
    void (*ended)(struct nfc_lease *lease, bool complete);
    void *ctx;

    pthread_mutex_t lock;
    unsigned transfers; /* under way */
    bool cancelled;
};

struct nfc_leases;

int nfc_leases_create(struct hostd *hostd, struct nfc_leases **ret_leases);
/* Ends what is there as if it had been aborted; transfers are over already. */
void nfc_leases_destroy(struct nfc_leases *leases); /* accepts NULL */
/* No transfer goes on. From here on to nfc_leases_destroy. */
void nfc_leases_stop(struct nfc_leases *leases); /* accepts NULL */

/* Initializing. `task` is the operation's and will be cancelled by the lease, and end in `ended`.
 * NULL: there are too many. */
struct nfc_lease *nfc_lease_new(struct hostd *hostd, enum nfc_kind kind, struct task *task,
                                void (*ended)(struct nfc_lease *lease, bool complete), void *ctx);
/* False: there are too many. */
bool nfc_lease_add(struct nfc_lease *lease, enum nfc_what what, const char *key,
                   const struct datastore *datastore, const char *rel, uint64_t capacity);
void nfc_lease_ready(struct nfc_lease *lease, struct entity *entity);
/* Before it was ready: `ended` is not called. `fault` is copied. */
void nfc_lease_fail(struct nfc_lease *lease, const struct vim_data *fault, const char *text);

/* --- for nfc_http.c --- */

/* On the loop's thread: the device that a URL names, for a transfer that begins with this (-ENOENT,
 * -EBUSY) and ends with nfc_transfer_end. */
int nfc_transfer_begin(struct hostd *hostd, const char *token, const char *target,
                       enum nfc_kind kind, struct nfc_lease **ret_lease,
                       struct nfc_device **ret_device);
/* On the transfer's thread. -ECANCELED: it shall end. */
int nfc_transfer_progress(struct nfc_lease *lease, struct nfc_device *device, uint64_t bytes,
                          uint64_t at);
/* On any thread. `sums`: SHA-1 and SHA-256 in hexadecimal; NULL: it was not whole. */
struct nfc_sums {
    char sha1[41], sha256[65];
};
void nfc_transfer_end(struct nfc_lease *lease, struct nfc_device *device,
                      const struct nfc_sums *sums, uint64_t bytes, uint64_t populated);
