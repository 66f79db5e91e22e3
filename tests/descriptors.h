/* How many descriptors this process has. */
#ifndef TESTS_DESCRIPTORS_H
#define TESTS_DESCRIPTORS_H

#include "check.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

/* Without those of files in /proc: the monitor may be reading one, at any moment, and the folder here is one itself. */
static inline int open_descriptors(void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/fd");
  CHECK(dir);
  for (struct dirent *entry; (entry = readdir(dir));) {
    char path[300], what[8] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
    n += entry->d_name[0] != '.' && readlink(path, what, sizeof what - 1) > 0 &&
         strncmp(what, "/proc/", 6) != 0;
  }
  closedir(dir);
  return n;
}

#endif
