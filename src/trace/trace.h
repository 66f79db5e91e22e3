/* The recording that is on. See docs/design/tracing.md.
 *
 * `state`, changed under the mutex (by who starts and stops) but for the last two:
 *
 *   OFF        nothing is recorded; thrumi_mode has no bit of tracing
 *   RECORDING  the drain writes to the file, by a kernel thread of its own
 *   FLIGHT     rings are written over
 *   CRASHED    the program is ending; by whom `busy` was given to last
 *   FAILED     the file could not be written: as OFF, but that stop tells of it
 *
 * `busy` says who uses the drain: 0 nobody; 1 the drainer, for one go, or a snapshot; by a compare-and-swap. A crash takes it and
 * keeps it. */
#ifndef THRUMI_TRACE_TRACE_H
#define THRUMI_TRACE_TRACE_H

#include <trace/drain.h>

enum { THRUMI_TRACE_PATH = 4096 };
enum thrumi_recording { THRUMI_OFF, THRUMI_RECORDING, THRUMI_FLIGHT, THRUMI_CRASHED, THRUMI_FAILED };

struct thrumi_recorder {
  pthread_mutex_t
      mutex; /* who starts, stops and takes snapshots; held while libc makes kernel threads, and in plain calls */
  _Atomic uint32_t state;
  thrumi_futex busy;
  thrumi_futex stopping; /* 1: the drainer is to finish */
  thrumi_futex done;     /* 1: it has */
  int64_t keep;
  char path[THRUMI_TRACE_PATH]; /* "": none */
  struct thrumi_drain drain;
};
extern struct thrumi_recorder thrumi_recorder;

/* drainer.c: the kernel thread that writes a recording. */
int thrumi_drainer_start(void);
bool thrumi_drainer_stop(
    int64_t patience); /* waits until the file is closed; false: nothing was written for so long, ns */

/* open.c: the descriptor of a file, whose name may be another one and is written there; or a negative errno. */
int thrumi_trace_open(const char *path, char name[THRUMI_TRACE_PATH]);
int thrumi_trace_may_be(const char *path); /* written, by all that can be seen: 0, or a negative errno */
void thrumi_trace_remove(const char *name, int fd); /* a regular file */
void thrumi_trace_close(struct thrumi_trace_file *f);

/* crash.c */
void thrumi_crash_watch(void);  /* fatal signals that nobody handles */
void thrumi_crash_ignore(void); /* not any more */

bool thrumi_drain_claim(int64_t patience); /* ns; async-signal-safe */
void thrumi_drain_release(void);

/* From here on nothing is put into rings. */
void thrumi_trace_switch_off(void);

#endif
