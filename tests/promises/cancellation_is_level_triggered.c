/* Every cancellation point (the table in docs/guide/rules.md) ends with -ECANCELED when its thread is cancelled: while it waits,
 * and again and again from then on, until the scope ends; whatever it was that was cancelled. What is no cancellation point does not
 * end. */
#include "points.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

static int empty_pipe[2], full_pipe[2], pair[2], full_pair[2], listener, file;
static pid_t child;
static thrum_lock lock;
static thrum_rlock rlock;
static thrum_rwlock rwlock;
static thrum_gil gil;
static thrum_sem sem;
static thrum_event event;
static thrum_waitgroup group;
static thrum_once once;
static thrum_queue empty = THRUM_QUEUE_INIT(int, 1), full = THRUM_QUEUE_INIT(int, 1);
static int recent[4], now_is;
static thrum_broadcast broadcast = THRUM_BROADCAST_INIT(recent);
static thrum_watch watch = THRUM_WATCH_INIT(&now_is);
static thrum_ticker ticker;
static thrum_thread alive, keeper;
static thrum_event let_go;
static int one = 1;

/* ---- The points ------------------------------------------------------------------------------------------------------- */

static char byte;
static struct iovec piece = {&byte, 1};
static struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
static char room[65536];

POINT(sleep_long, thrum_sleep(THRUM_S(3600)))
POINT(sleep_until, thrum_sleep_until(THRUM_FOREVER))
POINT(tick, thrum_ticker_wait(&ticker))
POINT(tick_for, thrum_ticker_wait_for(&ticker, THRUM_S(3600)))
POINT(read_it, thrum_read(empty_pipe[0], &byte, 1))
POINT(write_it, thrum_write(full_pipe[1], room, sizeof room))
POINT(read_for, thrum_read_for(empty_pipe[0], &byte, 1, THRUM_S(3600)))
POINT(write_for, thrum_write_for(full_pipe[1], room, sizeof room, THRUM_S(3600)))
POINT(readv_it, thrum_readv(empty_pipe[0], &piece, 1))
POINT(writev_it, thrum_writev(full_pipe[1], &piece, 1))
POINT(read_all, thrum_read_full(empty_pipe[0], room, sizeof room))
POINT(write_all, thrum_write_all(full_pipe[1], room, sizeof room))
POINT(send_file, thrum_sendfile(full_pair[0], file, NULL, sizeof room))
POINT(receive, thrum_recv(pair[0], &byte, 1, 0))
POINT(send_it, thrum_send(full_pair[0], room, sizeof room, 0))
POINT(receive_message, thrum_recvmsg(pair[0], &message, 0))
POINT(send_message, thrum_sendmsg(full_pair[0], &message, 0))
POINT(accept_it, thrum_accept(listener, NULL, NULL))
POINT(sync_file, thrum_fsync(file))
POINT(pread_it, thrum_pread(file, &byte, 1, 0))
POINT(pwrite_it, thrum_pwrite(file, &byte, 1, 0))
POINT(open_it, thrum_open("/dev/null", O_RDONLY, 0))
POINT(dial_unix, thrum_dial_unix("/nonexistent/thrum"))
POINT(dial_tcp, thrum_dial_tcp("127.0.0.1", "9"))
POINT(listen_tcp, thrum_listen_tcp("127.0.0.1", "0"))
POINT(child_end, thrum_child_wait(child, NULL))
POINT(join_it, thrum_join_for(alive, NULL, THRUM_FOREVER))
POINT(wait_for_it, thrum_wait_for(alive, THRUM_S(3600)))
POINT(lock_it, thrum_lock_acquire_for(&lock, THRUM_FOREVER))
POINT(rlock_it, thrum_rlock_acquire_for(&rlock, THRUM_FOREVER))
POINT(lock_to_read, thrum_rwlock_acquire_read_for(&rwlock, THRUM_FOREVER))
POINT(lock_to_write, thrum_rwlock_acquire_write_for(&rwlock, THRUM_FOREVER))
POINT(take_gil, thrum_gil_acquire_for(&gil, THRUM_FOREVER))
POINT(acquire, thrum_sem_acquire_for(&sem, THRUM_FOREVER))
POINT(await_event, thrum_event_wait_for(&event, THRUM_FOREVER))
POINT(await_group, thrum_waitgroup_wait_for(&group, THRUM_FOREVER))
POINT(call_it_once, thrum_once_call_for(&once, return_it, NULL, THRUM_FOREVER))
POINT(get, thrum_queue_get(&empty, &one))
POINT(put, thrum_queue_put(&full, &one))
POINT(get_for, thrum_queue_get_for(&empty, &one, THRUM_S(3600)))
POINT(put_for, thrum_queue_put_for(&full, &one, THRUM_S(3600)))
POINT(join_queue, thrum_queue_join(&full))

