/* The small lock: two kernel threads take it twice each, or three once each. Two never hold it, and no wake-up is lost,
 * which would leave a sleeper behind. */
#include "explore.h"

#include <core/spin.h>

static struct thrumi_spin lock;
static uint32_t inside;
static _Atomic uint32_t data; /* what the lock guards */

static void take(void) {
  thrumi_spin_lock(&lock);
  EXPECT(inside++ == 0);
  explore_point(EXPLORE_WRITE, &data);
  EXPECT(--inside == 0);
  thrumi_spin_unlock(&lock);
}

static void once(void *unused) {
  (void)unused;
  take();
}

static void twice(void *unused) {
  (void)unused;
  take();
  take();
}

static void reset(void) {
  lock = (struct thrumi_spin){0};
  inside = 0;
}

static void check(void) { EXPECT(atomic_load(&lock.word) == THRUMI_SPIN_FREE); }

static const struct explore_model models[] = {
    {
        .name = "spin lock, two threads",
        .reset = reset,
        .check = check,
        .threads = {{.name = "first", .run = twice}, {.name = "second", .run = twice}},
    },
    {
        .name = "spin lock, three threads",
        .reset = reset,
        .check = check,
        .threads = {{.name = "first", .run = once},
                    {.name = "second", .run = once},
                    {.name = "third", .run = once}},
    },
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
