/* The process of an executor: takes its errands one after the other, and says what came of each.
 *
 * A light thread does that, so a task may end itself by thrum_exit, has the stack that was asked for, and may wait for threads of
 * its own. A task that forks leaves a process that does nothing further: it returns from the thread in it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <future/executor.h>
#include <process/errand.h>
#include <sched/part.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <thrum/io/file.h>
#include <thrum/process/process.h>
#include <thrum/scope.h>
#include <unistd.h>

enum {
  KEEP_ROOM = 1 << 20, /* a result's memory is used again up to here */
  PATIENCE = 200       /* so many ms an errand waits for a descriptor */
};

struct hand {
  struct thrumi_post post;
  const struct thrumi_hiring *hiring;
  struct thrumi_thread *me;
  const thrum_task *task; /* of the errand that was last; NULL: it is not here, or was not looked for yet */
  bool sought;
  uint32_t name_size;   /* of what is in `names`: the name of that, then the object's */
  struct thrum_out out; /* the result that is being made */
  uint64_t count;
  char names[THRUMI_RECORD_MAX]; /* as they came; last: it need not be cleared */
};

/* ---- Finding the task --------------------------------------------------------------------------------------------- */

static const thrum_task *find(const char *name, const char *object) {
  const thrum_task *task = thrum_task_find(name);
  if (task || !object[0] || !dlopen(object, RTLD_NOW | RTLD_LOCAL)) return task;
  return thrum_task_find(name);
}

/* Also of an errand that was taken back: those behind it may be of the same task. */
static void introduce(struct hand *hand, const struct thrumi_errand *errand) {
  size_t size = (size_t)errand->name_size + errand->object_size;
  if (!errand->name_size || size > sizeof hand->names) return; /* the task may have scribbled over its ring */
  memcpy(hand->names, errand + 1, size);
  hand->name_size = errand->name_size;
  hand->sought = false;
}

/* Of an errand that has begun: opening its object may end the process, as the task itself. */
static const thrum_task *task_of(struct hand *hand) {
  if (!hand->sought) hand->task = find(hand->names, hand->names + hand->name_size);
  hand->sought = true;
  return hand->task;
}

/* ---- Sending results ------------------------------------------------------------------------------------------------ */

static void wait_for_executor(struct hand *hand) {
  int error = thrum_conn_wait(hand->post.conn);
  if (error) hand->post.gone = true;
  thrumi_post_wake(&hand->post, !error, THRUMI_PARCELS);
}

/* NULL: nobody is there any more. */
static struct thrumi_result *wait_for_room(struct hand *hand, size_t size) {
  struct thrumi_result *result;
  while (!(result = thrumi_post_room(&hand->post, size))) {
    if (thrumi_post_is_lost(&hand->post)) return NULL;
    if (thrumi_post_sleep_for_room(&hand->post, size)) wait_for_executor(hand);
  }
  return result;
}

static int send_parcel(struct hand *hand, size_t size) {
  struct iovec piece = {hand->out.data, size};
  int error;
  while ((error = thrumi_post_parcel(&hand->post, &piece, 1)) == -EAGAIN) thrum_sleep(THRUM_MS(1));
  return error;
}

/* What is in `out`. 0, or why a parcel cannot be sent. */
static int send_result(struct hand *hand, uint64_t number, int error) {
  size_t size = hand->out.size, whole = sizeof(struct thrumi_result) + size;
  bool is_parcel = whole > THRUMI_RECORD_MAX;
  struct thrumi_result *result = wait_for_room(hand, is_parcel ? sizeof *result : whole);
  if (!result) return 0;
  int refused = is_parcel ? send_parcel(hand, size) : 0;
  if (refused) return refused;
  result->number = number;
  result->count = hand->count;
  result->size = size;
  result->error = error;
  if (!is_parcel && size) memcpy(result + 1, hand->out.data, size);
  thrumi_post_write(&hand->post, is_parcel ? sizeof *result : whole, THRUMI_RESULT,
                    is_parcel ? THRUMI_RECORD_PARCEL : 0);
  thrumi_post_ring(&hand->post);
  return 0;
}

static void start_result(struct hand *hand) {
  struct thrum_out *out = &hand->out;
  if (out->room > KEEP_ROOM) {
    thrumi_os.free(out->data);
    *out = (struct thrum_out){0};
  }
  out->size = 0;
  out->error = 0;
  hand->count = 0;
}

