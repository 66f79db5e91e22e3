/* When a process of an executor dies, the task that ran in it is the only one that is affected: it is tried again, or fails with a
 * sentence; and at the end nothing is left of anybody. */
#include "process_pools.h"

#include "../sum.h"

#include <fcntl.h>
#include <process/errand.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

THRUM_TASK(twice) { return 2 * number_in(in); }

/* Some other thread may be the one that takes the signal. */
static int die_of(int signo) {
  kill(getpid(), signo);
  while (signo) pause();
  return 0;
}

THRUM_TASK(kills_itself) { return die_of(number_in(in)); }

THRUM_TASK(exits) { exit(number_in(in)); }

THRUM_TASK(leaves_at_once) { _exit(number_in(in)); }

THRUM_TASK(forks) {
  pid_t child = fork();
  if (child == 0) return 77; /* comes to nothing there */
  return child > 0 ? number_in(in) : -ECHILD;
}

/* Dies as often as there are bytes left in the file. */
THRUM_TASK(dies_some_times) {
  char path[64], byte;
  memcpy(path, in, size);
  int fd = open(path, O_RDWR);
  off_t left = lseek(fd, 0, SEEK_END);
  if (left <= 0) return 5;
  if (ftruncate(fd, left - 1) != 0) return -EIO;
  (void)byte;
  kill(getpid(), SIGKILL);
  return -EIO;
}

static void only_its_own_task_fails(int processes, const thrum_task *task, int how, const char *part) {
  enum { N = 300, BAD = 37 };
  thrum_executor *x = processes_of(processes);
  thrum_future *f[N];
  for (int i = 0; i < N; i++) f[i] = submit_number(x, i == BAD ? task : &twice, i == BAD ? how : i);
  for (int i = 0; i < N; i++) {
    if (i == BAD)
      take_failure(f[i], -EOWNERDEAD, part);
    else
      CHECK_EQ(take(f[i]), 2 * i);
  }
  CHECK_EQ(take(submit_number(x, &twice, 4)), 8);
  thrum_executor_stats s = stats_of(x);
  CHECK_EQ(s.finished, N + 1);
  end_pool(x);
}

static char path[] = "/tmp/thrum-pool-XXXXXX";

static void write_lives(int n) {
  int fd = open(path, O_RDWR | O_TRUNC | O_CREAT, 0600);
  CHECK(fd >= 0);
  CHECK_EQ(write(fd, "xxxxxxxx", (size_t)n), n);
  close(fd);
}

static void tasks_are_tried_again(void) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  make_temporary(path);
  o.processes = 2;
  o.retries = 3;
  thrum_executor *x = processes_with(o);
  write_lives(3);
  CHECK_EQ(take(must_submit(x, &dies_some_times, path, sizeof path)), 5);
  write_lives(4);
  take_failure(must_submit(x, &dies_some_times, path, sizeof path), -EOWNERDEAD, "signal 9");
  CHECK_EQ(take(must_submit(x, &dies_some_times, path, sizeof path)),
           5); /* the fourth try took the last one */
  CHECK_EQ(stats_of(x).started, 8);
  end_pool(x);
  unlink(path);
}

/* A chunk of a map is a task. */
static void a_map_fails_where_it_died(void) {
  int items[] = {0, 0, SIGKILL, 0};
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  thrum_executor *x = processes_of(1);
  thrum_map *m;
  intptr_t value;
  o.keep_going = true;
  CHECK_EQ(thrum_map_start_task(&m, x, &kills_itself, items, 4, sizeof *items, &o), 0);
  CHECK_EQ(thrum_map_next(m, &value), 0);
  CHECK_EQ(thrum_map_next(m, &value), 0);
  CHECK_EQ(thrum_map_next(m, &value), 0);
  CHECK_EQ(value, -EOWNERDEAD);
  CHECK_HAS(thrum_map_failure(m), "killed by signal 9");
  thrum_map_end(m);
  end_pool(x);
}

