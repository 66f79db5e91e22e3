/* A process's group is a path in a hierarchy (/proc/self/cgroup), and a hierarchy, or the part of it below
 * some group, is mounted somewhere (/proc/self/mountinfo). Version 1 has one hierarchy for each controller,
 * version 2 one for all; on a hybrid system a controller is in either, so both are asked and the lower limit
 * counts. */
#define _GNU_SOURCE
#include <core/cgroup.h>

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum version { V1 = 1, V2 = 2 };

struct group {
  char directory[2 * PATH_MAX]; /* its files are here */
  size_t top;                   /* length of the part that is the mount point */
};

typedef int64_t limit_fn(const char *directory, enum version version);

/* ---- Small files --------------------------------------------------------------------------------------- */

static bool read_file(const char *directory, const char *name, char *text, size_t size) {
  char path[3 * PATH_MAX];
  if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) return false;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, text, size - 1);
  close(fd);
  text[n > 0 ? n : 0] = 0;
  return n > 0;
}

/* A number that is not negative, and where it ends. */
static bool read_number(const char *text, char **end, int64_t *out) {
  if (*text < '0' || *text > '9') return false; /* "max", "-1", garbage: no limit */
  *out = strtoll(text, end, 10);
  return true;
}

static int64_t limit_cpus(const char *directory, enum version version) {
  char text[64], *end;
  int64_t quota, period;
  if (!read_file(directory, version == V2 ? "cpu.max" : "cpu.cfs_quota_us", text, sizeof text))
    return INT64_MAX;
  if (!read_number(text, &end, &quota) || quota == 0) return INT64_MAX;
  if (version == V1 && !read_file(directory, "cpu.cfs_period_us", end = text, sizeof text)) return INT64_MAX;
  if (!read_number(end + strspn(end, " "), &end, &period) || period == 0) return INT64_MAX;
  return quota / period + (quota % period != 0);
}

static int64_t limit_pids(const char *directory, enum version version) {
  char text[64], *end;
  int64_t limit;
  (void)version;
  if (!read_file(directory, "pids.max", text, sizeof text)) return INT64_MAX;
  return read_number(text, &end, &limit) ? limit : INT64_MAX;
}

/* ---- Where the group is -------------------------------------------------------------------------------- */

/* The word is one of the list's, which are separated by commas. */
static bool listed(const char *list, const char *word) {
  size_t length = strlen(word);
  for (; *list; list += strcspn(list, ",\n"), list += *list == ',')
    if (strcspn(list, ",\n") == length && memcmp(list, word, length) == 0)
      return true;
    else if (*list == '\n')
      return false;
  return false;
}

/* A line "id:controllers:path" of /proc/self/cgroup. NULL: of another hierarchy. */
static char *path_in_hierarchy(char *line, const char *controller, enum version version) {
  char *controllers = strchr(line, ':');
  char *path = controllers ? strchr(controllers + 1, ':') : NULL;
  if (!path) return NULL;
  *path++ = 0;
  controllers++;
  bool wanted =
      version == V2 ? strncmp(line, "0:", 2) == 0 && !*controllers : listed(controllers, controller);
  path[strcspn(path, "\n")] = 0;
  return wanted ? path : NULL;
}

/* Spaces and the like stand there as \040. */
static void undo_escapes(char *text) {
  char *to = text;
  for (char *from = text; *from; to++) {
    bool escape = from[0] == '\\' && strspn(from + 1, "01234567") >= 3;
    *to = escape ? (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0')) : *from;
    from += escape ? 4 : 1;
  }
  *to = 0;
}

/* A line "id parent device root mount-point options ... - type source options" of /proc/self/mountinfo. */
static bool is_mount(char *line, const char *controller, enum version version, char **root, char **point) {
  char *type = strstr(line, " - "), *rest, *field = NULL;
  if (!type) return false;
  *type = 0;
  type = strtok_r(type + 3, " ", &rest);
  if (!type || strcmp(type, version == V2 ? "cgroup2" : "cgroup") != 0) return false;
  strtok_r(NULL, " ", &rest);
  const char *options = strtok_r(NULL, " ", &rest);
  if (version == V1 && !(options && listed(options, controller))) return false;
  char *words[5] = {NULL};
  for (int i = 0; i < 5; i++) {
    field = strtok_r(i ? NULL : line, " ", &rest);
    if (!field) return false;
    words[i] = field;
  }
  *root = words[3];
  *point = words[4];
  undo_escapes(*root);
  undo_escapes(*point);
  return true;
}

/* The part of the group's path that lies below the mount point. What cannot be seen from here, because a
 * namespace or a bind mount hides it, counts as the mount point itself. */
static const char *below(const char *path, const char *mount_root) {
  size_t length = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);
  bool inside = strncmp(path, mount_root, length) == 0 && (path[length] == '/' || !path[length]);
  return inside && !strstr(path, "/..") ? path + length : "";
}

static FILE *open_proc(const char *root, const char *name) {
  char path[2 * PATH_MAX];
  if (snprintf(path, sizeof path, "%s/proc/self/%s", root, name) >= (int)sizeof path) return NULL;
  return fopen(path, "re");
}

static bool find_path(const char *root, const char *controller, enum version version, char out[PATH_MAX]) {
  FILE *file = open_proc(root, "cgroup");
  char *line = NULL;
  size_t room = 0;
  bool found = false;
  while (file && !found && getline(&line, &room, file) > 0) {
    const char *path = path_in_hierarchy(line, controller, version);
    found = path && snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
  }
  free(line);
  if (file) fclose(file);
  return found;
}

static bool find_group(const char *root, const char *controller, enum version version, struct group *out) {
  char path[PATH_MAX], *line = NULL, *mount_root, *point;
  if (!find_path(root, controller, version, path)) return false;
  FILE *file = open_proc(root, "mountinfo");
  size_t room = 0;
  bool found = false;
  while (file && !found && getline(&line, &room, file) > 0) {
    if (!is_mount(line, controller, version, &mount_root, &point)) continue;
    int length = snprintf(out->directory, sizeof out->directory, "%s%s", root, point);
    out->top = (size_t)length;
    const char *rest = below(path, mount_root);
    found = out->top + strlen(rest) < sizeof out->directory;
    if (found) strcpy(out->directory + length, rest);
  }
  free(line);
  if (file) fclose(file);
  return found;
}

static int64_t lowest(const char *root, const char *controller, limit_fn *limit_of) {
  struct group group;
  int64_t least = INT64_MAX;
  for (enum version version = V1; version <= V2; version++) {
    if (!find_group(root, controller, version, &group)) continue;
    for (;;) {
      int64_t limit = limit_of(group.directory, version);
      if (limit < least) least = limit;
      char *slash = strrchr(group.directory + group.top, '/');
      if (!slash) break;
      *slash = 0;
    }
  }
  return least;
}

int64_t thrumi_cgroup_cpus(const char *root) { return lowest(root, "cpu", limit_cpus); }

int64_t thrumi_cgroup_pids(const char *root) { return lowest(root, "pids", limit_pids); }
