/* The main job: the checksum of every file below a folder
 *
 * Threads walk the folder and read it: one for each folder, one for each file, several for a large file. They
 * are started by the thousand and share the workers, one a CPU. The same is done by one thread, and the two
 * must agree on each file. Main waits for them with timed joins, and tells in between how far they are.
 * The first pass, which is not compared, brings the files into memory.
 *
 *     ./dev tour 0 FOLDER            another folder than this repository
 *     ./dev tour 0 FOLDER --list     and the checksum, size and path of each file */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <thrum.h>

#include "tree.h"

struct pass {
  const char *title;
  const char *folder;
  struct job job;
  struct node root;
  thrum_duration took;
};

static intptr_t read_all(void *arg) {
  struct pass *pass = arg;
  return tree_read(&pass->root, pass->folder, &pass->job);
}

/* A terminal gets one line that changes; anything else gets a line every two seconds. */
static void progress(struct job *job, int ticks) {
  size_t files = atomic_load(&job->files), mib = atomic_load(&job->bytes) >> 20;
  if (isatty(STDOUT_FILENO))
    thrum_print("\r\033[K  %zu files, %zu MiB ...", files, mib);
  else if (ticks % 20 == 0)
    thrum_print("  %zu files, %zu MiB ...\n", files, mib);
  fflush(stdout); /* stdio would keep a line that has no end yet, and all that goes to a pipe */
}

static int run(struct pass *pass) {
  thrum_thread reader;
  intptr_t failure = 0;
  thrum_time start = thrum_now();
  int error = thrum_spawn_named(&reader, read_all, pass, "reader");
  for (int ticks = 1; !error && thrum_join_for(reader, &failure, THRUM_MS(100)) == -ETIMEDOUT; ticks++)
    progress(&pass->job, ticks);
  pass->took = thrum_now() - start;
  if (isatty(STDOUT_FILENO)) printf("\r\033[K");
  if (error || failure) {
    fprintf(stderr, "%s: %s\n", pass->folder, strerror(-(error ? error : (int)failure)));
    return 1;
  }
  printf("%-12s %8.3f s %8.0f MB/s  threads started: %zu\n", pass->title, (double)pass->took / 1e9,
         (double)pass->job.bytes * 1e3 / (double)(pass->took + 1), pass->job.started + 1);
  return 0;
}

static void summary(const char *folder, const struct totals *t) {
  printf("%zu files, %zu bytes, in %zu folders below %s\n", t->kinds[FILE_READ], t->bytes, t->kinds[FOLDER],
         folder);
  totals_print_left_out(t);
}

int main(int argc, char **argv) {
  const char *folder = argc > 1 ? argv[1] : ".";
  struct pass first = {.title = "first pass", .folder = folder, .job.threads = true};
  struct pass one = {.title = "one thread", .folder = folder};
  struct pass many = {.title = "threads", .folder = folder, .job.threads = true};
  int failed = run(&first);
  tree_free(&first.root);
  failed = failed || run(&one) || run(&many);
  if (!failed) {
    struct totals totals = tree_totals(&many.root);
    size_t changed = 0, wrong = tree_compare(&one.root, &many.root, &changed);
    if (argc > 2 && strcmp(argv[2], "--list") == 0) tree_list(&many.root);
    summary(folder, &totals);
    printf("%.2f times as fast as one thread, with %d workers\n", (double)one.took / (double)many.took,
           thrum_workers());
    printf("checksum of all %08x: %zu files differ between the passes, %zu changed meanwhile\n", totals.crc,
           wrong, changed);
    failed = wrong > 0;
  }
  tree_free(&one.root);
  tree_free(&many.root);
  return failed;
}
