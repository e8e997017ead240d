/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/perf/reading.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"

enum { VALUES_MAX = 8192 };

void perf_values_free(struct perf_values *values)
{
    free(values->items);
    *values = (struct perf_values){0};
}

void perf_add(struct perf_values *values, enum perf_counter counter, const char *instance, double v)
{
    if (values->count == values->room) {
        unsigned room = values->room ? 2 * values->room : 64;
        struct perf_value *items =
            room <= VALUES_MAX ? realloc(values->items, room * sizeof *items) : NULL;
        if (!items)
            return;
        values->items = items;
        values->room = room;
    }
    struct perf_value *value = &values->items[values->count++];
    value->counter = (uint16_t)counter;
    value->value = v < 0 ? 0 : v > INT32_MAX ? INT32_MAX : (int32_t)(v + 0.5);
    (void)snprintf(value->instance, sizeof value->instance, "%s", instance);
}

bool perf_file(const char *path, char *text, size_t size)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;

    while (fd >= 0 && len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return fd >= 0 && n >= 0 && len;
}

/* Counters may begin anew, or lie. */
static double grown(uint64_t before, uint64_t now)
{
    return now > before ? (double)(now - before) : 0;
}

struct perf_span perf_disk_span(const struct perf_disk_raw *before, const struct perf_disk_raw *now)
{
    return (struct perf_span){
        .reads = grown(before->reads, now->reads),
        .writes = grown(before->writes, now->writes),
        .read_kib = grown(before->read_bytes, now->read_bytes) / 1024,
        .write_kib = grown(before->write_bytes, now->write_bytes) / 1024,
        .read_ms = grown(before->read_ns, now->read_ns) / 1e6,
        .write_ms = grown(before->write_ns, now->write_ns) / 1e6,
    };
}

static void one_nic(const char *name, const struct perf_nic_raw *a, const struct perf_nic_raw *b,
                    double seconds, struct perf_values *values)
{
    double rx = grown(a->rx_bytes, b->rx_bytes) / seconds / 1024,
           tx = grown(a->tx_bytes, b->tx_bytes) / seconds / 1024;

    perf_add(values, PERF_net_usage, name, rx + tx);
    perf_add(values, PERF_net_received, name, rx);
    perf_add(values, PERF_net_transmitted, name, tx);
    perf_add(values, PERF_net_bytesRx, name, rx);
    perf_add(values, PERF_net_bytesTx, name, tx);
    perf_add(values, PERF_net_packetsRx, name, grown(a->rx_packets, b->rx_packets));
    perf_add(values, PERF_net_packetsTx, name, grown(a->tx_packets, b->tx_packets));
    perf_add(values, PERF_net_droppedRx, name, grown(a->rx_dropped, b->rx_dropped));
    perf_add(values, PERF_net_droppedTx, name, grown(a->tx_dropped, b->tx_dropped));
    perf_add(values, PERF_net_multicastRx, name, grown(a->multicast, b->multicast));
    perf_add(values, PERF_net_errorsRx, name, grown(a->rx_errors, b->rx_errors));
    perf_add(values, PERF_net_errorsTx, name, grown(a->tx_errors, b->tx_errors));
}

static void sum_nic(struct perf_nic_raw *sum, const struct perf_nic_raw *one)
{
    sum->rx_packets += one->rx_packets;
    sum->rx_bytes += one->rx_bytes;
    sum->rx_errors += one->rx_errors;
    sum->rx_dropped += one->rx_dropped;
    sum->multicast += one->multicast;
    sum->tx_packets += one->tx_packets;
    sum->tx_bytes += one->tx_bytes;
    sum->tx_errors += one->tx_errors;
    sum->tx_dropped += one->tx_dropped;
}

/* Cards come and go: the same place in both lists counts only under the same name. */
void perf_nic_values(const struct perf_nic_raw *before, const struct perf_nic_raw *now,
                     unsigned count, double seconds, struct perf_values *values)
{
    struct perf_nic_raw from = {0}, to = {0};

    for (unsigned i = 0; i < count; i++) {
        if (strcmp(before[i].name, now[i].name))
            continue;
        one_nic(now[i].name, &before[i], &now[i], seconds, values);
        sum_nic(&from, &before[i]);
        sum_nic(&to, &now[i]);
    }
    one_nic("", &from, &to, seconds, values);
}