static int64_t await_barrier(void) {
  thrum_barrier own = THRUM_BARRIER_INIT(2); /* who is cancelled breaks it */
  return thrum_barrier_wait_for(&own, THRUM_FOREVER);
}

static int64_t await_condition(void) {
  static thrum_cond cond;
  static thrum_lock mine;
  thrum_lock_acquire(&mine);
  int error = thrum_cond_wait_for(&cond, &mine, THRUM_FOREVER);
  CHECK_EQ(thrum_lock_release(&mine), 0); /* held in any case */
  return error;
}

static int64_t choose(void) {
  thrum_case cases[] = {thrum_case_get(&empty, &one), thrum_case_put(&full, &one), thrum_case_event(&event)};
  return thrum_select(cases, 3);
}

static int64_t choose_for(void) {
  thrum_case cases[] = {thrum_case_get(&empty, &one), thrum_case_event(&event)};
  return thrum_select_for(cases, 2, THRUM_S(3600));
}

static int64_t poll_it(void) {
  struct pollfd fds[] = {{empty_pipe[0], POLLIN, 0}, {full_pipe[1], POLLOUT, 0}};
  return thrum_poll(fds, 2);
}

static int64_t get_news(void) {
  uint64_t next = thrum_broadcast_subscribe(&broadcast);
  return thrum_broadcast_get(&broadcast, &next, &one);
}

static int64_t await_news(void) {
  uint64_t seen = 0;
  CHECK_EQ(thrum_watch_get(&watch, &one, &seen), 0);
  return thrum_watch_wait(&watch, &one, &seen);
}

static int64_t read_line(void) {
  thrum_reader reader;
  const char *line;
  char text[64];
  CHECK_EQ(thrum_reader_init(&reader, empty_pipe[0], text, sizeof text), 0);
  return thrum_reader_line(&reader, &line);
}

static int64_t read_buffered(void) {
  thrum_reader reader;
  char text[64];
  CHECK_EQ(thrum_reader_init(&reader, empty_pipe[0], text, sizeof text), 0);
  return thrum_reader_read(&reader, &byte, 1);
}

static int64_t connect_it(void) {
  struct sockaddr_un nobody = {.sun_family = AF_UNIX};
  return thrum_connect(pair[1], (struct sockaddr *)&nobody, sizeof nobody);
}

static int64_t flush(void) {
  thrum_writer writer;
  char text[64];
  CHECK_EQ(thrum_writer_init(&writer, full_pipe[1], text, sizeof text), 0);
  if (thrum_writer_put(&writer, "1", 1) != 0) return -ECANCELED;
  return thrum_writer_flush(&writer);
}

static int64_t await_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  return thrum_signal_wait(&set);
}

static int64_t look_up(void) {
  struct addrinfo *found;
  int reason = 0, error = thrum_getaddrinfo("127.0.0.1", "80", NULL, &found, &reason);
  if (!error) freeaddrinfo(found);
  return error == EAI_SYSTEM ? reason : error;
}

