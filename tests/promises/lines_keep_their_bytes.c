/* thrum_reader gives the lines that were written, whatever pieces they come in, and loses nothing when a call ends early; so does
 * thrum_writer the other way round. */
#include "parked.h"

#include <fcntl.h>

enum { LINES = 3000, LONGEST = 200, ROOM = 256 };

static int ends[2];
static char room[ROOM];

/* The i-th line: its length and letters follow from i. */
static size_t line_of(unsigned i, char *out) {
  size_t length = i * 7919u % LONGEST;
  for (size_t n = 0; n < length; n++) out[n] = (char)('a' + (i + n) % 26);
  out[length] = '\n';
  return length + 1;
}

static void open_pipe(void) { CHECK_EQ(pipe(ends), 0); }

static void close_pipe(void) { CHECK(thrum_close(ends[0]) == 0 && thrum_close(ends[1]) == 0); }

static void say(const char *text) {
  CHECK_EQ(thrum_write_all(ends[1], text, strlen(text)), (ssize_t)strlen(text));
}

static void expect(thrum_reader *in, const char *text) {
  const char *line;
  ssize_t n = thrum_reader_line(in, &line);
  CHECK_EQ(n, (ssize_t)strlen(text));
  CHECK_EQ(memcmp(line, text, strlen(text)), 0);
}

/* ---- All arrive ------------------------------------------------------------------------------------------------------- */

/* In pieces that have nothing to do with the lines. */
static intptr_t write_pieces(void *unused) {
  (void)unused;
  static char all[LINES * (LONGEST + 1)];
  size_t size = 0, done = 0;
  for (unsigned i = 0; i < LINES; i++) size += line_of(i, all + size);
  for (unsigned i = 0; done < size; i++) {
    size_t piece = 1 + i * 31u % 1000;
    if (piece > size - done) piece = size - done;
    CHECK_EQ(thrum_write_all(ends[1], all + done, piece), (ssize_t)piece);
    done += piece;
    if (i % 16 == 0) thrum_yield();
  }
  return thrum_close(ends[1]);
}

static intptr_t write_by_writer(void *unused) {
  (void)unused;
  char mine[ROOM], line[LONGEST + 1];
  thrum_writer out;
  CHECK_EQ(thrum_writer_init(&out, ends[1], mine, sizeof mine), 0);
  for (unsigned i = 0; i < LINES; i++) {
    size_t length = line_of(i, line);
    if (i % 2)
      CHECK_EQ(thrum_writer_put(&out, line, length), 0);
    else
      CHECK_EQ(thrum_writer_print(&out, "%.*s%s", (int)length - 1, line, "\n"), 0);
  }
  CHECK_EQ(thrum_writer_flush(&out), 0);
  CHECK_EQ(thrum_writer_flush(&out), 0); /* nothing is left */
  return thrum_close(ends[1]);
}

static void all_arrive(thrum_fn *fn) {
  thrum_reader in;
  const char *line;
  char expected[LONGEST + 1];
  open_pipe();
  CHECK_EQ(thrum_reader_init(&in, ends[0], room, sizeof room), 0);
  thrum_thread t = must_spawn(fn, NULL);
  for (unsigned i = 0; i < LINES; i++) {
    size_t length = line_of(i, expected);
    CHECK_EQ(thrum_reader_line(&in, &line), (ssize_t)length);
    CHECK_EQ(memcmp(line, expected, length), 0);
    CHECK(line >= room && line + length <= room + sizeof room);
  }
  CHECK_EQ(thrum_reader_line(&in, &line), 0);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_close(ends[0]), 0);
}

static void last_line_may_lack_its_end(void) {
  thrum_reader in;
  const char *line;
  open_pipe();
  CHECK_EQ(thrum_reader_init(&in, ends[0], room, sizeof room), 0);
  say("\none\n\nrest");
  expect(&in, "\n");
  expect(&in, "one\n");
  expect(&in, "\n");
  CHECK_EQ(thrum_close(ends[1]), 0);
  expect(&in, "rest");
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_reader_line(&in, &line), 0);
  char byte;
  CHECK_EQ(thrum_reader_read(&in, &byte, 1), 0);
  CHECK_EQ(thrum_close(ends[0]), 0);
}

