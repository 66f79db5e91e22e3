/* Descriptors in the hands of many, for some seconds: pipes and sockets, in blocking mode and not, that all read and write in every way,
 * with a time or without, waiting for one or for several, while threads are cancelled, and connections are made and accepted; light,
 * bound and foreign threads beside hogs, by a slice of 100 us. Half of the descriptors are closed under the hands of those who use
 * them, and their numbers become other files'.
 *
 *     stress-descriptors [SECONDS [SEED]]
 *
 * What must hold: no item is read twice, or but as it was written; of those that stay open each item whose write returned its size
 * is read once, and what failed, ran out of time or was cancelled has written nothing; and everybody gets through. */
#include "../support.h"
#include "cancel.h"
#include "random.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

enum {
  ALL = 24,
  SLOTS = 12, /* the first half stay open for a round */
  STAY =
      TESTS_TSAN ? SLOTS : SLOTS / 2, /* ThreadSanitizer reports who uses a number that is closed meanwhile */
  KINDS = 6,
  NUMBERS = 1 << 15, /* of each thread, in one round */
  APART = 100,       /* from here on are the numbers of those that are closed */
  NOTHING = -1,      /* the number of an item that only wakes */
};

struct item {
  int number, slot, check, rest;
};

struct slot {
  int ends[2];
  thrum_lock lock; /* of who closes and opens */
};

struct party {
  uint64_t seed;
  int next;
};

static struct slot slots[SLOTS];
static uint8_t was_put[ALL * NUMBERS], was_got[ALL * NUMBERS];
static struct party parties[ALL];
static struct crowd crowd;
static struct sockaddr_un address;
static int listener, over, ended;
static long put_in_all, got_in_all, timed_out, cancelled, closed, refused, connected, accepted;

static thrum_duration some_time(uint64_t *seed) {
  switch (draw(seed, 8)) {
  case 0: return 0;
  case 1: return THRUM_MS(draw(seed, 30)); /* longer than an enrolment is trusted at first */
  case 2: return THRUM_FOREVER;
  default: return THRUM_US(draw(seed, 300));
  }
}

static bool stays(int s) { return s < STAY; }
static bool is_socket(int s) { return s % KINDS >= 2; }

static void note(int s, ssize_t error) {
  if (error == -ETIMEDOUT) ADD(timed_out, 1);
  if (error == -ECANCELED) ADD(cancelled, 1);
  if (error == -EBADF) ADD(refused, 1);
  if (error == -ETIMEDOUT || error == -ECANCELED) return;
  if (stays(s)) check_failed(__FILE__, __LINE__, "slot %d: %zd", s, error);
}

/* ---- Items ---------------------------------------------------------------------------------------------------------- */

static bool is_whole(const struct item *item, ssize_t n) {
  return n == sizeof *item && item->check == (~item->number ^ item->slot << 20);
}

static void note_got(int s, const struct item *item, ssize_t n) {
  CHECK(is_whole(item, n));
  if (stays(s)) CHECK_EQ(item->slot, s);
  if (item->number == NOTHING) return;
  CHECK(item->number >= 0 && item->number < ALL * NUMBERS);
  CHECK_EQ(ADD(was_got[item->number], 1), 1);
  ADD(got_in_all, 1);
}

static struct item make_item(int number, int s) { return (struct item){number, s, ~number ^ s << 20, 0}; }

static ssize_t write_somehow(int fd, int s, struct item *item, uint64_t *seed, thrum_duration timeout) {
  struct iovec halves[] = {{item, 8}, {&item->check, 8}};
  switch (draw(seed, 4)) {
  case 0: return thrum_writev_for(fd, halves, 2, timeout);
  case 1:
    if (is_socket(s)) return thrum_send_for(fd, item, sizeof *item, 0, timeout); /* fall through */
  default: return thrum_write_for(fd, item, sizeof *item, timeout);
  }
}

/* Waits for one of two to be readable, and reads what is there then. */
static ssize_t await_and_read(int fd, struct item *item, uint64_t *seed, thrum_duration timeout) {
  int n, other = LOAD(slots[draw(seed, SLOTS)].ends[0]);
  if (draw(seed, 2)) {
    struct pollfd fds[] = {{fd, POLLIN, 0}, {other, draw(seed, 2) ? POLLIN : 0, 0}};
    n = thrum_poll_for(fds, 2, timeout);
  } else {
    thrum_case cases[] = {thrum_case_readable(fd), thrum_case_readable(other)};
    n = thrum_select_for(cases, 2, timeout);
  }
  if (n == -EBADF) n = -ETIMEDOUT; /* the other one was closed, perhaps */
  return n < 0 ? n : thrum_read_for(fd, item, sizeof *item, 0);
}

