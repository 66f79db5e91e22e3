/* Parts of the recorder: the ring, names in pieces, strings by number, bounds of a file's blocks, settings as text, the line between the clocks,
 * what a go takes. */
#define _GNU_SOURCE
#include "../check.h"

#include <sys/mman.h>
#include <trace/clock.h>
#include <trace/drain.h>
#include <trace/file.h>
#include <trace/pieces.h>
#include <trace/ring.h>
#include <trace/strings.h>
#include <trace/wish.h>

enum { SIZE = 8 };

static struct thrumi_slot slots[SIZE];

static struct thrumi_ring fresh(bool endless) {
  struct thrumi_ring ring = {.size = SIZE, .slots = slots};
  thrumi_ring_begin(&ring, endless);
  return ring;
}

static bool put(struct thrumi_ring *ring, uint64_t n) {
  uint64_t words[THRUMI_RING_WORDS] = {n, n + 1, n + 2, n + 3};
  return thrumi_ring_put(ring, words);
}

static void expect(uint64_t out[][THRUMI_RING_WORDS], size_t n, uint64_t first) {
  for (size_t i = 0; i < n; i++)
    for (uint64_t word = 0; word < THRUMI_RING_WORDS; word++) CHECK_EQ(out[i][word], first + i + word);
}

static void a_recorders_ring_is_full_and_counts(void) {
  struct thrumi_ring ring = fresh(false);
  uint64_t out[SIZE][THRUMI_RING_WORDS];
  for (uint64_t round = 0; round < 5; round++) {
    for (uint64_t n = 0; n < SIZE; n++) CHECK(put(&ring, 100 * round + n));
    CHECK(!put(&ring, 0));
    CHECK_EQ(ring.lost, round + 1);
    CHECK_EQ(thrumi_ring_take(&ring, out, 3), 3);
    expect(out, 3, 100 * round);
    CHECK_EQ(thrumi_ring_take(&ring, out, SIZE), SIZE - 3);
    expect(out, SIZE - 3, 100 * round + 3);
    CHECK_EQ(thrumi_ring_take(&ring, out, SIZE), 0);
  }
}

static void a_flight_recorders_ring_keeps_the_end(void) {
  struct thrumi_ring ring = fresh(true);
  uint64_t out[SIZE][THRUMI_RING_WORDS], at = 0;
  CHECK_EQ(thrumi_ring_copy(&ring, &at, out, SIZE), 0);
  for (uint64_t n = 0; n < 1000; n++) {
    CHECK(put(&ring, n));
    at = 0;
    size_t copied = thrumi_ring_copy(&ring, &at, out, SIZE);
    CHECK_EQ(copied, n + 1 < SIZE ? n + 1 : SIZE - 1); /* one less: the next one may be on its way */
    CHECK_EQ(at + copied, n + 1);
    expect(out, copied, at);
  }
  CHECK_EQ(ring.lost, 0);
  at = ring.head - 2;
  CHECK_EQ(thrumi_ring_copy(&ring, &at, out, 1), 1);
  expect(out, 1, 998);
}

/* What lay there before a recording is not of it. */
static void a_ring_begins_empty(void) {
  struct thrumi_ring ring = fresh(true);
  uint64_t out[SIZE][THRUMI_RING_WORDS];
  for (uint64_t n = 0; n < SIZE + 3; n++) CHECK(put(&ring, n));
  CHECK(thrumi_ring_is_endless(&ring));
  thrumi_ring_begin(&ring, false);
  CHECK(!thrumi_ring_is_endless(&ring));
  CHECK_EQ(thrumi_ring_take(&ring, out, SIZE), 0);
  for (uint64_t n = 0; n < SIZE; n++) CHECK(put(&ring, n));
  CHECK(!put(&ring, 0));
  CHECK(!thrumi_ring_is_endless(&ring));
}

