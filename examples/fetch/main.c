/* fetch: gets files over HTTP/1.1, by several connections at once.
 *
 *     fetch [OPTION...] URL...
 *     fetch --connections=8 --output=big.iso http://localhost:8080/big.iso
 *
 * Each connection has a thread, which takes what is to be done next: to ask for a file's size, or to get a piece of one. Where the
 * server gives ranges and a strong ETag, a file is got in pieces of --piece KiB, by as many connections as there are; else as a
 * whole. A piece that broke off goes on from where it was. A server whose file changes meanwhile is found out: the file fails.
 *
 * What has come is in NAME.part until the file is whole, of the right length and on the disk; then it is renamed, in place of a file
 * of that name if there is one. What a run that was stopped or that failed leaves is gone on with by the next one: see file.h.
 *
 *     --connections=4
 *     --output=NAME  of one URL; else the last part of its path, in the current folder
 *     --piece=1024   KiB
 *     --retries=5    attempts in a row that brought nothing: then the file has failed. They wait 0.1 s, 0.2 s, 0.4 s, up to 5 s, and
 *                    a little by chance, so that not all come again at once
 *     --timeout=30   seconds to connect, and without a byte
 *     --progress     a line each second on standard error
 *
 * SIGINT or SIGTERM stops it: the connections are cut off at once, and what is there is told and kept. Only one that is about to be made may take up
 * to --timeout; a second signal ends the program on the spot, which harms no file.
 * A line for each file says what became of it. The status is 0 if all are whole, 1 if not, 2 for wrong arguments. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../options.h"
#include "file.h"

enum { CONNECTIONS_MAX = 256, REQUEST_ROOM = URL_ROOM + HOST_ROOM + ETAG_MAX + 512 };

static int64_t connections = 4, piece_kib = 1024, retries = 5;
static thrum_duration timeout = THRUM_S(30);

/* ---- The plan: who does what next --------------------------------------------------------------------- */

struct worker {
  thrum_thread thread;
  int fd;         /* under the plan's lock; -1: none */
  struct url url; /* where fd leads to */
  unsigned seed;
};

static struct plan {
  thrum_lock lock; /* of all below, and of the states of files and pieces */
  thrum_cond changed;
  bool stopping;
  struct file *files;
  int count;
  struct worker workers[CONNECTIONS_MAX];
} plan;

static thrum_event stopped, over;

struct task {
  struct file *file;
  struct piece *piece; /* NULL: ask for its size */
};

static struct piece *free_piece(struct file *f) {
  for (int i = 0; i < f->count; i++) {
    if (f->pieces[i].state == PIECE_FREE) return &f->pieces[i];
  }
  return NULL;
}

static bool choose(struct task *task, bool *unfinished) {
  *unfinished = false;
  for (struct file *f = plan.files; f < plan.files + plan.count; f++) {
    *task = (struct task){f, f->state == FILE_OPEN ? free_piece(f) : NULL};
    if (f->state == FILE_NEW || task->piece) return true;
    if (f->state == FILE_PROBED || f->state == FILE_OPEN) *unfinished = true;
  }
  return false;
}

/* The next thing to do; waits while there may be one later. False: there will be none. */
static bool take_task(struct task *task) {
  bool taken = false, unfinished = true;
  THRUM_LOCKED(&plan.lock) {
    while (!plan.stopping && !(taken = choose(task, &unfinished)) && unfinished)
      thrum_cond_wait(&plan.changed, &plan.lock);
    if (taken && task->piece)
      task->piece->state = PIECE_TAKEN;
    else if (taken)
      task->file->state = FILE_PROBED;
  }
  return taken;
}

static THRUM_PRINTF(2, 3) void fail_locked(struct file *f, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (f->state != FILE_FAILED) vsnprintf(f->why, sizeof f->why, format, arguments);
  va_end(arguments);
  f->state = FILE_FAILED;
}

static bool is_complete(const struct file *f) {
  for (int i = 0; i < f->count; i++) {
    if (f->pieces[i].state != PIECE_DONE) return false;
  }
  return true;
}