static ssize_t read_somehow(int fd, int s, struct item *item, uint64_t *seed, thrum_duration timeout) {
  struct iovec halves[] = {{item, 8}, {&item->check, 8}};
  switch (draw(seed, 6)) {
  case 0: return thrum_readv_for(fd, halves, 2, timeout);
  case 1: return await_and_read(fd, item, seed, timeout);
  case 2:
    if (is_socket(s)) return thrum_recv_for(fd, item, sizeof *item, 0, timeout); /* fall through */
  default: return thrum_read_for(fd, item, sizeof *item, timeout);
  }
}

static void put(struct party *me, int s) {
  struct item item = make_item(me->next, s);
  ssize_t n = write_somehow(LOAD(slots[s].ends[1]), s, &item, &me->seed, some_time(&me->seed));
  if (n <= 0) {
    note(s, n);
    return;
  }
  CHECK_EQ(n, sizeof item);
  was_put[me->next++] = stays(s) ? 2 : 1;
  ADD(put_in_all, 1);
}

static void get(struct party *me, int s) {
  struct item item;
  ssize_t n = read_somehow(LOAD(slots[s].ends[0]), s, &item, &me->seed, some_time(&me->seed));
  if (n > 0)
    note_got(s, &item, n);
  else
    note(s, n);
}

/* ---- Closing and connecting ----------------------------------------------------------------------------------------- */

/* A call may begin when its number is already another file's. That is to be another slot's: no connection, and nothing of the
 * runtime's, which reads files in /proc. */
static int move(int fd) {
  int moved = fcntl(fd, F_DUPFD, APART);
  CHECK(moved >= APART && close(fd) == 0);
  return moved;
}

static void open_slot(int s) {
  int pair[2], mode = s % 2 ? O_NONBLOCK : 0;
  static const int types[] = {0, SOCK_STREAM, SOCK_SEQPACKET};
  int type = types[s % KINDS / 2];
  CHECK_EQ(type ? socketpair(AF_UNIX, type | mode, 0, pair) : pipe2(pair, mode), 0);
  if (!type) CHECK(fcntl(pair[1], F_SETPIPE_SZ, 4096) > 0);
  for (int i = 0; i < 2; i++) STORE(slots[s].ends[i], stays(s) ? pair[i] : move(pair[i]));
}

static void close_slot(int s, int first) {
  for (int i = 0; i < 2; i++) CHECK_EQ(thrum_close(slots[s].ends[i ^ first]), 0);
  ADD(closed, 1);
}

static void renew(struct party *me) {
  if (STAY == SLOTS) return;
  int s = STAY + draw(&me->seed, SLOTS - STAY);
  if (thrum_lock_try_acquire(&slots[s].lock) != 0) return;
  if (!LOAD(over)) {
    close_slot(s, draw(&me->seed, 2));
    open_slot(s);
  }
  thrum_lock_release(&slots[s].lock);
}

static void connect_somehow(struct party *me) {
  int fd = socket(AF_UNIX, SOCK_STREAM | (draw(&me->seed, 4) ? SOCK_NONBLOCK : 0), 0);
  CHECK(fd >= 0);
  int error = -ETIMEDOUT;
  if (fcntl(fd, F_GETFL) & O_NONBLOCK)
    error =
        thrum_connect_for(fd, (struct sockaddr *)&address, sizeof address, THRUM_US(draw(&me->seed, 3000)));
  if (error) note(0, error);
  if (!error) ADD(connected, 1);
  CHECK_EQ(thrum_close(fd), 0);
}

static void accept_somehow(struct party *me) {
  int fd = thrum_accept_for(listener, NULL, NULL, THRUM_US(draw(&me->seed, 3000)));
  if (fd < 0) {
    note(0, fd);
    return;
  }
  ADD(accepted, 1);
  CHECK_EQ(thrum_close(fd), 0);
}

/* ---- A round -------------------------------------------------------------------------------------------------------- */

