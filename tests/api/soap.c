/* SPDX-License-Identifier: Apache-2.0 */
/* SOAP as clients really send it, and what they insist on in the answer. */
#include "hostd/api/soap.h"

#include <errno.h>

#include "hostd/api/vim_types.gen.h"
#include "hostd/xml/xml.h"
#include "tests/api/rig.h"
#include "tests/tap.h"

#define HAS(text, part)     tap_check_(strstr(text, part) != NULL, __FILE__, __LINE__, part)
#define HAS_NOT(text, part) tap_check_(strstr(text, part) == NULL, __FILE__, __LINE__, part)

#define CONTENT_REQUEST                                                            \
    "<RetrieveServiceContent xmlns=\"urn:vim25\"><_this type=\"ServiceInstance\">" \
    "ServiceInstance</_this></RetrieveServiceContent>"
#define LOGIN_REQUEST(password)                                                       \
    "<Login xmlns=\"urn:vim25\"><_this type=\"SessionManager\">ha-sessionmgr</_this>" \
    "<userName>root</userName><password>" password "</password></Login>"

static void content_needs_no_session(void)
{
    struct arena cleanup_arena arena = {0};
    struct rig rig;
    rig_create(&rig, 0);
    const char *text = rig_soap(&rig, &arena, NULL, CONTENT_REQUEST);
    HAS(text, "<RetrieveServiceContentResponse xmlns=\"urn:vim25\"><returnval>"
              "<rootFolder type=\"Folder\">ha-folder-root</rootFolder>");
    HAS(text, "<name>Rig &amp; &lt;test&gt;</name>");
    HAS_NOT(text, "<setting"); /* unset is left out */
    rig_destroy(&rig);
}

static void a_wrong_password_is_a_fault(void)
{
    struct arena cleanup_arena arena = {0};
    struct rig rig;
    rig_create(&rig, 0);
    const char *text = rig_soap(&rig, &arena, NULL, LOGIN_REQUEST("no"));
    HAS(text, "<faultcode>ServerFaultCode</faultcode><faultstring>Cannot complete login due to an "
              "incorrect user name or password.</faultstring>");
    HAS(text, "<detail><InvalidLoginFault xmlns=\"urn:vim25\" xsi:type=\"InvalidLogin\">");
    text = rig_soap(&rig, &arena, NULL, LOGIN_REQUEST("secret"));
    HAS(text, "<LoginResponse xmlns=\"urn:vim25\"><returnval>");
    HAS(text, "<loginTime>2023-11-14T22:13:20.000001Z</loginTime>");
    rig_destroy(&rig);
}

static void all_else_needs_a_session(void)
{
    struct arena cleanup_arena arena = {0};
    struct rig rig;
    rig_create(&rig, 1);
    const char *request = "<PowerOnVM_Task xmlns='urn:vim25'><_this type='VirtualMachine'>1</_this>"
                          "</PowerOnVM_Task>";
    HAS(rig_soap(&rig, &arena, NULL, request), "xsi:type=\"NotAuthenticated\"");
    rig.logged_in = true;
    HAS(rig_soap(&rig, &arena, NULL, request), "<returnval type=\"Task\">haTask-1</returnval>");
    const char *again = rig_soap(&rig, &arena, NULL, request);
    HAS(again, "The attempted operation cannot be performed in the current state (Powered on).");
    HAS(again,
        "<requestedState>poweredOn</requestedState><existingState>poweredOn</existingState>");
    rig_destroy(&rig);
}

static void privileges_are_checked(void)
{
    struct arena cleanup_arena arena = {0};
    struct rig rig;
    rig_create(&rig, 1);
    rig.logged_in = true;
    rig.denied = "VirtualMachine.Interact.PowerOn";
    const char *text =
        rig_soap(&rig, &arena, NULL,
                 "<PowerOnVM_Task xmlns='urn:vim25'><_this type='VirtualMachine'>1</_this>"
                 "</PowerOnVM_Task>");
    HAS(text, "xsi:type=\"NoPermission\"><object type=\"VirtualMachine\">1</object>"
              "<privilegeId>VirtualMachine.Interact.PowerOn</privilegeId>");
    CHECK_EQ(rig.vms[0].power, VIM_VirtualMachinePowerState_poweredOff);
    rig_destroy(&rig);
}