/* The whole errand has failed, or what came of it does not get through. */
static void send_failure(struct hand *hand, uint64_t number, int error, const char *why) {
  char sentence[THRUMI_SENTENCE_MAX];
  int size = snprintf(sentence, sizeof sentence, "process %s %s", thrum_current_process_name(), why);
  if (size >= (int)sizeof sentence) size = sizeof sentence - 1;
  start_result(hand);
  thrum_out_write(&hand->out, sentence, (size_t)size);
  int refused = send_result(hand, number, error);
  (void)refused; /* it is short */
}

static void finish(struct hand *hand, uint64_t number) {
  int refused = send_result(hand, number, 0);
  if (refused) send_failure(hand, number, refused, "could not send the result");
}

/* ---- Running ----------------------------------------------------------------------------------------------------------- */

struct call {
  const thrum_task *task;
  const void *in;
  size_t size;
  struct thrum_out *out;
};

static intptr_t call_task(void *arg) {
  struct call *call = arg;
  return call->task->fn(call->in, call->size, call->out);
}

/* Where in `out` an item's head is. */
static void put_head(struct thrum_out *out, size_t where, struct thrumi_result_item head) {
  if (out->size >= where + sizeof head) memcpy(out->data + where, &head, sizeof head);
}

/* Calls the task with one item; its bytes go behind a head whose room is made first. False: no memory for the head. */
static bool run_item(struct hand *hand, const thrum_task *task, const void *in, size_t size, int *value) {
  static const struct thrumi_result_item none;
  struct thrum_out *out = &hand->out;
  struct call call = {task, in, size, out};
  size_t head = out->size, bytes = head + sizeof none;
  if (thrum_out_write(out, &none, sizeof none) != 0) return false;
  *value = (int)thrumi_part_call(hand->me, call_task, &call);
  if (out->error && !thrum_failed(*value)) *value = out->error;
  if (thrum_failed(*value)) out->size = bytes;
  out->error = 0;
  struct thrumi_result_item made = {.value = *value, .bytes_size = out->size - bytes};
  char *sentence = thrumi_sentence_swap(hand->me, NULL);
  if (sentence && thrum_failed(*value)) {
    size_t length = strlen(sentence);
    if (thrum_out_write(out, sentence, length) == 0) made.sentence_size = (uint32_t)length;
  }
  if (thrumi_unlikely(sentence != NULL)) thrumi_os.free(sentence);
  put_head(out, head, made);
  hand->count++;
  return true;
}

/* False: this is the child of a fork by the task. */
static bool run_items(struct hand *hand, const struct thrumi_errand *errand, const char *items) {
  bool keep_going = errand->record.flags & THRUMI_ERRAND_KEEP_GOING, goes_on = true;
  uint32_t forks = thrumi_forks;
  start_result(hand);
  for (uint64_t i = 0; i < errand->count && goes_on; i++) {
    int value;
    if (!run_item(hand, hand->task, items + i * errand->item_size, errand->item_size, &value)) {
      send_failure(hand, errand->number, -ENOMEM, "has no memory for the result");
      return true;
    }
    if (thrumi_unlikely(forks != thrumi_forks)) return false;
    goes_on = keep_going || !thrum_failed(value);
  }
  finish(hand, errand->number);
  return true;
}

static bool run_parcel(struct hand *hand, const struct thrumi_errand *errand, int fd) {
  struct thrumi_bytes items = {0};
  bool goes_on = true;
  if (fd >= 0) items = thrumi_parcel_map(fd, errand->count * errand->item_size);
  if (items.data)
    goes_on = run_items(hand, errand, items.data);
  else
    send_failure(hand, errand->number, fd < 0 ? fd : -ENOMEM, "could not receive the argument");
  thrumi_bytes_free(&items);
  return goes_on;
}

/* Tasks that were here before may have taken all descriptors for good. Then this process is of no use: it ends, and another one gets the errand,
 * which has not begun. */
static int fetch_parcel(struct hand *hand) {
  int fd;
  for (int i = 0; (fd = thrumi_post_take_parcel(&hand->post)) == -EMFILE && i < PATIENCE; i++)
    thrum_sleep(THRUM_MS(1));
  if (fd == -EMFILE) thrumi_post_close(&hand->post); /* its threads may be long in coming to an end */
  return fd;
}

