/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/collector.h"
#include "hostd/api/vim_types.gen.h"

static struct rig *rig_of(struct call *call)
{
    return call->api->ctx;
}

/* --- service instance, session --- */

static struct vim_any get_content(struct mo *mo, struct call *call)
{
    struct vim_ServiceContent *content = VIM_NEW(call->arena, ServiceContent);
    content->rootFolder = VIM_REF(Folder, "ha-folder-root");
    content->propertyCollector = VIM_REF(PropertyCollector, "ha-property-collector");
    content->viewManager = VIM_REF(ViewManager, "ViewManager");
    content->sessionManager = VIM_REF(SessionManager, "ha-sessionmgr");
    content->about = VIM_NEW(call->arena, AboutInfo);
    content->about->name = "Rig & <test>";
    content->about->fullName = "Rig 1.0.0 build-1";
    content->about->vendor = "nobody";
    content->about->version = "6.7.0";
    content->about->build = "1";
    content->about->osType = "vmnix-x86";
    content->about->productLineId = "embeddedEsx";
    content->about->apiType = "HostAgent";
    content->about->apiVersion = "6.7.1";
    return vim_any_data(content);
}

static void retrieve_content(struct mo *mo, struct call *call)
{
    call_return(call, get_content(mo, call));
}

static void login(struct mo *mo, struct call *call)
{
    struct vim_Login_args *args = call->args;
    if (strcmp(args->password, "secret") != 0) {
        CALL_FAULT(call, InvalidLogin);
        return;
    }
    rig_of(call)->logged_in = true;
    struct vim_UserSession *session = VIM_NEW(call->arena, UserSession);
    session->key = "key";
    session->userName = session->fullName = args->userName;
    session->locale = session->messageLocale = "en";
    session->loginTime = session->lastActiveTime = INT64_C(1700000000000001);
    call_return(call, vim_any_data(session));
}

static const struct mo_class service_class = {
    .type = VIM_MANAGED(ServiceInstance),
    .props = (const struct mo_property[]){MO_PROPERTY(ServiceInstance, content, get_content)},
    .prop_count = 1,
    .methods = (const struct mo_method[]){MO_METHOD(RetrieveServiceContent, retrieve_content)},
    .method_count = 1,
};
static const struct mo_class sessions_class = {
    .type = VIM_MANAGED(SessionManager),
    .methods = (const struct mo_method[]){MO_METHOD(Login, login)},
    .method_count = 1,
};

/* --- folders --- */

static struct vim_any get_folder_name(struct mo *mo, struct call *call)
{
    return vim_any_string(mo->id);
}

static struct vim_any get_children(struct mo *mo, struct call *call)
{
    struct rig *rig = rig_of(call);
    VIM_LIST(struct vim_ref) list = {0};
    VIM_EMPTY(&list);
    if (mo == &rig->root)
        VIM_ADD(call->arena, &list, mo_ref(&rig->folder));
    for (size_t i = 0; mo == &rig->folder && i < rig->vm_count; i++)
        if (rig->vms[i].mo.registry)
            VIM_ADD(call->arena, &list, mo_ref(&rig->vms[i].mo));
    return VIM_ANY_LIST(VIM_REF, VIM_M_ManagedEntity, &list);
}

static const struct mo_property folder_props[] = {
    MO_PROPERTY(ManagedEntity, name, get_folder_name),
    MO_PROPERTY(Folder, childEntity, get_children),
};
static const struct mo_class folder_class = {
    .type = VIM_MANAGED(Folder),
    .props = folder_props,
    .prop_count = ARRAY_SIZE(folder_props),
};

/* --- VMs --- */

static struct vim_any get_vm_name(struct mo *mo, struct call *call)
{
    return vim_any_string(container_of(mo, struct rig_vm, mo)->name);
}

static struct vim_any get_vm_parent(struct mo *mo, struct call *call)
{
    return mo_value(&rig_of(call)->folder);
}

