/* SPDX-License-Identifier: Apache-2.0 */
/* Every method of the API by every role: it runs if and only if the role has the privilege that its
 * declaration names. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/perm/perm.h"
#include "tests/tap.h"

enum { OPEN_TO_ALL = 14 }; /* logins, the service content, reading by the collector, Fetch */

/* Methods without a privilege of their own are thought about one by one: one that stands nowhere in
 * rbac_own.def is no constant, and does not compile. */
enum {
#define ASKS(method)    EXPECTATION_OF_##method,
#define GUEST(method)   ASKS(method)
#define SESSION(method) ASKS(method)
#define ABSENT(method)  ASKS(method)
#include "tests/api/rbac_own.def"
};
#define WITHOUT_PRIVILEGE(method) _Static_assert(EXPECTATION_OF_##method >= 0, "no expectation");
#include "tests/api/vim_rbac.gen.h"
#undef ASKS

static const struct role *role;
static const struct vim_method *ran;

static int authorize(struct call *call, struct mo *mo, const char *priv)
{
    return role_has(role, priv) ? 0 : -1;
}

static bool visible(struct call *call, struct mo *mo)
{
    return true;
}

static void run(struct mo *mo, struct call *call)
{
    ran = call->method;
}

static void done(struct call *call, void *ctx) {}

/* Calls it on an object of its type; what came out stays in `call`. */
static void call_method(struct call *call, const struct vim_method *method, bool session)
{
    static const struct api_ops ops = {authorize, visible};
    const struct mo_method handler = {(uint16_t)(method - vim_methods), run};
    const struct mo_class class = {.type = method->owner, .methods = &handler, .method_count = 1};
    struct mo mo = {.class = &class, .id = "object"};
    struct api api = {.ops = &ops};
    if (registry_create(&api.registry) < 0 || mo_add(api.registry, NULL, &mo) < 0)
        abort();
    struct arena *arena = call->arena;
    *call = (struct call){.api = &api,
                          .arena = arena,
                          .session = session ? (struct session *)(void *)&api : NULL,
                          .target = {method->owner, "object"},
                          .method = method,
                          .args = vim_new(arena, method->args),
                          .done = done};
    ran = NULL;
    api_call(call);
    registry_destroy(api.registry);
}

static struct perms *perms_of(int fd)
{
    struct perms *perms;
    struct err err = ERR_INIT;
    if (mkdirat(fd, "config", 0700) < 0 || perms_create(fd, "ha-folder-root", &perms, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return perms;
}

static void every_method_by_every_role(void)
{
    static const int roles[] = {ROLE_ADMIN, ROLE_READ_ONLY, ROLE_VIEW, ROLE_NO_ACCESS,
                                ROLE_NO_CRYPTO_ADMIN};
    char folder[] = "/tmp/socle-rbac-XXXXXX";
    int fd = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    struct perms *perms = perms_of(fd);
    unsigned allowed = 0, denied = 0;
    for (unsigned i = 0; i < sizeof roles / sizeof roles[0]; i++)
        for (unsigned j = 0; j < vim_method_count; j++) {
            struct arena cleanup_arena arena = {0};
            struct call call = {.arena = &arena};
            const struct vim_method *method = &vim_methods[j];
            role = role_find(perms, roles[i]);
            call_method(&call, method, true);
            bool may = !method->priv || !*method->priv || role_has(role, method->priv);
            bool right = may ? ran == method && !call.fault
                             : !ran && call.fault && call.fault->type == VIM_TYPE(NoPermission);
            tap_check_(right, __FILE__, __LINE__, method->name);
            allowed += may;
            denied += !may;
            if (!may && call.fault) {
                struct vim_NoPermission *fault = (struct vim_NoPermission *)call.fault;
                CHECK_STR(fault->privilegeId, method->priv);
                CHECK_STR(fault->object.id, "object");
            }
        }
    (void)printf("# %u allowed, %u denied\n", allowed, denied);
    CHECK(allowed > 1000 && denied > 1000);
    perms_destroy(perms);
    (void)unlinkat(fd, PERM_FILE, 0);
    (void)unlinkat(fd, "config", AT_REMOVEDIR);
    (void)close(fd);
    CHECK_EQ(rmdir(folder), 0);
}

static void nobody_gets_in_without_a_session(void)
{
    unsigned open_to_all = 0;
    for (unsigned j = 0; j < vim_method_count; j++) {
        struct arena cleanup_arena arena = {0};
        struct call call = {.arena = &arena};
        call_method(&call, &vim_methods[j], false);
        open_to_all += ran != NULL;
        tap_check_(ran ? !vim_methods[j].priv : call.fault->type == VIM_TYPE(NotAuthenticated),
                   __FILE__, __LINE__, vim_methods[j].name);
    }
    CHECK_EQ(open_to_all, OPEN_TO_ALL);
}

/* And none that has one stands there. */
static void what_names_no_privilege_is_listed(void)
{
#define ASKS(method) [VIM_C_##method] = true,
    static const bool listed[] = {
#include "tests/api/rbac_own.def"
    };
    for (unsigned j = 0; j < vim_method_count; j++) {
        bool is = j < sizeof listed && listed[j];
        bool needs = vim_methods[j].priv && !*vim_methods[j].priv;
        tap_check_(is == needs, __FILE__, __LINE__, vim_methods[j].name);
    }
}

TAP_MAIN(TAP_CASE(every_method_by_every_role), TAP_CASE(nobody_gets_in_without_a_session),
         TAP_CASE(what_names_no_privilege_is_listed))