/* Waits for a thread of its own that hears of nothing, with an inner scope. */
static int64_t await_scope(void) {
  thrum_scope s;
  thrum_event gate = {0};
  open_shield(&s);
  spawn_away(&s, wait_for_event, &gate);
  thrum_scope_cancel(&s); /* the opener's wait is cancelled; gate's is no cancellation point */
  int error = thrum_scope_wait_for(&s, THRUM_FOREVER);
  thrum_event_set(&gate);
  CHECK_EQ(thrum_scope_close(&s), 0);
  return error;
}

static const struct point {
  const char *name;
  int64_t (*call)(void);
  bool waits; /* for long: it is seen parked before it is cancelled */
} points[] = {
    {"sleep", sleep_long, true},
    {"sleep_until", sleep_until, true},
    {"ticker_wait", tick, true},
    {"ticker_wait_for", tick_for, true},
    {"read", read_it, true},
    {"write", write_it, true},
    {"read_for", read_for, true},
    {"write_for", write_for, true},
    {"readv", readv_it, true},
    {"writev", writev_it, true},
    {"read_full", read_all, true},
    {"write_all", write_all, true},
    {"sendfile", send_file, true},
    {"poll", poll_it, true},
    {"recv", receive, true},
    {"send", send_it, true},
    {"recvmsg", receive_message, true},
    {"sendmsg", send_message, true},
    {"accept", accept_it, true},
    {"fsync", sync_file, false},
    {"pread", pread_it, false},
    {"pwrite", pwrite_it, false},
    {"open", open_it, false},
    {"dial_unix", dial_unix, false},
    {"dial_tcp", dial_tcp, false},
    {"listen_tcp", listen_tcp, false},
    {"getaddrinfo", look_up, false},
    {"reader_line", read_line, true},
    {"writer_flush", flush, true},
    {"signal_wait", await_signal, true},
    {"child_wait", child_end, true},
    {"join_for", join_it, true},
    {"wait_for", wait_for_it, true},
    {"lock_acquire_for", lock_it, true},
    {"rlock_acquire_for", rlock_it, true},
    {"rwlock_acquire_read_for", lock_to_read, true},
    {"rwlock_acquire_write_for", lock_to_write, true},
    {"gil_acquire_for", take_gil, true},
    {"sem_acquire_for", acquire, true},
    {"event_wait_for", await_event, true},
    {"waitgroup_wait_for", await_group, true},
    {"once_call_for", call_it_once, true},
    {"cond_wait_for", await_condition, true},
    {"barrier_wait_for", await_barrier, true},
    {"queue_get", get, true},
    {"queue_put", put, true},
    {"queue_get_for", get_for, true},
    {"queue_put_for", put_for, true},
    {"queue_join", join_queue, true},
    {"select", choose, true},
    {"broadcast_get", get_news, true},
    {"watch_wait", await_news, true},
    {"scope_wait_for", await_scope, false},
    {"select_for", choose_for, true},
    {"select of a future", choose_future, true},
    {"reader_read", read_buffered, true},
    {"connect", connect_it, false},
    {"schedule_run", run_schedule, true},
    {"parallel_for", loop, false},
    {"parallel_each", loop_over_items, false},
    {"parallel_reduce", reduce, false},
    {"future_wait_for", await_future, true},
    {"future_result_for", await_result, true},
    {"future_bytes_for", await_bytes, true},
    {"future_wait_many", await_many, true},
    {"completion_next", await_completion, true},
    {"executor_shutdown_for", await_executor, true},
    {"map_next", await_map, true},
    {"map_next_for", await_map_for, true},
    {"process_join", join_process, true},
    {"process_join_for", join_process_for, true},
    {"process_exec", run_command, false},
    {"process_start", start_process, false},
};
enum { POINTS = sizeof points / sizeof *points };

/* ---- The rest of the world -------------------------------------------------------------------------------------------- */

static intptr_t run_for_long(void *arg) {
  thrum_event_wait(&let_go);
  return (intptr_t)arg;
}

