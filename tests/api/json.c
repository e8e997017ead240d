/* SPDX-License-Identifier: Apache-2.0 */
/* VI/JSON: routes, arguments, boxing, faults; and the files that describe the service. */
#include "hostd/api/json.h"

#include <jansson.h>

#include "hostd/api/vim_types.gen.h"
#include "tests/api/rig.h"
#include "tests/tap.h"

#define HAS(text, part)     tap_check_(strstr(text, part) != NULL, __FILE__, __LINE__, part)
#define HAS_NOT(text, part) tap_check_(strstr(text, part) == NULL, __FILE__, __LINE__, part)

static struct arena arena;

/* The answer's body; *ret_status its status. It is valid JSON if it is any. */
static const char *ask(struct rig *rig, const char *method, const char *path, const char *body,
                       int *ret_status)
{
    struct rig_request req;
    rig_send(rig, &req, method, path, NULL, body);
    const char *text = arena_strdup(&arena, buf_cstr(&req.body));
    *ret_status = req.status;
    if (*text == '{' || *text == '[') {
        json_t *json = json_loads(text, 0, NULL);
        CHECK(json != NULL);
        json_decref(json);
    }
    rig_release(&req);
    return text;
}

#define V "/sdk/vim25/8.0.1.0/"

static void properties_are_got(void)
{
    struct rig rig;
    int status;
    rig_create(&rig, 2);
    const char *text = ask(&rig, "GET", V "ServiceInstance/ServiceInstance/content", NULL, &status);
    CHECK_EQ(status, 200);
    HAS(text, "{\"_typeName\":\"ServiceContent\",\"rootFolder\":{\"_typeName\":"
              "\"ManagedObjectReference\",\"type\":\"Folder\",\"value\":\"ha-folder-root\"}");
    (void)ask(&rig, "GET", V "VirtualMachine/1/name", NULL, &status);
    CHECK_EQ(status, 401);
    rig.logged_in = true;
    CHECK_STR(ask(&rig, "GET", V "VirtualMachine/1/name", NULL, &status), "\"vm-1\"");
    text = ask(&rig, "GET", V "VirtualMachine/1/runtime", NULL, &status);
    HAS(text, "\"powerState\":\"poweredOff\"");
    text = ask(&rig, "GET", V "Folder/ha-folder-vm/childEntity", NULL, &status);
    HAS(text,
        "[{\"_typeName\":\"ManagedObjectReference\",\"type\":\"VirtualMachine\",\"value\":\"1\"},");
    text = ask(&rig, "GET", V "VirtualMachine/1/config", NULL, &status);
    HAS(text, "{\"_typeName\":\"OptionValue\",\"key\":\"a.b\",\"value\":{\"_typeName\":\"string\","
              "\"_value\":\"x < y\"}}");
    HAS(text, "\"uuid\":");
    HAS(text, "\"instanceUuid\":"); /* 4.0 */
    HAS_NOT(ask(&rig, "GET", "/sdk/vim25/2.5/VirtualMachine/1/config", NULL, &status),
            "instanceUuid");
    (void)ask(&rig, "GET", V "VirtualMachine/1/guest", NULL, &status);
    CHECK_EQ(status, 204);
    rig_destroy(&rig);
    arena_free(&arena);
}

static void what_is_not_there_is_not_found(void)
{
    static const char *const paths[] = {V "VirtualMachine/1/nothing",
                                        V "Nothing/1/name",
                                        V "VirtualMachine/1",
                                        V,
                                        "/sdk/vim25/",
                                        "/sdk/vim25/x/VirtualMachine/1/name",
                                        "/sdk/nothing.wsdl"};
    struct rig rig;
    int status;
    rig_create(&rig, 1);
    rig.logged_in = true;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        (void)ask(&rig, "GET", paths[i], NULL, &status);
        CHECK_EQ(status, 404);
    }
    const char *text = ask(&rig, "GET", V "VirtualMachine/9/name", NULL, &status);
    CHECK_EQ(status, 500);
    HAS(text, "{\"_typeName\":\"ManagedObjectNotFound\",\"faultstring\":\"The object "
              "'vim.VirtualMachine:9' has already been deleted");
    (void)ask(&rig, "DELETE", V "VirtualMachine/1/name", NULL, &status);
    CHECK_EQ(status, 405);
    rig_destroy(&rig);
    arena_free(&arena);
}

