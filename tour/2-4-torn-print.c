/* The torn print
 *
 * print('Hello!') in Python is two outputs, the text and the end of the line, and between them the thread
 * may give up the CPU. Then two texts share a line, and an empty line follows. The lecture's remedy is
 * print('Hello!\n', end=''), one output. In torn() below the thread waits there for a millisecond, as if for
 * a slow terminal; thrum_print writes all of its text in one piece, however many threads print. */
#include <stdio.h>

#include <thrum.h>

static intptr_t torn(void *arg) {
  (void)arg;
  fputs("Hello!", stdout);
  thrum_sleep(THRUM_MS(1));
  fputs("\n", stdout);
  return 0;
}

static intptr_t whole(void *arg) {
  (void)arg;
  thrum_print("%s%s", "Hello!", "\n");
  return 0;
}

static void in_five_threads(thrum_fn *hello) {
  thrum_thread threads[5] = {0};
  for (int i = 0; i < 5; i++) thrum_spawn(&threads[i], hello, NULL);
  for (int i = 0; i < 5; i++) thrum_join(threads[i], NULL);
}

int main(void) {
  thrum_print("in two pieces:\n");
  in_five_threads(torn);
  thrum_print("with thrum_print:\n");
  in_five_threads(whole);
  return 0;
}
