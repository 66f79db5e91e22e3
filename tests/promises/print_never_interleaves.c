/* Promise 10: what one thrum_print prints stays in one piece, however many threads print and however long it
 * is, and what stdio printed before comes before it. */
#include "../child.h"
#include "../support.h"

enum { THREADS = 64, LINES = 50, LONG = 20000 };

static intptr_t print_lines(void *arg) {
  int id = (int)(intptr_t)arg;
  for (int line = 0; line < LINES; line++) {
    int length = thrum_print("[%02d:%02d:%0*d]\n", id, line, 1 + (id * 31 + line * 17) % 300, 0);
    CHECK_EQ(length, 10 + (id * 31 + line * 17) % 300);
  }
  return 0;
}

static int many(void) {
  thrum_thread threads[THREADS];
  CHECK_EQ(thrum_set_switch_interval(THRUM_US(100)), 0);
  for (int i = 0; i < THREADS; i++)
    threads[i] = i % 16 == 0 ? must_spawn_bound(print_lines, (void *)(intptr_t)i)
                             : must_spawn(print_lines, (void *)(intptr_t)i);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}

/* Longer than any pipe's atomic write. */
static intptr_t print_long(void *arg) {
  char *text = malloc(LONG + 1);
  CHECK(text);
  memset(text, 'a' + (int)(intptr_t)arg, LONG);
  text[LONG] = 0;
  for (int i = 0; i < 10; i++) CHECK_EQ(thrum_print("%s\n", text), LONG + 1);
  free(text);
  return 0;
}

static int long_ones(void) {
  thrum_thread threads[8];
  for (int i = 0; i < 8; i++) threads[i] = must_spawn(print_long, (void *)(intptr_t)i);
  for (int i = 0; i < 8; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}

static int with_stdio(void) {
  printf("one ");
  CHECK_EQ(thrum_print("two "), 4);
  printf("three ");
  CHECK_EQ(thrum_print("%s", ""), 0);
  CHECK_EQ(thrum_print("four\n"), 5);
  return 0;
}

static int to_nowhere(void) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* the end of a line goes out at once */
  close(1);
  CHECK_EQ(thrum_print("lost\n"), -EBADF);
  return 0;
}

static const struct child_case cases[] = {
    {"many", many}, {"long-ones", long_ones}, {"with-stdio", with_stdio}, {"to-nowhere", to_nowhere}, {0}};

static void check_lines(char *text) {
  int seen[THREADS] = {0}, count = 0;
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), count++) {
    int id = -1, number = -1, zeros = -1;
    CHECK_EQ(sscanf(line, "[%2d:%2d:%n", &id, &number, &zeros), 2);
    CHECK(id >= 0 && id < THREADS);
    CHECK_EQ(number, seen[id]++);
    int length = 1 + (id * 31 + number * 17) % 300;
    CHECK_EQ(strspn(line + zeros, "0"), length);
    CHECK_STR(line + zeros + length, "]");
  }
  CHECK_EQ(count, THREADS * LINES);
}

static void check_long_lines(char *text) {
  int count = 0;
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), count++) {
    CHECK_EQ(strlen(line), LONG);
    CHECK_EQ(strspn(line, (char[]){line[0], 0}), LONG);
  }
  CHECK_EQ(count, 80);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  struct child child = child_run("many");
  CHECK_STATUS(child, 0);
  check_lines(child.out_text);
  child_free(&child);
  child = child_run("long-ones");
  CHECK_STATUS(child, 0);
  CHECK_EQ(child.out_size, 80 * (LONG + 1));
  check_long_lines(child.out_text);
  child_free(&child);
  child = child_run("with-stdio");
  CHECK_STATUS(child, 0);
  CHECK_STR(child.out_text, "one two three four\n");
  child_free(&child);
  child = child_run("to-nowhere");
  CHECK_STATUS(child, 0);
  child_free(&child);
  return 0;
}
