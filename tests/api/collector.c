/* SPDX-License-Identifier: Apache-2.0 */
/* The property collector: selections, pages, filters and their updates, waiting, views. */
#include "hostd/api/collector.h"

#include <stdlib.h>

#include "hostd/api/vim_types.gen.h"
#include "tests/api/rig.h"
#include "tests/tap.h"

#define HAS(text, part)     tap_check_(strstr(text, part) != NULL, __FILE__, __LINE__, part)
#define HAS_NOT(text, part) tap_check_(strstr(text, part) == NULL, __FILE__, __LINE__, part)

#define PC "<_this type='PropertyCollector'>ha-property-collector</_this>"
/* From the root through folders to all VMs, by a set that names itself. */
#define ALL_VMS                                                                       \
    "<objectSet><obj type='Folder'>ha-folder-root</obj><skip>true</skip>"             \
    "<selectSet xsi:type='TraversalSpec'><name>f</name><type>Folder</type>"           \
    "<path>childEntity</path><skip>false</skip><selectSet><name>f</name></selectSet>" \
    "</selectSet></objectSet>"
#define VM_PATHS(paths) "<propSet><type>VirtualMachine</type>" paths "</propSet>"
#define ONE_VM(id)      "<objectSet><obj type='VirtualMachine'>" id "</obj></objectSet>"
#define RETRIEVE(spec)  "<RetrieveProperties>" PC "<specSet>" spec "</specSet></RetrieveProperties>"

#define FILTER(spec)                                                                    \
    "<CreateFilter>" PC "<spec>" spec "</spec><partialUpdates>false</partialUpdates></" \
    "CreateFilter>"

static struct arena arena;

static void start(struct rig *rig, size_t vms)
{
    rig_create(rig, vms);
    rig->logged_in = true;
}

static void end(struct rig *rig)
{
    rig_destroy(rig);
    arena_free(&arena);
}

