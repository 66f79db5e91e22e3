/* Process slots: a process takes one in a segment, its end however it comes marks it and wakes who waits for that, and the next
 * user of the slot is nobody that was there before. */
#include "../support.h"

#include <os/os.h>
#include <process/segment.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { PAGE = THRUMI_SEGMENT_GRAIN };

static struct thrumi_segment *make(void) {
  struct thrumi_segment *s;
  const struct thrumi_segment_sizes sizes = {.size = PAGE, .most = PAGE};
  CHECK_EQ(thrumi_segment_create(&s, &sizes), 0);
  return s;
}

static thrumi_holder holder(struct thrumi_segment *s) {
  thrumi_holder h = 0;
  CHECK_EQ(thrumi_segment_slot(s, &h), 0);
  CHECK(h != 0);
  return h;
}

/* What the child says of itself, in the segment's data. */
struct said {
  _Atomic uint32_t holder, go;
};

static struct said *said(struct thrumi_segment *s) { return (struct said *)thrumi_segment_data(s); }

/* A child that takes a slot, says which, and calls fn. */
static pid_t child(struct thrumi_segment *s, void (*fn)(struct thrumi_segment *s)) {
  atomic_store(&said(s)->holder, 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    atomic_store(&said(s)->holder, holder(s));
    fn(s);
    _exit(0);
  }
  AWAIT(atomic_load(&said(s)->holder));
  return pid;
}

static void reap(pid_t pid) { CHECK_EQ(waitpid(pid, NULL, 0), pid); }

static void stay(struct thrumi_segment *s) {
  while (!atomic_load(&said(s)->go)) thrum_sleep(THRUM_MS(1));
}

static void one_a_process(void) {
  struct thrumi_segment *s = make();
  thrumi_holder mine = holder(s);
  CHECK_EQ(holder(s), mine);
  CHECK(!thrumi_slot_is_dead(s, mine));
  CHECK_EQ(thrumi_slot_pid(s, mine), getpid());
  CHECK(thrumi_segment_of(s->header) == s);
  CHECK(thrumi_segment_of((char *)s->header + s->bytes - 1) == s);
  CHECK(thrumi_segment_of((char *)s->header + s->bytes) != s);
  CHECK(thrumi_segment_of((char *)s->header - 1) != s);
  CHECK(thrumi_segment_of(&mine) == NULL);
  thrumi_segment_close(s);
}

/* A kernel thread that waits for the end of a holder. */
struct watcher {
  thrumi_futex *word;
  uint32_t expected;
  pid_t tid;
  int result;
};

static void *watch(void *arg) {
  struct watcher *w = arg;
  STORE(w->tid, gettid());
  w->result = thrumi_os.shared_wait(w->word, w->expected, INT64_MAX);
  return NULL;
}

static bool is_asleep(struct watcher *w) {
  return LOAD(w->tid) && thrumi_os.activity(LOAD(w->tid)) == THRUMI_ACTIVITY_BLOCKED;
}

/* One that the kernel wakes, and one that whoever looks first wakes. */
static void the_killed_are_seen(void) {
  struct thrumi_segment *s = make();
  thrumi_holder mine = holder(s);
  pid_t pid = child(s, stay);
  thrumi_holder theirs = atomic_load(&said(s)->holder);
  CHECK(theirs != mine);
  CHECK(!thrumi_slot_is_dead(s, theirs));
  CHECK_EQ(thrumi_slot_pid(s, theirs), pid);
  uint32_t expected;
  pthread_t thread[2];
  struct watcher watcher[2] = {0};
  for (int i = 0; i < 2; i++) {
    watcher[i].word = thrumi_slot_watch(s, theirs, &watcher[i].expected);
    CHECK(watcher[i].word != NULL);
    CHECK_EQ(pthread_create(&thread[i], NULL, watch, &watcher[i]), 0);
  }
  AWAIT(is_asleep(&watcher[0]) && is_asleep(&watcher[1]));
  CHECK_EQ(kill(pid, SIGKILL), 0);
  AWAIT(!is_asleep(&watcher[0]) || !is_asleep(&watcher[1])); /* nobody has looked */
  CHECK(thrumi_slot_is_dead(s, theirs));
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(thread[i], NULL), 0);
  CHECK(thrumi_slot_is_dead(s, theirs));
  CHECK(thrumi_slot_watch(s, theirs, &expected) == NULL);
  CHECK_EQ(thrumi_slot_pid(s, theirs), 0);
  CHECK(!thrumi_slot_is_dead(s, mine));
  reap(pid);
  thrumi_segment_close(s);
}

