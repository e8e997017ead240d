/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/range.h"
#include "tests/tap.h"
#include "wire/state.h"

struct queue {
    uint16_t size;
    uint64_t address;
};
struct thing {
    uint8_t regs[4];
    bool on;
    uint32_t later;
    struct queue queue[2];
    void *pointer; /* not state */
};

static const struct state_field queue_fields[] = {
    STATE_FIELD(struct queue, size, STATE_U16),
    STATE_FIELD(struct queue, address, STATE_U64),
};
static const struct state_table queue_table = {
    "queue", 1, sizeof(struct queue), queue_fields, ARRAY_SIZE(queue_fields), NULL};

static int thing_post_load(void *object, struct err *err)
{
    const struct thing *t = object;
    return t->regs[3] == 0xff ? err_set(err, -EINVAL, "register 3 cannot be 0xff") : 0;
}

static const struct state_field thing_fields[] = {
    STATE_FIELD(struct thing, regs, STATE_U8),
    STATE_FIELD(struct thing, on, STATE_BOOL),
    {"later", STATE_U32, offsetof(struct thing, later), 1, 2, NULL},
    STATE_SUB(struct thing, queue, &queue_table, 2),
};
static const struct state_table thing_table = {
    "thing", 2, sizeof(struct thing), thing_fields, ARRAY_SIZE(thing_fields), thing_post_load};

static const struct thing sample = {{1, 2, 3, 4}, true, 77, {{256, 0x1000}, {8, 0x2000}}, NULL};

static void round_trip(void)
{
    cleanup_buf struct buf a = {0}, b = {0};
    struct thing got = {.pointer = &got};
    size_t used = 0;

    state_save(&thing_table, &sample, &a);
    REQUIRE(state_load(&thing_table, &got, a.data, a.len, &used, NULL) == 0);
    CHECK_EQ(used, a.len);
    CHECK(got.pointer == &got);
    CHECK_EQ(got.queue[1].address, 0x2000);
    CHECK_EQ(got.later, 77);
    state_save(&thing_table, &got, &b);
    CHECK(a.len == b.len && !memcmp(a.data, b.data, a.len));
}

static void older_version_keeps_new_fields(void)
{
    static const struct state_field old_fields[] = {
        STATE_FIELD(struct thing, regs, STATE_U8),
        STATE_FIELD(struct thing, on, STATE_BOOL),
        STATE_SUB(struct thing, queue, &queue_table, 2),
    };
    static const struct state_table old = {
        "thing", 1, sizeof(struct thing), old_fields, ARRAY_SIZE(old_fields), NULL};
    cleanup_buf struct buf a = {0};
    struct thing got = {.later = 5};

    state_save(&old, &sample, &a);
    REQUIRE(state_load(&thing_table, &got, a.data, a.len, NULL, NULL) == 0);
    CHECK_EQ(got.later, 5);
    CHECK_EQ(got.queue[0].size, 256);
}

/* Every truncation and every flipped byte: refused or loaded, never a crash, and a refusal by the
 * walk changes nothing. */
static void hostile_bytes(void)
{
    cleanup_buf struct buf a = {0};
    state_save(&thing_table, &sample, &a);
    for (size_t len = 0; len < a.len; len++) {
        struct thing got = {0}, zero = {0};
        CHECK(state_load(&thing_table, &got, a.data, len, NULL, NULL) < 0);
        CHECK(!memcmp(&got, &zero, sizeof got));
    }
    for (size_t i = 0; i < a.len; i++) {
        struct thing got = {0};
        a.data[i] ^= 0xff;
        (void)state_load(&thing_table, &got, a.data, a.len, NULL, NULL);
        a.data[i] ^= 0xff;
    }
}

static void refusals_say_why(void)
{
    cleanup_buf struct buf a = {0};
    struct thing bad = sample, got = {0};
    struct err err = ERR_INIT;

    bad.regs[3] = 0xff;
    state_save(&thing_table, &bad, &a);
    CHECK_EQ(state_load(&thing_table, &got, a.data, a.len, NULL, &err), -EINVAL);
    CHECK_STR(err.text, "saved state of \"thing\": register 3 cannot be 0xff");
    a.data[7] = 9; /* version */
    err = ERR_INIT;
    CHECK_EQ(state_load(&thing_table, &got, a.data, a.len, NULL, &err), -ENOTSUP);
}

TAP_MAIN(TAP_CASE(round_trip), TAP_CASE(older_version_keeps_new_fields), TAP_CASE(hostile_bytes),
         TAP_CASE(refusals_say_why))
