/* map: one function, many items, results in order
 *
 * The longest line of each of this chapter's sources, by a pool. The tasks end in any order, and the results come in the order of
 * the items; the table is as a loop would have printed it. So that a million small items do not make a million tasks, a `chunk` of
 * them can be one; and so that results which nobody has asked for yet do not pile up, at most so many tasks are `ahead`.
 *
 * The second map sums the squares of 100,000 numbers, 1,000 to a task and 4 tasks ahead: main counts how many there were. */
#include <stdio.h>
#include <string.h>

#include <thrum.h>

enum { NUMBERS = 100000, CHUNK = 1000, AHEAD = 4 };

static const char *sources[] = {"9-1-submit.c", "9-2-map.c", "9-3-as-completed.c", "9-4-one-line.c",
                                "9-5-a-scope.c"};
enum { SOURCES = sizeof sources / sizeof *sources };

static thrum_executor *pool;

/* An item is a pointer to a name. The failure of one task would end the map, as an exception does in Python. */
static intptr_t longest_line(void *item) {
  char path[512], line[4096];
  size_t longest = 0;
  snprintf(path, sizeof path, "%s/%s", TOUR_SOURCES, *(const char **)item);
  FILE *file = fopen(path, "r");
  if (!file) return thrum_fail(errno, "cannot open %s", path);
  while (fgets(line, sizeof line, file))
    if (strcspn(line, "\n") > longest) longest = strcspn(line, "\n");
  fclose(file);
  return (intptr_t)longest;
}

static intptr_t square(void *item) {
  intptr_t n = *(const int *)item;
  return n * n;
}

static int show_longest_lines(void) {
  thrum_map *map = NULL;
  intptr_t longest = 0;
  if (thrum_map_start(&map, pool, longest_line, sources, SOURCES, sizeof *sources, NULL) != 0) return 1;
  for (int i = 0; thrum_map_next(map, &longest) == 0; i++) {
    if (thrum_failed(longest))
      thrum_print("%s\n", thrum_map_failure(map));
    else
      thrum_print("%-20s longest line %3d\n", sources[i], (int)longest);
  }
  thrum_map_end(map);
  return thrum_failed(longest);
}

static void add_squares(void) {
  static int numbers[NUMBERS];
  for (int i = 0; i < NUMBERS; i++) numbers[i] = i;
  thrum_map_options options = THRUM_MAP_OPTIONS_INIT;
  options.chunk = CHUNK;
  options.ahead = AHEAD;
  thrum_map *map = NULL;
  intptr_t square_of = 0;
  long long sum = 0;
  int results = 0;
  if (thrum_map_start(&map, pool, square, numbers, NUMBERS, sizeof *numbers, &options) != 0) return;
  while (thrum_map_next(map, &square_of) == 0) sum += square_of, results++;
  thrum_map_end(map);
  thrum_print("%d squares, sum %lld\n", results, sum);
}

int main(void) {
  if (thrum_executor_threads(&pool, NULL) != 0) return 1;
  int failed = show_longest_lines();
  add_squares();
  thrum_executor_stats stats = {.size = sizeof stats};
  thrum_executor_statistics(pool, &stats);
  thrum_print("%d tasks in all\n", (int)stats.submitted);
  thrum_executor_shutdown(pool, true, false);
  thrum_executor_release(pool);
  return failed;
}
