#include "lanes.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COLUMNS = 80 };

/* A silence this long ends a span. It is well above what a busy kernel takes for an interrupt. */
#define SILENCE THRUM_US(300)

void lane_stamp(struct lane *lane) {
  thrum_time now = thrum_now();
  if (lane->count > 0 && now - lane->spans[lane->count - 1].to < SILENCE) {
    lane->spans[lane->count - 1].to = now;
  } else if (lane->count < LANE_SPANS) {
    lane->spans[lane->count].from = lane->spans[lane->count].to = now;
    lane->count++;
  }
}

/* The kernel thread's clock will do: a thread that computes keeps its kernel thread, whoever comes between. */
static thrum_duration cpu_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return THRUM_S(t.tv_sec) + t.tv_nsec;
}

long lane_spin(struct lane *lane, thrum_duration cpu_time) {
  long rounds = 0;
  for (thrum_duration end = cpu_clock() + cpu_time; cpu_clock() < end; rounds++) lane_stamp(lane);
  return rounds;
}

thrum_duration lanes_overlap(const struct lane *a, const struct lane *b) {
  thrum_duration both = 0;
  for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
    thrum_time from = a->spans[i].from > b->spans[j].from ? a->spans[i].from : b->spans[j].from;
    thrum_time to = a->spans[i].to < b->spans[j].to ? a->spans[i].to : b->spans[j].to;
    if (to > from) both += to - from;
    if (a->spans[i].to < b->spans[j].to)
      i++;
    else
      j++;
  }
  return both;
}

struct turn {
  size_t lane;
  thrum_time from, to;
};

static int by_start(const void *a, const void *b) {
  const struct turn *x = a, *y = b;
  return (x->from > y->from) - (x->from < y->from);
}

static int by_length(const void *a, const void *b) {
  const struct turn *x = a, *y = b;
  return (x->to - x->from > y->to - y->from) - (x->to - x->from < y->to - y->from);
}

/* Joins neighbours of the same lane. Returns how many turns are left. */
static size_t merge(struct turn *all, size_t count) {
  size_t last = 0;
  for (size_t i = 1; i < count; i++) {
    if (all[i].lane == all[last].lane)
      all[last].to = all[i].to;
    else
      all[++last] = all[i];
  }
  return count ? last + 1 : 0;
}

thrum_duration lanes_turn(const struct lane *lanes, size_t count, size_t *turns) {
  struct turn *all = calloc(count * LANE_SPANS, sizeof *all), middle;
  *turns = 0;
  if (!all) return 0;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < lanes[i].count; j++)
      all[(*turns)++] = (struct turn){i, lanes[i].spans[j].from, lanes[i].spans[j].to};
  qsort(all, *turns, sizeof *all, by_start);
  *turns = merge(all, *turns);
  qsort(all, *turns, sizeof *all, by_length);
  middle = all[*turns / 2];
  free(all);
  return middle.to - middle.from;
}

static void draw_one(const struct lane *lane, thrum_time start, thrum_duration column) {
  char text[COLUMNS + 1];
  memset(text, '.', COLUMNS);
  text[COLUMNS] = '\0';
  for (size_t i = 0; i < lane->count; i++) {
    int64_t from = (lane->spans[i].from - start) / column, to = (lane->spans[i].to - start) / column;
    for (int64_t c = from; c <= to && c < COLUMNS; c++) text[c] = '#';
  }
  thrum_print("  %-10s|%s|\n", lane->name, text);
}

void lanes_draw(const struct lane *lanes, size_t count) {
  thrum_time start = INT64_MAX, end = 0;
  for (size_t i = 0; i < count; i++) {
    size_t n = lanes[i].count;
    if (n > 0 && lanes[i].spans[0].from < start) start = lanes[i].spans[0].from;
    if (n > 0 && lanes[i].spans[n - 1].to > end) end = lanes[i].spans[n - 1].to;
  }
  thrum_duration column = (end - start) / COLUMNS + 1;
  for (size_t i = 0; i < count; i++) draw_one(&lanes[i], start, column);
  thrum_print("  %-10s a column is %.1f ms\n", "", (double)column / 1e6);
}
