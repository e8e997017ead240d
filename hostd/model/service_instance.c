/* SPDX-License-Identifier: Apache-2.0 */
/* ServiceInstance: where every client begins. */
#include "base/clock.h"
#include "base/range.h"
#include "hostd/about.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"

struct vim_AboutInfo *about_info(struct arena *arena)
{
    struct vim_AboutInfo *about = VIM_NEW(arena, AboutInfo);

    about->name = ABOUT_NAME;
    about->fullName = ABOUT_FULL_NAME;
    about->vendor = ABOUT_VENDOR;
    about->version = ABOUT_VERSION;
    about->build = ABOUT_BUILD;
    about->localeVersion = "INTL";
    about->localeBuild = "000";
    about->osType = ABOUT_OS_TYPE;
    about->productLineId = ABOUT_PRODUCT_LINE;
    about->apiType = ABOUT_API_TYPE;
    about->apiVersion = ABOUT_API_VERSION;
    about->licenseProductName = ABOUT_NAME;
    about->licenseProductVersion = "8.0";
    return about;
}

static struct vim_any get_content(struct mo *mo, struct call *call)
{
    struct vim_ServiceContent *content = VIM_NEW(call->arena, ServiceContent);

    (void)mo;
    content->rootFolder = VIM_REF(Folder, "ha-folder-root");
    content->propertyCollector = VIM_REF(PropertyCollector, "ha-property-collector");
    content->viewManager = VIM_REF(ViewManager, "ViewManager");
    content->about = about_info(call->arena);
    content->setting = VIM_REF(OptionManager, "HostAgentSettings");
    content->userDirectory = VIM_REF(UserDirectory, "ha-user-directory");
    content->sessionManager = VIM_REF(SessionManager, "ha-sessionmgr");
    content->authorizationManager = VIM_REF(AuthorizationManager, "ha-authmgr");
    content->serviceManager = VIM_REF(ServiceManager, "ha-servicemanager");
    content->perfManager = VIM_REF(PerformanceManager, "ha-perfmgr");
    content->eventManager = VIM_REF(EventManager, "ha-eventmgr");
    content->taskManager = VIM_REF(TaskManager, "ha-taskmgr");
    content->accountManager = VIM_REF(HostLocalAccountManager, "ha-localacctmgr");
    content->diagnosticManager = VIM_REF(DiagnosticManager, "ha-diagnosticmgr");
    content->licenseManager = VIM_REF(LicenseManager, "ha-license-manager");
    content->searchIndex = VIM_REF(SearchIndex, "ha-searchindex");
    content->fileManager = VIM_REF(FileManager, "ha-nfc-file-manager");
    content->ovfManager = VIM_REF(OvfManager, "ha-ovf-manager");
    content->virtualDiskManager = VIM_REF(VirtualDiskManager, "ha-vdiskmanager");
    content->datastoreNamespaceManager =
        VIM_REF(DatastoreNamespaceManager, "ha-datastore-namespace-manager");
    content->dvSwitchManager = VIM_REF(DistributedVirtualSwitchManager, "ha-dvsmanager");
    content->localizationManager = VIM_REF(LocalizationManager, "ha-l10n-manager");
    content->storageResourceManager =
        VIM_REF(StorageResourceManager, "ha-storage-resource-manager");
    content->guestOperationsManager =
        VIM_REF(GuestOperationsManager, "ha-guest-operations-manager");
    content->vStorageObjectManager =
        VIM_REF(HostVStorageObjectManager, "ha-vstorage-object-manager");
    content->cryptoManager = VIM_REF(CryptoManagerHost, "ha-crypto-manager");
    return vim_any_data(content);
}

static struct vim_any get_server_clock(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_time(clock_realtime(&clock_host) / 1000);
}

static struct vim_any get_capability(struct mo *mo, struct call *call)
{
    struct vim_Capability *capability = VIM_NEW(call->arena, Capability);

    (void)mo;
    return vim_any_data(capability);
}

static void retrieve_service_content(struct mo *mo, struct call *call)
{
    call_return(call, get_content(mo, call));
}

static void current_time(struct mo *mo, struct call *call)
{
    call_return(call, get_server_clock(mo, call));
}

static void no_components(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_ProductComponentInfo *) list = {0};

    (void)mo;
    VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_ProductComponentInfo, &list));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(ServiceInstance, content, get_content),
    MO_PROPERTY(ServiceInstance, serverClock, get_server_clock),
    MO_PROPERTY(ServiceInstance, capability, get_capability),
};
static const struct mo_method methods[] = {
    MO_METHOD(RetrieveServiceContent, retrieve_service_content),
    MO_METHOD(CurrentTime, current_time),
    MO_METHOD(RetrieveProductComponents, no_components),
};
const struct mo_class service_instance_class = {
    .type = VIM_MANAGED(ServiceInstance),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
