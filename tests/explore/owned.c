/* A descriptor that an object owns, in process/owned.c: it is used, shut down, closed and freed by several threads, at every moment. Nobody
 * uses the number when it is another file's, it is closed once, and freed once, behind the last use. And the child of a fork puts
 * it right once. What netpoll does of it is here in two words. */
#include "explore.h"

#include <errno.h>
#include <process/owned.h>
#include <string.h>
#include <thrum/io/file.h>
#include <thrum/thread.h>

#define CLOSING (1u << 31)
enum { FD = 3, PATIENCE = 40 };

struct thrumi_descriptor {
  _Atomic uint32_t use, none_left;
};

static struct thrumi_descriptor descriptor;
static struct thrumi_owned owned;
static _Atomic uint32_t reused;               /* the number is another file's */
static _Atomic uint32_t entered, all_entered; /* so many uses have begun; all have */
static uint32_t users, closed, freed, mended;
static int results[2];

uint32_t thrumi_forks;
int *thrum_errno(void) { return __errno_location(); }
void thrum_yield(void) {}

/* Who touches the object does so before it is freed. */
static void check_there(void) {
  explore_point(EXPLORE_READ, &freed);
  EXPECT(!freed);
}

/* ---- The descriptor ----------------------------------------------------------------------------------------------- */

int thrumi_descriptor_begin(int fd, struct thrumi_descriptor **out) {
  EXPECT(fd == FD);
  if (thrumi_add(&entered, 1u) + 1 == users) thrumi_store(&all_entered, 1u);
  *out = &descriptor;
  if (!(thrumi_add(&descriptor.use, 1u) & CLOSING)) return 0;
  thrumi_descriptor_end(&descriptor);
  return -EBADF;
}

void thrumi_descriptor_end(struct thrumi_descriptor *d) {
  if (thrumi_add(&d->use, -1u) == CLOSING + 1) thrumi_store(&d->none_left, 1u);
}

int thrum_close(int fd) {
  check_there();
  EXPECT(fd == FD && closed++ == 0);
  if (thrumi_or(&descriptor.use, CLOSING)) explore_await(&descriptor.none_left);
  thrumi_store(&reused, 1u);
  thrumi_and(&descriptor.use, ~CLOSING);
  return 0;
}

static void mend(struct thrumi_owned *o) {
  (void)o;
  explore_point(EXPLORE_UPDATE, &mended);
  EXPECT(mended++ == 0);
}

static void free_it(struct thrumi_owned *o) {
  explore_point(EXPLORE_WRITE, &freed);
  EXPECT(o == &owned && freed++ == 0);
}

static const struct thrumi_owner owner = {mend, free_it};

/* ---- Who does what ------------------------------------------------------------------------------------------------ */

static void use(void *i) {
  struct thrumi_descriptor *d;
  int error = results[*(int *)i] = thrumi_owned_hold(&owned, &d);
  if (error) return;
  EXPECT(!thrumi_load(&reused));
  check_there();
  thrumi_descriptor_end(d);
  thrumi_owned_drop(&owned);
}

static void shut_down(void *unused) {
  (void)unused;
  thrumi_owned_shutdown(&owned);
}

/* As thrum_conn_close: no call may begin behind it, so the owner's reference stays until those that there are have begun. */
static void close_it(void *unused) {
  (void)unused;
  thrumi_owned_shutdown(&owned);
  explore_await(&all_entered);
  thrumi_owned_drop(&owned);
}

/* While somebody else shuts it down. */
static void close_beside(void *unused) {
  while (!thrumi_load(&owned.closed)) continue;
  close_it(unused);
}

/* ---- Before and after --------------------------------------------------------------------------------------------- */

static void reset_for(uint32_t n) {
  memset(&descriptor, 0, sizeof descriptor);
  memset(&owned, 0, sizeof owned);
  thrumi_forks = closed = freed = mended = 0;
  users = n;
  atomic_store(&reused, 0);
  atomic_store(&entered, 0);
  atomic_store(&all_entered, 0);
  thrumi_owned_make(&owned, FD, &owner);
}

static void reset_one(void) { reset_for(1); }
static void reset_two(void) { reset_for(2); }

static void reset_child(void) {
  reset_for(2);
  thrumi_forks = 1;
  atomic_store(&owned.refs, 7); /* of threads that are not here */
}

static void check_closed(void) {
  EXPECT(closed == 1 && freed == 1 && atomic_load(&descriptor.use) == 0);
  for (uint32_t i = 0; i < users; i++) EXPECT(results[i] == 0 || results[i] == -EBADF);
}

static void check_child(void) {
  EXPECT(mended == 1 && !closed && !freed && atomic_load(&owned.refs) == 1);
  EXPECT(results[0] == 0 && results[1] == 0);
}

static int numbers[] = {0, 1};
#define USE(i) \
  { .name = "use " #i, .run = use, .arg = &numbers[i] }
#define DO(fn) \
  { .name = #fn, .run = fn }

static const struct explore_model models[] = {
    {.name = "owned, a use and a close",
     .reset = reset_one,
     .check = check_closed,
     .threads = {USE(0), DO(close_it)}},
    {.name = "owned, two uses and a close",
     .reset = reset_two,
     .check = check_closed,
     .threads = {USE(0), USE(1), DO(close_it)}},
    {.name = "owned, a use, a shutdown and a close",
     .patience = PATIENCE,
     .reset = reset_one,
     .check = check_closed,
     .threads = {USE(0), DO(shut_down), DO(close_beside)}},
    {.name = "owned, two uses in the child of a fork",
     .reset = reset_child,
     .patience = PATIENCE,
     .check = check_child,
     .threads = {USE(0), USE(1)}},
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