static intptr_t run_once_for_long(void *arg) { return thrum_once_call(&once, run_for_long, arg); }

static void fill_up(int fd) {
  CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
  while (write(fd, room, sizeof room) > 0) continue;
  while (write(fd, room, 1) > 0) continue;
  CHECK_EQ(*__errno_location(), EAGAIN);
}

static void make_descriptors(void) {
  struct sockaddr_in any = {.sin_family = AF_INET};
  CHECK_EQ(pipe(empty_pipe), 0);
  CHECK_EQ(pipe(full_pipe), 0);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, full_pair), 0);
  fill_up(full_pipe[1]);
  fill_up(full_pair[0]);
  listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&any, sizeof any) == 0 &&
        listen(listener, 1) == 0);
  file = fileno(tmpfile());
  CHECK_EQ(ftruncate(file, 1 << 20), 0);
}

static void make_child(void) {
  child = fork();
  CHECK(child >= 0);
  if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (child == 0) pause();
}

/* What has an owner is another thread's. */
static intptr_t keep_locks(void *arg) {
  thrum_lock_acquire(&lock);
  thrum_rlock_acquire(&rlock);
  thrum_rwlock_acquire_write(&rwlock);
  thrum_gil_acquire(&gil);
  thrum_event_wait(&let_go);
  CHECK_EQ(thrum_lock_release(&lock) | thrum_rlock_release(&rlock), 0);
  CHECK_EQ(thrum_rwlock_release_write(&rwlock) | thrum_gil_release(&gil), 0);
  return (intptr_t)arg;
}

static void take_all(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK_EQ(thrum_signal_catch(&set), 0);
  keeper = must_spawn(keep_locks, NULL);
  AWAIT(is_parked(keeper));
  thrum_waitgroup_add(&group, 1);
  CHECK_EQ(thrum_ticker_start(&ticker, THRUM_S(1000000)), 0);
  CHECK_EQ(thrum_queue_put(&full, &one), 0);
  alive = must_spawn(run_once_for_long, NULL);
  AWAIT(is_parked(alive));
}

/* ---- What is promised ------------------------------------------------------------------------------------------------- */

static void expect(const struct point *p, const char *when, int64_t got) {
  if (got != -ECANCELED) check_failed(__FILE__, __LINE__, "thrum_%s %s: %lld", p->name, when, (long long)got);
}

static intptr_t again_and_again(void *point) {
  const struct point *p = (const struct point *)point;
  if (!p->waits) CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  expect(p, "as it waits", p->call());
  for (int i = 0; i < 3; i++) expect(p, "again", p->call());
  CHECK(thrum_cancelled());
  THRUM_SCOPE(s) expect(p, "in a scope of its own", p->call());
  return -ECANCELED;
}

/* Each thread of a scope, of each kind that can be in one. */
static void in_threads(const struct point *p) {
  int error = 1;
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = true;
  THRUM_SCOPE(s, .status = &error) {
    thrum_thread light = spawn_into(&s, again_and_again, (void *)(uintptr_t)p), bound;
    options.scope = &s;
    CHECK_EQ(thrum_spawn_with(&bound, &options, again_and_again, (void *)(uintptr_t)p), 0);
    AWAIT(is_parked(light) && is_parked(bound));
    thrum_scope_cancel(&s);
    CHECK_EQ(must_join(light), -ECANCELED);
    CHECK_EQ(must_join(bound), -ECANCELED);
  }
  CHECK_EQ(error, 0);
}

struct opener {
  const struct point *point;
  thrum_thread handle;
  thrum_scope *scope;
};

static intptr_t cancel_opener(void *arg) {
  struct opener *o = (struct opener *)arg;
  AWAIT(is_parked(o->handle));
  thrum_scope_cancel(o->scope);
  return 0;
}

