/* SPDX-License-Identifier: Apache-2.0 */
/* HostImageConfigManager: the software of the host is one package, this one. */
#include "base/range.h"
#include "hostd/about.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"

static void get_acceptance(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_string("community"));
}

static void get_profile(struct mo *mo, struct call *call)
{
    struct vim_HostImageProfileSummary *profile = VIM_NEW(call->arena, HostImageProfileSummary);

    (void)mo;
    profile->name = "Socle-" SOCLE_VERSION;
    profile->vendor = ABOUT_VENDOR;
    call_return(call, vim_any_data(profile));
}

static void fetch_packages(struct mo *mo, struct call *call)
{
    struct vim_SoftwarePackage *package = VIM_NEW(call->arena, SoftwarePackage);
    VIM_LIST(struct vim_SoftwarePackage *) list = {0};

    (void)mo;
    package->name = "socle";
    package->version = SOCLE_VERSION;
    package->type = "bootbank";
    package->vendor = ABOUT_VENDOR;
    package->acceptanceLevel = "community";
    package->summary = package->description = "Socle, a hypervisor, and its host daemon";
    package->capability = VIM_NEW(call->arena, SoftwarePackageCapability);
    VIM_ADD(call->arena, &list, package);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_SoftwarePackage, &list));
}

static const struct mo_method methods[] = {
    MO_METHOD(HostImageConfigGetAcceptance, get_acceptance),
    MO_METHOD(HostImageConfigGetProfile, get_profile),
    MO_METHOD(fetchSoftwarePackages, fetch_packages),
};
const struct mo_class host_image_config_manager_class = {
    .type = VIM_MANAGED(HostImageConfigManager),
    .methods = methods,
    .method_count = ARRAY_SIZE(methods),
};
