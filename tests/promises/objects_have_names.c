/* What an object was called is what a dump and a report of a deadlock say; once it is destroyed, that is forgotten. */
#include "../child.h"
#include "../dumped.h"
#include "../support.h"

static thrum_lock a_lock;
static thrum_rlock an_rlock;
static thrum_rwlock an_rwlock;
static thrum_cond a_cond;
static thrum_lock the_cond_lock;
static thrum_sem a_sem;
static thrum_event an_event;
static thrum_waitgroup a_group;
static thrum_barrier a_barrier = THRUM_BARRIER_INIT(2);
static thrum_gil a_gil;
static thrum_queue a_queue = THRUM_QUEUE_INIT(int, 1);

/* Each object: what makes a thread wait for it, what lets the thread go again, and its calls. */
struct kind {
  const char *wait;     /* as the dump says it */
  const char *variable; /* as it goes by without a name */
  int (*set_name)(const char *name);
  void (*prepare)(void);
  void (*wait_for)(void);
  void (*let_go)(void);
  int (*destroy)(void);
};

#define CALLS(type, object) \
  static int name_##object(const char *name) { return thrum_##type##_set_name(&object, name); } \
  static int destroy_##object(void) { return thrum_##type##_destroy(&object); }

CALLS(lock, a_lock)
CALLS(rlock, an_rlock)
CALLS(rwlock, an_rwlock)
CALLS(cond, a_cond)
CALLS(sem, a_sem)
CALLS(event, an_event)
CALLS(waitgroup, a_group)
CALLS(barrier, a_barrier)
CALLS(gil, a_gil)
CALLS(queue, a_queue)

static void nothing(void) {}

static void hold_lock(void) { thrum_lock_acquire(&a_lock); }
static void give_lock(void) { CHECK_EQ(thrum_lock_release(&a_lock), 0); }
static void take_lock(void) {
  THRUM_LOCKED(&a_lock) {}
}

static void hold_rlock(void) { thrum_rlock_acquire(&an_rlock); }
static void give_rlock(void) { CHECK_EQ(thrum_rlock_release(&an_rlock), 0); }
static void take_rlock(void) {
  THRUM_RLOCKED(&an_rlock) {}
}

static void hold_rwlock(void) { thrum_rwlock_acquire_write(&an_rwlock); }
static void give_rwlock(void) { CHECK_EQ(thrum_rwlock_release_write(&an_rwlock), 0); }
static void take_to_read(void) {
  THRUM_READ_LOCKED(&an_rwlock) {}
}
static void take_to_write(void) {
  THRUM_WRITE_LOCKED(&an_rwlock) {}
}

static void wait_in_cond(void) {
  THRUM_LOCKED(&the_cond_lock) { CHECK_EQ(thrum_cond_wait(&a_cond, &the_cond_lock), 0); }
}
static void notify(void) { thrum_cond_notify(&a_cond, 1); }

static void take_unit(void) { thrum_sem_acquire(&a_sem); }
static void give_unit(void) { CHECK_EQ(thrum_sem_release(&a_sem, 1), 0); }

static void clear(void) { thrum_event_clear(&an_event); }
static void wait_for_event(void) { thrum_event_wait(&an_event); }
static void set(void) { thrum_event_set(&an_event); }

static void add(void) { thrum_waitgroup_add(&a_group, 1); }
static void wait_for_group(void) { thrum_waitgroup_wait(&a_group); }
static void done(void) { thrum_waitgroup_done(&a_group); }

static void come(void) { CHECK(thrum_barrier_wait(&a_barrier) >= 0); }

static void hold_gil(void) { thrum_gil_acquire(&a_gil); }
static void give_gil(void) { CHECK_EQ(thrum_gil_release(&a_gil), 0); }
static void take_gil(void) {
  THRUM_GIL_LOCKED(&a_gil) {}
}

static void make_queue(void) {
  if (a_queue.item_size == 0) CHECK_EQ(thrum_queue_init(&a_queue, sizeof(int), 1, NULL), 0);
}
static void put(void) {
  int item = 1;
  CHECK_EQ(thrum_queue_put(&a_queue, &item), 0);
}
static void make_full_queue(void) {
  make_queue();
  put();
}
static void get(void) {
  int item;
  CHECK_EQ(thrum_queue_get(&a_queue, &item), 0);
}

static void get_both(void) {
  get();
  get();
}