/* After a task. Whoever finds all pieces complete finishes the file, outside of the lock. */
static void end_task(struct task *task, bool done) {
  struct file *f = task->file;
  bool complete = false;
  THRUM_LOCKED(&plan.lock) {
    if (task->piece) task->piece->state = done ? PIECE_DONE : PIECE_FREE;
    if (!task->piece && f->state == FILE_PROBED) f->state = done ? FILE_OPEN : FILE_NEW;
    complete = f->state == FILE_OPEN && is_complete(f);
    if (complete) f->state = FILE_PROBED; /* nobody else's */
    thrum_cond_notify_all(&plan.changed);
  }
  if (!complete) return;
  int error = file_finish(f);
  THRUM_LOCKED(&plan.lock) {
    if (error)
      fail_locked(f, "%s: %s", f->name, strerror(-error));
    else
      f->state = FILE_WHOLE;
    thrum_cond_notify_all(&plan.changed);
  }
}

static bool is_over(const struct file *f) {
  bool is = false;
  THRUM_LOCKED(&plan.lock) is = plan.stopping || f->state == FILE_FAILED;
  return is;
}

/* ---- Connections -------------------------------------------------------------------------------------- */

/* False, and closed: it is too late for it. */
static bool set_connection(struct worker *w, int fd) {
  bool late = false;
  THRUM_LOCKED(&plan.lock) {
    late = plan.stopping;
    w->fd = late ? -1 : fd;
  }
  if (late && fd >= 0) thrum_close(fd);
  return !late;
}

static void hang_up(struct worker *w) {
  int fd = w->fd;
  set_connection(w, -1);
  if (fd >= 0) thrum_close(fd);
}

/* 0, with *kept true if it is one that has been used before. */
static int reach(struct worker *w, const struct url *url, bool *kept) {
  *kept = w->fd >= 0 && strcmp(w->url.host, url->host) == 0 && strcmp(w->url.port, url->port) == 0;
  if (*kept) return 0;
  hang_up(w);
  int fd = thrum_dial_tcp_for(url->host, url->port, timeout);
  if (fd < 0) return fd;
  w->url = *url;
  return set_connection(w, fd) ? 0 : -EPIPE;
}

static int run(struct worker *w, struct exchange *x, const struct url *url, const char *request) {
  bool kept;
  int error = reach(w, url, &kept);
  if (!error) error = exchange_run(x, w->fd, request, timeout);
  if (error || !x->keep_alive) hang_up(w);
  if (!error || !kept || x->status) return error;
  error = reach(w, url, &kept); /* the server may have closed it while it was idle: that is no failure */
  if (!error) error = exchange_run(x, w->fd, request, timeout);
  if (error || !x->keep_alive) hang_up(w);
  return error;
}

/* ---- Attempts ----------------------------------------------------------------------------------------- */

/* The outcome of an attempt beside 0 (done) and errors of the connection, which are worth another attempt. */
enum { HOPELESS = 1 };

static int give_up(struct file *f, const char *why, int status) {
  THRUM_LOCKED(&plan.lock) {
    if (status)
      fail_locked(f, "%s: %d %s", why, status, llhttp_status_name((llhttp_status_t)status));
    else
      fail_locked(f, "%s", why);
  }
  return HOPELESS;
}

static bool is_passing(int status) { return status == 408 || status == 429 || status >= 500; }

static int probe(struct worker *w, struct task *task) {
  struct file *f = task->file;
  char request[REQUEST_ROOM];
  struct exchange x = {.head = true};
  snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: thrum-fetch\r\n\r\n",
           f->url.path, f->url.authority);
  int error = run(w, &x, &f->url, request);
  if (error) return error;
  if (is_passing(x.status) && x.status != 501) return -EAGAIN;
  if (x.status != 200 && x.status != 405 && x.status != 501) return give_up(f, "the server says", x.status);
  if (x.status == 200) {
    f->size = x.length;
    f->ranges = x.ranges;
    strcpy(f->etag, x.etag);
  }
  error = file_open(f, piece_kib * 1024);
  if (error == -EBUSY) return give_up(f, "another program is fetching it", 0);
  return error ? give_up(f, strerror(-error), 0) : 0;
}

struct attempt {
  struct file *file;
  struct piece *piece;
};

/* Whether the answer is the one that was asked for. */
static int begin_answer(struct exchange *x) {
  struct attempt *a = x->arg;
  struct file *f = a->file;
  struct piece *p = a->piece;
  if (is_passing(x->status)) return -EAGAIN;
  if (f->ranges && (x->status == 200 || x->status == 416))
    return give_up(f, "the file has changed on the server", 0);
  if (x->status != (f->ranges ? 206 : 200)) return give_up(f, "the server says", x->status);
  if (f->ranges && (x->first != p->from + p->got || x->total != f->size))
    return give_up(f, "the server sends another range than was asked for", 0);
  if (!f->ranges && f->size >= 0 && x->length >= 0 && x->length != f->size)
    return give_up(f, "the file has changed on the server", 0);
  return 0;
}

