/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/session/vestibule.h"

#include <pthread.h>
#include <string.h>

#include "base/loop.h"
#include "base/range.h"
#include "tests/tap.h"

static struct loop *loop;
static struct vestibule *vestibule;
static char order[32]; /* the names of those that were served */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static unsigned left;

struct visitor {
    struct vestibule_entry entry;
    char name;
};

static void work(void *arg)
{
    (void)arg;
    (void)pthread_mutex_lock(&gate); /* until all that shall wait do */
    (void)pthread_mutex_unlock(&gate);
}

static void done(void *arg)
{
    const struct visitor *visitor = arg;

    order[strlen(order)] = visitor->name;
    if (--left == 0)
        loop_stop(loop, 0);
}

static void enter(struct visitor *visitor, char name, const char *peer)
{
    *visitor = (struct visitor){.entry = {.peer = peer, .work = work, .done = done, .arg = visitor},
                                .name = name};
    CHECK_EQ(vestibule_enter(vestibule, &visitor->entry), 0);
    left++;
}

static void begin(void)
{
    memset(order, 0, sizeof order);
    left = 0;
    CHECK_EQ(loop_create(&loop), 0);
    CHECK_EQ(vestibule_create(loop, 1, &vestibule), 0);
    (void)pthread_mutex_lock(&gate);
}

static void end(void)
{
    (void)pthread_mutex_unlock(&gate);
    CHECK_EQ(loop_run(loop), 0);
    vestibule_destroy(vestibule);
    loop_destroy(loop);
}

static void peers_take_turns(void)
{
    struct visitor v[9];

    begin();
    for (unsigned i = 0; i < 6; i++)
        enter(&v[i], (char)('a' + i), "many");
    enter(&v[6], 'X', "other");
    enter(&v[7], 'Y', "other");
    enter(&v[8], 'Z', "third");
    end();
    CHECK_STR(order, "abXZcYdef");
}

static void who_leaves_is_not_served(void)
{
    struct visitor v[4];

    begin();
    for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
        enter(&v[i], (char)('a' + i), "one");
    CHECK(!vestibule_leave(&v[0].entry)); /* is being served */
    CHECK(vestibule_leave(&v[2].entry));
    CHECK(!vestibule_leave(&v[2].entry));
    CHECK(vestibule_leave(&v[3].entry));
    left -= 2;
    end();
    CHECK_STR(order, "ab");
}

TAP_MAIN(TAP_CASE(peers_take_turns), TAP_CASE(who_leaves_is_not_served))