/* The opener, until it closes the scope. */
static intptr_t in_opener(void *point) {
  thrum_scope s;
  struct opener o = {(const struct point *)point, thrum_current(), &s};
  open_plainly(&s);
  thrum_thread canceller = must_spawn(cancel_opener, &o);
  CHECK_EQ(again_and_again(point), -ECANCELED);
  CHECK_EQ(thrum_scope_close(&s), 0);
  CHECK(!thrum_cancelled());
  CHECK_EQ(thrum_sleep(0), 0);
  CHECK_EQ(must_join(canceller), 0);
  return 0;
}

/* By thrum_cancel; a scope makes no difference to it then. */
static void one_thread(const struct point *p) {
  thrum_thread t = must_spawn(again_and_again, (void *)(uintptr_t)p);
  AWAIT(is_parked(t));
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(must_join(t), -ECANCELED);
  CHECK_EQ(thrum_cancel(t), -ESRCH);
}

/* What lies far below what is cancelled. */
static thrum_thread leaf;

static intptr_t grandchildren(void *point) {
  int error = 1;
  THRUM_SCOPE(s, .status = &error) {
    THRUM_SCOPE(inner) {
      thrum_thread t = spawn_into(&inner, again_and_again, point);
      STORE(leaf.value, t.value);
    }
    CHECK_EQ(must_join(leaf), -ECANCELED);
  }
  return error;
}

static void from_far_above(const struct point *p) {
  thrum_scope s;
  open_plainly(&s);
  STORE(leaf.value, 0);
  thrum_thread t = spawn_into(&s, grandchildren, (void *)(uintptr_t)p);
  AWAIT(LOAD(leaf.value) && is_parked(leaf) && is_parked(t));
  thrum_scope_cancel(&s);
  CHECK_EQ(must_join(t), -ECANCELED);
  CHECK_EQ(thrum_scope_close(&s), 0);
}

/* ---- What is none ----------------------------------------------------------------------------------------------------- */

static intptr_t plainly_lock(void *arg) {
  return thrum_lock_acquire(&lock), thrum_lock_release(&lock) + (intptr_t)arg;
}
static intptr_t plainly_rlock(void *arg) {
  return thrum_rlock_acquire(&rlock), thrum_rlock_release(&rlock) + (intptr_t)arg;
}
static intptr_t plainly_write(void *arg) {
  return thrum_rwlock_acquire_write(&rwlock), thrum_rwlock_release_write(&rwlock) + (intptr_t)arg;
}
static intptr_t plainly_read(void *arg) {
  return thrum_rwlock_acquire_read(&rwlock), thrum_rwlock_release_read(&rwlock) + (intptr_t)arg;
}
static intptr_t plainly_gil(void *arg) {
  return thrum_gil_acquire(&gil), thrum_gil_release(&gil) + (intptr_t)arg;
}
static intptr_t plainly_acquire(void *arg) { return thrum_sem_acquire(&sem), (intptr_t)arg; }
static intptr_t plainly_event(void *arg) { return thrum_event_wait(&event), (intptr_t)arg; }
static intptr_t plainly_group(void *arg) { return thrum_waitgroup_wait(&group), (intptr_t)arg; }
static intptr_t plainly_once(void *arg) { return thrum_once_call(&once, return_it, arg); }
static intptr_t plainly_wait(void *arg) { return thrum_wait(alive) + (intptr_t)arg; }
static intptr_t plainly_close(void *arg) {
  thrum_scope s;
  open_plainly(&s);
  if (thrum_scope_spawn(&s, NULL, wait_for_event, &let_go) != 0) return -1;
  return thrum_scope_close(&s) == -ECANCELED ? (intptr_t)arg : -1;
}

static thrum_cond cond;
static thrum_lock of_cond;
static intptr_t plainly_condition(void *arg) {
  thrum_lock_acquire(&of_cond);
  int error = thrum_cond_wait(&cond, &of_cond);
  return error + thrum_lock_release(&of_cond) + (intptr_t)arg; /* it is held again */
}

