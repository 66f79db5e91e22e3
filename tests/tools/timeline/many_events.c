/* Writes a trace of many events, as one that a program with busy threads would give: on each worker its threads take turns, each
 * waking the next one before it parks; now and then one takes a lock, opens a span, counts.
 *
 *     many_events FILE EVENTS WORKERS THREADS */
#include <trace/format.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1024, STRING_LOCK = 1, STRING_SPAN, STRING_COUNTER, STRING_NAMES };

struct worker {
  struct thrumi_event events[BLOCK];
  uint32_t count, current;
  uint16_t number;
  uint64_t turns;
};

static FILE *file;
static uint64_t written, wanted;
static int64_t now = 1000000000;
static uint32_t threads; /* of a worker */

static void put(const void *data, size_t size) {
  if (fwrite(data, 1, size, file) == size) return;
  perror("many_events");
  exit(1);
}

static void put_block(uint32_t kind, uint64_t a, uint64_t b, const void *payload, uint32_t bytes) {
  static const char zeros[8];
  struct thrumi_trace_block block = {kind, bytes, a, b};
  put(&block, sizeof block);
  put(payload, bytes);
  put(zeros, -bytes % 8u);
}

static void put_string(uint64_t number, const char *text) {
  put_block(THRUMI_TRACE_STRING, number, 0, text, (uint32_t)strlen(text));
}

static void flush(struct worker *w) {
  put_block(THRUMI_TRACE_EVENTS, w->number, 0, w->events, w->count * (uint32_t)sizeof *w->events);
  w->count = 0;
}

static void add(struct worker *w, int kind, uint64_t thread, uint64_t object, uint32_t detail) {
  if (w->count == BLOCK) flush(w);
  w->events[w->count++] = (struct thrumi_event){now, thread, object, (uint16_t)kind, w->number, detail};
  now += 40;
  written++;
}

static uint64_t id_of(const struct worker *w, uint32_t thread) {
  return 1 + (uint64_t)w->number * threads + thread;
}

/* The thread that runs hands over to the next one. */
static void turn(struct worker *w) {
  uint64_t me = id_of(w, w->current), lock = 0x7f0000000000u + 64 * (me % 16);
  uint32_t next = (w->current + 1) % threads;
  if (w->turns % 4 == 0) add(w, THRUMI_EVENT_ACQUIRE, me, lock, 0);
  if (w->turns % 4 == 0) add(w, THRUMI_EVENT_RELEASE, me, lock, 0);
  if (w->turns % 16 == 0) {
    add(w, THRUMI_EVENT_SPAN_BEGIN, me, 0, STRING_SPAN);
    add(w, THRUMI_EVENT_COUNTER, me, w->turns, STRING_COUNTER);
    add(w, THRUMI_EVENT_SPAN_END, me, 0, 0);
  }
  if (w->turns + 1 >= threads) add(w, THRUMI_EVENT_UNPARK, me, id_of(w, next), 0);
  add(w, THRUMI_EVENT_PARK, me, lock, STRING_LOCK);
  add(w, THRUMI_EVENT_RUN, id_of(w, next), 0, 0);
  w->current = next;
  w->turns++;
}

static void begin(struct worker *w, uint16_t number) {
  w->number = number;
  add(w, THRUMI_EVENT_RUN, id_of(w, 0), 0, 0);
  for (uint32_t i = 0; i < threads; i++) {
    char name[40];
    snprintf(name, sizeof name, "worker %u's \"thread\" %u", number, i);
    put_string(STRING_NAMES + id_of(w, i), name);
    put_block(THRUMI_TRACE_THREAD, id_of(w, i), STRING_NAMES + id_of(w, i), "", 0);
    if (i) add(w, THRUMI_EVENT_SPAWN, id_of(w, 0), id_of(w, i), 0);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) return fprintf(stderr, "usage: many_events FILE EVENTS WORKERS THREADS\n"), 2;
  uint32_t count = (uint32_t)atoi(argv[3]);
  wanted = strtoull(argv[2], NULL, 10);
  threads = (uint32_t)atoi(argv[4]);
  struct worker *workers = calloc(count, sizeof *workers);
  file = fopen(argv[1], "w");
  if (!file || !workers || !count || !threads) return perror(argv[1]), 1;
  struct thrumi_trace_header h = {.version = THRUMI_TRACE_VERSION,
                                  .event_size = sizeof(struct thrumi_event),
                                  .began = now,
                                  .workers = count};
  memcpy(h.magic, THRUMI_TRACE_MAGIC, sizeof h.magic);
  put(&h, sizeof h);
  put_string(STRING_LOCK, "lock");
  put_string(STRING_SPAN, "a \"span\"");
  put_string(STRING_COUNTER, "turns");
  for (uint32_t i = 0; i < count; i++) begin(&workers[i], (uint16_t)i);
  while (written < wanted)
    for (uint32_t i = 0; i < count; i++) turn(&workers[i]);
  for (uint32_t i = 0; i < count; i++) flush(&workers[i]);
  put_block(THRUMI_TRACE_END, written, 0, "", 0);
  free(workers);
  return fclose(file) ? perror(argv[1]), 1 : 0;
}