/* Lines may lie in the room while the descriptor says nothing. */
static void buffered_is_what_is_there(void) {
  thrum_reader in;
  const char *line;
  open_pipe();
  CHECK_EQ(thrum_reader_init(&in, ends[0], room, sizeof room), 0);
  say("one\ntwo\nthr");
  CHECK_EQ(thrum_reader_buffered(&in), 0);
  expect(&in, "one\n");
  CHECK_EQ(thrum_reader_buffered(&in), 7);
  thrum_case c = thrum_case_readable(ends[0]);
  CHECK_EQ(thrum_try_select(&c, 1), -EAGAIN);
  expect(&in, "two\n");
  CHECK_EQ(thrum_reader_buffered(&in), 3); /* no line yet */
  CHECK_EQ(thrum_reader_line_for(&in, &line, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_reader_buffered(&in), 3);
  say("ee\n");
  CHECK_EQ(thrum_select(&c, 1), 0);
  expect(&in, "three\n");
  CHECK_EQ(thrum_reader_buffered(&in), 0);
  close_pipe();
}

/* ---- Longer than the room ------------------------------------------------------------------------------------------------ */

static void long_lines_come_piece_by_piece(void) {
  char small[8], got[32];
  thrum_reader in;
  const char *line;
  open_pipe();
  CHECK_EQ(thrum_reader_init(&in, ends[0], small, sizeof small), 0);
  say("1234567\n12345678\nx\n");
  expect(&in, "1234567\n"); /* just fits */
  CHECK_EQ(thrum_reader_line(&in, &line), -ENOBUFS);
  CHECK_EQ(thrum_reader_line(&in, &line), -ENOBUFS);
  CHECK_EQ(thrum_reader_read(&in, got, 3), 3);
  CHECK_EQ(thrum_reader_read(&in, got + 3, sizeof got - 3), 5); /* the rest of the room, no more */
  CHECK_EQ(memcmp(got, "12345678", 8), 0);
  expect(&in, "\n");
  expect(&in, "x\n");
  CHECK_EQ(thrum_reader_read(&in, got, 0), 0);
  say("direct");
  CHECK_EQ(thrum_reader_read(&in, got, sizeof got), 6); /* past the room, which is empty */
  CHECK_EQ(memcmp(got, "direct", 6), 0);
  CHECK_EQ(thrum_reader_read_for(&in, got, sizeof got, THRUM_MS(1)), -ETIMEDOUT);
  close_pipe();
}

static void long_texts_are_written(void) {
  char small[16], text[101], got[400];
  thrum_writer out;
  open_pipe();
  memset(text, 't', 100);
  text[100] = 0;
  CHECK_EQ(thrum_writer_init(&out, ends[1], small, sizeof small), 0);
  CHECK_EQ(thrum_writer_put(&out, "abc", 3), 0);
  CHECK_EQ(thrum_writer_put(&out, text, 100), 0); /* past the room, behind what is there */
  CHECK_EQ(thrum_writer_print(&out, "%s", text), 0);
  CHECK_EQ(thrum_writer_print(&out, "%s", "0123456789abcdef"), 0); /* just the room, without its NUL */
  CHECK_EQ(thrum_writer_put(&out, "", 0), 0);
  CHECK_EQ(thrum_writer_print(&out, "."), 0);
  CHECK_EQ(thrum_writer_flush(&out), 0);
  CHECK_EQ(thrum_read_full(ends[0], got, 3 + 100 + 100 + 16 + 1), 220);
  CHECK_EQ(memcmp(got, "abct", 4), 0);
  for (int i = 3; i < 203; i++) CHECK_EQ(got[i], 't');
  CHECK_EQ(memcmp(got + 203, "0123456789abcdef.", 17), 0);
  CHECK_EQ(thrum_read_for(ends[0], got, 1, 0), -ETIMEDOUT);
  close_pipe();
}

/* Nothing is written before it must be, nor at the end. */
static void collecting_writes_nothing(void) {
  char small[16], byte;
  thrum_writer out;
  open_pipe();
  CHECK_EQ(thrum_writer_init(&out, ends[1], small, sizeof small), 0);
  CHECK_EQ(thrum_writer_put(&out, "0123456789", 10), 0);
  CHECK_EQ(thrum_writer_print(&out, "%d", 12345), 0);
  CHECK_EQ(thrum_read_for(ends[0], &byte, 1, 0), -ETIMEDOUT);
  close_pipe();
}

/* ---- Calls that end early ------------------------------------------------------------------------------------------------- */

static void timeouts_lose_nothing(void) {
  thrum_reader in;
  const char *line;
  open_pipe();
  CHECK_EQ(thrum_reader_init(&in, ends[0], room, sizeof room), 0);
  say("first\nsec");
  CHECK_EQ(thrum_reader_line_for(&in, &line, 0), 6);
  CHECK_EQ(thrum_reader_line_for(&in, &line, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_reader_line_for(&in, &line, -5), -ETIMEDOUT);
  CHECK_EQ(thrum_reader_line_for(&in, &line, THRUM_MS(2)), -ETIMEDOUT);
  say("ond\n");
  expect(&in, "second\n");
  close_pipe();
}

/* The time is for the whole line: one that comes a byte at a time, each soon after the one before, does not prolong it. */
static bool enough;

static intptr_t dribble(void *unused) {
  (void)unused;
  while (!LOAD(enough)) {
    say("x");
    thrum_sleep(THRUM_MS(1));
  }
  return 0;
}

static void time_is_for_the_whole_line(void) {
  static char large[1 << 20];
  thrum_reader in;
  const char *line;
  open_pipe();
  CHECK_EQ(thrum_reader_init(&in, ends[0], large, sizeof large), 0);
  thrum_thread t = must_spawn(dribble, NULL);
  CHECK_EQ(thrum_reader_line_for(&in, &line, THRUM_MS(100)), -ETIMEDOUT);
  STORE(enough, true);
  CHECK(
      in.to - in.from <
      1000); /* 100 came at most, and what the dribble is ahead: not what it takes until one is late by 100 ms */
  CHECK_EQ(must_join(t), 0);
  say("\n");
  ssize_t n = thrum_reader_line(&in, &line);
  CHECK(n > 2 && line[0] == 'x' && line[n - 1] == '\n');
  close_pipe();
}

static thrum_reader shared_reader;
static const char *shared_line;

static intptr_t read_line(void *unused) {
  (void)unused;
  return thrum_reader_line(&shared_reader, &shared_line);
}

static thrum_writer shared_writer;

static intptr_t flush_all(void *unused) {
  (void)unused;
  return thrum_writer_flush(&shared_writer);
}

static intptr_t put_one(void *unused) {
  (void)unused;
  return thrum_writer_put(&shared_writer, "z", 1);
}

static intptr_t print_one(void *unused) {
  (void)unused;
  return thrum_writer_print(&shared_writer, "%c", 'z');
}

static intptr_t read_byte(void *unused) {
  (void)unused;
  char byte;
  return thrum_reader_read(&shared_reader, &byte, 1);
}

static void cancellations_lose_nothing(void) {
  open_pipe();
  CHECK_EQ(thrum_reader_init(&shared_reader, ends[0], room, sizeof room), 0);
  say("ha");
  CHECK_EQ(cancelled_result(read_line, NULL), -ECANCELED);
  say("lf\nnext\n");
  CHECK_EQ(result_if_cancelled_before(read_line, NULL), -ECANCELED); /* before it begins */
  expect(&shared_reader, "half\n");
  CHECK_EQ(result_if_cancelled_before(read_line, NULL), -ECANCELED); /* also if the line is in the room */
  CHECK_EQ(result_if_cancelled_before(read_byte, NULL), -ECANCELED);
  expect(&shared_reader, "next\n");
  close_pipe();
}

/* A flush that the pipe has no room for ends early, by a timeout and by a cancellation, and the next goes on. */
static void flushes_go_on(void) {
  enum { MUCH = 1 << 19 };
  static char much[MUCH], got[MUCH];
  CHECK_EQ(pipe2(ends, O_NONBLOCK),
           0); /* a kernel that cannot write without waiting would write all of it in blocking mode */
  CHECK_EQ(thrum_writer_init(&shared_writer, ends[1], much, sizeof much), 0);
  for (unsigned i = 0; i < MUCH / 4; i++) CHECK_EQ(thrum_writer_put(&shared_writer, &i, 4), 0);
  CHECK_EQ(result_if_cancelled_before(flush_all, NULL), -ECANCELED);
  CHECK_EQ(result_if_cancelled_before(put_one, NULL), -ECANCELED);
  CHECK_EQ(result_if_cancelled_before(print_one, NULL), -ECANCELED);
  CHECK_EQ(thrum_writer_flush_for(&shared_writer, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_writer_flush_for(&shared_writer, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_read_full(ends[0], got, 10000), 10000);
  CHECK_EQ(cancelled_result(flush_all, NULL), -ECANCELED);
  thrum_thread t = must_spawn(flush_all, NULL);
  CHECK_EQ(thrum_read_full(ends[0], got + 10000, MUCH - 10000), MUCH - 10000);
  CHECK_EQ(must_join(t), 0);
  for (unsigned i = 0; i < MUCH / 4; i++) CHECK_EQ(memcmp(got + 4 * i, &i, 4), 0);
  CHECK_EQ(thrum_read_for(ends[0], got, 1, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_close(ends[0]), 0);
  CHECK_EQ(thrum_writer_put(&shared_writer, "x", 1), 0);
  CHECK_EQ(thrum_writer_flush(&shared_writer), -EPIPE);
  CHECK_EQ(thrum_close(ends[1]), 0);
}

int main(void) {
  all_arrive(write_pieces);
  all_arrive(write_by_writer);
  last_line_may_lack_its_end();
  buffered_is_what_is_there();
  long_lines_come_piece_by_piece();
  long_texts_are_written();
  collecting_writes_nothing();
  timeouts_lose_nothing();
  time_is_for_the_whole_line();
  cancellations_lose_nothing();
  flushes_go_on();
  return 0;
}
