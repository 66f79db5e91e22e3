/* A pipeline: all files below a folder are found, read, checksummed, and their words counted
 *
 * Four kinds of threads, and a queue with few places between each kind and the next one:
 *
 *     walker --paths--> readers --blocks--> counters --counts--> collector
 *
 * Who is faster than the next one soon waits in put. That is back-pressure: a slow stage slows the fast one down, all the way
 * back to the walker, and no more of the files is in memory than the queues have places for. A large file is counted by
 * several threads at once: its blocks come to the collector in any order, and are joined in theirs. Since the walker is held
 * back, a surveyor runs ahead and counts what there is, for the time that is left.
 *
 * The table at the end tells how many items each queue held at its fullest, and how often and how long threads have waited to
 * put and to get, the times of all threads added up. The last queue whose puts waited longer than its gets lies before the slow
 * stage: here blocks, so the counters.
 *
 * The end travels along the queues: each has announced its writers, and shuts down when the last has said that it is
 * done. Ctrl-C is an event, which its handler sets. Then no more files are begun, what was read is still counted, and the
 * summary tells what was done and what was not. The status is 130 then. A second Ctrl-C ends it at once.
 *
 *     ./dev tour 6 FOLDER            another folder than this repository; files and pipes may be named, too
 *     ./dev tour 6 FOLDER --list     and the checksum, size, words and path of each file */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <thrum.h>

#include "gauge.h"
#include "piece.h"
#include "progress.h"
#include "tree.h"

enum { READERS = 4, BLOCK = 64 * 1024 };

/* A file that was begun. The collector alone writes it. */
struct file {
  struct node *node;
  struct piece *pieces; /* by index */
  size_t room, came;    /* pieces there are places for; pieces that have come */
  bool ended;           /* the next two are known */
  size_t count;
  int error;
};

/* Each file that was begun has an end, too: a block without data, whose index is the number of the others. */
struct block {
  struct file *file;
  size_t index, size;
  unsigned char *data; /* NULL: the end */
  int error;           /* what ended it early */
};

struct count {
  struct file *file;
  size_t index;
  struct piece piece;
  bool end;
  int error;
};

static struct gauged paths, blocks, counts; /* of struct node *, struct block, struct count */
static thrum_event stop;
static struct node top; /* its children are what was named */
static atomic_size_t files_found, bytes_found, files_done, bytes_done;
static atomic_bool all_found;

static void *must(void *memory) {
  if (memory) return memory;
  fprintf(stderr, "6-3-pipeline: out of memory\n");
  exit(1);
}

/* ---- The walker --------------------------------------------------------------------------------------- */

/* Fails once the queue is shut down: the file is found then, and nobody will begin it. */
static void pass_on(struct node *file) {
  file->kind = WAITING;
  gauge_put(&paths, &file);
}

static void walk_folder(struct node *folder) {
  for (size_t i = 0; i < folder->count && !thrum_event_is_set(&stop); i++) {
    struct node *child = &folder->children[i];
    tree_look(child, folder->stat.st_dev);
    if (child->kind == FILE_READ) pass_on(child);
    walk_folder(child); /* a file has no children */
  }
}

static intptr_t walk(void *arg) {
  (void)arg;
  for (size_t i = 0; i < top.count; i++) {
    struct node *named = &top.children[i];
    if (named->kind == FOLDER)
      walk_folder(named);
    else
      pass_on(named);
  }
  thrum_queue_writer_done(&paths.queue);
  return 0;
}

/* ---- The surveyor ------------------------------------------------------------------------------------- */

static void survey_file(const struct node *file) {
  atomic_fetch_add(&files_found, 1);
  atomic_fetch_add(&bytes_found, (size_t)file->stat.st_size);
}

/* Frees what it has seen, so that it keeps no more than the folders that it is in. */
static void survey_folder(struct node *folder) {
  for (size_t i = 0; i < folder->count && !thrum_event_is_set(&stop); i++) {
    struct node *child = &folder->children[i];
    tree_look(child, folder->stat.st_dev);
    if (child->kind == FILE_READ) survey_file(child);
    survey_folder(child);
  }
  for (size_t i = 0; i < folder->count; i++) free(folder->children[i].path);
  free(folder->children);
  folder->count = 0;
}

