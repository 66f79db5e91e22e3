/* Many files are counted at the same time, each by itself. */
#include "count.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILES = 50 };

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      exit(1); \
    } \
  } while (0)

/* File i has i lines of two words. */
static void make(char *path, int i) {
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  for (int line = 0; line < i; line++) CHECK(write(fd, "two words\n", 10) == 10);
  close(fd);
}

int main(void) {
  static char paths[FILES][128];
  static struct file files[FILES + 1];
  for (int i = 0; i < FILES; i++) {
    snprintf(paths[i], sizeof paths[i], "/tmp/@NAME@-XXXXXX");
    make(paths[i], i);
    files[i].path = paths[i];
  }
  files[FILES].path = "/no/such/file";
  CHECK(count_files(files, FILES + 1) == 0);
  for (int i = 0; i < FILES; i++) {
    CHECK(unlink(paths[i]) == 0);
    CHECK(files[i].error == 0);
    CHECK(files[i].count.lines == (uint64_t)i);
    CHECK(files[i].count.words == 2 * (uint64_t)i);
    CHECK(files[i].count.bytes == 10 * (uint64_t)i);
  }
  CHECK(files[FILES].error == -ENOENT);
  return 0;
}