static struct vim_any get_vm_runtime(struct mo *mo, struct call *call)
{
    struct vim_VirtualMachineRuntimeInfo *runtime = VIM_NEW(call->arena, VirtualMachineRuntimeInfo);
    runtime->powerState =
        (enum vim_VirtualMachinePowerState)container_of(mo, struct rig_vm, mo)->power;
    runtime->connectionState = VIM_VirtualMachineConnectionState_connected;
    runtime->host = VIM_REF(HostSystem, "ha-host");
    return vim_any_data(runtime);
}

static void add_device(struct arena *arena, struct vim_VirtualHardware *hardware,
                       const struct vim_type *type, int key, const char *label)
{
    struct vim_VirtualDevice *device = vim_new(arena, type);
    device->key = key;
    device->deviceInfo = VIM_NEW(arena, Description);
    device->deviceInfo->label = label;
    device->deviceInfo->summary = label;
    VIM_ADD(arena, &hardware->device, device);
}

static struct vim_any get_vm_config(struct mo *mo, struct call *call)
{
    struct rig_vm *vm = container_of(mo, struct rig_vm, mo);
    struct vim_VirtualMachineConfigInfo *config = VIM_NEW(call->arena, VirtualMachineConfigInfo);
    vm->reads++;
    config->name = vm->name;
    config->uuid = "564d0000-0000-0000-0000-000000000001";
    config->instanceUuid = "524d0000-0000-0000-0000-000000000001";
    config->version = "vmx-14";
    config->guestId = "otherGuest64";
    config->hardware = VIM_NEW(call->arena, VirtualHardware);
    config->hardware->numCPU = 2;
    config->hardware->memoryMB = (int32_t)vm->memory_mib;
    add_device(call->arena, config->hardware, VIM_TYPE(VirtualIDEController), 200, "IDE 0");
    add_device(call->arena, config->hardware, VIM_TYPE(VirtualDisk), 2000, "Hard disk 1");
    struct vim_OptionValue *option = VIM_NEW(call->arena, OptionValue);
    option->key = "a.b";
    option->value = vim_any_string("x < y");
    VIM_ADD(call->arena, &config->extraConfig, option);
    return vim_any_data(config);
}

static void power_on(struct mo *mo, struct call *call)
{
    struct rig_vm *vm = container_of(mo, struct rig_vm, mo);
    if (vm->power == VIM_VirtualMachinePowerState_poweredOn) {
        struct vim_InvalidPowerState *fault = VIM_NEW(call->arena, InvalidPowerState);
        fault->existingState = VIM_VirtualMachinePowerState_poweredOn;
        fault->requestedState = VIM_VirtualMachinePowerState_poweredOn;
        call_fault(call, &fault->self);
        return;
    }
    vm->power = VIM_VirtualMachinePowerState_poweredOn;
    mo_changed(mo, VIM_P_VirtualMachine_runtime);
    call_return(call, vim_any_ref(VIM_REF(Task, "haTask-1")));
}

static const struct mo_property vm_props[] = {
    MO_PROPERTY(ManagedEntity, name, get_vm_name),
    MO_PROPERTY(ManagedEntity, parent, get_vm_parent),
    MO_PROPERTY(VirtualMachine, config, get_vm_config),
    MO_PROPERTY(VirtualMachine, runtime, get_vm_runtime),
};
static const struct mo_class vm_class = {
    .type = VIM_MANAGED(VirtualMachine),
    .props = vm_props,
    .prop_count = ARRAY_SIZE(vm_props),
    .methods = (const struct mo_method[]){MO_METHOD(PowerOnVM_Task, power_on)},
    .method_count = 1,
};

/* --- the host's side --- */

static int authorize(struct call *call, struct mo *mo, const char *priv)
{
    const char *denied = rig_of(call)->denied;
    return denied && !strcmp(denied, priv) ? -1 : 0;
}

static bool visible(struct call *call, struct mo *mo)
{
    return true;
}

static const struct api_ops ops = {authorize, visible};

static struct mo *parent_of(struct mo *mo)
{
    if (mo->class == &vm_class)
        return mo_find(mo->registry, "ha-folder-vm");
    return !strcmp(mo->id, "ha-folder-vm") ? mo_find(mo->registry, "ha-folder-root") : NULL;
}