static intptr_t run(void *number) {
  struct party *me = &parties[(intptr_t)number];
  int last = ((int)(intptr_t)number + 1) * NUMBERS;
  while (!LOAD(over)) {
    int what = draw(&me->seed, 32), s = draw(&me->seed, SLOTS);
    if (what == 0)
      renew(me);
    else if (what == 1)
      connect_somehow(me);
    else if (what == 2)
      accept_somehow(me);
    else if (what < 18 && me->next < last)
      put(me, s);
    else
      get(me, s);
  }
  ADD(ended, 1);
  return 0;
}

static void begin(uint64_t *seed) {
  memset(was_put, 0, sizeof was_put);
  memset(was_got, 0, sizeof was_got);
  over = ended = 0;
  for (int s = 0; s < SLOTS; s++) open_slot(s);
  for (int i = 0; i < ALL; i++) {
    parties[i].seed = mix(*seed + (uint64_t)i);
    parties[i].next = i * NUMBERS;
  }
}

static bool take_one(int s) {
  struct item item;
  ssize_t n = thrum_read_for(slots[s].ends[0], &item, sizeof item, 0);
  if (n > 0) note_got(s, &item, n);
  return n > 0;
}

/* Those that wait without a time get something, or room, in turn: a socket or a pipe may tell of room only when it is all but empty. Of
 * what is closed they hear. */
static void let_go(void) {
  int64_t hang = wall_now() + TESTS_HANG_S * INT64_C(1000000000);
  struct item item;
  STORE(over, 1);
  for (int s = STAY; s < SLOTS; s++) {
    thrum_lock_acquire(&slots[s].lock);
    close_slot(s, s % 2);
    thrum_lock_release(&slots[s].lock);
  }
  for (bool room = true; LOAD(ended) < ALL; room = !room) {
    if (wall_now() > hang) await_failed(__FILE__, __LINE__, "all have ended");
    for (int s = 0; s < STAY; s++) {
      while (room && take_one(s)) continue;
      if (room) continue;
      item = make_item(NOTHING, s);
      ssize_t n = thrum_write_for(slots[s].ends[1], &item, sizeof item, 0);
      CHECK(n == sizeof item || n == -ETIMEDOUT);
    }
    CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  }
}

static void end(void) {
  let_go();
  crowd_join(&crowd);
  for (int s = 0; s < STAY; s++) {
    while (take_one(s)) continue;
    close_slot(s, 0);
  }
  for (int n = 0; n < ALL * NUMBERS; n++) {
    CHECK(was_got[n] <= (was_put[n] > 0));
    if (was_put[n] == 2) CHECK_EQ(was_got[n], 1);
  }
}

static void meddle(uint64_t *seed) {
  int i = draw(seed, ALL);
  if (!crowd_is_foreign(i)) cancel_and_take_back(crowd.threads[i]);
  CHECK_EQ(thrum_sleep(THRUM_US(draw(seed, 400))), 0);
}

static void listen_somewhere(void) {
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "thrum-stress-%d", (int)getpid());
  listener = socket(AF_UNIX, SOCK_STREAM, 0); /* in blocking mode */
  CHECK_EQ(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
  CHECK_EQ(listen(listener, 4), 0);
}

/* On a machine that does much else a few seconds may be too little for that. */
static bool all_has_happened(void) {
  return put_in_all && got_in_all && timed_out && connected && accepted &&
         (TESTS_TSAN || (closed && refused));
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : mix((uint64_t)wall_now());
  struct hogs hogs;
  printf("seed 0x%llx, %g s\n", (unsigned long long)seed, seconds);
  fflush(stdout);
  thrum_set_switch_interval(THRUM_US(100));
  listen_somewhere();
  hogs_start(&hogs, 2, hog_loop);
  for (int64_t stop = wall_now() + (int64_t)(seconds * 1e9); wall_now() < stop || !all_has_happened();) {
    begin(&seed);
    crowd_start(&crowd, ALL, run);
    for (int64_t last = wall_now() + THRUM_MS(50 + draw(&seed, 400)); wall_now() < last;) meddle(&seed);
    end();
  }
  hogs_stop(&hogs);
  printf(
      "%ld put, %ld got, %ld ran out of time, %ld cancelled, %ld closed, %ld heard of it, %ld connected, %ld accepted\n",
      put_in_all, got_in_all, timed_out, cancelled, closed, refused, connected, accepted);
  return 0;
}