static int take_bytes(struct exchange *x, const char *bytes, size_t size) {
  struct attempt *a = x->arg;
  int error = file_put(a->file, a->piece, bytes, size);
  if (error == -EMSGSIZE) return give_up(a->file, "the server sends more than it said", 0);
  return error ? give_up(a->file, strerror(-error), 0) : 0;
}

static int get_piece(struct worker *w, struct task *task) {
  struct file *f = task->file;
  struct piece *p = task->piece;
  char request[REQUEST_ROOM], range[ETAG_MAX + 128] = "";
  struct attempt attempt = {f, p};
  struct exchange x = {.begin = begin_answer, .take = take_bytes, .arg = &attempt};
  if (!f->ranges && file_rewind(f, p) != 0) return give_up(f, "the disk does not take it", 0);
  if (f->ranges)
    snprintf(range, sizeof range, "Range: bytes=%jd-%jd\r\nIf-Range: %s\r\n", (intmax_t)(p->from + p->got),
             (intmax_t)(p->from + p->size - 1), f->etag);
  snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: thrum-fetch\r\n%s\r\n",
           f->url.path, f->url.authority, range);
  int error = run(w, &x, &f->url, request);
  if (error) return error;
  if (p->size >= 0 && p->got != p->size) return -ECONNRESET;
  error = file_record(f, p);
  return error ? give_up(f, strerror(-error), 0) : 0;
}

/* Longer each time, and not the same for all. False: it is to stop. */
static bool back_off(struct worker *w, int attempt) {
  thrum_duration span = THRUM_MS(100) << (attempt < 6 ? attempt : 6);
  if (span > THRUM_S(5)) span = THRUM_S(5);
  w->seed = w->seed * 1103515245 + 12345;
  span += span / 2 * (w->seed >> 16 & 0xff) / 256;
  return thrum_event_wait_for(&stopped, span) == -ETIMEDOUT;
}

/* Again and again, until it is done or there is no hope. An attempt that brought something does not count. */
static void perform(struct worker *w, struct task *task) {
  int outcome = -ECANCELED;
  for (int attempt = 0; !is_over(task->file);) {
    int64_t before = task->piece && task->file->ranges ? task->piece->got : 0;
    outcome = task->piece ? get_piece(w, task) : probe(w, task);
    if (outcome >= 0) break;
    if (task->piece && task->file->ranges && task->piece->got > before) attempt = 0;
    if (attempt >= retries) {
      give_up(task->file, outcome == -EAGAIN ? "the server is busy" : strerror(-outcome), 0);
      break;
    }
    if (!back_off(w, attempt++)) break;
  }
  end_task(task, outcome == 0);
}

static intptr_t work(void *arg) {
  struct worker *w = arg;
  struct task task = {0};
  while (take_task(&task)) perform(w, &task);
  hang_up(w);
  return 0;
}

/* ---- Around it ---------------------------------------------------------------------------------------- */

static intptr_t wait_for_signal(void *arg) {
  const sigset_t *signals = arg;
  if (thrum_signal_wait(signals) < 0) return 0;
  thrum_signal_release(signals);
  THRUM_LOCKED(&plan.lock) {
    plan.stopping = true;
    for (int i = 0; i < connections; i++) {
      if (plan.workers[i].fd >= 0) shutdown(plan.workers[i].fd, SHUT_RDWR);
    }
    thrum_cond_notify_all(&plan.changed);
  }
  thrum_event_set(&stopped);
  return 0;
}

static intptr_t show_progress(void *arg) {
  (void)arg;
  int64_t last = 0;
  while (thrum_event_wait_for(&over, THRUM_S(1)) == -ETIMEDOUT) {
    int64_t done = 0, size = 0;
    THRUM_LOCKED(&plan.lock) {
      for (int i = 0; i < plan.count; i++) {
        const struct file *f = &plan.files[i];
        done += atomic_load(&f->done);
        if ((f->state == FILE_OPEN || f->state == FILE_WHOLE) && f->size > 0) size += f->size;
      }
    }
    fprintf(stderr, "fetch: %jd of %jd bytes, %jd KiB/s\n", (intmax_t)done, (intmax_t)size,
            (intmax_t)(done - last) / 1024);
    last = done;
  }
  return 0;
}