static void add(struct rig *rig, struct mo *mo, const struct mo_class *class, const char *id)
{
    *mo = (struct mo){.class = class, .id = id};
    if (mo_add(rig->api.registry, NULL, mo) < 0)
        abort();
}

void rig_create(struct rig *rig, size_t vms)
{
    *rig = (struct rig){.api = {.ops = &ops, .ctx = rig, .parent = parent_of}, .vm_count = vms};
    rig->vms = calloc(vms + 1, sizeof *rig->vms);
    if (registry_create(&rig->api.registry) < 0 || loop_create(&rig->api.loop) < 0 || !rig->vms)
        abort();
    if (collector_init(&rig->api) < 0 || view_init(&rig->api) < 0)
        abort();
    add(rig, &rig->service, &service_class, "ServiceInstance");
    add(rig, &rig->sessions, &sessions_class, "ha-sessionmgr");
    add(rig, &rig->root, &folder_class, "ha-folder-root");
    add(rig, &rig->folder, &folder_class, "ha-folder-vm");
    for (size_t i = 0; i < vms; i++) {
        struct rig_vm *vm = &rig->vms[i];
        (void)snprintf(vm->id, sizeof vm->id, "%zu", i + 1);
        (void)snprintf(vm->name, sizeof vm->name, "vm-%zu", i + 1);
        vm->power = VIM_VirtualMachinePowerState_poweredOff;
        vm->memory_mib = 1024;
        add(rig, &vm->mo, &vm_class, vm->id);
    }
}

void rig_destroy(struct rig *rig)
{
    mo_scope_end(&rig->scope);
    collector_exit(&rig->api);
    view_exit(&rig->api);
    registry_destroy(rig->api.registry);
    loop_destroy(rig->api.loop);
    free(rig->vms);
}

/* --- requests --- */

struct session *rig_find_session(struct sdk_request *sdk, const char *key,
                                 struct mo_scope **ret_scope)
{
    struct rig *rig = sdk->api->ctx;
    if (!rig->logged_in || strcmp(key, "key") != 0)
        return NULL;
    *ret_scope = &rig->scope;
    return (struct session *)(void *)rig;
}

static void respond(struct sdk_request *sdk, const struct call *call, int status,
                    const char *content_type, struct buf *body)
{
    struct rig_request *req = container_of(sdk, struct rig_request, sdk);
    req->status = status;
    req->body = *body;
}

void rig_send(struct rig *rig, struct rig_request *req, const char *method, const char *path,
              const char *action, const char *body)
{
    *req = (struct rig_request){
        .sdk =
            {
                .api = &rig->api,
                .method = method,
                .path = path,
                .soap_action = action,
                .content_type = "text/xml",
                .session_key = rig->logged_in ? "key" : NULL,
                .body = body,
                .body_len = body ? strlen(body) : 0,
                .find_session = rig_find_session,
                .respond = respond,
            },
    };
    sdk_handle(&req->sdk);
}

void rig_post(struct rig *rig, struct rig_request *req, const char *action, const char *body)
{
    rig_send(rig, req, "POST", "/sdk", action, body);
}

void rig_release(struct rig_request *req)
{
    sdk_release(&req->sdk);
    buf_free(&req->body);
}

bool rig_wait(struct rig *rig, struct rig_request *req, int ms)
{
    uint64_t end = clock_now() + (uint64_t)ms * 1000000;
    while (!req->status && clock_now() < end)
        (void)loop_run_once(rig->api.loop, 5);
    return req->status != 0;
}

const char *rig_soap(struct rig *rig, struct arena *arena, const char *action, const char *request)
{
    struct rig_request req;
    char *body = arena_printf(arena, RIG_ENVELOPE("%s"), request);
    rig_post(rig, &req, action, body);
    const char *text = req.status ? arena_strdup(arena, buf_cstr(&req.body)) : "";
    rig_release(&req);
    return text;
}
