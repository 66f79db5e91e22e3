/* Reading a file that is in the page cache: `file-read`, one block after the other, and `file-pread`, at random places. An
 * includer defines first:
 *   file_open(path)                            a descriptor
 *   file_read(fd, buffer, size)                what was read
 *   file_pread(fd, buffer, size, offset) */
#ifndef BENCH_FILES_H
#define BENCH_FILES_H

#include "bench.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct file_reads {
  int fd;
  long size, blocks;
  char *buffer;
} file_reads;

static void file_in_turn(const file_reads *f) {
  if (lseek(f->fd, 0, SEEK_SET)) bench_fail("lseek");
  for (long i = 0; i < f->blocks; i++)
    if (file_read(f->fd, f->buffer, (size_t)f->size) != f->size) bench_fail("a short read");
}

static void file_at_random(const file_reads *f) {
  static uint64_t seed = 88172645463325252u;
  for (long i = 0; i < f->blocks; i++) {
    long block = (long)(bench_random(&seed) % (uint64_t)f->blocks);
    if (file_pread(f->fd, f->buffer, (size_t)f->size, block * f->size) != f->size)
      bench_fail("a short pread");
  }
}

static void file_measure(const char *metric, void (*pass)(const file_reads *f)) {
  const char *path = bench_file();
  file_reads f = {.size = bench_message_size()};
  f.fd = file_open(path);
  if (f.fd < 0) bench_fail("%s cannot be opened", path);
  unlink(path);
  f.blocks = BENCH_FILE_BYTES / f.size;
  f.buffer = (char *)bench_alloc((size_t)f.size);
  pass(&f);
  int64_t begun = bench_now(), took;
  long passes = 0;
  do {
    pass(&f);
    passes++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print(metric, (double)took / (double)(passes * f.blocks), "ns");
  close(f.fd);
  free(f.buffer);
}

void file_read_run(long n) {
  (void)n;
  file_measure("file-read", file_in_turn);
}

void file_pread_run(long n) {
  (void)n;
  file_measure("file-pread", file_at_random);
}

#endif