static void pieces_make_a_name(void) {
  const char *text = "exactly 24 bytes of name";
  struct thrumi_pieces p = {0};
  struct thrumi_event piece = {.thread = 7, .kind = THRUMI_EVENT_NAME_PIECE};
  for (int i = 0; i < 3; i++) {
    piece.worker = (uint16_t)i;
    memcpy(&piece.object, i < 2 ? text + 12 * i : "\0\0\0\0\0\0\0", 8);
    memcpy(&piece.detail, i < 2 ? text + 12 * i + 8 : "\0\0\0", 4);
    CHECK_EQ(thrumi_pieces_add(&p, &piece), i == 2);
  }
  CHECK_STR(p.text, text);
  piece.worker = 2; /* one was lost, and of another thread */
  p.count = 1;
  CHECK(!thrumi_pieces_add(&p, &piece));
  p.count = 2;
  piece.thread = 8;
  CHECK(!thrumi_pieces_add(&p, &piece));
}

static void strings_have_numbers(void) {
  static char text[2 * THRUMI_STRINGS];
  uint32_t first = thrumi_string_number(text);
  CHECK(first > 0);
  CHECK_EQ(thrumi_string_number(text), first);
  CHECK(thrumi_string(first) == text);
  CHECK_EQ(thrumi_string_number(NULL), 0);
  CHECK(!thrumi_string(0));
  CHECK(!thrumi_string(THRUMI_STRINGS + 1));
  size_t without = 0;
  for (size_t i = 0; i < sizeof text; i++) {
    uint32_t number = thrumi_string_number(text + i);
    if (number)
      CHECK(thrumi_string(number) == text + i);
    else
      without++;
  }
  CHECK(without >= THRUMI_STRINGS && without < THRUMI_STRINGS + THRUMI_STRINGS / 8);
}

/* A name may be any text of the program's, also one that has no end where it should. */
static void long_names_are_cut(void) {
  static struct thrumi_trace_file f;
  static char text[2 * THRUMI_FILE_SIDE];
  struct thrumi_trace_header header = {.version = THRUMI_TRACE_VERSION};
  struct thrumi_trace_block block;
  memset(text, 'x', sizeof text - 1);
  int fd = memfd_create("names", 0);
  CHECK(fd >= 0 && thrumi_file_make(&f));
  thrumi_file_begin(&f, fd, &header);
  thrumi_file_tell(&f, thrumi_string_number(text));
  thrumi_file_flush(&f);
  CHECK_EQ(f.bytes, sizeof header + sizeof block + THRUMI_FILE_TEXT);
  CHECK_EQ(pread(fd, &block, sizeof block, sizeof header), sizeof block);
  CHECK_EQ(block.bytes, THRUMI_FILE_TEXT);
  f.strings = UINT32_MAX - 1;
  CHECK_EQ(thrumi_file_string(&f, "the last one"), UINT32_MAX);
  CHECK_EQ(thrumi_file_string(&f, "one more"), 0);
  CHECK_EQ(f.error, 0);
  close(fd);
}

static void wishes(void) {
  thrum_trace_options o = THRUM_TRACE_OPTIONS_INIT;
  CHECK(thrumi_wish_read("plain", &o));
  CHECK_STR(o.file, "plain");
  CHECK(!o.flight && !o.locks && !o.queues && !o.keep && !o.ring);
  CHECK(thrumi_wish_read("flight:locks:queues:seconds=30:ring=64k:a:b", &o));
  CHECK_STR(o.file, "a:b");
  CHECK(o.flight && o.locks && o.queues);
  CHECK_EQ(o.keep, THRUM_S(30));
  CHECK_EQ(o.ring, 64 << 10);
  CHECK(thrumi_wish_read("ring=4096:x", &o));
  CHECK_EQ(o.ring, 4096);
  static const char *const bad[] = {
      "",           "flight:",      "seconds=:x", "seconds=0:x",
      "seconds=3x", "ring=4g:x",    "ring=0:x",   "seconds=99999999999999999999:x",
      "seconds=3",  "locks:ring=5m"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    o = (thrum_trace_options)THRUM_TRACE_OPTIONS_INIT;
    CHECK(!thrumi_wish_read(bad[i], &o));
  }
}

