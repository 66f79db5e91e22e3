/* What is wrong with semaphores, events, wait groups and onces: the documented error with nothing changed, or an abort that
 * names the object and the thread. */
#include "../child.h"
#include "../support.h"

static thrum_sem negative = THRUM_SEM_INIT(-1), above = THRUM_SEM_BOUNDED_INIT(4, 3),
                 no_limit = THRUM_SEM_BOUNDED_INIT(0, 0), too_large = THRUM_SEM_INIT(INT64_C(1) << 32);
static thrum_sem *bad;
static thrum_waitgroup group;

/* ---- Aborts --------------------------------------------------------------------------------------------------------- */

static intptr_t acquire_bad(void *unused) {
  (void)unused;
  thrum_sem_acquire(bad);
  return 0;
}

static intptr_t try_bad(void *unused) {
  (void)unused;
  return thrum_sem_try_acquire(bad);
}

static intptr_t poll_bad(void *unused) {
  (void)unused;
  return thrum_sem_acquire_for(bad, 0);
}

static intptr_t release_bad(void *unused) {
  (void)unused;
  return thrum_sem_release(bad, 1);
}

static intptr_t done_too_often(void *unused) {
  (void)unused;
  thrum_waitgroup_add(&group, 2);
  for (int i = 0; i < 3; i++) thrum_waitgroup_done(&group);
  return 0;
}

static intptr_t add_too_much(void *unused) {
  (void)unused;
  thrum_waitgroup_add(&group, THRUM_WAITGROUP_MAX);
  thrum_waitgroup_add(&group, 1);
  return 0;
}

static int run_culprit(thrum_fn *fn, thrum_sem *sem) {
  thrum_thread t;
  bad = sem;
  CHECK_EQ(thrum_spawn_named(&t, fn, NULL, "the-culprit"), 0);
  CHECK_EQ(thrum_join(t, NULL), 0);
  return 0; /* it was not noticed */
}

static int negative_acquired(void) { return run_culprit(acquire_bad, &negative); }
static int negative_tried(void) { return run_culprit(try_bad, &negative); }
static int above_polled(void) { return run_culprit(poll_bad, &above); }
static int above_released(void) { return run_culprit(release_bad, &above); }
static int no_limit_released(void) { return run_culprit(release_bad, &no_limit); }
static int too_large_acquired(void) { return run_culprit(acquire_bad, &too_large); }
static int group_below_zero(void) { return run_culprit(done_too_often, NULL); }
static int group_too_large(void) { return run_culprit(add_too_much, NULL); }

static const struct child_case cases[] = {{"negative-acquired", negative_acquired},
                                          {"negative-tried", negative_tried},
                                          {"above-polled", above_polled},
                                          {"above-released", above_released},
                                          {"no-limit-released", no_limit_released},
                                          {"too-large-acquired", too_large_acquired},
                                          {"group-below-zero", group_below_zero},
                                          {"group-too-large", group_too_large},
                                          {0}};

static void aborts(void) {
  for (int i = 0; cases[i].name; i++) {
    bool of_group = strncmp(cases[i].name, "group", 5) == 0;
    struct child child = child_run(cases[i].name);
    CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
    CHECK_HAS(child.err_text, "the-culprit");
    CHECK_HAS(child.err_text, of_group ? "waitgroup group " : "semaphore ");
    CHECK(!strstr(child.err_text, "0x")); /* by its variable, not its address */
    child_free(&child);
  }
}

/* ---- Errors --------------------------------------------------------------------------------------------------------- */

static intptr_t errors(void *unused) {
  (void)unused;
  thrum_sem sem = THRUM_SEM_BOUNDED_INIT(1, 2);
  CHECK_EQ(thrum_sem_release(&sem, 0), -EINVAL);
  CHECK_EQ(thrum_sem_release(&sem, -1), -EINVAL);
  CHECK_EQ(thrum_sem_release(&sem, INT32_MIN), -EINVAL);
  CHECK_EQ(thrum_sem_release(&sem, 2), -EOVERFLOW);
  CHECK_EQ(thrum_sem_release(&sem, INT32_MAX), -EOVERFLOW);
  CHECK_EQ(thrum_sem_value(&sem), 1);
  return 0;
}

/* ---- Freeing what is waited for -------------------------------------------------------------------------------------- */

static thrum_sem sem;
static thrum_event event;

static intptr_t wait_for_sem(void *unused) {
  (void)unused;
  thrum_sem_acquire(&sem);
  return 0;
}

static intptr_t wait_for_event(void *unused) {
  (void)unused;
  thrum_event_wait(&event);
  return 0;
}

static intptr_t wait_for_group(void *unused) {
  (void)unused;
  thrum_waitgroup_wait(&group);
  return 0;
}

static void busy(void) {
  thrum_waitgroup_add(&group, 1);
  thrum_thread threads[] = {must_spawn(wait_for_sem, NULL), must_spawn_bound(wait_for_event, NULL),
                            must_spawn(wait_for_group, NULL)};
  AWAIT(thrum_sem_destroy(&sem) == -EBUSY);
  AWAIT(thrum_event_destroy(&event) == -EBUSY);
  AWAIT(thrum_waitgroup_destroy(&group) == -EBUSY);
  CHECK_EQ(thrum_sem_release(&sem, 1), 0);
  thrum_event_set(&event);
  thrum_waitgroup_done(&group);
  for (int i = 0; i < 3; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK(thrum_sem_destroy(&sem) == 0 && thrum_event_destroy(&event) == 0);
  CHECK_EQ(thrum_waitgroup_destroy(&group), 0);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  aborts(); /* first: ThreadSanitizer lets no program fork that uses thrum already */
  run_in_each_kind(errors, NULL);
  busy();
  return 0;
}
