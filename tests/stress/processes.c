/* kill -9 of any process, at any moment: a household (household.h) runs in a process of its own, and of all that are below it one is
 * killed at random, again and again; now and then the household itself is killed, with all below it left to themselves.
 *
 *     stress-processes [KILLS [SEED]]
 *
 * What is checked. Inside, by each activity: every task, message, command, lock comes out well or as something that says why not. From
 * outside, by this process, which does not use thrum and is given all orphans: between kills every activity goes on; a household that is told
 * to end does so; when it has ended, or was killed, no process is left of it, no zombie that is somebody's, and no name. A household that is
 * left alone for its first round has as many descriptors and mappings at its end as then. Nothing hangs: what does is made to print its
 * threads.
 *
 * The seed is printed; it decides who is chosen and after how long, not where that one is just then. */
#define TESTS_FORKED_ELSEWHERE /* below */
#include "household.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* LeakSanitizer looks from a child process, and waits without end for one that was killed. Here any process may be. */
#if TESTS_ASAN
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return 1; }
#endif

enum {
  KILLS = 60, /* where no number is given */
  KILLS_A_HOUSEHOLD = 60,
  MANY = 500,       /* so many kills meet every kind of process */
  SERVERS_MOST = 6, /* killed before all go on: at its tenth a start fails */
  PROCESSES_MAX = 4096,
  WHOLE = (1 << ACTIVITIES) - 1
};

/* ---- The household's process ----------------------------------------------------------------------------------------------------- */

static int mappings(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  int n = 0;
  CHECK(maps);
  while (fgets(line, sizeof line, maps)) n += strstr(line, "memfd:") != NULL;
  fclose(maps);
  return n;
}

THRUM_TASK(nothing) { return (void)in, (void)size, (void)out, 0; }

/* With a fork server, and all that comes with it. */
static void settle(int *descriptors, int *memory) {
  must_end_with(must_start(THRUM_FORKSERVER, &nothing, NULL, 0), 0);
  *descriptors = open_descriptors();
  *memory = mappings();
}

static void check_left(int descriptors, int memory) {
  int d, m;
  settle(&d, &m);
  AWAIT(open_descriptors() <= descriptors);
  AWAIT(mappings() <= memory);
  AWAIT(count_children(getpid(), false) <= 1); /* the fork server */
}

