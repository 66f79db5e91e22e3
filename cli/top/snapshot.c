#include "snapshot.h"
#include "../command.h"

#include <stdlib.h>
#include <string.h>

enum { PATIENCE = 10 }; /* seconds for an answer */

/* ---- Asking ---------------------------------------------------------------------------------------------------- */

static int add_page(struct snapshot *s, json_object *page) {
  json_object **more = realloc(s->pages, (s->page_count + 1) * sizeof *more);
  if (!more) return -1;
  s->pages = more;
  s->pages[s->page_count++] = page;
  s->count += list_length(member(page, "threads"));
  return 0;
}

static int ask_threads(struct snapshot *s, struct client *c, const char **why) {
  int64_t next = 0;
  do {
    json_object *page = client_ask(c, PATIENCE, why, "threads %lld", (long long)next);
    if (!page) return STATUS_FAILED;
    next = member_number(page, "next");
    if (add_page(s, page) != 0) {
      json_object_put(page);
      *why = "no memory";
      return STATUS_FAILED;
    }
  } while (next && s->count < THREADS_MOST);
  s->more = next != 0;
  return STATUS_OK;
}

static int ask_all(struct snapshot *s, struct client *c, const char **why) {
  s->stats = client_ask(c, PATIENCE, why, "stats");
  if (!s->stats || ask_threads(s, c, why) != STATUS_OK) return STATUS_FAILED;
  s->at = member_number(s->stats, "now_ns");
  s->locks = client_ask(c, PATIENCE, why, "locks");
  if (s->locks) s->queues = client_ask(c, PATIENCE, why, "queues");
  return s->queues ? STATUS_OK : STATUS_FAILED;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static int compare_ids(const void *one, const void *other) {
  const struct row *a = one, *b = other;
  return a->id < b->id ? -1 : a->id > b->id;
}

static struct row row_of(json_object *thread) {
  return (struct row){
      .thread = thread,
      .name = member_text(thread, "name"),
      .state = member_text(thread, "state"),
      .id = member_number(thread, "id"),
      .cpu_ns = member_number(thread, "cpu_ns"),
      .waits_ns = member_number(member(thread, "waits"), "ns"),
      .cpu = -1,
  };
}

static int fill_rows(struct snapshot *s) {
  size_t n = 0;
  s->rows = malloc((s->count ? s->count : 1) * sizeof *s->rows);
  if (!s->rows) return -1;
  for (size_t p = 0; p < s->page_count; p++) {
    json_object *threads = member(s->pages[p], "threads");
    for (size_t i = 0; i < list_length(threads); i++) s->rows[n++] = row_of(list_item(threads, i));
  }
  qsort(s->rows, s->count, sizeof *s->rows, compare_ids);
  return 0;
}

/* ---- Since the one before ---------------------------------------------------------------------------------------- */

static double per_second(const struct snapshot *s, const struct snapshot *before, const char *key) {
  int64_t more = member_number(s->stats, key) - member_number(before->stats, key);
  return (double)more * 1e9 / (double)(s->at - before->at);
}

static double per_cent(int64_t ns, int64_t passed) {
  return ns < 0 ? 0 : 100.0 * (double)ns / (double)passed;
}

/* A thread that is new has done all it did since then. */
static void compare(struct snapshot *s, const struct snapshot *before) {
  int64_t passed = s->at - before->at;
  if (passed <= 0) return;
  s->rates = (struct rates){
      .switches = per_second(s, before, "switches"),
      .steals = per_second(s, before, "steals"),
      .preemptions = per_second(s, before, "preemptions"),
      .spawned = per_second(s, before, "spawned"),
      .cpu = per_second(s, before, "cpu_ns") / 1e7,
  };
  for (size_t i = 0; i < s->count; i++) {
    struct row *r = &s->rows[i];
    const struct row *former = bsearch(r, before->rows, before->count, sizeof *r, compare_ids);
    r->cpu = per_cent(r->cpu_ns - (former ? former->cpu_ns : 0), passed);
  }
}

int snapshot_take(struct snapshot *out, struct client *c, const struct snapshot *before, const char **why) {
  *out = (struct snapshot){0};
  int status = ask_all(out, c, why);
  if (status == STATUS_OK && fill_rows(out) != 0) {
    *why = "no memory";
    status = STATUS_FAILED;
  }
  if (status != STATUS_OK)
    snapshot_free(out);
  else if (before)
    compare(out, before);
  return status;
}

void snapshot_free(struct snapshot *s) {
  for (size_t i = 0; i < s->page_count; i++) json_object_put(s->pages[i]);
  json_object_put(s->stats);
  json_object_put(s->locks);
  json_object_put(s->queues);
  free(s->pages);
  free(s->rows);
  *s = (struct snapshot){0};
}

/* ---- Order ------------------------------------------------------------------------------------------------------- */

static enum order wanted;
static bool backwards;

/* What runs is what one looks for first. */
static int rank(const char *state) {
  static const char *const order[] = {"running", "blocked", "ready", "new", "waiting"};
  for (int i = 0; i < 5; i++)
    if (strcmp(state, order[i]) == 0) return i;
  return 5;
}

static int by(enum order order, const struct row *a, const struct row *b) {
  switch (order) {
  case BY_CPU: return (a->cpu < b->cpu) - (a->cpu > b->cpu);
  case BY_NAME: return strcasecmp(a->name, b->name);
  case BY_STATE: return rank(a->state) - rank(b->state);
  case BY_WAIT: return (a->waits_ns < b->waits_ns) - (a->waits_ns > b->waits_ns);
  default: return 0;
  }
}

static int compare_rows(const void *one, const void *other) {
  const struct row *a = *(const struct row *const *)one, *b = *(const struct row *const *)other;
  int way = by(wanted, a, b);
  if (!way) way = (a->id > b->id) - (a->id < b->id);
  return backwards ? -way : way;
}

static bool holds(const struct row *r, const char *filter) {
  json_object *waits = member(r->thread, "waits");
  const char *const texts[] = {r->name,
                               r->state,
                               member_text(r->thread, "kind"),
                               member_text(waits, "for"),
                               member_text(waits, "object"),
                               member_text(waits, "owner_name")};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (strcasestr(texts[i], filter)) return true;
  return false;
}

size_t snapshot_select(const struct snapshot *s, const char *filter, enum order order, bool reverse,
                       const struct row **shown) {
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++)
    if (!filter || !*filter || holds(&s->rows[i], filter)) shown[n++] = &s->rows[i];
  wanted = order;
  backwards = reverse;
  qsort(shown, n, sizeof *shown, compare_rows);
  return n;
}
