/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/host_firewall.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"
#include "hostd/http/server.h"
#include "hostd/model/classes.h"
#include "hostd/model/inventory.h"

#define RULESET "vSphereClient"
enum { PORT = 443, ADDRESSES_MAX = 256 };

/* --- addresses --- */

struct address {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

static bool parse(const char *text, struct address *ret_address, bool *ret_v4)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct in_addr v4;

    *ret_v4 = inet_pton(AF_INET, text, &v4) == 1;
    if (!*ret_v4)
        return inet_pton(AF_INET6, text, ret_address->bytes) == 1;
    memcpy(ret_address->bytes, mapped, 12);
    memcpy(ret_address->bytes + 12, &v4, 4);
    return true;
}

static bool same_prefix(const struct address *a, const struct address *b, unsigned bits)
{
    uint8_t rest = (uint8_t)(0xff00 >> bits % 8);

    return !memcmp(a->bytes, b->bytes, bits / 8) &&
           (bits % 8 == 0 || !((a->bytes[bits / 8] ^ b->bytes[bits / 8]) & rest));
}

/* bits < 0: a single address. */
static bool matches(const struct address *peer, const char *text, int bits)
{
    struct address address;
    bool v4;

    if (!parse(text, &address, &v4) || bits > (v4 ? 32 : 128))
        return false;
    return same_prefix(peer, &address, bits < 0 ? 128 : (unsigned)bits + (v4 ? 96 : 0));
}

/* NULL: everybody. */
static const struct vim_HostFirewallRulesetIpList *allowed(const struct hostd *hostd)
{
    const struct vim_HostFirewallConfig *config = hostd->config.spec->firewall;

    for (size_t i = 0; config && i < config->rule.count; i++)
        if (!strcmp(config->rule.items[i]->rulesetId, RULESET))
            return config->rule.items[i]->allowedHosts;
    return NULL;
}

bool firewall_allows(const struct hostd *hostd, const char *peer)
{
    const struct vim_HostFirewallRulesetIpList *list = allowed(hostd);
    struct address address;
    bool v4;

    if (!list || list->allIp || !peer || !strcmp(peer, HTTP_PEER_LOCAL))
        return true;
    if (!parse(peer, &address, &v4))
        return false;
    if (matches(&address, "127.0.0.0", 8) || matches(&address, "::1", -1))
        return true;
    for (size_t i = 0; i < list->ipAddress.count; i++)
        if (matches(&address, list->ipAddress.items[i], -1))
            return true;
    for (size_t i = 0; i < list->ipNetwork.count; i++)
        if (matches(&address, list->ipNetwork.items[i]->network,
                    list->ipNetwork.items[i]->prefixLength))
            return true;
    return false;
}

static bool good_list(const struct vim_HostFirewallRulesetIpList *list)
{
    struct address address;
    bool v4, good = list->ipAddress.count + list->ipNetwork.count <= ADDRESSES_MAX;

    for (size_t i = 0; good && i < list->ipAddress.count; i++)
        good = parse(list->ipAddress.items[i], &address, &v4);
    for (size_t i = 0; good && i < list->ipNetwork.count; i++) {
        const struct vim_HostFirewallRulesetIpNetwork *n = list->ipNetwork.items[i];
        good = parse(n->network, &address, &v4) && n->prefixLength >= 0 &&
               n->prefixLength <= (v4 ? 32 : 128);
    }
    return good;
}

/* --- the managed object --- */

static struct vim_HostFirewallRuleset *ruleset(struct call *call)
{
    struct vim_HostFirewallRuleset *r = VIM_NEW(call->arena, HostFirewallRuleset);
    struct vim_HostFirewallRule *rule = VIM_NEW(call->arena, HostFirewallRule);
    const struct vim_HostFirewallRulesetIpList *list = allowed(hostd_of(call));