static int live_in_stage(int fd, uint64_t seed, bool gentle) {
  void *at = mmap(NULL, sizeof(struct household), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  struct household *house = at, first = {.stop = 1};
  int descriptors = 0, memory = 0;
  CHECK(at != MAP_FAILED);
  be_called("k-household");
  signal(SIGPIPE, SIG_IGN);
  if (gentle) {
    first.judge = house->judge;
    household_live(&first, seed, WHOLE);
    settle(&descriptors, &memory);
    STORE(house->warm, 1);
  }
  household_live(house, seed + ACTIVITIES, WHOLE);
  if (gentle) check_left(descriptors, memory);
  return 0;
}

/* ---- Who is there ---------------------------------------------------------------------------------------------------------------- */

struct seen {
  pid_t pid, parent;
  char state, name[32];
  unsigned long long born;
  bool below; /* the household or below it */
};

static struct {
  struct seen each[PROCESSES_MAX];
  int count;
} world;

static bool see(pid_t pid, struct seen *seen) {
  char path[64], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "r");
  if (!file) return false;
  size_t n = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[n] = 0;
  char *name = strchr(line, '('), *end = strrchr(line, ')');
  if (!name || !end) return false;
  *end = 0;
  snprintf(seen->name, sizeof seen->name, "%s", name + 1);
  seen->pid = pid;
  seen->below = false;
  return sscanf(end + 2, "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                &seen->state, &seen->parent, &seen->born) == 3;
}

static struct seen *find(pid_t pid) {
  for (int i = 0; i < world.count; i++)
    if (world.each[i].pid == pid) return &world.each[i];
  return NULL;
}

/* All that descend from this process, which inherits the orphans. */
static int look_around(void) {
  int below = 0;
  DIR *proc = opendir("/proc");
  CHECK(proc);
  world.count = 0;
  for (struct dirent *entry; (entry = readdir(proc)) && world.count < PROCESSES_MAX;) {
    pid_t pid = (pid_t)atoi(entry->d_name);
    if (pid > 0 && see(pid, &world.each[world.count])) world.count++;
  }
  closedir(proc);
  for (bool more = true; more;) {
    more = false;
    for (int i = 0; i < world.count; i++) {
      struct seen *seen = &world.each[i], *parent = find(seen->parent);
      if (seen->below || !(seen->parent == getpid() || (parent && parent->below))) continue;
      seen->below = more = true;
      below++;
    }
  }
  return below;
}

/* ---- Who is killed --------------------------------------------------------------------------------------------------------------- */

static const char *const kinds[] = {"k-pool",     "k-task",      "k-forked", "k-family", "k-producer",
                                    "k-consumer", "k-locker",    "k-putter", "k-getter", "k-manager",
                                    "cat",        "fork server", "newborn"};
enum { KINDS = sizeof kinds / sizeof *kinds, SERVER = KINDS - 2, NEWBORN };
static unsigned long killed[KINDS];

/* One that has just come may be a fork server, too. */
static unsigned long servers_killed(void) { return killed[SERVER] + killed[NEWBORN]; }

/* The fork server has the name of this program, and so have those that have just come; but it is the child of who uses it. */
static int kind_of(const struct seen *seen) {
  for (int i = 0; i < SERVER; i++)
    if (strcmp(seen->name, kinds[i]) == 0) return i;
  char path[64], line[512] = "";
  snprintf(path, sizeof path, "/proc/%d/cmdline", (int)seen->pid);
  FILE *file = fopen(path, "r");
  size_t n = file ? fread(line, 1, sizeof line - 1, file) : 0;
  if (file) fclose(file);
  const struct seen *parent = find(seen->parent);
  bool serves = n > 8 && strcmp(line + n - 7, "server") == 0;
  bool used = parent && (!strcmp(parent->name, "k-household") || !strcmp(parent->name, "k-family"));
  return serves && used ? SERVER : NEWBORN;
}

/* First a kind, of those that are there, then one of it. NULL: nobody is there. */
static const struct seen *choose(uint64_t *seed, pid_t household, int *kind) {
  static int kind_at[PROCESSES_MAX];
  int there[KINDS] = {0}, present = 0;
  look_around();
  for (int i = 0; i < world.count; i++) {
    struct seen *seen = &world.each[i];
    bool may_be = seen->below && seen->pid != household && seen->state != 'Z' && seen->state != 'X';
    kind_at[i] = may_be ? kind_of(seen) : -1;
    if (may_be && there[kind_at[i]]++ == 0) present++;
  }
  if (!present) return NULL;
  int of_kinds = draw(seed, present), k = 0;
  while (!there[k] || of_kinds-- > 0) k++;
  int of_these = draw(seed, there[k]), i = 0;
  while (kind_at[i] != k || of_these-- > 0) i++;
  *kind = k;
  return &world.each[i];
}

/* Nobody else: it is looked at again when it is held. */
static void kill_one(uint64_t *seed, pid_t household) {
  int kind;
  const struct seen *victim = choose(seed, household, &kind);
  struct seen now;
  int fd = victim ? (int)syscall(SYS_pidfd_open, victim->pid, 0) : -1;
  if (fd < 0) return;
  if (see(victim->pid, &now) && now.born == victim->born && now.state != 'Z')
    killed[kind] += syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
  close(fd);
}

/* ---- A household, from outside -------------------------------------------------------------------------------------------------------- */

static struct household *house, total; /* what it shares; what all of them have counted */
static int house_fd;
static pid_t household;
static int household_status = -1;

static void start_household(const char *program, uint64_t seed, bool gentle) {
  char fd[16], seed_text[32];
  pid_t judge = getpid();
  memset(house, 0, sizeof *house);
  house->judge = judge;
  snprintf(fd, sizeof fd, "%d", house_fd);
  snprintf(seed_text, sizeof seed_text, "%llu", (unsigned long long)seed);
  household_status = -1;
  household = fork();
  CHECK(household >= 0);
  if (household) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGQUIT, SIG_DFL); /* a shell's background jobs have it ignored */
  execl("/proc/self/exe", program, "household", fd, seed_text, gentle ? "gentle" : "rough", (char *)NULL);
  _exit(127);
}