static void what_is_not_there_has_its_fault(void)
{
    struct arena cleanup_arena arena = {0};
    struct rig rig;
    rig_create(&rig, 1);
    rig.logged_in = true;
    HAS(rig_soap(&rig, &arena, NULL,
                 "<PowerOnVM_Task xmlns='urn:vim25'><_this type='VirtualMachine'>77</_this>"
                 "</PowerOnVM_Task>"),
        "The object 'vim.VirtualMachine:77' has already been deleted or has not been "
        "completely created");
    HAS(rig_soap(&rig, &arena, NULL,
                 "<PowerOnVM_Task xmlns='urn:vim25'><_this type='Folder'>ha-folder-vm</_this>"
                 "</PowerOnVM_Task>"),
        "xsi:type=\"MethodNotFound\"");
    HAS(rig_soap(&rig, &arena, NULL,
                 "<ResetVM_Task xmlns='urn:vim25'><_this type='VirtualMachine'>1</_this>"
                 "</ResetVM_Task>"),
        "xsi:type=\"NotSupported\"");
    HAS(rig_soap(&rig, &arena, NULL, "<Nonsense xmlns='urn:vim25'/>"),
        "xsi:type=\"InvalidRequest\"");
    rig_destroy(&rig);
}

static struct call read_call(struct arena *arena, const char *body, const char *action, int *ret_r)
{
    struct call call = {.arena = arena};
    const char *cookie;
    *ret_r = soap_read(&call, action, body, strlen(body), &cookie);
    if (cookie)
        call.operation_id = cookie;
    return call;
}

static void requests_in_all_their_dresses(void)
{
    struct arena cleanup_arena arena = {0};
    int r;
    struct call call = read_call(
        &arena,
        "\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n<!-- x -->"
        "<S:Envelope xmlns:S='http://schemas.xmlsoap.org/soap/envelope/'><S:Header>"
        "<vcSessionCookie>abc</vcSessionCookie></S:Header><S:Body>"
        "<v:ReconfigVM_Task xmlns:v='urn:vim25' "
        "xmlns:i='http://www.w3.org/2001/XMLSchema-instance'>"
        "<v:_this i:type='v:ManagedObjectReference' type='VirtualMachine'>\n 12 </v:_this><v:spec>"
        "<v:name><![CDATA[a<b]]>&amp;&#99;</v:name><v:numCPUs>4</v:numCPUs><v:memoryMB> 2048 "
        "</v:memoryMB>"
        "<v:unknownNewThing><v:a/></v:unknownNewThing>"
        "<v:deviceChange><v:operation>add</v:operation><v:device i:type='v:VirtualDisk'>"
        "<v:key>-1</v:key><v:unitNumber>0</v:unitNumber><v:capacityInKB>16384</v:capacityInKB></"
        "v:device>"
        "</v:deviceChange><v:deviceChange><v:device "
        "i:type='v:VirtualE1000'><v:key>-2</v:key></v:device>"
        "</v:deviceChange><v:extraConfig><v:key>k</v:key><v:value i:type='x:string'>v</v:value>"
        "</v:extraConfig><v:memoryHotAddEnabled>1</v:memoryHotAddEnabled></v:spec>"
        "</v:ReconfigVM_Task></S:Body></S:Envelope>",
        "\"urn:vim25/6.5\"", &r);
    REQUIRE(r == 0);
    struct vim_ReconfigVM_Task_args *args = call.args;
    CHECK_STR(vim_versions[call.version], "6.5");
    CHECK_STR(call.target.id, "12");
    CHECK(call.target.type == VIM_MANAGED(VirtualMachine));
    CHECK_STR(call.operation_id, "abc");
    CHECK_STR(args->spec->name, "a<b&c");
    CHECK(args->spec->numCPUs.set && args->spec->numCPUs.v == 4);
    CHECK_EQ(args->spec->memoryMB.v, 2048);
    CHECK(args->spec->memoryHotAddEnabled.v);
    CHECK(!args->spec->cpuHotAddEnabled.set);
    REQUIRE(args->spec->deviceChange.count == 2);
    struct vim_VirtualDisk *disk = VIM_AS(VirtualDisk, args->spec->deviceChange.items[0]->device);
    REQUIRE(disk);
    CHECK_EQ(disk->key, -1);
    CHECK_EQ(disk->capacityInKB, 16384);
    CHECK_EQ(args->spec->deviceChange.items[0]->operation,
             VIM_VirtualDeviceConfigSpecOperation_add);
    CHECK(VIM_AS(VirtualEthernetCard, args->spec->deviceChange.items[1]->device));
    CHECK(!VIM_AS(VirtualDisk, args->spec->deviceChange.items[1]->device));
    CHECK_STR(args->spec->extraConfig.items[0]->value.str, "v");
}