static void lines(void) {
  struct thrumi_line line = {{1000, 5000}, {3000, 6000}};
  CHECK_EQ(thrumi_to_ns(&line, 1000), 5000);
  CHECK_EQ(thrumi_to_ns(&line, 2000), 5500);
  CHECK_EQ(thrumi_to_ns(&line, 3000), 6000);
  CHECK_EQ(thrumi_to_ns(&line, 3100), 6050);
  CHECK_EQ(thrumi_to_ns(&line, 900), 4950);
  CHECK_EQ(thrumi_to_ns(&(struct thrumi_line){{7, 9}, {7, 9}}, 8), 9);
}

static void stamps_follow_the_clock(void) {
  thrumi_ticks_start();
  struct thrumi_line line = {thrumi_tick(), {0, 0}};
  for (int64_t end = thrumi_os.now() + 5000000; thrumi_os.now() < end;) continue;
  int64_t before = thrumi_os.now();
  uint64_t stamp = thrumi_stamp(true);
  int64_t behind = thrumi_os.now();
  line.to = thrumi_tick();
  int64_t ns = thrumi_to_ns(&line, stamp);
  CHECK(ns >= before - 2000 && ns <= behind + 2000);
}

/* A go takes what is there when it begins: what comes while it reads the clock is left for the next one. */
static int64_t puts_while_it_is_read(void) {
  static int64_t now;
  put(thrumi_ring_at(0), (uint64_t)++now);
  return now;
}

static void a_go_takes_what_was_there(void) {
  static struct thrumi_drain d;
  uint64_t out[THRUMI_RING_MIN][THRUMI_RING_WORDS];
  thrumi_os.now = puts_while_it_is_read;
  thrumi_ticks_start(); /* stamps are readings of it */
  CHECK(thrumi_file_make(&d.file) && thrumi_rings_begin(1, THRUMI_RING_MIN, false));
  thrumi_drain_begin(&d);
  thrumi_drain_open(&d, memfd_create("go", 0));
  uint64_t there = thrumi_ring_at(0)->head;
  thrumi_store(&thrumi_ring_at(THRUMI_RINGS - 1)->lost,
               3); /* of workers that have no ring; it holds nothing itself */
  thrumi_drain_events(&d);
  CHECK_EQ(d.file.lost, 3);
  CHECK_EQ(d.file.error, 0);
  CHECK_EQ(thrumi_ring_at(0)->tail, there);
  thrumi_ring_begin(thrumi_ring_at(0), true); /* as one that was made while a flight recorder was on */
  thrumi_drain_events(&d);
  CHECK(!thrumi_ring_is_endless(thrumi_ring_at(0)));
  put(thrumi_ring_at(0), 0);
  CHECK(thrumi_ring_take(thrumi_ring_at(0), out, THRUMI_RING_MIN) > 0);
  thrumi_os.now = thrumi_os_linux.now;
  close(d.file.fd);
}

/* Few events wait for more; the fullest ring says how full it is. */
static void a_look_says_when_a_go_is_due(void) {
  enum { ENOUGH = THRUMI_RING_MIN / 16 };
  bool enough;
  CHECK(thrumi_rings_begin(1, THRUMI_RING_MIN, false));
  CHECK_EQ(thrumi_drain_look(&enough), 0);
  CHECK(!enough);
  for (uint64_t n = 1; n <= ENOUGH; n++) {
    put(thrumi_ring_at(0), n);
    CHECK_EQ(thrumi_drain_look(&enough), n * 256 / THRUMI_RING_MIN);
    CHECK_EQ(enough, n == ENOUGH);
  }
}

int main(void) {
  a_recorders_ring_is_full_and_counts();
  a_flight_recorders_ring_keeps_the_end();
  a_ring_begins_empty();
  pieces_make_a_name();
  long_names_are_cut();
  strings_have_numbers();
  wishes();
  lines();
  stamps_follow_the_clock();
  a_go_takes_what_was_there();
  a_look_says_when_a_go_is_due();
  return 0;
}
