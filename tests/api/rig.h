/* SPDX-License-Identifier: Apache-2.0 */
/* A small inventory for tests of the API: service instance, a folder of VMs whose properties can be
 * set, one session. Calls go in as SOAP or JSON text and come out as text. */
#pragma once

#include "base/loop.h"
#include "hostd/api/call.h"
#include "hostd/api/sdk.h"

struct rig_vm {
    struct mo mo;
    char id[24], name[32];
    int power; /* enum vim_VirtualMachinePowerState */
    int64_t memory_mib;
    unsigned reads; /* how often `config` was built */
};

struct rig {
    struct api api;
    struct mo_scope scope;
    bool logged_in;
    const char *denied; /* a privilege that nobody has, or NULL */
    struct mo service, sessions, root, folder;
    struct rig_vm *vms; /* owned */
    size_t vm_count;
};

void rig_create(struct rig *rig, size_t vms);
void rig_destroy(struct rig *rig);

/* One request of the rig's session, answered when it returns or later. */
struct rig_request {
    struct sdk_request sdk;
    int status; /* 0: not answered yet */
    struct buf body;
};
void rig_post(struct rig *rig, struct rig_request *req, const char *action, const char *body);
void rig_send(struct rig *rig, struct rig_request *req, const char *method, const char *path,
              const char *action, const char *body);
struct session *rig_find_session(struct sdk_request *sdk, const char *key,
                                 struct mo_scope **ret_scope);
void rig_release(struct rig_request *req);
/* Runs the loop until the request is answered or `ms` have passed. */
bool rig_wait(struct rig *rig, struct rig_request *req, int ms);

/* The answer's text to `<METHOD>` with that content, of the newest version; in `arena`. */
const char *rig_soap(struct rig *rig, struct arena *arena, const char *action, const char *request);
#define RIG_ENVELOPE(text)                                                                      \
    "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" " \
    "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "                                  \
    "xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><e:Body>" text "</e:Body></e:Envelope>"
