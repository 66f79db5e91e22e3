/* Promise 6: THRUM_CHECK=locks names two orders of the same locks before they meet, with both places and both threads, once; and says
 * nothing where the orders can never meet. No case deadlocks: its threads run one after the other. */
#include "../child.h"
#include "../support.h"

enum { TRUE_END = 42, MANY = 10000, ACCOUNTS = 8 };

static thrum_lock left, right, third, gate, many[MANY];
static thrum_rlock again;
static thrum_rwlock ledger, archive;
static thrum_gil interpreter;
static thrum_cond cond;

/* A thread that takes up to four locks in order, and releases them. */
struct taker {
  const char *name;
  thrum_lock *locks[4];
};

/* The place of them all, of which a compiler makes no copies. */
__attribute__((noinline)) static void take(thrum_lock *l) {
  thrum_lock_acquire(l);
  __asm__ volatile("");
}

static intptr_t take_in_order(void *arg) {
  const struct taker *t = arg;
  int n = 0;
  while (n < 4 && t->locks[n]) take(t->locks[n++]);
  while (n) CHECK_EQ(thrum_lock_release(t->locks[--n]), 0);
  return 0;
}

static void takes(struct taker t) {
  thrum_thread thread;
  CHECK_EQ(thrum_spawn_named(&thread, take_in_order, &t, "%s", t.name), 0);
  CHECK_EQ(must_join(thread), 0);
}

#define TAKES(name, ...) takes((struct taker){name, {__VA_ARGS__}})

/* ---- Reported --------------------------------------------------------------------------------------------------------- */

static int two(void) {
  for (int i = 0; i < 50; i++) {
    TAKES("lefty", &left, &right);
    TAKES("righty", &right, &left);
  }
  return TRUE_END;
}

static int three_in_a_ring(void) {
  TAKES("one", &left, &right);
  TAKES("two", &right, &third);
  TAKES("three", &third, &left);
  return TRUE_END;
}

static int gate_on_one_side(void) {
  TAKES("lefty", &gate, &left, &right);
  TAKES("righty", &right, &left);
  return TRUE_END;
}

/* It was a gate at first, and then it was left out. */
static int gate_left_out(void) {
  TAKES("lefty", &gate, &left, &right);
  TAKES("righty", &gate, &right, &left);
  TAKES("lefty", &left, &right);
  TAKES("righty", &right, &left);
  return TRUE_END;
}

/* What a try has got is held all the same. */
static int held_by_try(void) {
  CHECK_EQ(thrum_lock_try_acquire(&left), 0);
  thrum_lock_acquire(&right);
  CHECK_EQ(thrum_lock_release(&right) + thrum_lock_release(&left), 0);
  TAKES("righty", &right, &left);
  return TRUE_END;
}

