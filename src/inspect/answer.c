/* One request, one answer: a word, perhaps with a number behind it; and an object of JSON on one line. */
#define _GNU_SOURCE
#include <errno.h>
#include <inspect/inspect.h>
#include <sched/self.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/trace.h>
#include <time.h>
#include <unistd.h>

/* Of a dump, a thread is begun if there is so much room left, and not so much time has passed: those whose kernel threads do not answer
 * take long, and other peers wait meanwhile. */
enum { DUMP_LEAST = 48 * 1024 };
#define DUMP_MOST THRUM_MS(500)

/* ---- stats ----------------------------------------------------------------------------------------------------- */

static int64_t clock_of(clockid_t id) {
  struct timespec t;
  return clock_gettime(id, &t) == 0 ? t.tv_sec * INT64_C(1000000000) + t.tv_nsec : 0;
}

/* When the program began; the runtime starts with its first call, which is as good. */
static int64_t began;

__attribute__((constructor)) static void note_beginning(void) { began = clock_of(CLOCK_MONOTONIC); }

static uint32_t busy_workers(void) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < THRUM_WORKERS_MAX; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (!w) break;
    struct thrumi_kthread *k = thrumi_load(&w->kthread);
    n += k && !thrumi_load_relaxed(&w->idle) && thrumi_running_on(k);
  }
  return n;
}

static void write_program(struct thrumi_json *j) {
  int64_t now = clock_of(CLOCK_MONOTONIC);
  thrumi_json_number(j, "protocol", THRUMI_INSPECT_PROTOCOL);
  thrumi_json_string(j, "version", thrum_version());
  thrumi_json_string(j, "program", program_invocation_short_name);
  thrumi_json_number(j, "pid", getpid());
  thrumi_json_number(j, "now_ns", now);
  thrumi_json_number(j, "uptime_ns", now - began);
  thrumi_json_number(j, "cpu_ns", clock_of(CLOCK_PROCESS_CPUTIME_ID));
  thrumi_json_number(j, "interval_ns", thrumi_load_relaxed(&thrumi_sched.interval));
  thrumi_json_count(j, "busy", busy_workers());
}

static void answer_stats(struct thrumi_json *j) {
  struct thrumi_counter counters[THRUMI_COUNTERS];
  thrumi_counters(counters);
  write_program(j);
  for (int i = 0; i < THRUMI_COUNTERS; i++) thrumi_json_count(j, counters[i].name, counters[i].count);
  thrumi_json_states(j);
}

/* ---- dump ------------------------------------------------------------------------------------------------------ */

void thrumi_dump_course_end(struct thrumi_dump_course *dump) {
  if (dump->begun) thrumi_holdings_free(&dump->holdings);
  dump->begun = false;
}

struct text_sink {
  struct thrumi_sink sink; /* first */
  struct thrumi_json *json;
};

static void put_text(struct thrumi_sink *sink, const char *text, size_t length) {
  struct text_sink *s = (struct text_sink *)(void *)sink;
  thrumi_json_part(s->json, text, length);
}

static uint32_t say_threads(struct thrumi_sink *sink, struct thrumi_json *j, uint32_t slot,
                            const struct thrumi_holdings *holdings) {
  int64_t now = thrumi_os.now();
  for (; slot < thrumi_record_count() && thrumi_json_room(j) > DUMP_LEAST; slot++) {
    if (thrumi_os.now() - now > DUMP_MOST) break;
    struct thrumi_thread *t = thrumi_record(slot);
    uint64_t life = thrumi_load(&t->life);
    if (!(THRUMI_FLAGS(life) & (THRUMI_FREE | THRUMI_FINISHED)))
      thrumi_say_thread(sink, t, THRUMI_GENERATION(life), now, holdings);
  }
  return slot;
}

static void answer_dump(struct thrumi_json *j, uint64_t from, struct thrumi_dump_course *dump) {
  struct text_sink s = {.sink = {.put = put_text}, .json = j};
  if (!from) thrumi_dump_course_end(dump);
  thrumi_json_begin_string(j, "text");
  if (!dump->begun) thrumi_holdings_gather(&dump->holdings);
  dump->begun = true;
  if (!from) thrumi_say_head(&s.sink);
  uint32_t next = say_threads(&s.sink, j, from ? (uint32_t)from : 1, &dump->holdings);
  bool over = next >= thrumi_record_count();
  if (over) thrumi_say(&s.sink, "\n");
  thrumi_json_end_string(j);
  thrumi_json_count(j, "next", over ? 0 : next);
  thrumi_json_bool(j, "cut", j->full);
  if (over) thrumi_dump_course_end(dump);
}

/* ---- Requests -------------------------------------------------------------------------------------------------- */

enum request {
  REQUEST_UNKNOWN,
  REQUEST_DUMP,
  REQUEST_LOCKS,
  REQUEST_QUEUES,
  REQUEST_STACK,
  REQUEST_STATS,
  REQUEST_THREADS
};

static enum request request_named(const char *word, size_t length) {
  static const char *const names[] = {
      [REQUEST_DUMP] = "dump",   [REQUEST_LOCKS] = "locks", [REQUEST_QUEUES] = "queues",
      [REQUEST_STACK] = "stack", [REQUEST_STATS] = "stats", [REQUEST_THREADS] = "threads",
  };
  for (size_t i = 1; i < sizeof names / sizeof *names; i++)
    if (strlen(names[i]) == length && memcmp(names[i], word, length) == 0) return (enum request)i;
  return REQUEST_UNKNOWN;
}

/* Digits to the end, or nothing. False: something else, or too large. */
static bool read_number(const char *text, uint64_t *out) {
  *out = 0;
  for (; *text; text++) {
    if (*text < '0' || *text > '9') return false;
    if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *text - '0', out)) return false;
  }
  return true;
}

/* Slots, and handles in as far as they name one, are below 2^24: a number beyond them ends a list at once. */
static void answer(enum request request, uint64_t number, struct thrumi_dump_course *dump,
                   struct thrumi_json *j) {
  uint64_t slot = number < UINT32_MAX ? number : UINT32_MAX - 1;
  switch (request) {
  case REQUEST_DUMP: answer_dump(j, slot, dump); break;
  case REQUEST_LOCKS: thrumi_answer_locks(j); break;
  case REQUEST_QUEUES: thrumi_answer_queues(j); break;
  case REQUEST_STACK: thrumi_answer_stack(j, number); break;
  case REQUEST_STATS: answer_stats(j); break;
  case REQUEST_THREADS: thrumi_answer_threads(j, slot); break;
  case REQUEST_UNKNOWN:
    thrumi_json_string(j, "error", "no such request; there are: dump, locks, queues, stack, stats, threads");
    break;
  }
}

int thrumi_answer(const char *line, struct thrumi_dump_course *dump, struct thrumi_json *out) {
  size_t length = strcspn(line, " ");
  uint64_t number;
  bool understood = read_number(line + length + (line[length] == ' '), &number);
  thrumi_json_open(out, NULL, '{');
  answer(understood ? request_named(line, length) : REQUEST_UNKNOWN, number, dump, out);
  thrumi_json_close(out, '}');
  return thrumi_json_end(out);
}