/* False: this is the child of a fork by the task; or the process is of no use. */
static bool run_errand(struct hand *hand, struct thrumi_errand *errand) {
  const char *behind = (const char *)(errand + 1);
  bool is_parcel = errand->record.flags & THRUMI_RECORD_PARCEL;
  uint32_t waiting = THRUMI_RECORD_WAITING;
  introduce(hand, errand);
  int fd = is_parcel ? fetch_parcel(hand) : -EINVAL;
  if (fd == -EMFILE) return false;
  bool is_mine = thrumi_cas(&errand->record.state, &waiting, (uint32_t)THRUMI_RECORD_BEGUN);
  if (is_mine && task_of(hand)) {
    const char *items = behind + thrumi_record_round(errand->name_size + errand->object_size);
    return is_parcel ? run_parcel(hand, errand, fd) : run_items(hand, errand, items);
  }
  if (fd >= 0) thrum_close(fd);
  char why[300];
  snprintf(why, sizeof why, "has no task %.200s", hand->names);
  if (is_mine) send_failure(hand, errand->number, -ENOENT, why);
  return true;
}

/* ---- Coming and leaving -------------------------------------------------------------------------------------------------- */

/* What comes of it is told as an errand's result, of the number 0. */
static bool initialize(struct hand *hand) {
  const struct thrumi_hiring *hiring = hand->hiring;
  const char *name = (const char *)(hiring + 1), *object = name + hiring->name_size;
  if (!hiring->name_size) return true;
  const thrum_task *task = find(name, object);
  char why[300];
  snprintf(why, sizeof why, "has no task %.200s", name);
  uint32_t forks = thrumi_forks;
  int value = 0;
  start_result(hand);
  if (!task)
    send_failure(hand, 0, -ENOENT, why);
  else if (!run_item(hand, task, object + hiring->object_size, hiring->input_size, &value))
    send_failure(hand, 0, -ENOMEM, "has no memory for the result");
  else if (forks == thrumi_forks)
    finish(hand, 0);
  return task && forks == thrumi_forks && !thrum_failed(value);
}

static bool is_over(const struct hand *hand) {
  return thrumi_post_is_lost(&hand->post) || thrumi_load(&hand->post.board->stop);
}

static void serve(struct hand *hand) {
  while (true) {
    struct thrumi_record *record = thrumi_post_next(&hand->post);
    if (record) {
      if (!run_errand(hand, (struct thrumi_errand *)record)) return;
      thrumi_post_done(&hand->post);
    } else if (is_over(hand)) {
      return;
    } else if (thrumi_post_sleep(&hand->post)) {
      wait_for_executor(hand);
    }
  }
}

/* A task may cancel its thread; that does not reach those after it. */
static intptr_t hand_main(void *arg) {
  struct hand *hand = arg;
  hand->me = thrumi_me();
  THRUM_SHIELD(0) {
    if (initialize(hand)) serve(hand);
  }
  return 0;
}

static int open_post(struct hand *hand) {
  int board = thrum_inherited_fd(THRUMI_HAND_BOARD), fd = thrum_inherited_fd(THRUMI_HAND_CONN);
  struct thrumi_board *mapped = thrumi_os.map(board, sizeof *mapped);
  thrum_conn *conn = NULL;
  close(board);
  int error = mapped ? thrum_conn_open(&conn, fd, THRUM_CONN_BOTH) : -ENOMEM;
  if (!error) thrumi_post_open(&hand->post, mapped, 1, conn);
  return error;
}

static void do_nothing(int signo) { (void)signo; }

/* A terminal sends these to every process of its group; what is to end then is for the program to say, and we die with it. A handler, since what
 * a task execs would inherit that they are ignored. Light threads have them blocked: no call of a task's is cut short. A handler of the
 * program's, which a fork has left, stays. */
static void leave_terminal_to_program(void) {
  static const int signos[] = {SIGINT, SIGHUP};
  struct sigaction action;
  for (size_t i = 0; i < sizeof signos / sizeof *signos; i++) {
    if (sigaction(signos[i], NULL, &action) != 0 || action.sa_flags & SA_SIGINFO) continue;
    if (action.sa_handler != SIG_DFL) continue;
    action = (struct sigaction){.sa_handler = do_nothing, .sa_flags = SA_RESTART};
    sigaction(signos[i], &action, NULL);
  }
}

THRUM_TASK(thrumi_hand) {
  static struct hand hand;
  thrum_options options = THRUM_OPTIONS_INIT;
  thrum_thread t;
  leave_terminal_to_program();
  memset(&hand, 0, offsetof(struct hand, names)); /* a forked process has its parent's */
  hand.hiring = thrumi_bytes_copy(in, size).data;
  int error = hand.hiring ? open_post(&hand) : -ENOMEM;
  if (error) return error;
  options.name = "tasks";
  options.stack_size = hand.hiring->stack_size;
  error = thrum_spawn_with(&t, &options, hand_main, &hand);
  if (error) return error;
  thrum_join(t, NULL);
  return 0;
}

const thrum_task *thrumi_hand_task(void) { return &thrumi_hand; }
