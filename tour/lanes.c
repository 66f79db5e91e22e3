#include "lanes.h"

#include <stdlib.h>
#include <string.h>

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

long lane_spin(struct lane *lane, thrum_duration how_long) {
  long rounds = 0;
  for (thrum_time end = thrum_after(how_long); thrum_now() < end; rounds++) lane_stamp(lane);
  return rounds;
}

static int by_length(const void *a, const void *b) {
  thrum_duration x = *(const thrum_duration *)a, y = *(const thrum_duration *)b;
  return (x > y) - (x < y);
}

thrum_duration lane_median(const struct lane *lane) {
  thrum_duration *lengths = calloc(lane->count + 1, sizeof *lengths), median;
  if (!lengths) return 0;
  for (size_t i = 0; i < lane->count; i++) lengths[i] = lane->spans[i].to - lane->spans[i].from;
  qsort(lengths, lane->count, sizeof *lengths, by_length);
  median = lengths[lane->count / 2];
  free(lengths);
  return median;
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
