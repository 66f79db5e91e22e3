/* A poll that succeeds sees what was done before, as a wait does, also where the inline paths are not used. Under
 * ThreadSanitizer this is a test that it is told of the order: the data is plain. */
#include "../support.h"

#include <thrum/sync/inline.h>

enum { TIMES = 20, MODE_OF_NOBODY = 1 << 16 };

static thrum_event event;
static thrum_waitgroup group;
static thrum_sem sem;
static thrum_once once;
static int data;

static intptr_t nothing(void *arg) { return (intptr_t)arg; }
static intptr_t write_data(void *arg) { return data++, (intptr_t)arg; }

static int poll_event(void) { return thrum_event_wait_for(&event, 0); }
static int poll_group(void) { return thrum_waitgroup_wait_for(&group, 0); }
static int poll_sem(void) { return thrum_sem_acquire_for(&sem, 0); }
static int poll_once(void) { return thrum_once_call_for(&once, nothing, NULL, 0); }

static intptr_t set_event(void *arg) { return data++, thrum_event_set(&event), (intptr_t)arg; }
static intptr_t empty_group(void *arg) { return data++, thrum_waitgroup_done(&group), (intptr_t)arg; }
static intptr_t release_sem(void *arg) { return data++, thrum_sem_release(&sem, 1) + (intptr_t)arg; }
static intptr_t run_once(void *arg) { return thrum_once_call(&once, write_data, arg); }

static void poll(int (*try_it)(void), thrum_fn *writer) {
  int before = data;
  thrum_thread t = must_spawn(writer, NULL);
  int error;
  while ((error = try_it()) == -ETIMEDOUT) thrum_yield();
  CHECK_EQ(error, 0);
  CHECK_EQ(data, before + 1);
  CHECK_EQ(must_join(t), 0);
}

static void poll_all(void) {
  thrum_event_clear(&event);
  thrum_waitgroup_add(&group, 1);
  poll(poll_event, set_event);
  poll(poll_group, empty_group);
  poll(poll_sem, release_sem);
}

int main(void) {
  for (int i = 0; i < TIMES; i++) {
    __atomic_store_n(&thrumi_mode, i % 2 ? (uint32_t)MODE_OF_NOBODY : 0, __ATOMIC_RELAXED);
    poll_all();
  }
  thrum_thread runner = must_spawn(run_once, NULL);
  CHECK_EQ(must_join(runner), 0);
  CHECK_EQ(poll_once(), 0);
  return 0;
}
