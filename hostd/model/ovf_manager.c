/* SPDX-License-Identifier: Apache-2.0 */
/* OvfManager: descriptors read for clients (hostd/ovf/ovf.h), and made of VMs (ovf_export.h). What
 * is wrong with a descriptor is no fault of the call's: it stands in the result. */
#include <errno.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"
#include "hostd/model/classes.h"
#include "hostd/model/datastore.h"
#include "hostd/vm/ovf_export.h"
#include "hostd/vm/ovf_import.h"

/* The package, in the call's arena; NULL, and what is wrong as a value of its own. */
static struct ovf *read_package(struct call *call, const char *text, const char *option,
                                struct vim_LocalizedMethodFault **ret_fault)
{
    struct arena scratch;
    struct err err = ERR_INIT;
    struct ovf *ovf = NULL;

    /* Read once within bounds; then, known to be small enough, where it is to stay. */
    arena_init(&scratch, OVF_MEMORY_MAX);
    int rc = ovf_parse(&scratch, text, &ovf, &err);
    arena_free(&scratch);
    if (rc == 0)
        rc = ovf_parse(call->arena, text, &ovf, &err);
    if (rc == 0 && ovf_choose_option(ovf, option) < 0)
        rc = err_set(&err, -ENOENT, "there is no deployment option \"%.200s\"", option);
    if (rc == 0)
        return ovf;
    struct vim_OvfInvalidPackage *fault = VIM_NEW(call->arena, OvfInvalidPackage);
    *ret_fault = fault_localized(call->arena, &fault->self, arena_strdup(call->arena, err.text));
    return NULL;
}

/* --- sizes --- */

struct sizes {
    int64_t download, flat, sparse;
};

static struct sizes measure(const struct ovf *ovf)
{
    uint64_t download = 0, flat = 0, sparse = 0;

    for (const struct ovf_file *f = ovf->files; f; f = f->next)
        download += MIN(f->size, (uint64_t)INT64_MAX >> 16);
    for (const struct ovf_disk *d = ovf->disks; d; d = d->next) {
        flat += MIN(d->capacity, (uint64_t)INT64_MAX >> 16);
        sparse += MIN(d->populated ? d->populated : d->capacity, (uint64_t)INT64_MAX >> 16);
    }
    return (struct sizes){(int64_t)download, (int64_t)flat, (int64_t)sparse};
}

/* --- ParseDescriptor --- */

static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}

static void tell_product(struct call *call, const struct ovf *ovf,
                         struct vim_OvfParseDescriptorResult *r)
{
    const struct ovf_product *p = ovf->product;

    if (!p)
        return;
    r->productInfo = VIM_NEW(call->arena, VAppProductInfo);
    r->productInfo->classId = or_null(p->class_id);
    r->productInfo->instanceId = or_null(p->instance_id);
    r->productInfo->name = or_null(p->name);
    r->productInfo->vendor = or_null(p->vendor);
    r->productInfo->version = or_null(p->version);
    r->productInfo->fullVersion = or_null(p->full_version);
    r->productInfo->vendorUrl = or_null(p->vendor_url);
    r->productInfo->productUrl = or_null(p->product_url);
    r->productInfo->appUrl = or_null(p->app_url);
}

static void tell_properties(struct call *call, const struct ovf *ovf,
                            struct vim_OvfParseDescriptorResult *r)
{
    int32_t key = 0;

    for (const struct ovf_property *p = ovf->properties; p; p = p->next) {
        struct vim_VAppPropertyInfo *out = VIM_NEW(call->arena, VAppPropertyInfo);
        out->key = key++;
        out->id = p->key;
        out->classId = or_null(p->class_id);
        out->instanceId = or_null(p->instance_id);
        out->category = or_null(p->category);
        out->label = or_null(p->label);
        out->description = or_null(p->description);
        out->type = p->password ? "password" : or_null(p->type);
        out->userConfigurable = vim_bool(p->user);
        out->defaultValue = p->value;
        VIM_ADD(call->arena, &r->property, out);
    }
}

static void tell_lists(struct call *call, const struct ovf *ovf,
                       struct vim_OvfParseDescriptorResult *r)
{
    for (const struct ovf_eula *e = ovf->eulas; e; e = e->next)
        VIM_ADD(call->arena, &r->eula, e->text);
    for (const struct ovf_network *n = ovf->networks; n; n = n->next) {
        struct vim_OvfNetworkInfo *out = VIM_NEW(call->arena, OvfNetworkInfo);
        out->name = n->name;
        out->description = n->description;
        VIM_ADD(call->arena, &r->network, out);
    }
    for (const struct ovf_option *o = ovf->options; o; o = o->next) {
        struct vim_OvfDeploymentOption *out = VIM_NEW(call->arena, OvfDeploymentOption);
        out->key = o->id;
        out->label = o->label;
        out->description = o->description;
        VIM_ADD(call->arena, &r->deploymentOption, out);
    }
}