static void end_plainly(struct thrumi_segment *s) { (void)s; }
static void end_by_fault(struct thrumi_segment *s) {
  (void)s;
  prctl(PR_SET_DUMPABLE, 0);
  signal(SIGABRT, SIG_DFL);
  abort();
}
static void end_by_exec(struct thrumi_segment *s) {
  (void)s;
  execl("/bin/sleep", "sleep", "1000", (char *)NULL);
}

/* An exec is an end, too: what the process held there is lost to it. */
static void all_ends_are_ends(void) {
  struct thrumi_segment *s = make();
  void (*const ends[])(struct thrumi_segment *) = {end_plainly, end_by_fault, end_by_exec};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    pid_t pid = child(s, ends[i]);
    AWAIT(thrumi_slot_is_dead(s, atomic_load(&said(s)->holder)));
    kill(pid, SIGKILL);
    reap(pid);
  }
  thrumi_segment_close(s);
}

static void close_it(struct thrumi_segment *s) {
  thrumi_segment_close(s);
  for (;;) pause();
}

/* Who closes it gives its slot back, and is dead there; so is whoever had the slot before the present user. */
static void slots_are_used_again(void) {
  struct thrumi_segment *s = make();
  enum { TIMES = 40 };
  thrumi_holder before[TIMES];
  for (int i = 0; i < TIMES; i++) {
    pid_t pid = child(s, i % 2 ? end_plainly : close_it);
    before[i] = atomic_load(&said(s)->holder);
    AWAIT(thrumi_slot_is_dead(s, before[i]));
    kill(pid, SIGKILL);
    reap(pid);
    for (int j = 0; j < i; j++) CHECK(before[j] != before[i] && thrumi_slot_is_dead(s, before[j]));
  }
  thrumi_segment_close(s);
}

/* All slots are dead ones: they are buried, and taken again. */
static void a_full_table_is_cleared(void) {
  struct thrumi_segment *s = make();
  pid_t pid = child(s, end_plainly);
  reap(pid);
  thrumi_holder dead = atomic_load(&said(s)->holder);
  for (uint32_t i = 1; i < THRUMI_SLOTS; i++)
    atomic_store(&thrumi_segment_slot_at(s, i)->state, (uint64_t)7 << 32 | FUTEX_OWNER_DIED);
  thrumi_holder mine = holder(s);
  CHECK_EQ(mine >> THRUMI_SLOT_BITS, 8);
  CHECK(thrumi_slot_is_dead(s, dead));
  thrumi_segment_leave(s);
  for (uint32_t i = 1; i < THRUMI_SLOTS; i++)
    atomic_store(&thrumi_segment_slot_at(s, i)->state, (uint64_t)7 << 32 | 0x3ffffff0);
  CHECK_EQ(thrumi_segment_slot(s, &mine), -ENOSPC);
  thrumi_segment_close(s);
}