/* Orphans are this process's, and nobody else reaps them. */
static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    if (pid == household) household_status = status;
}

static void show_who_is_left(void) {
  look_around();
  for (int i = 0; i < world.count; i++) {
    const struct seen *seen = &world.each[i];
    if (seen->below)
      fprintf(stderr, "%d %s %c, child of %d\n", (int)seen->pid, seen->name, seen->state, (int)seen->parent);
  }
}

__attribute__((noreturn)) static void hangs(const char *what) {
  show_who_is_left();
  for (int i = 0; i < world.count; i++)
    if (world.each[i].below && world.each[i].name[0] == 'k') kill(world.each[i].pid, SIGQUIT);
  usleep(3000000); /* while they print */
  for (int i = 0; i < ACTIVITIES; i++)
    fprintf(stderr, "activity %d: %llu rounds\n", i, (unsigned long long)house->rounds[i]);
  check_failed(__FILE__, __LINE__, "hangs: %s", what);
}

#define UNTIL(condition, what) \
  do { \
    int64_t end_ = wall_now() + TESTS_HANG_S * INT64_C(1000000000); \
    for (; !(condition); usleep(1000)) { \
      if (wall_now() > end_) hangs(what); \
      reap(); \
    } \
  } while (0)

static bool has_ended(void) { return household_status >= 0; }

static void check_alive(void) {
  reap();
  if (!has_ended()) return;
  check_failed(__FILE__, __LINE__, "the household has ended, with the status 0x%x",
               (unsigned)household_status);
}

static bool all_beyond(const uint64_t *before) {
  bool all = true;
  check_alive();
  for (int i = 0; i < ACTIVITIES; i++) all &= LOAD(house->rounds[i]) >= before[i] + 2;
  return all;
}

/* Nobody is killed, and each activity comes to the end of a round that it has begun meanwhile. */
static void let_live(void) {
  uint64_t before[ACTIVITIES];
  for (int i = 0; i < ACTIVITIES; i++) before[i] = LOAD(house->rounds[i]);
  UNTIL(all_beyond(before), "an activity does not go on");
}

/* Of all households together, this one with them. A round may be over before anybody has put a message, on a slow machine. */
static bool some_came_through(void) {
  check_alive();
  return total.ended + LOAD(house->ended) > total.failed + LOAD(house->failed) &&
         total.talks + LOAD(house->talks) > total.cut + LOAD(house->cut) && total.got + LOAD(house->got) > 0;
}

static void check_names(void) {
  char line[512], own[32];
  FILE *file = fopen("/proc/net/unix", "r");
  CHECK(file);
  snprintf(own, sizeof own, "kills-%d-", (int)getpid());
  while (fgets(line, sizeof line, file))
    if (strstr(line, own)) check_failed(__FILE__, __LINE__, "a name is left: %s", line);
  fclose(file);
}

static void end_household(bool whole) {
  if (whole) {
    CHECK_EQ(kill(household, SIGKILL), 0);
    UNTIL(has_ended(), "it was killed");
    CHECK(WIFSIGNALED(household_status));
  } else {
    STORE(house->stop, 1);
    UNTIL(has_ended(), "the household does not end");
    if (household_status)
      check_failed(__FILE__, __LINE__, "the household's status is 0x%x", (unsigned)household_status);
  }
  UNTIL(look_around() == 0, "somebody is left");
  check_names();
}

