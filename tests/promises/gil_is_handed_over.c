/* A holder that does nothing but check hands the gil over after its interval, to whatever kind of thread, and has it back only
 * when another one has had it. The forms that do not wait for ever, the blocks, errno, and a fork do what the header says. */
#include "../support.h"

#include <sys/wait.h>

static thrum_gil gil;

/* ---- Two that only check take turns ------------------------------------------------------------------------ */

enum { TURNS = 10 };

static int last;          /* who had it last; guarded by the gil */
static int turns[2];      /* how often it came back to each; guarded by the gil */
static bool one_is_there; /* the first holds it */

/* Each time that `last` is the other, the gil was away; with two of them it may be away only then. */
static intptr_t take_turns(void *arg) {
  int me = (int)(intptr_t)arg;
  THRUM_GIL_LOCKED(&gil) {
    STORE(one_is_there, true);
    while (turns[0] < TURNS || turns[1] < TURNS) {
      if (last != me) turns[me]++;
      last = me;
      thrum_gil_check(&gil);
    }
  }
  return 0;
}

/* Whether that did not take much longer than it must. */
static bool turns_are_taken(void) {
  last = turns[0] = turns[1] = 0;
  one_is_there = false;
  thrum_thread t = must_spawn(take_turns, (void *)1);
  AWAIT(LOAD(one_is_there));
  int64_t begun = wall_now();
  CHECK_EQ(take_turns((void *)0), 0);
  CHECK_EQ(must_join(t), 0);
  /* A turn lasts an interval, and not less: 2 * TURNS of them, of which the first and the last may be cut short. */
  int64_t took = wall_now() - begun;
  CHECK(took >= (2 * TURNS - 2) * thrum_switch_interval() / 2);
  return took <= 2 * TURNS * thrum_switch_interval() * 20;
}

/* The machine may have something else to do, but not each time. */
static intptr_t take_turns_with_light_one(void *unused) {
  (void)unused;
  for (int attempts = 1; !turns_are_taken(); attempts++) CHECK(attempts < 5);
  return 0;
}

/* ---- Forms --------------------------------------------------------------------------------------------------- */

static intptr_t finds_it_held(void *unused) {
  (void)unused;
  int64_t begun = wall_now();
  CHECK(thrum_gil_held(&gil) && !thrum_gil_owned(&gil));
  CHECK_EQ(thrum_gil_try_acquire(&gil), -EAGAIN);
  CHECK_EQ(thrum_gil_acquire_for(&gil, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_gil_acquire_for(&gil, THRUM_MS(3)), -ETIMEDOUT);
  CHECK(wall_now() - begun >= THRUM_MS(3));
  CHECK_EQ(thrum_gil_release(&gil), -EPERM);
  return 0;
}

static intptr_t waits_long(void *unused) {
  (void)unused;
  CHECK_EQ(thrum_gil_acquire_for(&gil, THRUM_S(1000)), 0);
  CHECK_EQ(thrum_gil_release(&gil), 0);
  return 0;
}

static void forms(void) {
  thrum_gil_acquire(&gil);
  run_outside(finds_it_held, NULL);
  CHECK_EQ(must_join(must_spawn(finds_it_held, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(finds_it_held, NULL)), 0);
  thrum_gil_check(&gil); /* asked by those who are gone: it stays */
  CHECK(thrum_gil_owned(&gil));
  CHECK_EQ(thrum_gil_destroy(&gil), 0);
  thrum_thread t = must_spawn(waits_long, NULL);
  AWAIT(thrum_gil_destroy(&gil) == -EBUSY);
  CHECK_EQ(thrum_gil_release(&gil), 0);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_gil_try_acquire(&gil), 0);
  CHECK_EQ(thrum_gil_release(&gil), 0);
  CHECK(!thrum_gil_held(&gil));
}

/* ---- Blocks -------------------------------------------------------------------------------------------------- */

static int leave_by_return(void) {
  THRUM_GIL_LOCKED(&gil) {
    THRUM_GIL_UNLOCKED(&gil) {
      CHECK(!thrum_gil_held(&gil));
      return 1;
    }
  }
  return 0;
}

static int leave_by_goto(void) {
  THRUM_GIL_LOCKED(&gil) { THRUM_GIL_UNLOCKED(&gil) goto out; }
  return 0;
out:
  return thrum_gil_held(&gil) ? 0 : 1;
}

static int leave_by_break(void) {
  int n = 0;
  THRUM_GIL_LOCKED(&gil) {
    THRUM_GIL_UNLOCKED(&gil) {
      if (n == 0) break;
      n = 100;
    }
    CHECK(thrum_gil_owned(&gil));
    n++;
  }
  return n;
}

static void blocks(void) {
  CHECK_EQ(leave_by_return(), 1);
  CHECK(!thrum_gil_held(&gil));
  CHECK_EQ(leave_by_goto(), 1);
  CHECK_EQ(leave_by_break(), 1);
  CHECK(!thrum_gil_held(&gil));
}

/* ---- errno and fork -------------------------------------------------------------------------------------------- */

static bool over;
static intptr_t wants_it(void *unused) {
  (void)unused;
  while (!LOAD(over)) THRUM_GIL_LOCKED(&gil) thrum_gil_check(&gil);
  return 0;
}

static bool had_it;
static intptr_t has_it_once(void *unused) {
  (void)unused;
  thrum_gil_acquire(&gil);
  STORE(had_it, true);
  CHECK_EQ(thrum_gil_release(&gil), 0);
  return 0;
}

static void errno_stays(void) {
  THRUM_GIL_LOCKED(&gil) {
    THRUM_GIL_UNLOCKED(&gil) errno = EXDEV;
    CHECK_EQ(errno, EXDEV);
    thrum_thread t = must_spawn(has_it_once, NULL);
    AWAIT(thrum_gil_destroy(&gil) == -EBUSY);
    errno = EXDEV;
    while (!LOAD(had_it)) thrum_gil_check(&gil);
    CHECK_EQ(errno, EXDEV);
    CHECK_EQ(must_join(t), 0);
    t = must_spawn(wants_it, NULL);
    AWAIT(thrum_gil_destroy(&gil) == -EBUSY);
    THRUM_GIL_UNLOCKED(&gil) { /* who comes back finds it taken */
      while (!thrum_gil_held(&gil)) thrum_yield();
      errno = EXDEV;
    }
    CHECK_EQ(errno, EXDEV);
    STORE(over, true);
    THRUM_GIL_UNLOCKED(&gil) CHECK_EQ(must_join(t), 0);
    over = false;
  }
}

/* The child holds what the forker held, though others waited; and it hands over to threads of its own. */
static void fork_keeps_it(void) {
  thrum_thread t = must_spawn(wants_it, NULL);
  thrum_gil_acquire(&gil);
  AWAIT(thrum_gil_destroy(&gil) == -EBUSY);
  pid_t child = fork();
  if (child == 0) {
    CHECK(thrum_gil_owned(&gil));
    thrum_gil_check(&gil);
    CHECK_EQ(thrum_gil_destroy(&gil), 0);
    CHECK_EQ(thrum_gil_release(&gil), 0);
    take_turns_with_light_one(NULL);
    _exit(0);
  }
  CHECK_EQ(thrum_gil_release(&gil), 0);
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  STORE(over, true);
  CHECK_EQ(must_join(t), 0);
}

int main(void) {
  run_in_each_kind(take_turns_with_light_one, NULL);
  forms();
  blocks();
  errno_stays();
  if (!TESTS_TSAN) fork_keeps_it(); /* a child with threads of its own is nothing for ThreadSanitizer */
  return 0;
}
