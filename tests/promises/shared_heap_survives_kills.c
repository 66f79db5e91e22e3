/* A shared heap outlives those who are killed in it.
 *
 * Stepped: a child is run one machine instruction at a time through an allocation and a free, and killed behind each
 * instruction in turn; the heap must then be whole for us, at once. Beaten: four children allocate and free, each with its
 * list of blocks in the same memory, and are killed at random; what the dead had is given back by us, and nothing but
 * what they were just being given is lost. */
#include "../support.h"

#include <os/os.h>
#include <process/segment.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { PAGE = 4096, BLOCKS = 32, CHILDREN = 4, ROUNDS = TESTS_SANITIZED ? 20 : 100 };

/* A child's list. FREEING is set while it gives one back: whether it has is not known if it dies there. */
struct list {
  _Atomic int64_t block[BLOCKS];
  _Atomic uint32_t size[BLOCKS];
  _Atomic uint32_t operations;
};
enum { FREEING = 1 };

struct shared {
  struct list list[CHILDREN];
  _Atomic uint32_t stop;
};

static thrum_shared_memory *memory;
static struct shared *shared;

static void make(size_t heap) {
  thrum_shared_memory_options o = THRUM_SHARED_MEMORY_OPTIONS_INIT;
  o.heap = heap;
  CHECK_EQ(thrum_shared_memory_create(&memory, NULL, sizeof(struct shared), &o), 0);
  shared = (struct shared *)thrum_shared_memory_data(memory);
}

/* All of the heap can be had in one piece again. */
static void must_be_whole(size_t heap) {
  CHECK_EQ(thrum_shared_used(memory), 0);
  void *all = thrum_shared_alloc(memory, heap - 32);
  CHECK(all != NULL);
  CHECK_EQ(thrum_shared_free(memory, all), 0);
}

/* ---- Stepped --------------------------------------------------------------------------------------------------------------- */

enum { STEPPED_HEAP = 8 * PAGE };

static void *kept[3];

/* Between two blocks that stay: what is freed has neighbours of both kinds. */
static void allocate_and_free(void) {
  void *p = thrum_shared_alloc(memory, 100);
  atomic_store(&shared->list[0].block[0], thrum_shared_offset(memory, p));
  CHECK_EQ(thrum_shared_free(memory, kept[1]), 0);
  CHECK_EQ(thrum_shared_free(memory, p), 0);
}

static void stepped_child(void) {
  thrumi_holder mine;
  CHECK_EQ(thrumi_segment_slot(thrumi_segment_of(shared), &mine), 0);
  CHECK_EQ(ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
  raise(SIGSTOP);
  allocate_and_free();
  _exit(0);
}

/* Runs the child for so many instructions and kills it. True: it ended before. */
static bool step(pid_t pid, long steps) {
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFSTOPPED(status));
  for (long i = 0; i < steps; i++) {
    CHECK_EQ(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) return true;
    if (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP) i--; /* a signal: it is not delivered */
  }
  CHECK_EQ(kill(pid, SIGKILL), 0);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return false;
}

static int no_barrier(void) { return 0; } /* the dead one has been waited for */

/* One block of 100 bytes at most is lost, and what the child did not come to free is there for us to free. */
static void mend(void) {
  void *p = thrum_shared_alloc(memory, 64);
  CHECK(p != NULL);
  CHECK_EQ(thrum_shared_free(memory, p), 0);
  thrum_shared_free(memory, kept[1]); /* it may have */
  for (int i = 0; i < 3; i += 2) CHECK_EQ(thrum_shared_free(memory, kept[i]), 0);
  CHECK(thrum_shared_used(memory) == 0 || thrum_shared_used(memory) == 128);
}

static bool kill_behind(long steps) {
  make(STEPPED_HEAP);
  for (int i = 0; i < 3; i++) CHECK((kept[i] = thrum_shared_alloc(memory, 200)) != NULL);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) stepped_child();
  bool ended = step(pid, steps);
  mend();
  if (ended) must_be_whole(STEPPED_HEAP);
  thrum_shared_memory_close(memory);
  return ended;
}

static void killed_behind_each_instruction(void) {
  thrumi_os.barrier_all = no_barrier;
  const long stride = TESTS_SANITIZED ? 499 : 13;
  long steps = getpid() % stride; /* others each time; all of them are in the unit test of the heap */
  while (!kill_behind(steps)) steps += stride;
  CHECK(steps > 300);
  thrumi_os.barrier_all = thrumi_os_linux.barrier_all;
}

/* ---- Who sleeps ------------------------------------------------------------------------------------------------------------ */

/* Nobody looks again by himself: the wake-up must come. */
static int wait_for_ever(thrumi_futex *word, uint32_t expected, int64_t deadline) {
  CHECK(deadline != INT64_MAX);
  return thrumi_os_linux.shared_wait(word, expected, INT64_MAX);
}

static pid_t sleeper;

static void *allocate_once(void *unused) {
  (void)unused;
  STORE(sleeper, gettid());
  void *p = thrum_shared_alloc(memory, 10);
  CHECK(p != NULL);
  CHECK_EQ(thrum_shared_free(memory, p), 0);
  return NULL;
}

static thrumi_holder dead_holder(struct thrumi_segment *s) {
  _Atomic int64_t *said = &shared->list[0].block[0];
  pid_t pid = fork();
  if (pid == 0) {
    thrumi_holder theirs = 0;
    CHECK_EQ(thrumi_segment_slot(s, &theirs), 0);
    atomic_store(said, theirs);
    _exit(0);
  }
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  return (thrumi_holder)atomic_load(said);
}