/* What became of it, in a line. */
static bool report(struct file *f) {
  if (f->state == FILE_WHOLE) {
    printf("%s: %jd bytes\n", f->name, (intmax_t)atomic_load(&f->done));
    return true;
  }
  int64_t kept = file_keep(f);
  printf("%s: %s", f->name, f->state == FILE_FAILED ? f->why : "stopped");
  if (kept)
    printf("; %jd of %jd bytes are kept in %s\n", (intmax_t)kept, (intmax_t)f->size, f->part);
  else
    printf("; nothing is kept\n");
  return false;
}

static int spawn_helper(thrum_thread *out, const char *name, thrum_fn *fn, void *arg) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.name = name;
  options.daemon = THRUM_YES;
  return thrum_spawn_with(out, &options, fn, arg);
}

static int run_all(bool progress) {
  static sigset_t signals;
  thrum_thread shower = {0};
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  int error = thrum_signal_catch(&signals);
  if (!error) error = spawn_helper(NULL, "signals", wait_for_signal, &signals);
  if (!error && progress) error = spawn_helper(&shower, "progress", show_progress, NULL);
  for (int i = 0; i < connections && !error; i++) {
    struct worker *w = &plan.workers[i];
    w->fd = -1;
    w->seed = (unsigned)i + (unsigned)thrum_now();
    error = thrum_spawn_named(&w->thread, work, w, "connection-%d", i);
  }
  for (int i = 0; i < connections; i++) thrum_join(plan.workers[i].thread, NULL); /* none: -ESRCH at once */
  thrum_event_set(&over);
  thrum_join(shower, NULL);
  return error;
}

/* Two files of one name would overwrite each other. */
static int make_files(char **urls, int count, const char *output) {
  plan.files = calloc((size_t)count, sizeof *plan.files);
  if (!plan.files) return -ENOMEM;
  for (plan.count = 0; plan.count < count; plan.count++) {
    struct file *f = &plan.files[plan.count];
    int error = file_init(f, urls[plan.count], output);
    if (error == -EINVAL)
      fprintf(stderr, "fetch: %s: not a URL like http://HOST[:PORT]/PATH\n", urls[plan.count]);
    if (error) return error;
    for (int i = 0; i < plan.count; i++) {
      if (strcmp(plan.files[i].name, f->name) != 0) continue;
      fprintf(stderr, "fetch: %s: two files would be named so\n", f->name);
      return -EINVAL;
    }
  }
  return 0;
}

static const char usage[] = "usage: fetch [OPTION...] URL...\n"
                            "  --connections=N   at once, 4\n"
                            "  --output=NAME     of one URL; else the last part of its path\n"
                            "  --piece=KIB       got at once, 1024\n"
                            "  --retries=N       in a row that bring nothing, 5\n"
                            "  --timeout=S       seconds to connect, and without a byte, 30\n"
                            "  --progress        a line each second on standard error\n";

int main(int argc, char **argv) {
  const char *output = NULL;
  bool progress = false, whole = true;
  const struct option_row options[] = {
      {"connections", OPTION_NUMBER, &connections, 1, CONNECTIONS_MAX},
      {"output", OPTION_TEXT, &output, 0, 0},
      {"piece", OPTION_NUMBER, &piece_kib, 1, 1024 * 1024},
      {"retries", OPTION_NUMBER, &retries, 0, 1000},
      {"timeout", OPTION_SECONDS, &timeout, 0, 3600},
      {"progress", OPTION_FLAG, &progress, 0, 0},
      {0},
  };
  int at = options_read(argc, argv, options, usage, 1, 10000);
  if (output && argc - at > 1) return fprintf(stderr, "fetch: --output goes with one URL\n"), 2;
  int error = make_files(argv + at, argc - at, output);
  if (error == -EINVAL) return 2;
  if (!error) error = run_all(progress);
  if (error) fprintf(stderr, "fetch: %s\n", strerror(-error));
  for (int i = 0; i < plan.count; i++) whole &= report(&plan.files[i]);
  for (int i = 0; i < plan.count; i++) file_free(&plan.files[i]);
  free(plan.files);
  return error || !whole;
}