static void signal_one(pid_t pid, int signo) {
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return;
  syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0);
  close(fd);
}

static void an_idle_one_is_replaced(void) {
  thrum_executor *x = processes_of(1);
  pid_t pid;
  for (int i = 0; i < 5; i++) {
    CHECK_EQ(take(submit_number(x, &twice, i)), 2 * i);
    CHECK_EQ(thrum_executor_pids(x, &pid, 1), 1);
    signal_one(pid, SIGKILL);
    AWAIT(thrum_executor_pids(x, &pid, 1) == 0);
  }
  CHECK_EQ(stats_of(x).started, 5);
  end_pool(x);
}

/* ---- What a terminal sends ------------------------------------------------------------------------------------------- */

/* Says that it is there, and stays until the file is gone. No sleep is cut short. */
THRUM_TASK(stays_there) {
  char mark[64];
  memcpy(mark, in, size);
  int fd = open(mark, O_WRONLY | O_APPEND | O_CLOEXEC), errors = 0;
  if (fd < 0 || write(fd, "x", 1) != 1) return -EIO;
  close(fd);
  while (access(mark, F_OK) == 0) errors += usleep(1000) != 0;
  return errors;
}

/* How a shell ends that sends itself SIGINT. */
THRUM_TASK(executes) {
  static char shell[] = "sh", option[] = "-c", command[] = "kill -INT $$; exit 3";
  char *const argv[] = {shell, option, command, NULL};
  posix_spawnattr_t attributes;
  sigset_t none;
  pid_t pid;
  int status = -1;
  sigemptyset(&none);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  int error = posix_spawn(&pid, "/bin/sh", NULL, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  if (error || waitpid(pid, &status, 0) != pid) return -ECHILD;
  return WIFSIGNALED(status) ? WTERMSIG(status) : -EPROTO;
}

THRUM_TASK(minds_interrupts) { return signal(SIGINT, SIG_DFL) == SIG_ERR ? -EINVAL : 0; }

static void send_to_each(thrum_executor *x, int signo) {
  pid_t pids[8];
  ssize_t n = thrum_executor_pids(x, pids, 8);
  CHECK(n > 0 && n <= 8);
  for (ssize_t i = 0; i < n; i++) CHECK_EQ(kill(pids[i], signo), 0);
}

static void a_terminal_harms_nobody(int method) {
  enum { N = 2 };
  char mark[] = "/tmp/thrum-pool-XXXXXX";
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  thrum_future *f[N];
  make_temporary(mark);
  o.processes = N;
  o.method = method;
  thrum_executor *x = processes_with(o);
  for (int i = 0; i < N; i++) f[i] = must_submit(x, &stays_there, mark, sizeof mark);
  AWAIT(size_of(mark) == N);
  for (int i = 0; i < 100; i++) {
    send_to_each(x, i % 2 ? SIGINT : SIGHUP);
    usleep(300);
  }
  unlink(mark);
  for (int i = 0; i < N; i++) CHECK_EQ(take(f[i]), 0);
  send_to_each(x, SIGINT); /* idle ones */
  CHECK_EQ(take(must_submit(x, &executes, NULL, 0)), SIGINT);
  CHECK_EQ(stats_of(x).started, N);
  end_pool(x);
}

static void unless_they_want_it(void) {
  char mark[] = "/tmp/thrum-pool-XXXXXX";
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  make_temporary(mark);
  o.processes = 1;
  o.initializer = &minds_interrupts;
  thrum_executor *x = processes_with(o);
  thrum_future *f = must_submit(x, &stays_there, mark, sizeof mark);
  AWAIT(size_of(mark) == 1);
  send_to_each(x, SIGINT);
  take_failure(f, -EOWNERDEAD, "was killed by signal 2");
  unlink(mark);
  end_pool(x);
}

/* ---- Those that never come to anything, and those that go mad --------------------------------------------------------- */

/* None dies before the file is there. */
THRUM_TASK(dies_at_once) {
  while (access(in, F_OK) != 0) usleep(1000);
  return size ? die_of(SIGTERM) : 0;
}

/* Where none lives long enough to do anything what is queued fails, and the executor can still be used: ten deaths are enough, and one more
 * of each of the others that are there. */
static void processes_that_never_live_are_said(int processes) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.processes = processes;
  o.initializer = &dies_at_once;
  o.initializer_in = path;
  o.initializer_size = sizeof path;
  thrum_executor *x = processes_with(o);
  for (int round = 0; round < 2; round++) {
    thrum_future *f[20];
    uint64_t before = stats_of(x).started;
    for (int i = 0; i < 20; i++) f[i] = submit_number(x, &twice, i);
    write_lives(1);
    for (int i = 0; i < 20; i++) take_failure(f[i], -EPIPE, "was killed by signal 15");
    CHECK(stats_of(x).started - before <= (uint64_t)(10 + processes - 1));
    unlink(path);
  }
  end_pool(x);
}