static thrum_fn *const plain[] = {plainly_lock, plainly_rlock,   plainly_write,     plainly_read,
                                  plainly_gil,  plainly_acquire, plainly_event,     plainly_group,
                                  plainly_once, plainly_wait,    plainly_condition, plainly_close};
enum { PLAIN = sizeof plain / sizeof *plain };

static void plain_waits_last(void) {
  thrum_scope s;
  thrum_thread t[PLAIN];
  open_plainly(&s);
  for (int i = 0; i < PLAIN; i++) {
    t[i] = spawn_into(&s, plain[i], NULL);
    AWAIT(is_parked(t[i]));
  }
  thrum_scope_cancel(&s);
  THRUM_SHIELD(0) {
    for (int i = 0; i < 20; i++) CHECK_EQ(thrum_sleep(THRUM_US(200)), 0);
    for (int i = 0; i < PLAIN; i++) CHECK(is_parked(t[i]));
    CHECK_EQ(thrum_sem_release(&sem, 1), 0);
    thrum_event_set(&event);
    thrum_waitgroup_done(&group);
    thrum_cond_notify_all(&cond);
    thrum_event_set(&let_go);
  }
  CHECK_EQ(thrum_scope_close(&s), 0);
  for (int i = 0; i < PLAIN; i++) CHECK_EQ(must_join(t[i]), 0);
}

/* The condition's wait is cancelled; to take its lock again is no cancellation point. */
static int has_lock_back;

static intptr_t wait_in_condition(void *arg) {
  thrum_lock_acquire(&of_cond);
  CHECK_EQ(thrum_cond_wait_for(&cond, &of_cond, THRUM_FOREVER), -ECANCELED);
  STORE(has_lock_back, 1);
  return thrum_lock_release(&of_cond) + (intptr_t)arg;
}

static void a_cancelled_wait_takes_its_lock(void) {
  thrum_thread t = must_spawn(wait_in_condition, NULL);
  AWAIT(is_parked(t));
  thrum_lock_acquire(&of_cond);
  CHECK_EQ(thrum_cancel(t), 0);
  for (int i = 0; i < 20; i++) CHECK_EQ(thrum_sleep(THRUM_US(200)), 0);
  AWAIT(is_parked(t)); /* in the lock */
  CHECK_EQ(LOAD(has_lock_back), 0);
  CHECK_EQ(thrum_lock_release(&of_cond), 0);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(LOAD(has_lock_back), 1);
}

/* What does not wait for anybody does its work in a cancelled thread, too. */
static intptr_t goes_on_cancelled(void *arg) {
  int fds[2];
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  CHECK(thrum_print("said by a cancelled thread\n") >= 0);
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(thrum_close(fds[0]), 0);
  CHECK_EQ(thrum_close(fds[1]), 0);
  CHECK(fcntl(fds[0], F_GETFD) < 0 && fcntl(fds[1], F_GETFD) < 0);
  CHECK_EQ(thrum_sleep(0), -ECANCELED); /* still */
  return (intptr_t)arg;
}

static void printing_and_closing_go_on(void) {
  thrum_thread t = must_spawn(goes_on_cancelled, NULL);
  AWAIT(is_parked(t));
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(must_join(t), 0);
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  make_child();
  make_pending();
  make_descriptors();
  take_all();
  for (int i = 0; i < POINTS; i++) {
    in_threads(&points[i]);
    run_in_each_kind(in_opener, (void *)(uintptr_t)&points[i]);
    one_thread(&points[i]);
    from_far_above(&points[i]);
  }
  a_cancelled_wait_takes_its_lock();
  printing_and_closing_go_on();
  plain_waits_last();
  CHECK_EQ(must_join(alive), 0);
  CHECK_EQ(must_join(keeper), 0);
  end_pending();
  CHECK_EQ(kill(child, SIGKILL), 0);
  CHECK_EQ(waitpid(child, NULL, 0), child);
  return 0;
}