/* ---- The whole ------------------------------------------------------------------------------------------------------------------- */

static void count_in(void) {
  total.ended += house->ended, total.failed += house->failed;
  total.talks += house->talks, total.cut += house->cut;
  total.unknown += house->unknown;
  total.got += house->got, total.lost += house->lost;
}

/* Mostly a few milliseconds, sometimes much shorter. */
static useconds_t a_moment(uint64_t *seed) { return (useconds_t)draw(seed, 1 << (4 + draw(seed, 12))); }

static unsigned long one_household(const char *program, uint64_t *seed, unsigned long kills,
                                   unsigned long number) {
  bool gentle = number % 2 == 0, whole = !gentle && draw(seed, 4);
  if (kills > KILLS_A_HOUSEHOLD / 2)
    kills = KILLS_A_HOUSEHOLD / 2 + (unsigned long)draw(seed, KILLS_A_HOUSEHOLD / 2);
  start_household(program, draw_any(seed), gentle);
  if (gentle) UNTIL((check_alive(), LOAD(house->warm)), "the first round");
  unsigned long servers = servers_killed();
  for (unsigned long i = 0; i < kills; i++) {
    usleep(a_moment(seed));
    kill_one(seed, household);
    check_alive();
    if (servers_killed() - servers < SERVERS_MOST) continue;
    let_live();
    servers = servers_killed();
  }
  if (number % 4 < 2) let_live();
  if (gentle) UNTIL(some_came_through(), "nothing comes through");
  end_household(whole);
  count_in();
  return kills + whole;
}

static void say_what_was(unsigned long kills, unsigned long households) {
  printf("%lu kills, %lu households:", kills, households);
  for (int i = 0; i < KINDS; i++) printf(" %s %lu", kinds[i], killed[i]);
  printf(
      "\n%llu tasks of executors, %llu failed; %llu processes, %llu killed, %llu unknown; %llu messages, %llu lost\n",
      (unsigned long long)total.ended, (unsigned long long)total.failed, (unsigned long long)total.talks,
      (unsigned long long)total.cut, (unsigned long long)total.unknown, (unsigned long long)total.got,
      (unsigned long long)total.lost);
}

static void judge(const char *program, unsigned long wanted, uint64_t seed) {
  unsigned long kills = 0, households = 0;
  printf("seed 0x%llx, %lu kills\n", (unsigned long long)seed, wanted);
  fflush(stdout);
  CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  house_fd = memfd_create("household", 0);
  CHECK(house_fd >= 0 && ftruncate(house_fd, sizeof *house) == 0);
  house = mmap(NULL, sizeof *house, PROT_READ | PROT_WRITE, MAP_SHARED, house_fd, 0);
  CHECK(house != MAP_FAILED);
  int before = open_descriptors();
  while (kills < wanted) {
    kills += one_household(program, &seed, wanted - kills, households++);
    if (wanted >= MANY) say_what_was(kills, households);
  }
  CHECK_EQ(open_descriptors(), before);
  say_what_was(kills, households);
  for (int i = 0; i < KINDS && wanted >= MANY; i++) CHECK(killed[i] > 0);
  CHECK(total.ended > total.failed && total.talks > total.cut && total.got > 0);
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  if (argc == 5 && strcmp(argv[1], "household") == 0)
    return live_in_stage(atoi(argv[2]), strtoull(argv[3], NULL, 10), strcmp(argv[4], "gentle") == 0);
  unsigned long kills = argc > 1 ? strtoul(argv[1], NULL, 10) : TESTS_SANITIZED ? KILLS / 2 : KILLS;
  judge(argv[0], kills, argc > 2 ? strtoull(argv[2], NULL, 0) : mix((uint64_t)wall_now()));
  return 0;
}