/* The board that this process has mapped. */
static struct thrumi_board *own_board(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  struct thrumi_board *board = NULL;
  char line[512];
  CHECK(maps);
  while (fgets(line, sizeof line, maps)) {
    void *start, *end;
    if (!strstr(line, "memfd") || !strstr(line, "rw-s") || sscanf(line, "%p-%p", &start, &end) != 2) continue;
    if ((size_t)((char *)end - (char *)start) < sizeof(struct thrumi_board)) continue;
    board = start;
  }
  fclose(maps);
  CHECK(board);
  return board;
}

/* Its executor goes round once more for the result, and then looks whether it may sleep. */
THRUM_TASK(scribbles) {
  memset(&own_board()->stop, 0x5a, sizeof(uint32_t));
  return number_in(in);
}

/* What a process writes into the memory that it shares is nothing to its executor but what it may say there. */
static void one_that_says_stop_dies_alone(void) {
  thrum_executor *x = processes_of(1);
  CHECK_EQ(take(submit_number(x, &twice, 3)), 6);
  CHECK_EQ(take(submit_number(x, &scribbles, 5)), 5); /* it ends by itself then */
  AWAIT(stats_of(x).threads == 0);
  CHECK_EQ(take(submit_number(x, &twice, 4)), 8);
  end_pool(x);
}

/* Of a result that may be what it says, and may not. */
static void write_nonsense(struct thrumi_flow *flow, uint64_t at, unsigned *seed) {
  struct thrumi_result *result = (struct thrumi_result *)(void *)(flow->bytes + at % THRUMI_RING / 16 * 16);
  struct thrumi_result_item *item = (struct thrumi_result_item *)(result + 1);
  if (at % THRUMI_RING > THRUMI_RING - sizeof *result - sizeof *item) return;
  result->record.kind = (uint32_t)rand_r(seed) % 8 ? THRUMI_RESULT : 0;
  result->record.size = (uint32_t)rand_r(seed) % 3 ? 64 : (uint32_t)rand_r(seed) % 4096 * 16;
  result->record.flags = (uint32_t)rand_r(seed) % 4 ? 0 : THRUMI_RECORD_PARCEL;
  result->number = (uint64_t)rand_r(seed) % 3;
  result->count = (uint64_t)rand_r(seed) % 3;
  result->size =
      rand_r(seed) % 2 ? sizeof *item : (uint64_t)rand_r(seed) % 2 << 23; /* longer than the board */
  result->error = rand_r(seed) % 3 ? 0 : -rand_r(seed) % 100;
  item->value = rand_r(seed) % 100;
  item->sentence_size = (uint32_t)rand_r(seed) % 2 ? 0 : (uint32_t)rand_r(seed);
  item->bytes_size = rand_r(seed) % 2 ? 0 : (uint64_t)1 << 22;
}

