/* The inspect socket: what a program's threads do, told to its owner. docs/design/inspect.md has the whole of it. */
#ifndef THRUMI_INSPECT_H
#define THRUMI_INSPECT_H

#include <inspect/json.h>
#include <sched/report.h>
#include <sched/sched.h>
#include <sys/un.h>

enum { THRUMI_INSPECT_PROTOCOL = 1 };

/* ---- place.c: the socket in the file system ------------------------------------------------------------------- */

struct thrumi_place {
  char path[sizeof((struct sockaddr_un *)0)->sun_path];
  dev_t device; /* of the socket that was bound: it is removed if it is still that one */
  ino_t inode;
};

/* A listening socket, or a negative errno. */
int thrumi_place_open(struct thrumi_place *out);
void thrumi_place_remove(const struct thrumi_place *place);
bool thrumi_place_admits(int fd); /* the peer is the program's own user, or root */

/* ---- server.c: the kernel thread ------------------------------------------------------------------------------ */

/* A peer's dump goes over several requests; what threads hold is gathered at its beginning. */
struct thrumi_dump_course {
  bool begun;
  struct thrumi_holdings holdings;
};

/* ---- answer.c -------------------------------------------------------------------------------------------------- */

/* Writes the answer to one request, a line without its end. 0 or -ENOSPC: *out is good for nothing. */
int thrumi_answer(const char *request, struct thrumi_dump_course *dump, struct thrumi_json *out);
void thrumi_dump_course_end(struct thrumi_dump_course *dump);

/* ---- threads.c --------------------------------------------------------------------------------------------------- */

enum { THRUMI_THREAD_TEXT = 12 * 1024 }; /* more than one thread ever takes without its stack, as JSON */

/* One thread as an object, `stack` with its frames; nothing if it has ended. Outside. */
void thrumi_json_thread(struct thrumi_json *j, struct thrumi_thread *t, uint64_t generation, int64_t now,
                        bool stack);
void thrumi_json_frames(struct thrumi_json *j, const struct thrumi_backtrace *trace);
void thrumi_answer_threads(struct thrumi_json *j, uint64_t from);
void thrumi_answer_stack(struct thrumi_json *j, uint64_t id);
void thrumi_json_states(struct thrumi_json *j); /* how many threads are in which state */

/* ---- objects.c --------------------------------------------------------------------------------------------------- */

void thrumi_answer_locks(struct thrumi_json *j);
void thrumi_answer_queues(struct thrumi_json *j);

/* ---- usage.c: the server's own, but for reading --------------------------------------------------------------- */

#define THRUMI_SAMPLE_EVERY THRUM_MS(20)

/* Notes who runs. */
void thrumi_usage_sample(int64_t now);
void thrumi_usage_pause(void); /* nobody looks */

/* How long the thread has run, in ns; *exact: by the clock of its own kernel thread, else by samples since somebody looks. */
int64_t thrumi_usage_of(struct thrumi_thread *t, uint64_t generation, bool *exact);

#endif
