/* The last act of a program that is recorded: a fatal signal that nobody handles, abort, misuse (thrumi_fatal) and a deadlock (whose verdict
 * calls it, too). A flight recorder's file is written; a recording's is brought to its end. Once; and then the program ends as it would have.
 *
 * In the handler nothing is taken but the drain. Whoever has that gives it back within a go of its own, unless it is the one that crashed:
 * then the file stays as it is. */
#define _GNU_SOURCE
#include <core/fatal.h>
#include <sched/self.h>
#include <string.h>
#include <trace/quiet.h>
#include <trace/trace.h>
#include <unistd.h>

#define PATIENCE THRUM_MS(500)

static const int fatal[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
enum { SIGNALS = sizeof fatal / sizeof *fatal };

static struct {
  bool ours[SIGNALS];
  struct sigaction former[SIGNALS];
} watch;

/* glibc's strerror may look for a translation, with a lock. */
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 32)
#define WITHOUT_A_LOCK strerrordesc_np
#endif
#endif
#ifndef WITHOUT_A_LOCK
#define WITHOUT_A_LOCK strerror
#endif

static const char *say(int error) {
  const char *text = WITHOUT_A_LOCK(-error);
  return text ? text : "unknown error";
}

/* A file that was begun and could not be finished is removed, as by a snapshot. */
static int write_to(struct thrumi_drain *d, char *path) {
  int fd = thrumi_trace_open(path, path);
  if (fd < 0) return fd;
  thrumi_drain_rewind(d, thrumi_recorder.keep);
  thrumi_drain_open(d, fd);
  thrumi_drain_events(d);
  thrumi_drain_finish(d);
  if (d->file.error) thrumi_trace_remove(path, fd);
  return d->file.error;
}

static void write_flight(struct thrumi_drain *d) {
  char *path = thrumi_recorder.path;
  if (!*path) return;
  struct thrumi_quiet quiet; /* after misuse no handler blocks them */
  thrumi_quiet_begin(&quiet);
  int error = write_to(d, path);
  thrumi_quiet_end(&quiet);
  if (error)
    thrumi_log("what happened last cannot be written to %s: %s", path, say(error));
  else
    thrumi_log("what happened last is in %s", path);
}

static void act_last(bool in_handler) {
  struct thrumi_drain *d = &thrumi_recorder.drain;
  uint32_t state = thrumi_load(&thrumi_recorder.state);
  if (state != THRUMI_RECORDING && state != THRUMI_FLIGHT) return;
  thrumi_trace_switch_off();
  if (!thrumi_drain_claim(PATIENCE)) return;
  if (!thrumi_cas(&thrumi_recorder.state, &state, (uint32_t)THRUMI_CRASHED)) return;
  d->plain = in_handler;
  d->file.awaited = NULL;
  if (state == THRUMI_FLIGHT) {
    write_flight(d);
  } else if (d->file.fd >= 0) {
    thrumi_drain_events(d);
    thrumi_drain_finish(d);
  }
}

/* An instruction that cannot be carried out: returning runs into it again. Behind a breakpoint or a filtered system call the program would
 * go on, and so it would behind a signal that was sent, or that tells of broken memory ahead of its use. */
static bool comes_again(int signo, const siginfo_t *info) {
  bool is_fault = signo == SIGSEGV || signo == SIGILL || signo == SIGFPE ||
                  (signo == SIGBUS && info->si_code != BUS_MCEERR_AO);
  return is_fault && info->si_code > 0;
}

/* Where the signal would not come again by itself it is sent once more, and ends the program when this returns. */
static void on_fatal(int signo, siginfo_t *info, void *context) {
  (void)context;
  thrumi_act_last(true);
  thrumi_crash_ignore();
  if (!comes_again(signo, info)) thrumi_os.signal(thrumi_os_tid(), signo);
}

static bool is_default(const struct sigaction *action) {
  return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
}

void thrumi_crash_watch(void) {
  thrumi_swap(&thrumi_last_act, act_last);
  for (int i = 0; i < SIGNALS; i++) {
    struct sigaction now;
    if (thrumi_os_action(fatal[i], &now) != 0 || !is_default(&now)) continue;
    watch.ours[i] = thrumi_os_handle(fatal[i], on_fatal, &watch.former[i]) == 0;
  }
}

/* Those that are still ours. */
void thrumi_crash_ignore(void) {
  thrumi_swap(&thrumi_last_act, NULL);
  for (int i = 0; i < SIGNALS; i++) {
    struct sigaction now;
    if (!watch.ours[i]) continue;
    watch.ours[i] = false;
    if (thrumi_os_action(fatal[i], &now) == 0 && now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fatal)
      thrumi_os_set_action(fatal[i], &watch.former[i]);
  }
}