static const char *post(struct rig *rig, const char *request)
{
    return rig_soap(rig, &arena, NULL, request);
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

/* The text between the first `<name>` and `</name>`. */
static const char *element(const char *text, const char *name)
{
    char open[64];
    (void)snprintf(open, sizeof open, "<%s", name);
    const char *from = strstr(text, open);
    from = from ? strchr(from, '>') : NULL;
    const char *to = from ? strchr(from, '<') : NULL;
    return to ? arena_strndup(&arena, from + 1, (size_t)(to - from - 1)) : "";
}

static void fetch_reads_any_property(void)
{
    struct rig rig;
    start(&rig, 1);
    HAS(post(&rig, "<Fetch><_this type='VirtualMachine'>1</_this><prop>name</prop></Fetch>"),
        "<returnval xsi:type=\"xsd:string\">vm-1</returnval>");
    HAS(post(&rig, "<Fetch><_this type='VirtualMachine'>1</_this>"
                   "<prop>config.hardware.device[2000].deviceInfo.label</prop></Fetch>"),
        "<returnval xsi:type=\"xsd:string\">Hard disk 1</returnval>");
    HAS(post(&rig, "<Fetch><_this type='VirtualMachine'>1</_this>"
                   "<prop>config.extraConfig[\"a.b\"].value</prop></Fetch>"),
        "<returnval xsi:type=\"xsd:string\">x &lt; y</returnval>");
    HAS(post(&rig, "<Fetch><_this type='VirtualMachine'>1</_this><prop>guest</prop></Fetch>"),
        "<FetchResponse xmlns=\"urn:vim25\"></FetchResponse>");
    HAS(post(&rig, "<Fetch><_this type='VirtualMachine'>1</_this><prop>nothing</prop></Fetch>"),
        "<name>nothing</name></InvalidPropertyFault>");
    rig.logged_in = false;
    HAS(post(&rig, "<Fetch><_this type='VirtualMachine'>1</_this><prop>name</prop></Fetch>"),
        "NotAuthenticatedFault");
    HAS(post(&rig, "<Fetch><_this type='VirtualMachine'>99</_this><prop>name</prop></Fetch>"),
        "NotAuthenticatedFault");
    HAS(post(&rig,
             "<Fetch><_this type='ServiceInstance'>ServiceInstance</_this><prop>content</prop>"
             "</Fetch>"),
        "<returnval xsi:type=\"ServiceContent\">");
    end(&rig);
}

static void paths_are_checked_and_walked(void)
{
    static const struct {
        const char *path;
        bool valid;
    } paths[] = {
        {"name", true},
        {"config.hardware.device", true},
        {"config.hardware.device[2000]", true},
        {"config.hardware.device[2000].backing.fileName", true}, /* of a derived type */
        {"config.extraConfig[\"k\"].value", true},
        {"config.hardware.device.key", false}, /* a list without a key */
        {"name.x", false},
        {"name[1]", false},
        {"", false},
        {".name", false},
        {"name.", false},
        {"config..name", false},
        {"config.hardware.device[", false},
        {"config.hardware.device[\"]", false},
        {"config.nothing", false},
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct rig rig;
        start(&rig, 1);
        const char *text =
            post(&rig, arena_printf(&arena,
                                    "<Fetch><_this type='VirtualMachine'>1</_this><prop>%s"
                                    "</prop></Fetch>",
                                    paths[i].path));
        tap_check_((strstr(text, "InvalidProperty") == NULL) == paths[i].valid, __FILE__, __LINE__,
                   paths[i].path);
        end(&rig);
    }
}

static void a_recursive_selection_finds_each_once(void)
{
    struct rig rig;
    start(&rig, 5);
    const char *text =
        post(&rig, RETRIEVE(VM_PATHS("<pathSet>name</pathSet><pathSet>runtime.powerState</pathSet>")
                                ALL_VMS));
    CHECK_EQ(count(text, "<returnval>"), 5);
    HAS(text, "<returnval><obj type=\"VirtualMachine\">1</obj><propSet><name>name</name>"
              "<val xsi:type=\"xsd:string\">vm-1</val></propSet>"
              "<propSet><name>runtime.powerState</name>"
              "<val xsi:type=\"VirtualMachinePowerState\">poweredOff</val></propSet></returnval>");
    HAS_NOT(text, "Folder"); /* no property set asks for them */
    text =
        post(&rig, RETRIEVE(VM_PATHS("<pathSet>name</pathSet>") ALL_VMS ONE_VM("1") ONE_VM("1")));
    CHECK_EQ(count(text, "<returnval>"), 5);
    end(&rig);
}

static void base_types_apply_and_paths_join(void)
{
    struct rig rig;
    start(&rig, 2);
    const char *text = post(
        &rig,
        RETRIEVE("<propSet><type>ManagedEntity</type><pathSet>name</pathSet></propSet>"
                 "<propSet><type>VirtualMachine</type><pathSet>name</pathSet>"
                 "<pathSet>config.version</pathSet></propSet>"
                 "<propSet><type>ClusterComputeResource</type><all>true</all></propSet>" ALL_VMS));
    CHECK_EQ(count(text, "<returnval>"), 3); /* the VMs' folder and both VMs */
    CHECK_EQ(count(text, "<name>name</name>"), 3);
    CHECK_EQ(count(text, "<name>config.version</name>"), 2);
    text =
        post(&rig,
             RETRIEVE("<propSet><type>VirtualMachine</type><all>true</all></propSet>" ONE_VM("1")));
    HAS(text, "<name>config</name><val xsi:type=\"VirtualMachineConfigInfo\">");
    HAS(text,
        "<name>parent</name><val type=\"Folder\" xsi:type=\"ManagedObjectReference\">ha-folder-vm");
    CHECK_EQ(rig.vms[0].reads, 2); /* once for config.version, once now */
    end(&rig);
}

static void wrong_specs_are_faults(void)
{
    struct rig rig;
    start(&rig, 1);
    HAS(post(&rig, RETRIEVE(VM_PATHS("<pathSet>bogus</pathSet>") ONE_VM("1"))),
        "<name>bogus</name></InvalidPropertyFault>");
    HAS(post(&rig, RETRIEVE("<propSet><type>Nothing</type></propSet>" ONE_VM("1"))),
        "InvalidTypeFault");
    HAS(post(&rig, RETRIEVE(VM_PATHS("") ONE_VM("9"))), "ManagedObjectNotFoundFault");
    HAS(post(&rig, RETRIEVE(VM_PATHS("") ONE_VM("9") "<reportMissingObjectsInResults>true"
                                                     "</reportMissingObjectsInResults>")),
        "RetrievePropertiesResponse");
    HAS(post(&rig, RETRIEVE(VM_PATHS("") "<objectSet><obj type='VirtualMachine'>1</obj>"
                                         "<selectSet><name>nobody</name></selectSet></objectSet>")),
        "InvalidArgumentFault");
    rig.denied = "System.View";
    HAS(post(&rig,
             "<CreateFilter>" PC "<spec/><partialUpdates>true</partialUpdates></CreateFilter>"),
        "NoPermission");
    end(&rig);
}

static void unreadable_properties_are_missing(void)
{
    struct rig rig;
    start(&rig, 1);
    rig.denied = "System.Read";
    const char *text = post(&rig, RETRIEVE(VM_PATHS("<pathSet>config.name</pathSet>") ONE_VM("1")));
    HAS_NOT(text, "<propSet>");
    HAS(text, "<missingSet><path>config.name</path><fault><fault xsi:type=\"NoPermission\">");
    HAS(text,
        "<localizedMessage>Permission to perform this operation was denied.</localizedMessage>");
    CHECK_EQ(rig.vms[0].reads, 0);
    end(&rig);
}

#define RETRIEVE_EX(spec, max)                                                         \
    "<RetrievePropertiesEx>" PC "<specSet>" spec "</specSet><options><maxObjects>" max \
    "</maxObjects></options></RetrievePropertiesEx>"
#define CONTINUE \
    "<ContinueRetrievePropertiesEx>" PC "<token>%s</token></ContinueRetrievePropertiesEx>"

static void strangers_read_the_service_content_only(void)
{
    struct rig rig;
    start(&rig, 1);
    rig.logged_in = false;
    HAS(post(&rig,
             RETRIEVE("<propSet><type>ServiceInstance</type><pathSet>content.about.name</pathSet>"
                      "</propSet><objectSet><obj type='ServiceInstance'>ServiceInstance</obj>"
                      "</objectSet>")),
        "<val xsi:type=\"xsd:string\">Rig &amp;");
    HAS(post(&rig, RETRIEVE(VM_PATHS("<pathSet>name</pathSet>") ONE_VM("1"))),
        "NotAuthenticatedFault");
    HAS(post(&rig, RETRIEVE(VM_PATHS("<pathSet>name</pathSet>") ONE_VM("9"))),
        "NotAuthenticatedFault");
    HAS(post(&rig, RETRIEVE(VM_PATHS("<pathSet>name</pathSet>") ALL_VMS)), "NotAuthenticatedFault");
    HAS(post(&rig, FILTER(VM_PATHS("<pathSet>name</pathSet>") ONE_VM("1"))),
        "NotAuthenticatedFault");
    end(&rig);
}

static void pages_have_tokens(void)
{
    struct rig rig;
    start(&rig, 7);
    const char *spec = RETRIEVE_EX(VM_PATHS("<pathSet>name</pathSet>") ALL_VMS, "3");
    const char *first = post(&rig, spec);
    CHECK_EQ(count(first, "<objects>"), 3);
    mo_remove(&rig.vms[4].mo); /* gone between two pages */
    const char *second = post(&rig, arena_printf(&arena, CONTINUE, element(first, "token")));
    CHECK_EQ(count(second, "<objects>"), 3);
    HAS_NOT(second, "<token>");
    HAS_NOT(second, "vm-5");
    HAS(post(&rig, arena_printf(&arena, CONTINUE, element(first, "token"))),
        "InvalidArgumentFault");
    first = post(&rig, spec);
    HAS(post(&rig, arena_printf(&arena,
                                "<CancelRetrievePropertiesEx>" PC "<token>%s</token>"
                                "</CancelRetrievePropertiesEx>",
                                element(first, "token"))),
        "CancelRetrievePropertiesExResponse");
    HAS(post(&rig, arena_printf(&arena, CONTINUE, element(first, "token"))),
        "InvalidArgumentFault");
    HAS(post(&rig, RETRIEVE_EX(VM_PATHS("") ALL_VMS, "0")), "InvalidArgumentFault");
    for (int i = 0; i < 50; i++) /* forgotten ones do not pile up */
        (void)post(&rig, spec);
    end(&rig);
}

#define WAIT(version, options)                                                \
    "<WaitForUpdatesEx>" PC "<version>" version "</version><options>" options \
    "</options></WaitForUpdatesEx>"
#define NOW "<maxWaitSeconds>0</maxWaitSeconds>"

static void power(struct rig *rig, size_t vm, int state)
{
    rig->vms[vm].power = state;
    mo_changed(&rig->vms[vm].mo, VIM_P_VirtualMachine_runtime);
}

static void updates_enter_modify_leave(void)
{
    struct rig rig;
    start(&rig, 3);
    HAS(post(&rig, FILTER(VM_PATHS("<pathSet>name</pathSet><pathSet>runtime.powerState</pathSet>")
                              ALL_VMS)),
        "<returnval type=\"PropertyFilter\">");
    const char *text = post(&rig, WAIT("", NOW));
    CHECK_EQ(count(text, "<kind>enter</kind>"), 3);
    HAS(text, "<changeSet><name>name</name><op>assign</op><val xsi:type=\"xsd:string\">vm-1</val>");
    const char *version = element(text, "version");
    text = post(&rig, arena_printf(&arena, WAIT("%s", NOW), version));
    HAS(text, "<WaitForUpdatesExResponse xmlns=\"urn:vim25\"></WaitForUpdatesExResponse>");
    power(&rig, 1, VIM_VirtualMachinePowerState_poweredOn);
    mo_changed(&rig.vms[0].mo, VIM_P_VirtualMachine_runtime); /* said, but not so */
    text = post(&rig, arena_printf(&arena, WAIT("%s", NOW), version));
    CHECK_EQ(count(text, "<objectSet>"), 1);
    HAS(text, "<kind>modify</kind><obj type=\"VirtualMachine\">2</obj><changeSet>"
              "<name>runtime.powerState</name><op>assign</op>"
              "<val xsi:type=\"VirtualMachinePowerState\">poweredOn</val></changeSet></objectSet>");
    /* The same again for the old version, nothing for the new one. */
    HAS(post(&rig, arena_printf(&arena, WAIT("%s", NOW), version)), "<kind>modify</kind>");
    version = element(text, "version");
    HAS_NOT(post(&rig, arena_printf(&arena, WAIT("%s", NOW), version)), "<returnval>");
    mo_remove(&rig.vms[2].mo);
    mo_changed(&rig.folder, VIM_P_Folder_childEntity);
    text = post(&rig, arena_printf(&arena, WAIT("%s", NOW), version));
    HAS(text, "<kind>leave</kind><obj type=\"VirtualMachine\">3</obj></objectSet>");
    CHECK_EQ(count(text, "<objectSet>"), 1);
    version = element(text, "version");
    CHECK_EQ(mo_add(rig.api.registry, NULL, &rig.vms[2].mo), 0);
    mo_changed(&rig.folder, VIM_P_Folder_childEntity);
    text = post(&rig, arena_printf(&arena, WAIT("%s", NOW), version));
    HAS(text, "<kind>enter</kind><obj type=\"VirtualMachine\">3</obj>");
    CHECK_EQ(count(text, "<objectSet>"), 1);
    /* Who starts over hears of no leaving. */
    text = post(&rig, WAIT("", NOW));
    CHECK_EQ(count(text, "<kind>enter</kind>"), 3);
    CHECK_EQ(count(text, "<objectSet>"), 3);
    HAS(post(&rig, WAIT("99999", NOW)), "InvalidCollectorVersionFault");
    HAS(post(&rig, WAIT("x", NOW)), "InvalidCollectorVersionFault");
    end(&rig);
}

static void truncated_updates_go_on(void)
{
    struct rig rig;
    start(&rig, 10);
    (void)post(&rig, FILTER(VM_PATHS("<pathSet>name</pathSet>") ALL_VMS));
    const char *version = "";
    size_t seen = 0;
    for (int page = 0; page < 4; page++) {
        const char *text =
            post(&rig, arena_printf(&arena,
                                    WAIT("%s", "<maxWaitSeconds>0</maxWaitSeconds>"
                                               "<maxObjectUpdates>3</maxObjectUpdates>"),
                                    version));
        seen += count(text, "<kind>enter</kind>");
        CHECK((strstr(text, "<truncated>true</truncated>") != NULL) == (page < 3));
        version = element(text, "version");
    }
    CHECK_EQ(seen, 10);
    end(&rig);
}

static void waiters_wait_without_a_thread(void)
{
    enum { WAITERS = 200 };
    struct rig rig;
    start(&rig, 3);
    (void)post(&rig, FILTER(VM_PATHS("<pathSet>runtime.powerState</pathSet>") ONE_VM("2")));
    const char *version = element(post(&rig, WAIT("", NOW)), "version");
    char *body = arena_printf(&arena, RIG_ENVELOPE(WAIT("%s", "")), version);
    struct rig_request *reqs = calloc(WAITERS, sizeof *reqs);
    for (int i = 0; i < WAITERS; i++)
        rig_post(&rig, &reqs[i], NULL, body);
    power(&rig, 0, VIM_VirtualMachinePowerState_poweredOn); /* nobody asked for this one */
    CHECK(!rig_wait(&rig, &reqs[0], 20));
    rig_release(&reqs[7]); /* a client that went away */
    power(&rig, 1, VIM_VirtualMachinePowerState_poweredOn);
    for (int i = 0; i < WAITERS; i++)
        if (i != 7) {
            CHECK(rig_wait(&rig, &reqs[i], 1000));
            HAS(buf_cstr(&reqs[i].body), "<kind>modify</kind>");
            rig_release(&reqs[i]);
        }
    free(reqs);
    end(&rig);
}

/* Filters over everything a thousand times: refused, and all else goes on. */
static void what_a_session_watches_is_bounded(void)
{
    struct rig rig;
    start(&rig, 1000);
    const char *all =
        FILTER("<propSet><type>VirtualMachine</type><all>true</all></propSet>" ALL_VMS);
    for (int i = 0; i < 40; i++)
        (void)post(&rig, all);
    HAS(post(&rig, WAIT("", NOW)), "filters watch more than 1000000 values");
    CHECK(rig.scope.watched <= 1100000);
    HAS(post(&rig, "<Fetch><_this type='VirtualMachine'>1</_this><prop>name</prop></Fetch>"),
        "vm-1");
    mo_scope_end(&rig.scope);
    CHECK_EQ(rig.scope.watched, 0);
    char *many = arena_printf(&arena, "<RetrieveProperties>" PC);
    for (int i = 0; i < 90; i++)
        many = arena_printf(&arena,
                            "%s<specSet><propSet><type>VirtualMachine</type><all>true</all>"
                            "</propSet>" ALL_VMS "</specSet>",
                            many);
    HAS(post(&rig, arena_printf(&arena, "%s</RetrieveProperties>", many)),
        "More than 2000000 values");
    end(&rig);
}

static void a_wait_ends_by_time_cancel_and_logout(void)
{
    struct rig rig;
    start(&rig, 1);
    (void)post(&rig, FILTER(VM_PATHS("<pathSet>name</pathSet>") ONE_VM("1")));
    const char *version = element(post(&rig, WAIT("", NOW)), "version");
    struct rig_request req;
    char *body = arena_printf(
        &arena, RIG_ENVELOPE(WAIT("%s", "<maxWaitSeconds>1</maxWaitSeconds>")), version);
    uint64_t from = clock_now();
    rig_post(&rig, &req, NULL, body);
    CHECK(rig_wait(&rig, &req, 5000));
    CHECK(clock_now() - from > UINT64_C(900000000));
    HAS_NOT(buf_cstr(&req.body), "<returnval>");
    CHECK_EQ(req.status, 200);
    rig_release(&req);
    body = arena_printf(&arena, RIG_ENVELOPE(WAIT("%s", "")), version);
    rig_post(&rig, &req, NULL, body);
    CHECK_EQ(req.status, 0);
    (void)post(&rig, "<CancelWaitForUpdates>" PC "</CancelWaitForUpdates>");
    HAS(buf_cstr(&req.body), "RequestCanceledFault");
    rig_release(&req);
    rig_post(&rig, &req, NULL, body);
    CHECK_EQ(req.status, 0);
    mo_scope_end(&rig.scope);
    HAS(buf_cstr(&req.body), "ManagedObjectNotFoundFault");
    rig_release(&req);
    end(&rig);
}

static void own_collectors_live_and_die(void)
{
    struct rig rig;
    start(&rig, 1);
    const char *text = post(&rig, "<CreatePropertyCollector>" PC "</CreatePropertyCollector>");
    const char *id = element(text, "returnval");
    const char *filter = element(
        post(&rig, arena_printf(&arena,
                                "<CreateFilter><_this type='PropertyCollector'>%s</_this>"
                                "<spec>" VM_PATHS("<pathSet>name</pathSet>") ONE_VM(
                                    "1") "</spec>"
                                         "<partialUpdates>true</partialUpdates></CreateFilter>",
                                id)),
        "returnval");
    HAS(post(&rig, arena_printf(&arena,
                                "<Fetch><_this type='PropertyCollector'>%s</_this>"
                                "<prop>filter</prop></Fetch>",
                                id)),
        filter);
    HAS(post(&rig, arena_printf(&arena,
                                "<WaitForUpdates><_this type='PropertyCollector'>%s</_this>"
                                "</WaitForUpdates>",
                                id)),
        "<kind>enter</kind>");
    HAS_NOT(post(&rig, WAIT("", NOW)), "<kind>"); /* the session's other collector has no filter */
    (void)post(&rig, arena_printf(&arena,
                                  "<DestroyPropertyFilter><_this type='PropertyFilter'>%s"
                                  "</_this></DestroyPropertyFilter>",
                                  filter));
    CHECK(!mo_find(rig.api.registry, filter));
    (void)post(&rig, arena_printf(&arena,
                                  "<DestroyPropertyCollector><_this type='PropertyCollector'>"
                                  "%s</_this></DestroyPropertyCollector>",
                                  id));
    HAS(post(&rig, arena_printf(&arena,
                                "<CheckForUpdates><_this type='PropertyCollector'>%s</_this>"
                                "</CheckForUpdates>",
                                id)),
        "ManagedObjectNotFoundFault");
    end(&rig);
}

#define VIEWS "<_this type='ViewManager'>ViewManager</_this>"

static void views_follow_the_inventory(void)
{
    struct rig rig;
    start(&rig, 3);
    const char *view =
        element(post(&rig, "<CreateContainerView>" VIEWS "<container type='Folder'>ha-folder-root"
                           "</container><type>VirtualMachine</type><recursive>true</recursive>"
                           "</CreateContainerView>"),
                "returnval");
    (void)post(
        &rig,
        arena_printf(
            &arena,
            FILTER(VM_PATHS(
                "<pathSet>name</pathSet>") "<objectSet><obj type='ContainerView'>%s</obj><skip>true"
                                           "</skip><selectSet xsi:type='TraversalSpec'>"
                                           "<type>ContainerView</type><path>view</path></selectSet>"
                                           "</objectSet>"),
            view));
    const char *text = post(&rig, WAIT("", NOW));
    CHECK_EQ(count(text, "<kind>enter</kind>"), 3);
    mo_remove(&rig.vms[0].mo);
    text = post(&rig, arena_printf(&arena, WAIT("%s", NOW), element(text, "version")));
    HAS(text, "<kind>leave</kind><obj type=\"VirtualMachine\">1</obj>");
    CHECK_EQ(mo_add(rig.api.registry, NULL, &rig.vms[0].mo), 0);
    text = post(&rig, arena_printf(&arena, WAIT("%s", NOW), element(text, "version")));
    HAS(text, "<kind>enter</kind><obj type=\"VirtualMachine\">1</obj>");
    (void)post(&rig, arena_printf(&arena,
                                  "<DestroyView><_this type='ContainerView'>%s</_this>"
                                  "</DestroyView>",
                                  view));
    text = post(&rig, arena_printf(&arena, WAIT("%s", NOW), element(text, "version")));
    CHECK_EQ(count(text, "<kind>leave</kind>"), 3);
    HAS(post(&rig, "<CreateContainerView>" VIEWS "<container type='VirtualMachine'>1</container>"
                   "<recursive>true</recursive></CreateContainerView>"),
        "InvalidArgumentFault");
    end(&rig);
}

static void list_views_hold_what_they_were_told(void)
{
    struct rig rig;
    start(&rig, 3);
    const char *view =
        element(post(&rig, "<CreateListView>" VIEWS "<obj type='VirtualMachine'>1</obj>"
                           "<obj type='VirtualMachine'>2</obj></CreateListView>"),
                "returnval");
    const char *read = arena_printf(
        &arena, "<Fetch><_this type='ListView'>%s</_this><prop>view</prop></Fetch>", view);
    CHECK_EQ(count(post(&rig, read), "<ManagedObjectReference "), 2);
    const char *text =
        post(&rig, arena_printf(&arena,
                                "<ModifyListView><_this type='ListView'>%s</_this>"
                                "<add type='VirtualMachine'>3</add><add type='VirtualMachine'>9"
                                "</add><remove type='VirtualMachine'>1</remove></ModifyListView>",
                                view));
    HAS(text, "<returnval type=\"VirtualMachine\">9</returnval>");
    text = post(&rig, read);
    CHECK_EQ(count(text, "<ManagedObjectReference "), 2);
    HAS(text, ">3</ManagedObjectReference>");
    HAS_NOT(text, ">1</ManagedObjectReference>");
    (void)post(&rig, arena_printf(&arena,
                                  "<ResetListView><_this type='ListView'>%s</_this>"
                                  "</ResetListView>",
                                  view));
    CHECK_EQ(count(post(&rig, read), "<ManagedObjectReference "), 0);
    end(&rig);
}

TAP_MAIN(TAP_CASE(fetch_reads_any_property), TAP_CASE(paths_are_checked_and_walked),
         TAP_CASE(a_recursive_selection_finds_each_once), TAP_CASE(base_types_apply_and_paths_join),
         TAP_CASE(wrong_specs_are_faults), TAP_CASE(unreadable_properties_are_missing),
         TAP_CASE(strangers_read_the_service_content_only), TAP_CASE(pages_have_tokens),
         TAP_CASE(updates_enter_modify_leave), TAP_CASE(truncated_updates_go_on),
         TAP_CASE(waiters_wait_without_a_thread), TAP_CASE(what_a_session_watches_is_bounded),
         TAP_CASE(a_wait_ends_by_time_cancel_and_logout), TAP_CASE(own_collectors_live_and_die),
         TAP_CASE(views_follow_the_inventory), TAP_CASE(list_views_hold_what_they_were_told))