/* FileQueryFlags.fileOwner is required since 4.0, its type is from 2.5: libvirt never sends it. */
static void what_came_later_may_be_missing(void)
{
    struct arena cleanup_arena arena = {0};
    int r;
    struct call call = read_call(
        &arena,
        RIG_ENVELOPE(
            "<SearchDatastore_Task><_this type='HostDatastoreBrowser'>b</_this>"
            "<datastorePath>[d]</datastorePath><searchSpec><details><fileType>false</fileType>"
            "<fileSize>true</fileSize><modification>false</modification></details>"
            "</searchSpec></SearchDatastore_Task>"),
        NULL, &r);
    REQUIRE(r == 0);
    struct vim_SearchDatastore_Task_args *args = call.args;
    CHECK(args->searchSpec->details->fileSize && !args->searchSpec->details->fileType);
    call = read_call(
        &arena,
        RIG_ENVELOPE("<SearchDatastore_Task><_this type='HostDatastoreBrowser'>b</_this>"
                     "<datastorePath>[d]</datastorePath><searchSpec><details><fileSize>true"
                     "</fileSize></details></searchSpec></SearchDatastore_Task>"),
        NULL, &r);
    CHECK(r < 0);
    HAS(call.fault_text, "fileType of FileQueryFlags is missing");
}

