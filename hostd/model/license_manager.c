/* SPDX-License-Identifier: Apache-2.0 */
/* LicenseManager: says what is true. There is no licence to have; everything is on. */
#include "base/range.h"
#include "hostd/about.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"

static struct vim_any get_licenses(struct mo *mo, struct call *call)
{
    struct vim_LicenseManagerLicenseInfo *info = VIM_NEW(call->arena, LicenseManagerLicenseInfo);
    VIM_LIST(struct vim_LicenseManagerLicenseInfo *) list = {0};

    (void)mo;
    info->licenseKey = "00000-00000-00000-00000-00000";
    info->editionKey = "socle";
    info->name = ABOUT_NAME ", Apache License 2.0: no key needed, every feature is on";
    info->costUnit = "cpuPackage";
    info->total = 0; /* unlimited */
    info->used = vim_int(0);
    VIM_ADD(call->arena, &list, info);
    return VIM_ANY_LIST(VIM_DATA, VIM_T_LicenseManagerLicenseInfo, &list);
}

static struct vim_any get_evaluation(struct mo *mo, struct call *call)
{
    struct vim_LicenseManagerEvaluationInfo *info =
        VIM_NEW(call->arena, LicenseManagerEvaluationInfo);

    (void)mo;
    VIM_EMPTY(&info->properties);
    return vim_any_data(info);
}

static struct vim_any get_edition(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_string("socle");
}

static struct vim_any get_available(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_bool(true);
}

static void check_feature(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_bool(true));
}

/* Nothing can be added to "everything is on": a key is taken note of by nobody. */
static void query_features(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_LicenseFeatureInfo *) list = {0};

    (void)mo;
    VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_LicenseFeatureInfo, &list));
}

static void query_usage(struct mo *mo, struct call *call)
{
    struct vim_LicenseUsageInfo *usage = VIM_NEW(call->arena, LicenseUsageInfo);

    (void)mo;
    struct vim_LocalLicenseSource *none = VIM_NEW(call->arena, LocalLicenseSource);
    none->licenseKeys = "";
    usage->source = (struct vim_LicenseSource *)(void *)none;
    usage->sourceAvailable = true;
    call_return(call, vim_any_data(usage));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(LicenseManager, licenses, get_licenses),
    MO_PROPERTY(LicenseManager, evaluation, get_evaluation),
    MO_PROPERTY(LicenseManager, licensedEdition, get_edition),
    MO_PROPERTY(LicenseManager, sourceAvailable, get_available),
};
static const struct mo_method methods[] = {
    MO_METHOD(CheckLicenseFeature, check_feature),
    MO_METHOD(QuerySupportedFeatures, query_features),
    MO_METHOD(QueryLicenseUsage, query_usage),
};
const struct mo_class license_manager_class = {
    .type = VIM_MANAGED(LicenseManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
