/* Counts what is in files. */
#ifndef COUNT_H
#define COUNT_H

#include <stddef.h>
#include <stdint.h>

struct count {
  uint64_t lines, words, bytes;
};

/* Of many files, a light thread each, all at the same time. */
struct file {
  const char *path;
  struct count count;
  int error; /* 0, or a negative errno */
};

/* 0, or a negative errno: there was no memory for a thread; then what was begun has ended. */
int count_files(struct file *files, size_t n);

#endif