static void bad_requests_say_why(void)
{
    static const struct {
        const char *body, *why;
    } bad[] = {
        {"", "no element found"},
        {"<a><b></a>", "mismatched tag"},
        {"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", "document type"},
        {"<x/>", "no SOAP envelope"},
        {RIG_ENVELOPE(""), "no SOAP envelope"},
        {RIG_ENVELOPE("<Logout/>"), "_this is missing"},
        {RIG_ENVELOPE("<Logout><_this type='Nothing'>x</_this></Logout>"),
         "no managed object type"},
        {RIG_ENVELOPE(
             "<Login><_this type='SessionManager'>x</_this><userName>a</userName></Login>"),
         "password of LoginRequestType is missing"},
        {RIG_ENVELOPE("<Login><_this type='SessionManager'>x</_this><userName>a</userName>"
                      "<userName>a</userName><password/></Login>"),
         "userName: is there twice"},
        {RIG_ENVELOPE("<CreateFilter><_this type='PropertyCollector'>x</_this><partialUpdates>maybe"
                      "</partialUpdates></CreateFilter>"),
         "\"maybe\" is no boolean"},
        {RIG_ENVELOPE("<CreateFilter><_this type='PropertyCollector'>x</_this>"
                      "<spec xsi:type='VirtualDisk'/></CreateFilter>"),
         "a VirtualDisk cannot be a PropertyFilterSpec"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena cleanup_arena arena = {0};
        int r;
        struct call call = read_call(&arena, bad[i].body, NULL, &r);
        CHECK(r < 0);
        CHECK(call.fault && call.fault->type == VIM_TYPE(InvalidRequest));
        HAS(call.fault_text, bad[i].why);
    }
}

static void depth_size_and_memory_are_bounded(void)
{
    struct buf cleanup_buf deep = {0}, wide = {0};
    for (int i = 0; i < 100000; i++)
        buf_put_str(&deep, "<a>");
    struct arena cleanup_arena arena = {0};
    int r;
    struct call call = read_call(&arena, buf_cstr(&deep), NULL, &r);
    CHECK_EQ(r, -E2BIG);
    HAS(call.fault_text, "nested too deeply");
    buf_put_str(&wide, "<a>");
    for (int i = 0; i <= XML_ELEMENTS_MAX; i++)
        buf_put_str(&wide, "<b/>");
    call = read_call(&arena, buf_cstr(&wide), NULL, &r);
    CHECK_EQ(r, -E2BIG);
    struct arena cleanup_arena small;
    arena_init(&small, 10000);
    call = read_call(&small, buf_cstr(&wide), NULL, &r);
    CHECK_EQ(r, -E2BIG);
    CHECK(small.taken < 40000);
}

static void versions_of_actions(void)
{
    static const struct {
        const char *action, *version;
    } cases[] = {
        {NULL, "8.0.3.0"},
        {"", "8.0.3.0"},
        {"\"urn:vim25/6.5\"", "6.5"},
        {"urn:vim25/7.0", "7.0.0.0"},
        {"urn:vim25/9.1.0.0", "8.0.3.0"},
        {"\"urn:vim25#Login\"", "8.0.3.0"},
        {"urn:internalvim25/5.0", "5.0"},
        {"urn:vim25/4.1", "4.1"},
        {"urn:vim25/2.5u2", "2.5u2"},
        {"urn:vim25/8.0.1.0", "8.0.1.0"},
        {"urn:vim25/1.0", "2.0"},
        {"urn:vim25/version11", "8.0.3.0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_STR(vim_versions[soap_version(cases[i].action)], cases[i].version);
}

static void values_are_written_as_clients_need_them(void)
{
    struct arena cleanup_arena arena = {0};
    struct buf cleanup_buf out = {0};
    struct vim_DynamicProperty *p = VIM_NEW(&arena, DynamicProperty);
    VIM_LIST(struct vim_ref) refs = {0};
    VIM_ADD(&arena, &refs, VIM_REF(HostSystem, "ha-host"));
    p->name = "host";
    p->val = VIM_ANY_LIST(VIM_REF, VIM_M_HostSystem, &refs);
    struct vim_any value = vim_any_data(p);
    struct vim_shape declared = {.kind = VIM_DATA, .of = VIM_T_DynamicProperty};
    soap_write_value(&out, "p", &value, declared, vim_version_count - 1);
    CHECK_STR(
        buf_cstr(&out),
        "<p><name>host</name><val xsi:type=\"ArrayOfManagedObjectReference\">"
        "<ManagedObjectReference type=\"HostSystem\" xsi:type=\"ManagedObjectReference\">ha-host"
        "</ManagedObjectReference></val></p>");
    out.len = 0;
    VIM_LIST(const char *) strings = {0};
    VIM_ADD(&arena, &strings, "a\x01\"");
    p->val = VIM_ANY_LIST(VIM_STRING, 0, &strings);
    soap_write_value(&out, "p", &value, declared, vim_version_count - 1);
    HAS(buf_cstr(&out),
        "<val xsi:type=\"ArrayOfString\"><string xsi:type=\"xsd:string\">a?&quot;</string>");
    out.len = 0;
    p->val = VIM_ANY_ENUM(VirtualMachinePowerState, poweredOn);
    soap_write_value(&out, "p", &value, declared, vim_version_count - 1);
    HAS(buf_cstr(&out), "<val xsi:type=\"VirtualMachinePowerState\">poweredOn</val>");
    out.len = 0;
    p->val = vim_any_long(INT64_MIN);
    soap_write_value(&out, "p", &value, declared, vim_version_count - 1);
    HAS(buf_cstr(&out), "<val xsi:type=\"xsd:long\">-9223372036854775808</val>");
}

static void nothing_newer_than_the_client_is_sent(void)
{
    struct arena cleanup_arena arena = {0};
    struct buf cleanup_buf out = {0};
    struct vim_VirtualMachineConfigSpec *spec = VIM_NEW(&arena, VirtualMachineConfigSpec);
    spec->name = "n";
    spec->firmware = "efi"; /* 5.0 */
    struct vim_VirtualDeviceConfigSpec *change = VIM_NEW(&arena, VirtualDeviceConfigSpec);
    struct vim_VirtualNVMEController *nvme = VIM_NEW(&arena, VirtualNVMEController); /* 6.5 */
    change->device = (struct vim_VirtualDevice *)nvme;
    VIM_ADD(&arena, &spec->deviceChange, change);
    struct vim_any value = vim_any_data(spec);
    struct vim_shape declared = {.kind = VIM_DATA, .of = VIM_T_VirtualMachineConfigSpec};
    soap_write_value(&out, "s", &value, declared, vim_find_version("4.1", 3));
    HAS(buf_cstr(&out), "<name>n</name>");
    HAS_NOT(buf_cstr(&out), "firmware");
    HAS(buf_cstr(&out), "<device xsi:type=\"VirtualController\">");
    out.len = 0;
    soap_write_value(&out, "s", &value, declared, vim_find_version("6.5", 3));
    HAS(buf_cstr(&out), "<firmware>efi</firmware>");
    struct vim_EventDescriptionEventDetail *detail = VIM_NEW(&arena, EventDescriptionEventDetail);
    detail->key = "HostSpecificationChangedEvent";
    struct vim_any event = vim_any_data(detail);
    struct buf cleanup_buf text = {0};
    soap_write_value(&text, "e", &event, (struct vim_shape){.kind = VIM_ANY},
                     vim_find_version("6.7.1", 5));
    HAS(buf_cstr(&text), "<key>HostEvent</key>");
    HAS(buf_cstr(&out), "<device xsi:type=\"VirtualNVMEController\">");
}

TAP_MAIN(TAP_CASE(content_needs_no_session), TAP_CASE(a_wrong_password_is_a_fault),
         TAP_CASE(all_else_needs_a_session), TAP_CASE(privileges_are_checked),
         TAP_CASE(what_is_not_there_has_its_fault), TAP_CASE(requests_in_all_their_dresses),
         TAP_CASE(what_came_later_may_be_missing), TAP_CASE(bad_requests_say_why),
         TAP_CASE(depth_size_and_memory_are_bounded), TAP_CASE(versions_of_actions),
         TAP_CASE(values_are_written_as_clients_need_them),
         TAP_CASE(nothing_newer_than_the_client_is_sent))