    r->key = RULESET;
    r->label = "vSphere Web Client";
    r->required = r->enabled = true;
    rule->port = PORT;
    rule->direction = VIM_HostFirewallRuleDirection_inbound;
    rule->portType = VIM_HostFirewallRulePortType_dst;
    rule->protocol = "tcp";
    VIM_ADD(call->arena, &r->rule, rule);
    r->allowedHosts = (struct vim_HostFirewallRulesetIpList *)list;
    if (!list) {
        r->allowedHosts = VIM_NEW(call->arena, HostFirewallRulesetIpList);
        r->allowedHosts->allIp = true;
    }
    r->userControllable = vim_bool(false);
    r->ipListUserConfigurable = vim_bool(true);
    return r;
}

static struct vim_any get_info(struct mo *mo, struct call *call)
{
    struct vim_HostFirewallInfo *info = VIM_NEW(call->arena, HostFirewallInfo);

    (void)mo;
    info->defaultPolicy = VIM_NEW(call->arena, HostFirewallDefaultPolicy);
    info->defaultPolicy->incomingBlocked = vim_bool(false);
    info->defaultPolicy->outgoingBlocked = vim_bool(false);
    VIM_ADD(call->arena, &info->ruleset, ruleset(call));
    return vim_any_data(info);
}

static bool known(struct call *call, const char *id)
{
    if (strcmp(id, RULESET) != 0)
        CALL_FAULT_TEXT(call, NotFound, "There is no rule set \"%s\".", id);
    return !call->fault;
}

static void enable(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)known(call, ((const struct vim_EnableRuleset_args *)call->args)->id);
}

static void disable(struct mo *mo, struct call *call)
{
    (void)mo;
    if (known(call, ((const struct vim_DisableRuleset_args *)call->args)->id))
        CALL_FAULT_TEXT(call, HostConfigFault, "The rule set \"" RULESET "\" is required.");
}

static void update(struct mo *mo, struct call *call)
{
    const struct vim_UpdateRuleset_args *args = call->args;
    struct vim_HostFirewallConfigRuleSetConfig *rule =
        VIM_NEW(call->arena, HostFirewallConfigRuleSetConfig);

    if (!known(call, args->id))
        return;
    if (!good_list(args->spec->allowedHosts)) {
        call_fault_argument(call, "spec.allowedHosts");
        return;
    }
    rule->rulesetId = RULESET;
    rule->enabled = true;
    rule->allowedHosts = args->spec->allowedHosts;
    struct vim_HostConfigSpec *spec = host_config_edit(call);
    spec->firewall = VIM_NEW(call->arena, HostFirewallConfig);
    spec->firewall->defaultBlockingPolicy = VIM_NEW(call->arena, HostFirewallDefaultPolicy);
    VIM_ADD(call->arena, &spec->firewall->rule, rule);
    if (!host_config_commit(call, spec))
        return;
    mo_changed(mo, VIM_P_HostFirewallSystem_firewallInfo);
    mo_changed(&hostd_of(call)->inventory->host.mo, VIM_P_HostSystem_config);
}

static void update_default(struct mo *mo, struct call *call)
{
    const struct vim_UpdateDefaultPolicy_args *args = call->args;

    (void)mo;
    if (args->defaultPolicy->incomingBlocked.v || args->defaultPolicy->outgoingBlocked.v)
        host_config_refuse(call, "The firewall");
}

static void refresh(struct mo *mo, struct call *call)
{
    (void)call;
    mo_changed(mo, VIM_P_HostFirewallSystem_firewallInfo);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostFirewallSystem, firewallInfo, get_info),
};
static const struct mo_method methods[] = {
    MO_METHOD(EnableRuleset, enable),    MO_METHOD(DisableRuleset, disable),
    MO_METHOD(UpdateRuleset, update),    MO_METHOD(UpdateDefaultPolicy, update_default),
    MO_METHOD(RefreshFirewall, refresh),
};
const struct mo_class host_firewall_system_class = {
    .type = VIM_MANAGED(HostFirewallSystem),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
