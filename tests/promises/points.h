/* Cancellation points of what is built on threads: schedules, loops, futures, executors, maps, processes. */
#ifndef TESTS_POINTS_H
#define TESTS_POINTS_H

#include "pools.h"
#include "scopes.h"

#define POINT(name, call) \
  static int64_t name(void) { return call; }

static thrum_future *pending; /* nobody ever finishes it */
static thrum_process *running;

static void make_pending(void) {
  static const char *const argv[] = {"sleep", "100000", NULL};
  CHECK((pending = thrum_future_new()) != NULL);
  CHECK_EQ(thrum_process_exec(&running, NULL, argv), 0);
}

static void end_pending(void) {
  CHECK_EQ(thrum_process_kill(running), 0);
  CHECK_EQ(thrum_process_join(running, NULL), 0);
  thrum_process_release(running);
  CHECK_EQ(thrum_future_set_result(pending, 0), 0);
  thrum_future_release(pending);
}

/* ---- Schedules and loops ------------------------------------------------------------------------------------------- */

static int64_t run_schedule(void) {
  thrum_schedule schedule = {0};
  thrum_schedule_event later = {0};
  CHECK_EQ(thrum_schedule_enter(&schedule, &later, THRUM_S(3600), 0, return_it, NULL), 0);
  return thrum_schedule_run(&schedule);
}

static int do_nothing(size_t begin, size_t end, void *arg) { return (void)begin, (void)end, (void)arg, 0; }
static int do_item(void *item, void *arg) { return (void)item, (void)arg, 0; }
static int fold_nothing(size_t begin, size_t end, void *accumulator, void *arg) {
  return (void)begin, (void)end, (void)accumulator, (void)arg, 0;
}
static void combine_nothing(void *left, void *right, void *arg) { (void)left, (void)right, (void)arg; }

static const thrum_reduction nothing = {sizeof(int), NULL, fold_nothing, combine_nothing};
static int items[100];

POINT(loop, thrum_parallel_for(0, 100, do_nothing, NULL))
POINT(loop_over_items, thrum_parallel_each(items, 100, sizeof *items, do_item, NULL))

static int64_t reduce(void) {
  int reduced;
  return thrum_parallel_reduce(0, 100, &nothing, NULL, &reduced);
}

/* ---- Futures ------------------------------------------------------------------------------------------------------- */

POINT(await_future, thrum_future_wait_for(pending, THRUM_S(3600)))
POINT(await_result, thrum_future_result_for(pending, NULL, THRUM_FOREVER))
POINT(await_many, thrum_future_wait_many(&pending, 1, THRUM_FIRST_COMPLETED, THRUM_FOREVER))

static int64_t await_bytes(void) {
  const void *data;
  size_t size;
  return thrum_future_bytes_for(pending, &data, &size, THRUM_FOREVER);
}

static int64_t await_completion(void) {
  thrum_completion all;
  CHECK_EQ(thrum_as_completed(&all, &pending, 1, THRUM_FOREVER), 0);
  int64_t got = thrum_completion_next(&all);
  thrum_completion_end(&all);
  return got;
}

static int64_t choose_future(void) {
  thrum_case cases[] = {thrum_case_future(pending)};
  return thrum_select(cases, 1);
}

/* ---- Executors: each call has one of its own, whose task ends behind the wait -------------------------------------------------- */

static int64_t await_executor(void) {
  thrum_event gate = {0};
  thrum_executor *x = pool_of(1);
  CHECK_EQ(thrum_submit(x, NULL, wait_for_event, &gate), 0);
  int64_t got = thrum_executor_shutdown_for(x, false, THRUM_FOREVER);
  thrum_event_set(&gate);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_executor_release(x);
  return got;
}

static int64_t await_map_by(bool timed) {
  thrum_event gate = {0};
  thrum_executor *x = pool_of(1);
  thrum_map *map;
  intptr_t result;
  CHECK_EQ(thrum_map_start(&map, x, wait_for_event, &gate, 1, sizeof gate, NULL), 0);
  int64_t got = timed ? thrum_map_next_for(map, &result, THRUM_S(3600)) : thrum_map_next(map, &result);
  thrum_event_set(&gate);
  thrum_map_end(map);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_executor_release(x);
  return got;
}

POINT(await_map, await_map_by(false))
POINT(await_map_for, await_map_by(true))

/* ---- Processes ----------------------------------------------------------------------------------------------------- */

static const char *const true_argv[] = {"true", NULL};

THRUM_TASK(task_of_none) { return 0; }

POINT(join_process, thrum_process_join(running, NULL))
POINT(join_process_for, thrum_process_join_for(running, NULL, THRUM_S(3600)))

static int64_t run_command(void) {
  thrum_process *never;
  return thrum_process_exec(&never, NULL, true_argv);
}

static int64_t start_process(void) {
  thrum_process *never;
  return thrum_process_start(&never, NULL, &task_of_none, NULL, 0);
}

#endif
