/* Counts what is in files: see count.h. */
#include "count.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <thrum.h>

static void add(struct count *count, bool *in_word, const char *text, size_t size) {
  count->bytes += size;
  for (size_t i = 0; i < size; i++) {
    bool space = isspace((unsigned char)text[i]);
    count->lines += text[i] == '\n';
    count->words += !space && !*in_word;
    *in_word = !space;
  }
}

/* A thread that waits for a file lets others run. */
static intptr_t count_file(void *arg) {
  struct file *file = arg;
  char part[16384];
  bool in_word = false;
  ssize_t n = 0;
  int fd = thrum_open(file->path, O_RDONLY | O_CLOEXEC, 0);
  while (fd >= 0 && (n = thrum_read(fd, part, sizeof part)) > 0) add(&file->count, &in_word, part, (size_t)n);
  file->error = fd < 0 ? fd : (int)n;
  if (fd >= 0) thrum_close(fd);
  return 0;
}

/* The scope ends when all of its threads have ended. */
int count_files(struct file *files, size_t n) {
  int error = 0;
  THRUM_SCOPE(s, .status = &error) {
    for (size_t i = 0; i < n; i++) {
      int status = thrum_scope_spawn(&s, NULL, count_file, &files[i]);
      if (!status) continue;
      thrum_scope_fail(&s, status, "no thread for %s", files[i].path);
      break;
    }
  }
  return error;
}
