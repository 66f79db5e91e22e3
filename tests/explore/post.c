/* The post between an executor and one of its processes: who writes, who reads and who says stop, each of which may be about to fall asleep, in
 * process/post.c. Every record is read, once and in order; nobody sleeps for what is there already; and no more wake-ups are sent than somebody
 * went to sleep. The connection is here a count of messages. Killed processes are no matter of these words: whoever is killed says nothing more,
 * and the other one is woken by the sentinel. */
#include "explore.h"

#include <errno.h>
#include <process/post.h>
#include <string.h>

enum { SIDES = 2, LARGE = THRUMI_RECORD_MAX, IN_RING = THRUMI_RING / LARGE };

static struct thrumi_board board;
static struct thrumi_post posts[SIDES];
static _Atomic uint32_t messages[SIDES];    /* that wait for this side */
static uint32_t sent[SIDES], sleeps[SIDES]; /* to this side; of this side */
static uint32_t written, taken;

/* ---- The connection ------------------------------------------------------------------------------------------------- */

static int side_of(const thrum_conn *conn) { return conn == (const thrum_conn *)&posts[1]; }

int thrum_conn_send_for(thrum_conn *conn, const void *data, size_t size, thrum_duration timeout) {
  int other = !side_of(conn);
  (void)data, (void)size, (void)timeout;
  sent[other]++;
  thrumi_add(&messages[other], 1u);
  return 0;
}

int thrum_conn_recv_fd_for(thrum_conn *conn, thrum_duration timeout) {
  (void)timeout;
  return thrumi_load(&messages[side_of(conn)]) ? -ENOMSG : -ETIMEDOUT;
}

ssize_t thrum_conn_recv_for(thrum_conn *conn, void *buffer, size_t size, thrum_duration timeout) {
  (void)buffer, (void)size, (void)timeout;
  thrumi_add(&messages[side_of(conn)], -1u);
  return 0;
}

static void fall_asleep(struct thrumi_post *post, bool falls) {
  int side = post == &posts[1];
  sleeps[side]++;
  if (falls) explore_await(&messages[side]);
  if (falls) thrumi_post_wake(post, true, 0);
}

/* ---- What the two do --------------------------------------------------------------------------------------------------- */

static void put(struct thrumi_post *post, size_t size) {
  while (!thrumi_post_room(post, size)) fall_asleep(post, thrumi_post_sleep_for_room(post, size));
  thrumi_post_write(post, size, ++written, 0);
  thrumi_post_ring(post);
}

/* False: it was told to stop, and nothing is left. */
static bool take(struct thrumi_post *post) {
  struct thrumi_record *record;
  while (!(record = thrumi_post_next(post))) {
    if (thrumi_load(&board.stop)) return thrumi_post_next(post);
    fall_asleep(post, thrumi_post_sleep(post));
  }
  EXPECT(record->kind == ++taken);
  thrumi_post_done(post);
  return true;
}

static void put_two(void *unused) {
  (void)unused;
  put(&posts[0], sizeof(struct thrumi_record));
  put(&posts[0], sizeof(struct thrumi_record));
}

static void take_two(void *unused) {
  (void)unused;
  take(&posts[1]);
  take(&posts[1]);
}

static void put_one_large(void *unused) {
  (void)unused;
  put(&posts[0], LARGE);
}

static void take_large(void *unused) {
  (void)unused;
  for (int i = 0; i <= IN_RING; i++) take(&posts[1]);
}

static void put_and_stop(void *unused) {
  (void)unused;
  put(&posts[0], sizeof(struct thrumi_record));
  thrumi_post_stop(&posts[0]);
}

static void serve(void *unused) {
  (void)unused;
  while (take(&posts[1])) continue;
}

/* An errand, and its result. */
static void ask(void *unused) {
  (void)unused;
  put(&posts[0], sizeof(struct thrumi_record));
  while (!thrumi_post_next(&posts[0])) fall_asleep(&posts[0], thrumi_post_sleep(&posts[0]));
  thrumi_post_done(&posts[0]);
}

static void answer(void *unused) {
  (void)unused;
  take(&posts[1]);
  put(&posts[1], sizeof(struct thrumi_record));
}

/* ---- Models -------------------------------------------------------------------------------------------------------------- */

static void reset_words(struct thrumi_flow *flow) {
  atomic_store(&flow->tail, 0), atomic_store(&flow->head, 0);
  atomic_store(&flow->reader_sleeps, 0), atomic_store(&flow->writer_sleeps, 0);
}

static void reset(void) {
  atomic_store(&board.stop, 0);
  for (int i = 0; i < SIDES; i++) {
    reset_words(&board.flow[i]);
    thrumi_post_open(&posts[i], &board, i, (thrum_conn *)&posts[i]);
    atomic_store(&messages[i], 0);
    sent[i] = sleeps[i] = 0;
  }
  written = taken = 0;
}

/* No room is left. */
static void reset_full(void) {
  reset();
  for (int i = 0; i < IN_RING; i++) put(&posts[0], LARGE);
  EXPECT(!thrumi_post_room(&posts[0], LARGE));
}

static void check_wakes(void) {
  for (int i = 0; i < SIDES; i++) {
    EXPECT(sent[i] <= sleeps[i]);
    EXPECT(!posts[i].broken && !posts[i].gone);
  }
}

static void check(void) {
  check_wakes();
  EXPECT(taken == written);
}

static void check_both(void) {
  check_wakes();
  EXPECT(written == 2 && taken == 1);
}

static const struct explore_model models[] = {
    {
        .name = "post, records",
        .buffered = true,
        .reset = reset,
        .check = check,
        .threads = {{.name = "writer", .run = put_two}, {.name = "reader", .run = take_two}},
    },
    {
        .name = "post, room",
        .buffered = true,
        .reset = reset_full,
        .check = check,
        .threads = {{.name = "writer", .run = put_one_large}, {.name = "reader", .run = take_large}},
    },
    {
        .name = "post, stop",
        .buffered = true,
        .reset = reset,
        .check = check,
        .threads = {{.name = "executor", .run = put_and_stop}, {.name = "process", .run = serve}},
    },
    {
        .name = "post, both ways",
        .buffered = true,
        .reset = reset,
        .check = check_both,
        .threads = {{.name = "executor", .run = ask}, {.name = "process", .run = answer}},
    },
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
