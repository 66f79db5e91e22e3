/* One end of a post between an executor and a process whose other end writes anything, at any moment, into the memory that both have: a record
 * that is taken lies in its ring with all that it says it has, room to write in lies in the other ring and not over what is kept, and
 * nothing is read or written beside the board, around which there is no memory. */
#include "fuzz.h"

#include <process/post.h>
#include <sys/mman.h>
#include <thrum.h>
#include <unistd.h>

static struct thrumi_board *board;
static thrum_conn *ends[2];
static void *last; /* record that was written */

static void make_board(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (sizeof *board + page - 1) / page * page;
  char *all = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(all != MAP_FAILED);
  CHECK_EQ(mprotect(all + page, size, PROT_READ | PROT_WRITE), 0);
  board = (struct thrumi_board *)(void *)(all + page + size - sizeof *board);
  CHECK_EQ(thrum_conn_pair(ends), 0);
}

/* ---- The other end -------------------------------------------------------------------------------------------------- */

/* Near what would be right, or anything. */
static uint64_t position(struct decisions *d, uint64_t right) {
  uint8_t how = decide(d);
  if (how < 16) return decide_u64(d);
  uint64_t distance = (uint64_t)decide(d) << (how & 7 ? 4 : 10);
  return how & 8 ? right + distance : right - distance;
}

static void write_head(struct decisions *d, const struct thrumi_post *post) {
  static const uint32_t sizes[] = {0,           8,         16, 24, 48, THRUMI_RECORD_MAX, THRUMI_RING - 16,
                                   THRUMI_RING, UINT32_MAX};
  struct thrumi_record *record =
      (struct thrumi_record *)(void *)(post->in->bytes + position(d, post->read) % THRUMI_RING / 16 * 16);
  uint8_t which = decide(d);
  record->kind = decide(d) % 3;
  record->flags = decide(d) % 4;
  record->size = which < sizeof sizes / sizeof *sizes ? sizes[which] : which * 16u;
}

static void scribble(struct decisions *d, const struct thrumi_post *post) {
  switch (decide(d) % 6) {
  case 0: atomic_store(&post->in->tail, position(d, post->read)); return;
  case 1: atomic_store(&post->out->head, position(d, post->written)); return;
  case 2: atomic_store(&post->in->writer_sleeps, decide(d)); return;
  case 3: atomic_store(&post->out->reader_sleeps, decide(d)); return;
  case 4: memset((char *)board + decide_u64(d) % sizeof *board, decide(d), 1); return;
  default: write_head(d, post);
  }
}

/* ---- This one --------------------------------------------------------------------------------------------------------- */

static bool lies_in(const struct thrumi_flow *flow, const void *at, size_t size) {
  const unsigned char *bytes = at;
  return bytes >= flow->bytes && size <= THRUMI_RING && bytes <= flow->bytes + THRUMI_RING - size;
}

static void read_one(struct decisions *d, struct thrumi_post *post) {
  struct thrumi_record *record = thrumi_post_next(post);
  if (!record) return;
  uint64_t there = atomic_load(&post->in->tail) - post->read;
  CHECK(there <= THRUMI_RING && post->current <= there);
  CHECK(post->current >= sizeof *record && post->current % THRUMI_RECORD_ALIGN == 0);
  CHECK(lies_in(post->in, record, post->current));
  scribble(d, post); /* it is being read */
  thrumi_post_done(post);
}

static void write_one(struct decisions *d, struct thrumi_post *post) {
  uint8_t how = decide(d);
  size_t size = sizeof(struct thrumi_record) + decide(d) * (how & 1 ? 200u : 1u);
  void *room = thrumi_post_room(post, size);
  if (!room) return;
  CHECK(lies_in(post->out, room, thrumi_record_round(size)));
  CHECK(post->written + thrumi_record_round(size) - atomic_load(&post->out->head) <= THRUMI_RING);
  CHECK(post->keep == UINT64_MAX || post->written + thrumi_record_round(size) - post->keep <= THRUMI_RING);
  memset(room, how, size);
  scribble(d, post);
  if (how & 2) return; /* its parcel could not be sent */
  thrumi_post_write(post, size, 1 + (how & 1), 0);
  thrumi_post_ring(post);
  last = room;
}

static void fall_asleep(struct decisions *d, struct thrumi_post *post) {
  thrumi_post_sleep(post);
  thrumi_post_sleep_for_room(post, decide(d) * 256u);
  thrumi_post_wake(post, false, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct decisions decisions = {data, data + size}, *d = &decisions;
  static struct thrumi_post post;
  if (!board) make_board();
  memset(board, 0, sizeof *board);
  last = NULL;
  thrumi_post_open(&post, board, decide(d) & 1, ends[0]);
  while (any_left(d)) {
    switch (decide(d) % 8) {
    case 0:
    case 1: read_one(d, &post); break;
    case 2:
    case 3: write_one(d, &post); break;
    case 4: fall_asleep(d, &post); break;
    case 5: thrumi_post_keep(&post, last); break;
    default: scribble(d, &post);
    }
  }
  return 0;
}