/* The child of a fork is a process of its own, and forks again. */
static void fork_again(struct thrumi_segment *s) {
  thrumi_holder mine = holder(s);
  pid_t pid = fork();
  if (pid == 0) {
    struct thrumi_segment *other = make(), *third = make();
    CHECK(holder(other) && holder(s) != mine && holder(third));
    CHECK(!thrumi_slot_is_dead(s, mine));
    thrumi_segment_close(s);
    thrumi_segment_close(other);
    thrumi_segment_close(third);
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  CHECK(!thrumi_slot_is_dead(s, mine));
}

static void forks_are_processes(void) {
  struct thrumi_segment *s = make();
  thrumi_holder mine = holder(s);
  pid_t pid = child(s, fork_again);
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  CHECK_EQ(holder(s), mine);
  thrumi_segment_close(s);
}

/* Many segments at once on one list, some taken off it again: all the others are found dead. */
enum { MANY = 100 };

static struct thrumi_segment *many[MANY];
static _Atomic uint32_t *holders; /* of the child, in memory that both have */

static void take_many(struct thrumi_segment *s) {
  (void)s;
  for (int i = 0; i < MANY; i++) holders[i] = holder(many[i]);
  for (int i = 0; i < MANY; i += 3) thrumi_segment_close(many[i]);
  for (int i = 1; i < MANY; i++) CHECK(i % 3 == 0 || !thrumi_slot_is_dead(many[i], holders[i]));
}

static void many_at_once(void) {
  struct thrumi_segment *words = make();
  for (int i = 0; i < MANY; i++) holder(many[i] = make());
  holders = (_Atomic uint32_t *)thrumi_segment_data(words) + 16;
  reap(child(words, take_many));
  for (int i = 0; i < MANY; i++) CHECK(holders[i] && thrumi_slot_is_dead(many[i], holders[i]));
  for (int i = 0; i < MANY; i++) CHECK(!thrumi_slot_is_dead(many[i], holder(many[i])));
  for (int i = 0; i < MANY; i++) thrumi_segment_close(many[i * 37 % MANY]);
  thrumi_segment_close(words);
}

/* Without robust lists nobody would ever be found dead: no slot is given then. */
static int no_robust(void *head, size_t size) { return (void)head, (void)size, -ENOSYS; }

static void no_list_no_slot(void) {
  struct thrumi_segment *s = make();
  pid_t pid = fork();
  if (pid == 0) {
    thrumi_holder mine = 0;
    thrumi_os.robust = no_robust;
    CHECK_EQ(thrumi_segment_slot(s, &mine), -ENOSYS);
    CHECK_EQ(thrumi_segment_slot(s, &mine), -ENOSYS);
    thrumi_segment_close(s);
    _exit(mine != 0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  thrumi_segment_close(s);
}

/* Attached again it is the same mapping, also by many threads at once. */
static struct thrumi_segment *all_have;

static intptr_t attach_and_close(void *unused) {
  (void)unused;
  struct thrumi_segment *s = all_have;
  for (int i = 0; i < 50; i++) {
    struct thrumi_segment *again, *own = make();
    CHECK_EQ(thrumi_segment_attach(&again, dup(s->fd)), 0);
    CHECK(again == s);
    CHECK_EQ(holder(again), holder(s));
    CHECK(thrumi_segment_of(own->header) == own);
    CHECK(thrumi_segment_of(again->header) == s);
    holder(own);
    thrumi_segment_close(own);
    thrumi_segment_close(again);
  }
  return 0;
}

/* Somebody else buries a holder, and the slot's next user comes and dies as well, all while who looked first lets every CPU pass. */
static struct thrumi_segment *delayed;
static thrumi_holder first_dead, next_dead;
static int (*barrier_all)(void);

static void nothing(struct thrumi_segment *s) { (void)s; }

static int let_others_be_faster(void) {
  thrumi_os.barrier_all = barrier_all;
  CHECK(thrumi_slot_is_dead(delayed, first_dead));
  reap(child(delayed, nothing));
  next_dead = atomic_load(&said(delayed)->holder);
  CHECK_EQ(next_dead % THRUMI_SLOTS, first_dead % THRUMI_SLOTS);
  return barrier_all();
}

static void late_burials_bury_nobody_else(void) {
  delayed = make();
  holder(delayed);
  reap(child(delayed, nothing));
  first_dead = atomic_load(&said(delayed)->holder);
  barrier_all = thrumi_os.barrier_all;
  thrumi_os.barrier_all = let_others_be_faster;
  CHECK(thrumi_slot_is_dead(delayed, first_dead));
  CHECK(thrumi_slot_is_dead(delayed, next_dead));
  pid_t pid = child(delayed, stay);
  CHECK(atomic_load(&said(delayed)->holder) != next_dead); /* it holds nothing that the dead one held */
  CHECK(thrumi_slot_is_dead(delayed, next_dead) && thrumi_slot_is_dead(delayed, first_dead));
  atomic_store(&said(delayed)->go, 1);
  reap(pid);
  thrumi_segment_close(delayed);
}

static void one_mapping(void) {
  static struct crowd crowd;
  all_have = make();
  crowd_start(&crowd, 8, attach_and_close);
  crowd_join(&crowd);
  thrumi_segment_close(all_have);
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  struct thrumi_segment *s = make();
  thrumi_holder mine;
  if (thrumi_segment_slot(s, &mine) == -ENOSYS) CHECK_SKIP("no robust lists here");
  thrumi_segment_close(s);
  one_a_process();
  the_killed_are_seen();
  all_ends_are_ends();
  slots_are_used_again();
  a_full_table_is_cleared();
  forks_are_processes();
  many_at_once();
  late_burials_bury_nobody_else();
  no_list_no_slot();
  one_mapping();
  return 0;
}