/* It ends at once: its executor looks at all that is there then. */
THRUM_TASK(writes_nonsense) {
  struct thrumi_board *board = own_board();
  unsigned seed = (unsigned)number_in(in);
  uint64_t tail = atomic_load(&board->flow[1].tail);
  for (uint64_t at = tail; at < tail + 4096; at += 64) write_nonsense(&board->flow[1], at, &seed);
  if (rand_r(&seed) % 4 == 0) atomic_store(&board->flow[0].head, (uint64_t)rand_r(&seed));
  atomic_store(&board->flow[1].tail, tail + (uint64_t)rand_r(&seed) % 64 * 64 + (rand_r(&seed) % 8 ? 0 : 8));
  return size ? _exit(3), 0 : 0;
}

/* Whatever its results say, tasks that it was given have an end, and all others theirs. */
static void one_that_writes_nonsense_dies_alone(void) {
  enum { WILD = 40, TAME = 5 };
  thrum_executor *x = processes_of(1), *other = processes_of(1);
  for (int i = 0; i < WILD; i++) {
    thrum_future *wild = submit_number(x, &writes_nonsense, i), *behind = submit_number(x, &twice, i),
                 *f[TAME];
    for (int j = 0; j < TAME; j++) f[j] = submit_number(other, &twice, j);
    CHECK_EQ(thrum_future_wait(wild), 0);
    CHECK_EQ(thrum_future_wait(behind), 0);
    thrum_future_release(wild), thrum_future_release(behind);
    for (int j = 0; j < TAME; j++) CHECK_EQ(take(f[j]), 2 * j);
  }
  CHECK_EQ(take(submit_number(x, &twice, 4)), 8);
  end_pool(x);
  end_pool(other);
}

/* Bytes of results that never come. */
THRUM_TASK(sends_strays) {
  thrum_conn *conn;
  int fd = dup(thrum_inherited_fd(THRUMI_HAND_CONN));
  if (fd < 0 || thrum_conn_open(&conn, fd, THRUM_CONN_BOTH) != 0) return -EINVAL;
  for (int i = number_in(in); i > 0; i--)
    if (thrum_conn_send_fd(conn, STDIN_FILENO) != 0) return -EPIPE;
  while (size) pause();
  return 0;
}

/* It keeps nobody's descriptors, and what it was killed for is said. */
static void one_that_sends_strays_dies_alone(int strays) {
  enum { N = 5 };
  int before = open_descriptors();
  thrum_executor *x = processes_of(1);
  thrum_future *wild = submit_number(x, &sends_strays, strays), *f[N];
  for (int i = 0; i < N; i++) f[i] = submit_number(x, &twice, i);
  take_failure(wild, -EOWNERDEAD, "since it wrote or sent what cannot be in the midst of it");
  for (int i = 0; i < N; i++) CHECK_EQ(take(f[i]), 2 * i);
  end_pool(x);
  AWAIT(open_descriptors() <= before);
}

/* ---- A killer --------------------------------------------------------------------------------------------------- */

enum { LETTERS = TESTS_SANITIZED ? 500 : 2000 };

/* The bytes, and their sum; sometimes far more than fit into a record. */
THRUM_TASK(letter) {
  uint32_t s = sum(in, size);
  int error = thrum_out_write(out, &s, sizeof s);
  return error ? error : thrum_out_write(out, in, size);
}

struct killer {
  thrum_executor *pool;
  bool stop;
  int kills;
};

/* It signals only processes of the pool's: those that it names both before and after they were opened. Between two of them something
 * is done, however slow the machine is. */
static intptr_t kill_now_and_then(void *arg) {
  struct killer *killer = arg;
  unsigned seed = 1;
  uint64_t next = 1;
  while (!LOAD(killer->stop)) {
    uint64_t finished = stats_of(killer->pool).finished;
    thrum_sleep(THRUM_US(rand_r(&seed) % 1000));
    if (finished < next) continue;
    next = finished + 1 + (uint64_t)rand_r(&seed) % 250;
    pid_t before[8], after[8];
    ssize_t n = thrum_executor_pids(killer->pool, before, 8);
    if (n > 0) {
      pid_t victim = before[(size_t)rand_r(&seed) % (size_t)n];
      int fd = (int)syscall(SYS_pidfd_open, victim, 0);
      n = thrum_executor_pids(killer->pool, after, 8);
      bool same = false;
      for (ssize_t i = 0; i < n; i++) same |= after[i] == victim;
      if (fd >= 0 && same && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0) ADD(killer->kills, 1);
      if (fd >= 0) close(fd);
    }
  }
  return 0;
}