static intptr_t survey(void *arg) {
  (void)arg;
  for (size_t i = 0; i < top.count; i++) {
    struct node named = {0};
    int error = tree_open(&named, top.children[i].path);
    if (!error && named.kind != FOLDER) survey_file(&named);
    survey_folder(&named);
    free(named.path);
  }
  atomic_store(&all_found, !thrum_event_is_set(&stop));
  return 0;
}

/* ---- The readers -------------------------------------------------------------------------------------- */

/* Opens what was found, and not what may have taken its place since. */
static int open_file(const struct node *node, int *error) {
  struct stat now;
  int fd = open(node->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  *error = fd < 0 || fstat(fd, &now) < 0 ? errno : 0;
  if (!*error && (now.st_ino != node->stat.st_ino || now.st_dev != node->stat.st_dev)) *error = ESTALE;
  return fd;
}

/* Returns the number of blocks. A pipe may be silent: the timeout is there to look whether to go on waiting. */
static size_t read_blocks(struct file *file, int fd, int *error) {
  size_t index = 0;
  *error = ECANCELED;
  while (!thrum_event_is_set(&stop)) {
    unsigned char *data = must(malloc(BLOCK));
    ssize_t n = thrum_read_for(fd, data, BLOCK, THRUM_MS(100));
    if (n <= 0) free(data);
    if (n == -ETIMEDOUT) continue;
    if (n <= 0) {
      *error = (int)-n;
      break;
    }
    struct block block = {.file = file, .index = index++, .size = (size_t)n, .data = data};
    gauge_put(&blocks, &block);
  }
  return index;
}

static void read_file(struct node *node) {
  struct block end = {.file = must(calloc(1, sizeof(struct file)))};
  end.file->node = node;
  int fd = open_file(node, &end.error);
  if (!end.error) end.index = read_blocks(end.file, fd, &end.error);
  if (fd >= 0) thrum_close(fd);
  gauge_put(&blocks, &end);
}

static intptr_t read_files(void *arg) {
  (void)arg;
  struct node *node;
  while (gauge_get(&paths, &node) == 0 && !thrum_event_is_set(&stop)) read_file(node);
  thrum_queue_writer_done(&blocks.queue);
  return 0;
}

/* ---- The counters ------------------------------------------------------------------------------------- */

static intptr_t count_blocks(void *arg) {
  (void)arg;
  struct block b;
  while (gauge_get(&blocks, &b) == 0) {
    struct count c = {b.file, b.index, piece_of(b.data, b.size), !b.data, b.error};
    free(b.data);
    gauge_put(&counts, &c);
  }
  thrum_queue_writer_done(&counts.queue);
  return 0;
}

/* ---- The collector ------------------------------------------------------------------------------------ */

static void keep(struct file *file, const struct count *c) {
  if (c->index >= file->room) {
    file->room = (c->index + 1) * 2;
    file->pieces = must(realloc(file->pieces, file->room * sizeof *file->pieces));
  }
  file->pieces[c->index] = c->piece;
  file->came++;
  atomic_fetch_add(&bytes_done, c->piece.size);
}

static void finish(struct file *file) {
  struct node *node = file->node;
  struct piece whole = {0};
  for (size_t i = 0; i < file->count; i++) whole = piece_join(whole, file->pieces[i]);
  node->error = file->error;
  node->kind = !file->error ? FILE_READ : file->error == ECANCELED ? CUT_OFF : UNREADABLE;
  node->stat.st_size = (off_t)whole.size;
  node->crc = whole.crc;
  node->words = whole.words;
  atomic_fetch_add(&files_done, 1);
  free(file->pieces);
  free(file);
}

static intptr_t collect(void *arg) {
  (void)arg;
  struct count c;
  while (gauge_get(&counts, &c) == 0) {
    struct file *file = c.file;
    if (c.end)
      file->ended = true, file->count = c.index, file->error = c.error;
    else
      keep(file, &c);
    if (file->ended && file->came == file->count) finish(file); /* the end may have overtaken others */
  }
  return 0;
}

/* ---- What main shows ---------------------------------------------------------------------------------- */

static void show_progress(thrum_time start) {
  char fill[3][32], note[128];
  const struct gauged *queues[] = {&paths, &blocks, &counts};
  for (int i = 0; i < 3; i++) gauge_text(queues[i], fill[i], sizeof fill[i]);
  snprintf(note, sizeof note, "queues %s %s %s", fill[0], fill[1], fill[2]);
  progress_show(&(struct progress){start, atomic_load(&files_done), atomic_load(&bytes_done),
                                   atomic_load(&files_found), atomic_load(&bytes_found),
                                   atomic_load(&all_found), note});
}

static void list(const struct node *node) {
  if (node->kind == FILE_READ)
    printf("%08" PRIx32 " %12jd %9zu %s\n", node->crc, (intmax_t)node->stat.st_size, node->words, node->path);
  for (size_t i = 0; i < node->count; i++) list(&node->children[i]);
}

static void summary(thrum_duration took) {
  struct totals t = tree_totals(&top);
  if (thrum_event_is_set(&stop))
    printf("stopped: %zu files begun and not counted, %zu found and not begun, %zu names not looked at\n",
           t.kinds[CUT_OFF], t.kinds[WAITING], t.kinds[UNSEEN]);
  printf("%zu files counted, %zu bytes, %zu words, in %zu folders; the checksum of all %08" PRIx32 "\n",
         t.kinds[FILE_READ], t.bytes, t.words, t.kinds[FOLDER] - 1 /* `top` is none */, t.crc);
  totals_print_left_out(&t);
  printf("%.3f s, %.0f MB/s, by %d readers and %d counters\n\n", (double)took / 1e9,
         (double)t.bytes * 1e3 / (double)(took + 1), READERS, thrum_workers());
  gauge_print_heading();
  gauge_print(&paths);
  gauge_print(&blocks);
  gauge_print(&counts);
}

/* ---- Main --------------------------------------------------------------------------------------------- */

static void on_interrupt(int signal) {
  (void)signal;
  thrum_event_set(&stop);
}

static void start(thrum_thread *thread, thrum_fn *fn, const char *name, int number) {
  int error = thrum_spawn_named(thread, fn, NULL, "%s-%d", name, number);
  if (!error) return;
  fprintf(stderr, "6-3-pipeline: cannot start %s-%d: %s\n", name, number, strerror(-error));
  exit(1);
}

/* Runs the whole pipeline, and shows how far it is, until the collector has ended. */
static void run(void) {
  thrum_thread surveyor = {0}, collector = {0};
  thrum_time begun = thrum_now();
  int counters = thrum_workers();
  gauge_init(&paths, "paths", sizeof(struct node *), 64, 1);
  gauge_init(&blocks, "blocks", sizeof(struct block), 16, READERS);
  gauge_init(&counts, "counts", sizeof(struct count), 16, (size_t)counters);
  start(&surveyor, survey, "surveyor", 0);
  start(NULL, walk, "walker", 0);
  for (int i = 0; i < READERS; i++) start(NULL, read_files, "reader", i);
  for (int i = 0; i < counters; i++) start(NULL, count_blocks, "counter", i);
  start(&collector, collect, "collector", 0);

  thrum_case cases[] = {thrum_case_thread(collector), thrum_case_event(&stop),
                        thrum_case_after(THRUM_MS(100))};
  for (int chosen; (chosen = thrum_select(cases, 3)) != 0;) {
    show_progress(begun);
    if (chosen == 1) {
      thrum_queue_shutdown(&paths.queue, true);
      cases[1] = (thrum_case){0}; /* once is enough */
    }
  }
  thrum_join(collector, NULL);
  thrum_join(surveyor, NULL);
  progress_hide();
  summary(thrum_now() - begun);
}

/* Takes over the names of folders, files and pipes. Returns whether all of them are there. */
static bool open_all(char **names, size_t count) {
  static char nothing[] = "";
  top = (struct node){.kind = FOLDER, .path = nothing, .children = must(calloc(count, sizeof(struct node)))};
  for (; top.count < count; top.count++) {
    int error = tree_open(&top.children[top.count], names[top.count]);
    if (!error) continue;
    fprintf(stderr,
            "6-3-pipeline: %s: %s\nname folders or files that can be read: ./dev tour 6 /usr/share/doc\n",
            names[top.count], strerror(-error));
    return false;
  }
  return true;
}

int main(int argc, char **argv) {
  struct sigaction interrupt = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
  bool listed = argc > 2 && strcmp(argv[argc - 1], "--list") == 0;
  char here[] = ".", *only_here[] = {here};
  if (!(argc > 1 ? open_all(argv + 1, (size_t)(argc - 1 - listed)) : open_all(only_here, 1))) return 1;
  sigaction(SIGINT, &interrupt, NULL);
  run();
  if (listed) list(&top);
  for (size_t i = 0; i < top.count; i++) tree_free(&top.children[i]);
  free(top.children);
  return thrum_event_is_set(&stop) ? 130 : 0;
}