static void methods_are_posted(void)
{
    struct rig rig;
    int status;
    rig_create(&rig, 1);
    const char *login = V "SessionManager/ha-sessionmgr/Login";
    const char *text =
        ask(&rig, "POST", login, "{\"userName\":\"root\",\"password\":\"no\"}", &status);
    CHECK_EQ(status, 500);
    HAS(text, "{\"_typeName\":\"InvalidLogin\",\"faultstring\":\"Cannot complete login");
    text = ask(&rig, "POST", login,
               "{\"_typeName\":\"LoginRequestType\",\"userName\":\"root\",\"password\":\"secret\","
               "\"future\":[1,{}]}",
               &status);
    CHECK_EQ(status, 200);
    HAS(text, "{\"_typeName\":\"UserSession\",\"key\":\"key\"");
    HAS(text, "\"loginTime\":\"2023-11-14T22:13:20.000001Z\"");
    text = ask(&rig, "POST", V "VirtualMachine/1/PowerOnVM_Task", NULL, &status);
    HAS(text, "\"value\":\"haTask-1\"");
    text = ask(
        &rig, "POST", V "PropertyCollector/ha-property-collector/RetrievePropertiesEx",
        "{\"specSet\":[{\"propSet\":[{\"type\":\"VirtualMachine\",\"pathSet\":[\"name\","
        "\"runtime.powerState\",\"config.hardware.device\"]}],\"objectSet\":[{\"obj\":{\"type\":"
        "\"Folder\",\"value\":\"ha-folder-vm\"},\"selectSet\":[{\"_typeName\":\"TraversalSpec\","
        "\"type\":\"Folder\",\"path\":\"childEntity\"}]}]}],\"options\":{}}",
        &status);
    CHECK_EQ(status, 200);
    HAS(text, "{\"_typeName\":\"DynamicProperty\",\"name\":\"runtime.powerState\",\"val\":"
              "{\"_typeName\":\"VirtualMachinePowerState\",\"_value\":\"poweredOn\"}}");
    HAS(text, "\"val\":{\"_typeName\":\"ArrayOfVirtualDevice\",\"_value\":[{\"_typeName\":"
              "\"VirtualIDEController\",\"key\":200");
    rig_destroy(&rig);
    arena_free(&arena);
}

static void bad_arguments_say_why(void)
{
    static const struct {
        const char *body, *why;
    } bad[] = {
        {"", "is missing"},
        {"[]", "it is no object"},
        {"{", "line 1"},
        {"{\"userName\":5,\"password\":\"\"}", "userName: is no string"},
        {"{\"userName\":\"a\",\"userName\":\"a\"}", "duplicate"},
        {"{\"userName\":\"a\"}", "password of LoginRequestType is missing"},
        {"{\"userName\":\"a\\u0000b\",\"password\":\"\"}", "line 1"},
    };
    struct rig rig;
    int status;
    rig_create(&rig, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *text =
            ask(&rig, "POST", V "SessionManager/ha-sessionmgr/Login", bad[i].body, &status);
        CHECK_EQ(status, 500);
        HAS(text, "InvalidRequest");
        HAS(text, bad[i].why);
    }
    rig_destroy(&rig);
    arena_free(&arena);
}

static void size_and_depth_are_bounded(void)
{
    struct buf cleanup_buf deep = {0}, wide = {0};
    struct rig rig;
    int status;
    rig_create(&rig, 0);
    buf_put_str(&deep, "{\"userName\":\"a\",\"password\":\"b\",\"x\":");
    for (int i = 0; i < 100000; i++)
        buf_put_str(&deep, "[");
    HAS(ask(&rig, "POST", V "SessionManager/ha-sessionmgr/Login", buf_cstr(&deep), &status),
        "InvalidRequest");
    buf_put_str(&wide, "{\"x\":[");
    for (int i = 0; i < JSON_ITEMS_MAX; i++)
        buf_put_str(&wide, "1,");
    buf_put_str(&wide, "1]}");
    HAS(ask(&rig, "POST", V "SessionManager/ha-sessionmgr/Login", buf_cstr(&wide), &status),
        "too large");
    rig_destroy(&rig);
    arena_free(&arena);
}