/* Every task has exactly one result; those that failed were in the midst of it. */
static void nothing_is_lost_under_a_killer(unsigned retries) {
  static unsigned char text[200000];
  static thrum_future *f[LETTERS];
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  int failed = 0, rounds = 0;
  for (size_t i = 0; i < sizeof text; i++) text[i] = (unsigned char)(i * i >> 3);
  o.processes = 2;
  o.retries = retries;
  struct killer killer = {.pool = processes_with(o)};
  thrum_thread t = must_spawn(kill_now_and_then, &killer);
  do {
    for (int i = 0; i < LETTERS; i++)
      f[i] = must_submit(killer.pool, &letter, text + i, i % 97 == 0 ? 150000 : (size_t)(i % 700));
    for (int i = 0; i < LETTERS; i++) {
      const void *data;
      size_t size, sent = i % 97 == 0 ? 150000 : (size_t)(i % 700);
      int error = thrum_future_bytes(f[i], &data, &size);
      if (error) {
        CHECK_EQ(error, -EOWNERDEAD);
        CHECK_HAS(thrum_future_failure(f[i]), "killed by signal 9");
        failed++;
      } else {
        uint32_t s;
        CHECK_EQ(size, sent + sizeof s);
        memcpy(&s, data, sizeof s);
        CHECK_EQ(s, sum(text + i, sent));
        CHECK(memcmp((const char *)data + sizeof s, text + i, sent) == 0);
      }
      thrum_future_release(f[i]);
    }
    rounds++;
  } while (rounds < 6 || LOAD(killer.kills) <= 10);
  STORE(killer.stop, true);
  CHECK_EQ(must_join(t), 0);
  CHECK(failed <= killer.kills);
  if (retries > 100) CHECK_EQ(failed, 0);
  thrum_executor_stats s = stats_of(killer.pool);
  CHECK_EQ(s.finished, (uint64_t)rounds * LETTERS);
  CHECK_EQ(s.queued, 0);
  end_pool(killer.pool);
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  only_its_own_task_fails(1, &kills_itself, SIGKILL, "was killed by signal 9");
  int before = open_descriptors();
  for (int processes = 1; processes <= 3; processes++) {
    only_its_own_task_fails(processes, &kills_itself, SIGTERM, "was killed by signal 15");
    only_its_own_task_fails(processes, &exits, 7, "ended with exit code 7");
    only_its_own_task_fails(processes, &leaves_at_once, 0, "ended with exit code 0");
  }
  thrum_executor *x = processes_of(1);
  if (!TESTS_TSAN)
    for (int i = 0; i < 5; i++) CHECK_EQ(take(submit_number(x, &forks, i)), i);
  end_pool(x);
  tasks_are_tried_again();
  a_map_fails_where_it_died();
  an_idle_one_is_replaced();
  one_that_says_stop_dies_alone();
  one_that_writes_nonsense_dies_alone();
  for (int strays = 10; strays <= 2000; strays *= 200) one_that_sends_strays_dies_alone(strays);
  for (int method = THRUM_FORKSERVER; method <= (TESTS_TSAN ? THRUM_SPAWN : THRUM_FORK); method++)
    a_terminal_harms_nobody(method);
  unless_they_want_it();
  for (int processes = 1; processes <= 3; processes++) processes_that_never_live_are_said(processes);
  nothing_is_lost_under_a_killer(0);
  nothing_is_lost_under_a_killer(1000);
  AWAIT(open_descriptors() <= before);
  return 0;
}