static const struct kind kinds[] = {
    {"lock", "a_lock", name_a_lock, hold_lock, take_lock, give_lock, destroy_a_lock},
    {"rlock", "an_rlock", name_an_rlock, hold_rlock, take_rlock, give_rlock, destroy_an_rlock},
    {"rwlock to read", "an_rwlock", name_an_rwlock, hold_rwlock, take_to_read, give_rwlock,
     destroy_an_rwlock},
    {"rwlock to write", "an_rwlock", name_an_rwlock, hold_rwlock, take_to_write, give_rwlock,
     destroy_an_rwlock},
    {"condition", "a_cond", name_a_cond, nothing, wait_in_cond, notify, destroy_a_cond},
    {"semaphore", "a_sem", name_a_sem, nothing, take_unit, give_unit, destroy_a_sem},
    {"event", "an_event", name_an_event, clear, wait_for_event, set, destroy_an_event},
    {"wait group", "a_group", name_a_group, add, wait_for_group, done, destroy_a_group},
    {"barrier", "a_barrier", name_a_barrier, nothing, come, come, destroy_a_barrier},
    {"gil", "a_gil", name_a_gil, hold_gil, take_gil, give_gil, destroy_a_gil},
    {"item of queue", "a_queue", name_a_queue, make_queue, get, put, destroy_a_queue},
    {"room in queue", "a_queue", name_a_queue, make_full_queue, put, get_both, destroy_a_queue},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static intptr_t waits(void *arg) {
  ((const struct kind *)arg)->wait_for();
  return 0;
}

/* While a thread waits for the object, it goes by the name; NULL: by that of the variable. A name or a variable may stand before
 * something else: "an_rwlock held by". */
static void goes_by(const struct kind *k, const char *name) {
  char wanted[256];
  k->prepare();
  thrum_thread t = must_spawn(waits, (void *)(uintptr_t)k);
  if (name)
    snprintf(wanted, sizeof wanted, "waits for %s \"%s\"", k->wait, name);
  else
    snprintf(wanted, sizeof wanted, "waits for %s %s", k->wait, k->variable);
  AWAIT(strstr(dumped(), wanted));
  CHECK_EQ(k->destroy(), -EBUSY); /* which forgets nothing */
  CHECK_HAS(dumped(), wanted);
  k->let_go();
  CHECK_EQ(must_join(t), 0);
}

static void end(const struct kind *k) {
  for (int error; (error = k->destroy());) {
    CHECK_EQ(error, -EBUSY); /* who was woken may be about to look once more */
    thrum_yield();
  }
}

static void is_named_and_forgotten(const struct kind *k) {
  char too_long[2 * THRUM_NAME_MAX], kept[THRUM_NAME_MAX];
  memset(too_long, 'x', sizeof too_long);
  memset(kept, 'x', sizeof kept);
  too_long[sizeof too_long - 1] = kept[sizeof kept - 1] = '\0';
  goes_by(k, NULL);
  end(k);
  CHECK_EQ(k->set_name("first"), 0);
  CHECK_EQ(k->set_name(too_long), 0);
  goes_by(k, kept);
  end(k);
  goes_by(k, NULL);
  CHECK_EQ(k->set_name("given"), 0);
  goes_by(k, "given");
  CHECK_EQ(k->set_name(""), 0);
  goes_by(k, NULL);
  CHECK_EQ(k->set_name("given"), 0);
  CHECK_EQ(k->set_name(NULL), 0);
  goes_by(k, NULL);
  end(k);
}

/* Nothing can run: the report names what each thread waits for. The locks are held by main, which waits itself. */
static int all_wait(void) {
  for (size_t i = 0; i < KINDS; i++) {
    bool again = i && kinds[i].destroy == kinds[i - 1].destroy;
    if (again) continue; /* another way to wait for the same object */
    CHECK_EQ(kinds[i].set_name(kinds[i].wait), 0);
    kinds[i].prepare();
    must_spawn(waits, (void *)(uintptr_t)&kinds[i]);
  }
  return (int)must_join(must_spawn(waits, (void *)(uintptr_t)&kinds[0]));
}

static const struct child_case cases[] = {{"all-wait", all_wait}, {0}};

static void report_names_all(void) {
  struct child child = child_run("all-wait");
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  CHECK_HAS(child.err_text, "every thread waits");
  for (size_t i = 0; i < KINDS; i++) {
    char wanted[256];
    bool again = i && kinds[i].destroy == kinds[i - 1].destroy;
    snprintf(wanted, sizeof wanted, "waits for %s \"%s\"", kinds[i].wait, kinds[i].wait);
    if (!again) CHECK_HAS(child.err_text, wanted);
  }
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  for (size_t i = 0; i < KINDS; i++) is_named_and_forgotten(&kinds[i]);
  CHECK_EQ(thrum_queue_destroy(&a_queue), 0);
  CHECK_EQ(thrum_queue_set_name(&a_queue, "never made"), 0);
  CHECK_EQ(thrum_queue_destroy(&a_queue), 0);
  goes_by(&kinds[KINDS - 1], NULL);
  end(&kinds[KINDS - 1]);
  if (!TESTS_TSAN)
    report_names_all(); /* it has a kernel thread that might wake somebody, for all that thrum knows */
  return 0;
}