/* Values of all kinds that SOAP's and JSON's readers make alike. */
static void values_come_back(void)
{
    struct call call = {.arena = &arena, .method = vim_find_method("ReconfigVM_Task")};
    const char *body =
        "{\"spec\":{\"_typeName\":\"VirtualMachineConfigSpec\",\"name\":\"n\\u00e4\\n\","
        "\"numCPUs\":4,"
        "\"memoryMB\":4096,\"cpuHotAddEnabled\":true,\"createDate\":\"2026-01-02T03:04:05."
        "000006Z\","
        "\"deviceChange\":[{\"operation\":\"add\",\"device\":{\"_typeName\":\"VirtualDisk\","
        "\"key\":-1,"
        "\"backing\":{\"_typeName\":\"VirtualDiskFlatVer2BackingInfo\",\"fileName\":\"[ds]\","
        "\"datastore\":{\"_typeName\":\"ManagedObjectReference\",\"type\":\"Datastore\",\"value\":"
        "\"d\"},"
        "\"diskMode\":\"persistent\"},\"capacityInKB\":9007199254740993}}],"
        "\"extraConfig\":[{\"_typeName\":\"OptionValue\",\"key\":\"k\",\"value\":{\"_typeName\":"
        "\"ArrayOfInt\",\"_value\":[1,-2]}},{\"key\":\"l\",\"value\":{\"_typeName\":\"long\",\"_"
        "value\":5}}]}}";
    int r = json_read(&call, body, strlen(body));
    CHECK_EQ(r, 0);
    if (call.fault_text)
        printf("# %s\n", call.fault_text);
    REQUIRE(r == 0);
    struct vim_ReconfigVM_Task_args *args = call.args;
    struct vim_VirtualMachineConfigSpec *spec = args->spec;
    struct vim_VirtualDisk *disk = VIM_AS(VirtualDisk, spec->deviceChange.items[0]->device);
    CHECK_STR(spec->name, "n\xc3\xa4\n");
    CHECK_EQ(disk->capacityInKB, INT64_C(9007199254740993));
    CHECK_EQ(spec->extraConfig.items[0]->value.list.count, 2);
    CHECK_EQ(spec->extraConfig.items[1]->value.shape.kind, VIM_LONG);
    struct buf cleanup_buf out = {0};
    struct vim_any value = vim_any_data(spec);
    json_write_value(&out, &value, (struct vim_shape){.kind = VIM_DATA}, vim_version_count - 1);
    /* Written and read again it is the same value. */
    char *again = arena_printf(&arena, "{\"spec\":%s}", buf_cstr(&out));
    struct call second = {.arena = &arena, .method = call.method};
    REQUIRE(json_read(&second, again, strlen(again)) == 0);
    struct vim_any other = vim_any_data(((struct vim_ReconfigVM_Task_args *)second.args)->spec);
    CHECK(vim_equal(&value, &other));
    CHECK(vim_hash(&value) == vim_hash(&other));
    struct vim_any copy = vim_copy(&arena, &value);
    CHECK(vim_equal(&value, &copy));
    ((struct vim_VirtualMachineConfigSpec *)copy.data)->deviceChange.items[0]->device->key = 7;
    CHECK(!vim_equal(&value, &copy) && vim_hash(&value) != vim_hash(&copy));
    arena_free(&arena);
}

static void the_service_describes_itself(void)
{
    static const char *const names[] = {"vimService.wsdl", "vim.wsdl", "vim-types.xsd",
                                        "vim-messagetypes.xsd", "query-types.xsd"};
    struct rig rig;
    int status;
    rig_create(&rig, 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text =
            ask(&rig, "GET", arena_printf(&arena, "/sdk/%s", names[i]), NULL, &status);
        CHECK_EQ(status, 200);
        HAS(text, "<?xml version=\"1.0\"");
    }
    const char *text = ask(&rig, "GET", "/sdk/vimServiceVersions.xml", NULL, &status);
    HAS(text, "<namespaces version=\"1.0\">");
    HAS(text, "<name>urn:vim25</name>\n<version>8.0.3.0</version>");
    HAS(text, "<version>6.7.1</version>");
    rig_destroy(&rig);
    arena_free(&arena);
}

TAP_MAIN(TAP_CASE(properties_are_got), TAP_CASE(what_is_not_there_is_not_found),
         TAP_CASE(methods_are_posted), TAP_CASE(bad_arguments_say_why),
         TAP_CASE(size_and_depth_are_bounded), TAP_CASE(values_come_back),
         TAP_CASE(the_service_describes_itself))