static void parse_descriptor(struct mo *mo, struct call *call)
{
    const struct vim_ParseDescriptor_args *args = call->args;
    struct vim_OvfParseDescriptorResult *r = VIM_NEW(call->arena, OvfParseDescriptorResult);
    struct vim_LocalizedMethodFault *wrong;
    struct ovf *ovf = read_package(call, args->ovfDescriptor, args->pdp->deploymentOption, &wrong);

    (void)mo;
    r->annotation = r->defaultEntityName = r->defaultDeploymentOption = "";
    if (!ovf) {
        VIM_ADD(call->arena, &r->error, wrong);
        call_return(call, vim_any_data(r));
        return;
    }
    struct sizes sizes = measure(ovf);
    r->approximateDownloadSize = vim_long(sizes.download);
    r->approximateFlatDeploymentSize = vim_long(sizes.flat);
    r->approximateSparseDeploymentSize = vim_long(sizes.sparse);
    r->annotation = ovf->annotation;
    r->defaultEntityName = *ovf->name ? ovf->name : ovf->id;
    r->defaultDeploymentOption = ovf_default_option(ovf);
    r->virtualApp = ovf->systems > 1;
    tell_lists(call, ovf, r);
    tell_properties(call, ovf, r);
    tell_product(call, ovf, r);
    call_return(call, vim_any_data(r));
}

/* --- ValidateHost, CreateImportSpec --- */

static void validate_host(struct mo *mo, struct call *call)
{
    static const char *const kinds[] = {"thin", "thick", "eagerZeroedThick", "sparse", "flat"};
    const struct vim_ValidateHost_args *args = call->args;
    struct vim_OvfValidateHostResult *r = VIM_NEW(call->arena, OvfValidateHostResult);
    struct vim_LocalizedMethodFault *wrong;
    struct ovf *ovf = read_package(call, args->ovfDescriptor, args->vhp->deploymentOption, &wrong);

    (void)mo;
    if (!ovf) {
        VIM_ADD(call->arena, &r->error, wrong);
        call_return(call, vim_any_data(r));
        return;
    }
    struct sizes sizes = measure(ovf);
    struct vim_OvfCreateImportSpecParams *params = VIM_NEW(call->arena, OvfCreateImportSpecParams);
    struct vim_OvfCreateImportSpecResult *tried = VIM_NEW(call->arena, OvfCreateImportSpecResult);
    ovf_import(call, ovf, "", params, tried);
    r->error.items = tried->error.items;
    r->error.count = tried->error.count;
    r->downloadSize = vim_long(sizes.download);
    r->flatDeploymentSize = vim_long(sizes.flat);
    r->sparseDeploymentSize = vim_long(sizes.sparse);
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        VIM_ADD(call->arena, &r->supportedDiskProvisioning, kinds[i]);
    call_return(call, vim_any_data(r));
}

static void create_import_spec(struct mo *mo, struct call *call)
{
    const struct vim_CreateImportSpec_args *args = call->args;
    struct vim_OvfCreateImportSpecResult *r = VIM_NEW(call->arena, OvfCreateImportSpecResult);
    struct mo *datastore = call_resolve_as(call, args->datastore, VIM_MANAGED(Datastore));
    struct vim_LocalizedMethodFault *wrong;

    (void)mo;
    if (!datastore)
        return;
    struct ovf *ovf = read_package(call, args->ovfDescriptor, args->cisp->deploymentOption, &wrong);
    if (ovf)
        ovf_import(call, ovf, ENTITY_OF(datastore, datastore)->e.name, args->cisp, r);
    else
        VIM_ADD(call->arena, &r->error, wrong);
    if (!call->fault)
        call_return(call, vim_any_data(r));
}

/* --- CreateDescriptor --- */

static void create_descriptor(struct mo *mo, struct call *call)
{
    const struct vim_CreateDescriptor_args *args = call->args;
    struct mo *vm = call_resolve_as(call, args->obj, VIM_MANAGED(VirtualMachine));
    struct vim_OvfCreateDescriptorResult *r = VIM_NEW(call->arena, OvfCreateDescriptorResult);

    (void)mo;
    if (!vm)
        return;
    r->ovfDescriptor = ovf_export(call, vm, args->cdp);
    if (r->ovfDescriptor)
        call_return(call, vim_any_data(r));
}

static const struct mo_method methods[] = {
    MO_METHOD(ParseDescriptor, parse_descriptor),
    MO_METHOD(ValidateHost, validate_host),
    MO_METHOD(CreateImportSpec, create_import_spec),
    MO_METHOD(CreateDescriptor, create_descriptor),
};
const struct mo_class ovf_manager_class = {
    .type = VIM_MANAGED(OvfManager),
    .methods = methods,
    .method_count = ARRAY_SIZE(methods),
};
