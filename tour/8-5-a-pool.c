/* A pool of processes, on real files
 *
 * The words of all sources of this tour are counted by a pool of two processes: an executor as that of chapter 9, and only the line
 * that makes it is another one. A file is a task; its path goes there as bytes, its count comes back as bytes.
 *
 * In the midst of it one of the two processes is killed. In Python's Pool that would be the end: its task is lost, and whoever
 * waits for the result waits for ever. Here the task that it was about is given to another process, since the pool was told to try again once, and
 * none of the others notices. See that each file is counted, and once. */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

enum { PROCESSES = 2, FILES_MAX = 200, PATH_MAX_HERE = 400 };

THRUM_TASK(count_words) {
  char path[PATH_MAX_HERE];
  if (size >= sizeof path) return -ENAMETOOLONG;
  memcpy(path, in, size);
  path[size] = '\0';
  FILE *file = fopen(path, "r");
  if (!file) return thrum_fail(errno, "%s", path);
  long words = 0;
  bool within = false;
  for (int c; (c = getc(file)) != EOF; within = !isspace(c)) words += !isspace(c) && !within;
  fclose(file);
  thrum_sleep(THRUM_MS(5)); /* as if it were a larger file */
  return thrum_out_write(out, &words, sizeof words);
}

static int submit_all(thrum_executor *pool, thrum_future **futures) {
  DIR *folder = opendir(TOUR_SOURCES);
  int n = 0;
  for (struct dirent *entry; folder && n < FILES_MAX && (entry = readdir(folder));) {
    char path[PATH_MAX_HERE];
    size_t length = strlen(entry->d_name);
    if (length < 3 || strcmp(entry->d_name + length - 2, ".c") != 0) continue;
    int size = snprintf(path, sizeof path, "%s/%s", TOUR_SOURCES, entry->d_name);
    if (thrum_submit_task(pool, &futures[n], &count_words, path, (size_t)size) == 0) n++;
  }
  if (folder) closedir(folder);
  return n;
}

/* The words that one task has counted, or -1. */
static long take(thrum_future *future) {
  const void *bytes = NULL;
  size_t size = 0;
  long words = -1;
  if (thrum_future_bytes(future, &bytes, &size) == 0 && size == sizeof words)
    memcpy(&words, bytes, size);
  else
    thrum_print("a task failed: %s\n", thrum_future_failure(future));
  thrum_future_release(future);
  return words;
}

static void kill_one(thrum_executor *pool) {
  pid_t processes[PROCESSES];
  if (thrum_executor_pids(pool, processes, PROCESSES) > 0 && kill(processes[0], SIGKILL) == 0)
    thrum_print("one of the processes is killed\n");
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  thrum_processes_options options = THRUM_PROCESSES_OPTIONS_INIT;
  thrum_future *futures[FILES_MAX] = {0};
  thrum_executor *pool = NULL;
  long words = 0, counted = 0;
  options.processes = PROCESSES;
  options.retries = 1;
  if (thrum_executor_processes(&pool, &options) != 0) return 1;
  int n = submit_all(pool, futures);
  for (int i = 0; i < n; i++) {
    long one = take(futures[i]);
    if (one >= 0) words += one, counted++;
    if (i == 2) kill_one(pool);
  }
  thrum_executor_shutdown(pool, true, false);
  thrum_executor_release(pool);
  thrum_print("%d files, %ld of them counted, %ld words\n", n, counted, words);
  return 0;
}