/* Whoever takes the lock from a dead holder wakes who sleeps behind that one. */
static void sleepers_are_woken(void) {
  make(STEPPED_HEAP);
  struct thrumi_segment *s = thrumi_segment_of(shared);
  thrumi_holder mine, dead = dead_holder(s);
  pthread_t thread;
  const uint32_t contended = UINT32_C(1) << 31;
  CHECK_EQ(thrumi_segment_slot(s, &mine), 0);
  thrumi_os.shared_wait = wait_for_ever;
  atomic_store(&s->header->heap_lock, mine); /* as if another thread of ours had it */
  CHECK_EQ(pthread_create(&thread, NULL, allocate_once, NULL), 0);
  AWAIT(atomic_load(&s->header->heap_lock) == (mine | contended) &&
        thrumi_os.activity(LOAD(sleeper)) == THRUMI_ACTIVITY_BLOCKED);
  atomic_store(&s->header->heap_lock, dead | contended);
  CHECK_EQ(thrum_shared_free(memory, thrum_shared_alloc(memory, 10)), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  thrumi_os.shared_wait = thrumi_os_linux.shared_wait;
  must_be_whole(STEPPED_HEAP);
  thrum_shared_memory_close(memory);
}

/* ---- Beaten ---------------------------------------------------------------------------------------------------------------- */

enum { BEATEN_HEAP = 4 << 20 };

static uint32_t chance(uint64_t *state, uint32_t n) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return (uint32_t)(*state >> 33) % n;
}

static void fill(struct list *l, int i, char *p) {
  memset(p, 1 + (int)((l - shared->list) * BLOCKS + i) % 200, l->size[i]);
}

static void must_be_filled(struct list *l, int i, const char *p) {
  const char with = (char)(1 + (int)((l - shared->list) * BLOCKS + i) % 200);
  for (uint32_t j = 0; j < l->size[i]; j++) CHECK_EQ(p[j], with);
}

static void operate(struct list *l, int i, uint64_t *seed) {
  int64_t block = atomic_load(&l->block[i]);
  if (!block) {
    uint32_t size = chance(seed, 10) ? chance(seed, 500) : chance(seed, 20000);
    char *p = thrum_shared_alloc(memory, size);
    if (!p) return;
    for (uint32_t j = 0; j < size; j++) CHECK_EQ(p[j], 0);
    l->size[i] = size;
    fill(l, i, p);
    atomic_store(&l->block[i], thrum_shared_offset(memory, p));
  } else {
    char *p = thrum_shared_pointer(memory, block);
    must_be_filled(l, i, p);
    atomic_store(&l->block[i], block | FREEING);
    CHECK_EQ(thrum_shared_free(memory, p), 0);
    atomic_store(&l->block[i], 0);
  }
  atomic_fetch_add(&l->operations, 1);
}

static void beaten_child(int number) {
  uint64_t seed = 88172645463325252u + (uint64_t)getpid() * 7919;
  while (!atomic_load(&shared->stop)) operate(&shared->list[number], (int)chance(&seed, BLOCKS), &seed);
  _exit(0);
}

static pid_t start(int number) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    beaten_child(number);
  }
  return pid;
}

/* Gives back what a dead child had. Returns how many blocks may be lost. */
static int inherit(int number) {
  struct list *l = &shared->list[number];
  int lost = 1; /* what it was just being given */
  for (int i = 0; i < BLOCKS; i++) {
    int64_t block = atomic_load(&l->block[i]);
    lost += block & FREEING;
    if (block && !(block & FREEING)) {
      char *p = thrum_shared_pointer(memory, block);
      must_be_filled(l, i, p);
      CHECK_EQ(thrum_shared_free(memory, p), 0);
    }
    atomic_store(&l->block[i], 0);
  }
  return lost;
}

/* The moment is by chance: behind some operations of the child, wherever it is then. */
static void beat(pid_t *child, int *lost) {
  uint64_t seed = 88172645463325252u + (uint64_t)getpid();
  for (int round = 0; round < ROUNDS; round++) {
    int number = (int)chance(&seed, CHILDREN);
    uint32_t until = atomic_load(&shared->list[number].operations) + 1 + chance(&seed, 50);
    AWAIT((int32_t)(atomic_load(&shared->list[number].operations) - until) >= 0);
    for (uint32_t spins = chance(&seed, 2000); spins; spins--) atomic_signal_fence(memory_order_seq_cst);
    int status;
    CHECK_EQ(kill(child[number], SIGKILL), 0);
    CHECK_EQ(waitpid(child[number], &status, 0), child[number]);
    CHECK(WIFSIGNALED(status)); /* it did not end because a check of its own failed */
    *lost += inherit(number);
    child[number] = start(number);
  }
}

static void killed_at_random(void) {
  make(BEATEN_HEAP);
  pid_t child[CHILDREN];
  int lost = 0;
  for (int i = 0; i < CHILDREN; i++) child[i] = start(i);
  beat(child, &lost);
  atomic_store(&shared->stop, 1);
  for (int i = 0; i < CHILDREN; i++) {
    int status;
    CHECK_EQ(waitpid(child[i], &status, 0), child[i]);
    CHECK_EQ(status, 0);
    inherit(i);
  }
  size_t used = thrum_shared_used(memory);
  CHECK(used <= (size_t)lost * (20000 + 32));
  CHECK(thrum_shared_alloc(memory, (BEATEN_HEAP - used) / (size_t)(lost + 1) / 2) != NULL);
  thrum_shared_memory_close(memory);
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  sleepers_are_woken();
  killed_behind_each_instruction();
  killed_at_random();
  return 0;
}
