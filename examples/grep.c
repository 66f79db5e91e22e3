/* grep over folders: prints each line that contains a text.
 *
 *     grep TEXT [FOLDER...]
 *
 * A thread for each folder and each file. They read with plain stdio: a thread that waits for the disk keeps a
 * kernel thread busy, and no worker. Lines come out whole, by thrum_print. Files with a NUL near their beginning
 * are taken for binary and passed over; symbolic links are not followed.
 * The exit status is 0 if something was found, 1 if not, 2 if a folder or file could not be read. */
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thrum.h>

enum { AT_ONCE = 64 }; /* threads that one folder has at a time */

static const char *text;
static atomic_long found;
static atomic_bool failed;

static void complain(const char *path, int error) {
  fprintf(stderr, "grep: %s: %s\n", path, strerror(error));
  atomic_store(&failed, true);
}

static bool is_binary(FILE *file) {
  char head[1024];
  size_t n = fread(head, 1, sizeof head, file);
  rewind(file);
  return memchr(head, '\0', n) != NULL;
}

static void search_file(const char *path, FILE *file) {
  char *line = NULL;
  size_t size = 0;
  if (is_binary(file)) return;
  for (long number = 1; getline(&line, &size, file) >= 0; number++) {
    if (!strstr(line, text)) continue;
    atomic_fetch_add(&found, 1);
    line[strcspn(line, "\n")] = '\0';
    thrum_print("%s:%ld:%s\n", path, number, line);
  }
  if (ferror(file)) complain(path, errno);
  free(line);
}

static intptr_t visit(void *path);

static int not_dots(const struct dirent *d) {
  return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

/* Visits each entry in a thread of its own, starting the next when the oldest has ended. */
static void search_folder(const char *path) {
  thrum_thread running[AT_ONCE] = {0};
  struct dirent **entries;
  int count = scandir(path, &entries, not_dots, NULL);
  if (count < 0) complain(path, errno);
  for (int i = 0; i < count; i++) {
    thrum_thread *t = &running[i % AT_ONCE];
    char *child;
    thrum_join(*t, NULL); /* none yet: -ESRCH at once */
    if (asprintf(&child, "%s/%s", path, entries[i]->d_name) < 0)
      complain(path, ENOMEM);
    else if (thrum_spawn_named(t, visit, child, "%s", entries[i]->d_name) != 0)
      visit(child);
    free(entries[i]);
  }
  for (int i = 0; i < AT_ONCE; i++) thrum_join(running[i], NULL);
  if (count >= 0) free(entries);
}

/* Waits for a descriptor to become free if there is none: those who hold one are about to close it.
 * O_NONBLOCK: opening a pipe that nobody writes to would block for ever. */
static int open_entry(const char *path) {
  for (;;) {
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE)) return fd;
    thrum_sleep(THRUM_MS(1));
  }
}

/* Takes the path over. */
static intptr_t visit(void *path) {
  struct stat s = {0};
  FILE *file = NULL;
  int fd = open_entry(path);
  if (fd < 0 || fstat(fd, &s) < 0) {
    if (errno != ELOOP && errno != ENXIO) complain(path, errno); /* a symbolic link; a socket */
  } else if (S_ISREG(s.st_mode) && (file = fdopen(fd, "r"))) {
    search_file(path, file);
  }
  if (file)
    fclose(file);
  else if (fd >= 0)
    close(fd);
  if (S_ISDIR(s.st_mode)) search_folder(path); /* with nothing open */
  free(path);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: grep TEXT [FOLDER...]\n"), 2;
  text = argv[1];
  for (int i = 2; i < argc || i == 2; i++) visit(strdup(i < argc ? argv[i] : "."));
  return atomic_load(&failed) ? 2 : atomic_load(&found) == 0;
}