/* A condition's wait takes its lock again, under the other one. */
static int condition(void) {
  thrum_lock_acquire(&left);
  thrum_lock_acquire(&right);
  CHECK_EQ(thrum_cond_wait_for(&cond, &left, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_lock_release(&right) + thrum_lock_release(&left), 0);
  return TRUE_END;
}

static thrum_lock *accounts[ACCOUNTS];

static void open_accounts(const char *name) {
  for (int i = 0; i < ACCOUNTS; i++) {
    CHECK(accounts[i] = calloc(1, sizeof(thrum_lock)));
    CHECK_EQ(thrum_lock_set_name(accounts[i], name), 0);
  }
}

static void transfers(bool by_address) {
  for (int i = 0; i < ACCOUNTS; i++)
    for (int j = 0; j < ACCOUNTS; j++) {
      bool up = (uintptr_t)accounts[i] < (uintptr_t)accounts[j];
      if (i != j && (up || !by_address)) TAKES("teller", accounts[i], accounts[j]);
    }
}

static int one_class(void) {
  open_accounts("an account");
  transfers(false);
  return TRUE_END;
}

/* Without a name, and no variables: all that were first taken at one place are one class. */
static int one_site(void) {
  open_accounts(NULL);
  transfers(false);
  return TRUE_END;
}

static intptr_t write_then_read(void *arg) {
  thrum_rwlock **l = arg;
  THRUM_WRITE_LOCKED(l[0]) THRUM_READ_LOCKED(l[1]) {}
  return 0;
}

static int rwlocks(void) {
  thrum_rwlock *up[] = {&ledger, &archive}, *down[] = {&archive, &ledger};
  CHECK_EQ(must_join(must_spawn(write_then_read, up)), 0);
  CHECK_EQ(must_join(must_spawn(write_then_read, down)), 0);
  return TRUE_END;
}

static intptr_t read_then_lock(void *arg) {
  (void)arg;
  THRUM_READ_LOCKED(&ledger) THRUM_LOCKED(&left) {}
  return 0;
}

static intptr_t lock_then_write(void *arg) {
  (void)arg;
  THRUM_LOCKED(&left) THRUM_WRITE_LOCKED(&ledger) {}
  return 0;
}

static int rwlock_and_lock(void) {
  CHECK_EQ(must_join(must_spawn(read_then_lock, NULL)), 0);
  CHECK_EQ(must_join(must_spawn(lock_then_write, NULL)), 0);
  return TRUE_END;
}

/* A lock that is held to be read keeps nobody from the other order. */
static intptr_t takes_behind_readers(void *arg) {
  THRUM_READ_LOCKED(&ledger) take_in_order(arg);
  return 0;
}

static int read_gate(void) {
  struct taker lefty = {"lefty", {&left, &right}}, righty = {"righty", {&right, &left}};
  CHECK_EQ(must_join(must_spawn(takes_behind_readers, &lefty)), 0);
  CHECK_EQ(must_join(must_spawn(takes_behind_readers, &righty)), 0);
  return TRUE_END;
}

static intptr_t gil_then_lock(void *arg) {
  (void)arg;
  THRUM_GIL_LOCKED(&interpreter) THRUM_LOCKED(&left) {}
  return 0;
}

static intptr_t lock_then_gil(void *arg) {
  (void)arg;
  THRUM_LOCKED(&left) THRUM_GIL_LOCKED(&interpreter) {}
  return 0;
}

static int gil_and_lock(void) {
  CHECK_EQ(must_join(must_spawn(gil_then_lock, NULL)), 0);
  CHECK_EQ(must_join(must_spawn(lock_then_gil, NULL)), 0);
  return TRUE_END;
}

static int ten_thousand(void) {
  for (int i = 0; i + 1 < MANY; i++) {
    thrum_lock_acquire(&many[i]);
    thrum_lock_acquire(&many[i + 1]);
    CHECK_EQ(thrum_lock_release(&many[i + 1]) + thrum_lock_release(&many[i]), 0);
  }
  static const char text[] = "so far\n";
  CHECK(write(2, text, sizeof text - 1) > 0);
  TAKES("backwards", &many[MANY / 2 + 1], &many[MANY / 2]);
  return TRUE_END;
}

static int while_running(void) {
  CHECK(!thrum_check_locks(true));
  TAKES("lefty", &left, &right);
  CHECK(thrum_check_locks(false));
  CHECK(!thrum_check_locks(true));
  TAKES("righty", &right, &left);
  return TRUE_END;
}

/* ---- Not reported ------------------------------------------------------------------------------------------------------ */

static int one_order(void) {
  for (int i = 0; i < 10; i++) {
    TAKES("one", &left, &right, &third);
    TAKES("two", &left, &third);
    TAKES("three", &right, &third);
  }
  return TRUE_END;
}

static int gate_on_both_sides(void) {
  TAKES("lefty", &gate, &left, &right);
  TAKES("righty", &gate, &right, &left);
  return TRUE_END;
}

/* A variable is one gate, however often it is destroyed and made again. */
static int gate_made_again(void) {
  TAKES("lefty", &gate, &left, &right);
  CHECK_EQ(thrum_lock_destroy(&gate), 0);
  gate = (thrum_lock){0};
  TAKES("righty", &gate, &right, &left);
  return TRUE_END;
}

/* Two threads come to a gate, which nobody has taken yet, at the same time: it is one object all the same. */
static int gate_taken_at_once(void) {
  for (int i = 0; i < 100; i++) {
    thrum_lock *l = &many[3 * i];
    struct taker lefty = {"lefty", {&l[0], &l[1], &l[2]}}, righty = {"righty", {&l[0], &l[2], &l[1]}};
    thrum_thread threads[2] = {must_spawn(take_in_order, &lefty), must_spawn(take_in_order, &righty)};
    for (int j = 0; j < 2; j++) CHECK_EQ(must_join(threads[j]), 0);
  }
  return TRUE_END;
}

/* A try does not wait, nor does a wait with a deadline for ever. */
static int tries(void) {
  TAKES("righty", &right, &left);
  thrum_lock_acquire(&left);
  CHECK_EQ(thrum_lock_try_acquire(&right), 0);
  CHECK_EQ(thrum_lock_release(&right), 0);
  CHECK_EQ(thrum_lock_acquire_for(&right, THRUM_S(1)), 0);
  CHECK_EQ(thrum_lock_release(&right) + thrum_lock_release(&left), 0);
  return TRUE_END;
}

static int recursion(void) {
  THRUM_RLOCKED(&again) {
    THRUM_LOCKED(&left) {
      THRUM_RLOCKED(&again) {
        THRUM_LOCKED(&right) {}
      }
    }
  }
  return TRUE_END;
}

/* Each of a pair is there in both roles, but never in both orders. */
static int by_address(void) {
  open_accounts(NULL);
  transfers(true);
  return TRUE_END;
}

static int by_address_named(void) {
  open_accounts("an account");
  transfers(true);
  return TRUE_END;
}

/* Readers alone never wait for each other. */
static intptr_t read_both(void *arg) {
  thrum_rwlock **l = arg;
  THRUM_READ_LOCKED(l[0]) THRUM_READ_LOCKED(l[1]) {}
  return 0;
}

static int readers_alone(void) {
  thrum_rwlock *up[] = {&ledger, &archive}, *down[] = {&archive, &ledger};
  CHECK_EQ(must_join(must_spawn(read_both, up)), 0);
  CHECK_EQ(must_join(must_spawn(read_both, down)), 0);
  return TRUE_END;
}

/* Behind a writer, or a gil, nobody is in the other order. */
static intptr_t takes_behind_writer(void *arg) {
  THRUM_WRITE_LOCKED(&ledger) take_in_order(arg);
  return 0;
}

static intptr_t takes_behind_gil(void *arg) {
  THRUM_GIL_LOCKED(&interpreter) take_in_order(arg);
  return 0;
}

static int write_gate(void) {
  struct taker lefty = {"lefty", {&left, &right}}, righty = {"righty", {&right, &left}};
  CHECK_EQ(must_join(must_spawn(takes_behind_writer, &lefty)), 0);
  CHECK_EQ(must_join(must_spawn(takes_behind_writer, &righty)), 0);
  return TRUE_END;
}

static int gil_gate(void) {
  struct taker lefty = {"lefty", {&left, &right}}, righty = {"righty", {&right, &left}};
  CHECK_EQ(must_join(must_spawn(takes_behind_gil, &lefty)), 0);
  CHECK_EQ(must_join(must_spawn(takes_behind_gil, &righty)), 0);
  return TRUE_END;
}

/* What was released is not held, whichever way it was taken. */
static int released_again(void) {
  CHECK_EQ(must_join(must_spawn(lock_then_gil, NULL)), 0);
  CHECK_EQ(must_join(must_spawn(lock_then_write, NULL)), 0);
  THRUM_GIL_LOCKED(&interpreter) THRUM_GIL_UNLOCKED(&interpreter) THRUM_LOCKED(&left) {}
  THRUM_READ_LOCKED(&ledger) {}
  thrum_rwlock_acquire_write(&ledger);
  CHECK_EQ(thrum_rwlock_downgrade(&ledger), 0);
  CHECK_EQ(thrum_rwlock_release_read(&ledger), 0);
  THRUM_LOCKED(&left) {}
  return TRUE_END;
}

/* A lock that ends and begins anew in the same place is another one. */
static int memory_used_again(void) {
  thrum_lock *l = calloc(1, sizeof *l);
  CHECK(l);
  TAKES("one", &left, l);
  CHECK_EQ(thrum_lock_destroy(l), 0);
  CHECK_EQ(thrum_lock_set_name(l, "another"), 0);
  thrum_lock_acquire(l);
  thrum_lock_acquire(&left);
  CHECK_EQ(thrum_lock_release(&left) + thrum_lock_release(l), 0);
  CHECK_EQ(thrum_lock_destroy(l), 0);
  free(l);
  return TRUE_END;
}

static intptr_t take_gil_first(void *arg) {
  thrum_gil *gil = arg;
  thrum_gil_acquire(gil);
  thrum_lock_acquire(&left);
  return thrum_lock_release(&left) + thrum_gil_release(gil);
}

static int gil_memory_used_again(void) {
  thrum_gil *gil = calloc(1, sizeof *gil);
  CHECK(gil);
  CHECK_EQ(must_join(must_spawn(take_gil_first, gil)), 0);
  CHECK_EQ(thrum_gil_destroy(gil), 0);
  thrum_lock_acquire(&left);
  thrum_gil_acquire(gil);
  CHECK_EQ(thrum_gil_release(gil) + thrum_lock_release(&left), 0);
  CHECK_EQ(thrum_gil_destroy(gil), 0);
  free(gil);
  return TRUE_END;
}

/* What another thread has released is not held. */
static intptr_t release_it(void *lock) { return thrum_lock_release(lock); }

static int released_by_another(void) {
  TAKES("righty", &right, &left);
  thrum_lock_acquire(&left);
  CHECK_EQ(must_join(must_spawn(release_it, &left)), 0);
  TAKES("righty", &right);
  thrum_lock_acquire(&right);
  return thrum_lock_release(&right) == 0 ? TRUE_END : 1;
}

static const struct child_case cases[] = {{"two", two},
                                          {"three-in-a-ring", three_in_a_ring},
                                          {"gate-on-one-side", gate_on_one_side},
                                          {"gate-left-out", gate_left_out},
                                          {"held-by-try", held_by_try},
                                          {"condition", condition},
                                          {"one-class", one_class},
                                          {"one-site", one_site},
                                          {"rwlocks", rwlocks},
                                          {"rwlock-and-lock", rwlock_and_lock},
                                          {"read-gate", read_gate},
                                          {"gil-and-lock", gil_and_lock},
                                          {"ten-thousand", ten_thousand},
                                          {"while-running", while_running},
                                          {"one-order", one_order},
                                          {"gate-on-both-sides", gate_on_both_sides},
                                          {"gate-taken-at-once", gate_taken_at_once},
                                          {"gate-made-again", gate_made_again},
                                          {"tries", tries},
                                          {"recursion", recursion},
                                          {"readers-alone", readers_alone},
                                          {"write-gate", write_gate},
                                          {"gil-gate", gil_gate},
                                          {"released-again", released_again},
                                          {"by-address", by_address},
                                          {"by-address-named", by_address_named},
                                          {"memory-used-again", memory_used_again},
                                          {"gil-memory-used-again", gil_memory_used_again},
                                          {"released-by-another", released_by_another},
                                          {0}};

enum { REPORTED = 14 };

static size_t times(const char *text, const char *part) {
  size_t n = 0;
  for (; (text = strstr(text, part)); text += strlen(part)) n++;
  return n;
}

static struct child checked(const char *name) {
  bool by_itself = strcmp(name, "while-running") == 0;
  struct child child = child_run_with(name, by_itself ? NULL : "THRUM_CHECK=locks");
  CHECK_STATUS(child, TRUE_END);
  return child;
}

static void is_reported(const char *name, const char *first, const char *second, const char *third_part) {
  struct child child = checked(name);
  if (times(child.err_text, "lock order: ") != 1) fprintf(stderr, "%s: %s\n", name, child.err_text);
  CHECK_EQ(times(child.err_text, "lock order: "), 1);
  CHECK_HAS(child.err_text, first);
  CHECK_HAS(child.err_text, second);
  CHECK_HAS(child.err_text, third_part);
#ifdef HAVE_DUMP
  CHECK_HAS(child.err_text, "lock_order_is_checked.c:");
#endif
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  static const char two_locks[] = "lock order: 2 locks are taken";
  is_reported("two", two_locks, "\"lefty\" holds left, taken in ", "\"righty\" holds right, taken in ");
  is_reported("three-in-a-ring", "lock order: 3 locks are taken", "\"three\" holds third",
              "\"two\" holds right");
  is_reported("gate-on-one-side", two_locks, "\"lefty\" holds left", "and takes left in ");
  is_reported("gate-left-out", two_locks, "holds left", "holds right");
  is_reported("held-by-try", two_locks, "\"MainThread\" holds left", "\"righty\" holds right");
  is_reported("condition", two_locks, "holds left", "holds right");
  is_reported("one-class", "two locks of one class, \"an account\"", "\"teller\" holds \"an account\"",
              "and takes");
  is_reported("one-site", "two locks of one class, (first taken in ", "\"teller\" holds (first taken in ",
              "and takes (first taken in ");
  is_reported("rwlocks", two_locks, "holds ledger, taken in ", "holds archive, taken in ");
  is_reported("rwlock-and-lock", two_locks, "holds ledger, taken in ", "and takes ledger in ");
  is_reported("read-gate", two_locks, "holds left", "holds right");
  is_reported("gil-and-lock", two_locks, "holds interpreter, taken in ", "and takes interpreter in ");
  is_reported("ten-thousand", "so far\nthrum: lock order: 2 locks", "\"backwards\" holds many+0x", "many+0x");
  is_reported("while-running", two_locks, "\"lefty\" holds left", "\"righty\" holds right");
  for (int i = REPORTED; cases[i].name; i++) {
    struct child child = checked(cases[i].name);
    CHECK_STR(child.err_text, "");
    child_free(&child);
  }
  struct child child = child_run("two"); /* nobody asked */
  CHECK_STATUS(child, TRUE_END);
  CHECK_STR(child.err_text, "");
  child_free(&child);
  return 0;
}
