/* SPDX-License-Identifier: Apache-2.0 */
/* LicenseManager: says what is true. There is no licence to have; everything is on. */
#include <string.h>

#include "base/range.h"
#include "hostd/about.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"
#include "hostd/model/classes.h"
#include "hostd/model/inventory.h"

static struct vim_LicenseManagerLicenseInfo *license(struct arena *arena)
{
    struct vim_LicenseManagerLicenseInfo *info = VIM_NEW(arena, LicenseManagerLicenseInfo);

    info->licenseKey = "00000-00000-00000-00000-00000";
    info->editionKey = "socle";
    info->name = ABOUT_NAME ", Apache License 2.0: no key needed, every feature is on";
    info->costUnit = "cpuPackage";
    info->total = 0; /* unlimited */
    info->used = vim_int(0);
    return info;
}

static struct vim_any get_licenses(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_LicenseManagerLicenseInfo *) list = {0};

    (void)mo;
    VIM_ADD(call->arena, &list, license(call->arena));
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

/* A key that somebody brings is taken note of by nobody, and answered as ESXi answers one that it
 * does not know: described, with the reason why it does nothing. */
static void answer_key(struct mo *mo, struct call *call)
{
    const struct vim_DecodeLicense_args *args = call->args; /* each begins with the key */
    struct vim_LicenseManagerLicenseInfo *info = VIM_NEW(call->arena, LicenseManagerLicenseInfo);
    struct vim_KeyAnyValue *why = VIM_NEW(call->arena, KeyAnyValue);

    (void)mo;
    info->licenseKey = args->licenseKey;
    info->editionKey = "";
    info->name = "";
    why->key = "localizedMessage";
    why->value = vim_any_string("No license key is needed here: every feature is on.");
    VIM_ADD(call->arena, &info->properties, why);
    call_return(call, vim_any_data(info));
}

static void remove_key(struct mo *mo, struct call *call)
{
    (void)mo;
    CALL_FAULT_TEXT(call, NotSupported, "There is no license that could be removed.");
}

static struct vim_any get_assignment(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_ref(VIM_REF(LicenseAssignmentManager, "ha-license-assignment-manager"));
}

static struct vim_any get_source(struct mo *mo, struct call *call)
{
    struct vim_LocalLicenseSource *source = VIM_NEW(call->arena, LocalLicenseSource);

    (void)mo;
    source->licenseKeys = "";
    return vim_any_data(source);
}

static struct vim_any get_features(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_LicenseFeatureInfo *) list = {0};

    (void)mo;
    (void)call;
    VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_DATA, VIM_T_LicenseFeatureInfo, &list);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(LicenseManager, licenses, get_licenses),
    MO_PROPERTY(LicenseManager, evaluation, get_evaluation),
    MO_PROPERTY(LicenseManager, source, get_source),
    MO_PROPERTY(LicenseManager, featureInfo, get_features),
    MO_PROPERTY(LicenseManager, licenseAssignmentManager, get_assignment),
    MO_PROPERTY(LicenseManager, licensedEdition, get_edition),
    MO_PROPERTY(LicenseManager, sourceAvailable, get_available),
};
static const struct mo_method methods[] = {
    MO_METHOD(CheckLicenseFeature, check_feature),
    MO_METHOD(QuerySupportedFeatures, query_features),
    MO_METHOD(QueryLicenseUsage, query_usage),
    MO_METHOD(DecodeLicense, answer_key),
    MO_METHOD(AddLicense, answer_key),
    MO_METHOD(UpdateLicense, answer_key),
    MO_METHOD(RemoveLicense, remove_key),
};
const struct mo_class license_manager_class = {
    .type = VIM_MANAGED(LicenseManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};

/* --- what each entity has --- */

static void query_assigned(struct mo *mo, struct call *call)
{
    const struct vim_QueryAssignedLicenses_args *args = call->args;
    VIM_LIST(struct vim_LicenseAssignmentManagerLicenseAssignment *) list = {0};
    const struct hostd *hostd = hostd_of(call);

    (void)mo;
    VIM_EMPTY(&list);
    if (!args->entityId || !strcmp(args->entityId, "ha-host") ||
        !strcmp(args->entityId, hostd->inventory->host_uuid)) {
        struct vim_LicenseAssignmentManagerLicenseAssignment *a =
            VIM_NEW(call->arena, LicenseAssignmentManagerLicenseAssignment);
        a->entityId = "ha-host";
        a->entityDisplayName = hostd->inventory->host.name;
        a->assignedLicense = license(call->arena);
        VIM_ADD(call->arena, &list, a);
    }
    call_return(call,
                VIM_ANY_LIST(VIM_DATA, VIM_T_LicenseAssignmentManagerLicenseAssignment, &list));
}

static void assign(struct mo *mo, struct call *call)
{
    (void)mo;
    call_return(call, vim_any_data(license(call->arena))); /* whatever key: all is on already */
}

static const struct mo_method assignment_methods[] = {
    MO_METHOD(QueryAssignedLicenses, query_assigned),
    MO_METHOD(UpdateAssignedLicense, assign),
};
const struct mo_class license_assignment_manager_class = {
    .type = VIM_MANAGED(LicenseAssignmentManager),
    .methods = assignment_methods,
    .method_count = ARRAY_SIZE(assignment_methods),
};
