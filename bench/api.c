/* SPDX-License-Identifier: Apache-2.0 */
/* What one API request costs inside hostd, HTTP aside: bench-api [VMS [NAME]]. Prints a line for
 * each request: its name, microseconds, instructions in user space (0: this machine does not count
 * them), bytes of the answer. The inventory is the tests' own; building real VMs' properties comes
 * on top. */
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/api/rig.h"

#define PC "<_this type='PropertyCollector'>ha-property-collector</_this>"
#define SPEC(paths)                                                                              \
    "<specSet><propSet><type>VirtualMachine</type>" paths "</propSet><objectSet>"                \
    "<obj type='Folder'>ha-folder-vm</obj><skip>true</skip><selectSet xsi:type='TraversalSpec'>" \
    "<type>Folder</type><path>childEntity</path></selectSet></objectSet></specSet>"
#define P(path) "<pathSet>" path "</pathSet>"
#define TWENTY                                                                               \
    P("name")                                                                                \
    P("parent")                                                                              \
    P("config.name") P("config.uuid") P("config.version") P("config.guestId")                \
        P("config.instanceUuid") P("config.hardware.numCPU") P("config.hardware.memoryMB")   \
            P("config.hardware.device[200].deviceInfo.label")                                \
                P("config.extraConfig[\"a.b\"].value")                                       \
                    P("config.hardware.device[2000].deviceInfo.label")                       \
                        P("config.hardware.device[2000].key") P("runtime.powerState")        \
                            P("runtime.connectionState") P("runtime.host") P("config.files") \
                                P("config.tools") P("config.flags") P("runtime.question")

static int counter_open(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof attr,
        .config = PERF_COUNT_HW_INSTRUCTIONS,
        .exclude_kernel = 1,
        .exclude_hv = 1,
    };
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static uint64_t counter_read(int fd)
{
    uint64_t count = 0;
    return fd >= 0 && read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

static const char *only; /* this request, or all */

static void measure(struct rig *rig, int counter, const char *name, const char *body)
{
    enum { TURNS = 20 };
    if (only && strcmp(only, name) != 0)
        return;
    uint64_t best = UINT64_MAX, instructions = UINT64_MAX;
    size_t bytes = 0;
    for (int i = 0; i < TURNS; i++) {
        struct rig_request req;
        uint64_t count = counter_read(counter), from = clock_now();
        rig_post(rig, &req, "urn:vim25/6.7", body);
        uint64_t took = clock_now() - from;
        count = counter_read(counter) - count;
        best = took < best ? took : best;
        instructions = count < instructions ? count : instructions;
        bytes = req.body.len;
        if (req.status != 200)
            (void)fprintf(stderr, "%s: %.300s\n", name, buf_cstr(&req.body));
        rig_release(&req);
    }
    (void)printf("%-28s %10llu us %12llu instructions %9zu bytes\n", name,
                 (unsigned long long)best / 1000, (unsigned long long)instructions, bytes);
}

int main(int argc, char **argv)
{
    struct rig rig;
    int counter = counter_open();
    rig_create(&rig, argc > 1 ? (size_t)atoi(argv[1]) : 1000);
    rig.logged_in = true;
    only = argc > 2 ? argv[2] : NULL;
    measure(
        &rig, counter, "retrieve-service-content",
        RIG_ENVELOPE("<RetrieveServiceContent><_this type='ServiceInstance'>ServiceInstance</_this>"
                     "</RetrieveServiceContent>"));
    measure(&rig, counter, "fetch-name",
            RIG_ENVELOPE("<Fetch><_this type='VirtualMachine'>1</_this><prop>name</prop></Fetch>"));
    measure(&rig, counter, "retrieve-1-property",
            RIG_ENVELOPE(
                "<RetrievePropertiesEx>" PC SPEC(P("name")) "<options/></RetrievePropertiesEx>"));
    measure(
        &rig, counter, "retrieve-20-properties",
        RIG_ENVELOPE("<RetrievePropertiesEx>" PC SPEC(TWENTY) "<options/></RetrievePropertiesEx>"));
    measure(&rig, counter, "retrieve-whole-config",
            RIG_ENVELOPE(
                "<RetrievePropertiesEx>" PC SPEC(P("config")) "<options/></RetrievePropertiesEx>"));
    rig_destroy(&rig);
    return 0;
}
