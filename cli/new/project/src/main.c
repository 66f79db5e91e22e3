/* @NAME@ FILE...: prints how many lines, words and bytes each file has, and all of them together. */
#include "count.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum.h>

static void print(const struct count *count, const char *of) {
  thrum_print("%8" PRIu64 " %8" PRIu64 " %8" PRIu64 "  %s\n", count->lines, count->words, count->bytes, of);
}

/* 1: a file could not be read. */
static int report(const struct file *files, size_t n) {
  struct count total = {0};
  int status = 0;
  for (size_t i = 0; i < n; i++) {
    const struct file *file = &files[i];
    if (file->error) {
      fprintf(stderr, "@NAME@: %s: %s\n", file->path, strerror(-file->error));
      status = 1;
      continue;
    }
    print(&file->count, file->path);
    total.lines += file->count.lines;
    total.words += file->count.words;
    total.bytes += file->count.bytes;
  }
  if (n > 1) print(&total, "total");
  return status;
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: @NAME@ FILE...\n"), 2;
  size_t n = (size_t)argc - 1;
  struct file *files = calloc(n, sizeof *files);
  if (!files) return fprintf(stderr, "@NAME@: no memory\n"), 1;
  for (size_t i = 0; i < n; i++) files[i].path = argv[i + 1];
  int error = count_files(files, n);
  if (error) fprintf(stderr, "@NAME@: %s\n", strerror(-error));
  int status = error ? 1 : report(files, n);
  free(files);
  return status;
}
