/* The screen: a head, a table, below it the stack of the chosen thread, and a line that says what keys do.
 *
 * A thread is chosen, not a line: it stays so when the order changes. What is chosen is marked by '>' and shown in reverse, so no
 * colour is needed; with colours (unless NO_COLOR is set) the head is bold and threads that run are green, those that sit in a call yellow. */
#include "screen.h"
#include "../command.h"
#include "view.h"

#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STACK_LINES = 12, ROWS_MIN = 3, FILTER_MAX = 40, COLOUR_RUNS = 1, COLOUR_BLOCKED, KEY_ESCAPE = 27 };

struct screen {
  struct client *client;
  struct snapshot now;
  const struct row **shown; /* threads, in order */
  size_t count;             /* lines of the table */
  size_t top, at;           /* the first line that is shown, and the chosen one */
  int64_t chosen;           /* its thread */
  enum page page;
  enum order order;
  bool reverse, paused, stack, help, typing, quit;
  double interval;
  char filter[FILTER_MAX];
  json_object *frames; /* the answer with the chosen one's stack */
  int64_t framed;      /* whose it is */
};

/* ---- Contents ---------------------------------------------------------------------------------------------------- */

static void forget_stack(struct screen *s) {
  json_object_put(s->frames);
  s->frames = NULL;
  s->framed = 0;
}

/* A thread that has ended meanwhile has none. */
static int fetch_stack(struct screen *s) {
  const char *why;
  forget_stack(s);
  if (!s->stack || s->page != PAGE_THREADS || !s->chosen) return STATUS_OK;
  s->frames = client_ask(s->client, 10, &why, "stack %lld", (long long)s->chosen);
  s->framed = s->chosen;
  return STATUS_OK;
}

static void find_chosen(struct screen *s) {
  for (size_t i = 0; s->page == PAGE_THREADS && i < s->count; i++)
    if (s->shown[i]->id == s->chosen) s->at = i;
}

static void keep_in_bounds(struct screen *s) {
  if (s->at >= s->count) s->at = s->count ? s->count - 1 : 0;
  if (s->page == PAGE_THREADS) s->chosen = s->count ? s->shown[s->at]->id : 0;
}

static void arrange(struct screen *s) {
  if (s->page == PAGE_THREADS)
    s->count = snapshot_select(&s->now, s->filter, s->order, s->reverse, s->shown);
  else
    s->count = list_length(view_objects(&s->now, s->page));
  find_chosen(s);
  keep_in_bounds(s);
}

static int refresh_contents(struct screen *s, const char **why) {
  struct snapshot next;
  int status = snapshot_take(&next, s->client, s->now.stats ? &s->now : NULL, why);
  if (status != STATUS_OK) return status;
  const struct row **shown = calloc(next.count + 1, sizeof *shown);
  if (!shown) {
    snapshot_free(&next);
    *why = "no memory";
    return STATUS_FAILED;
  }
  free(s->shown);
  snapshot_free(&s->now);
  s->now = next;
  s->shown = shown;
  arrange(s);
  return fetch_stack(s);
}

/* ---- Drawing ------------------------------------------------------------------------------------------------------- */

static void draw(int y, const char *text, attr_t look) {
  char line[LINE_BYTES];
  if (y < 0 || y >= LINES) return;
  view_fit(line, text, COLS);
  attrset(look);
  mvaddstr(y, 0, line);
  attrset(A_NORMAL);
}

static attr_t look_of(const struct row *r) {
  if (!has_colors()) return A_NORMAL;
  if (strcmp(r->state, "running") == 0) return (attr_t)COLOR_PAIR(COLOUR_RUNS);
  return strcmp(r->state, "blocked") == 0 ? (attr_t)COLOR_PAIR(COLOUR_BLOCKED) : A_NORMAL;
}

static void draw_line(struct screen *s, int y, size_t i) {
  char text[LINE_BYTES], marked[LINE_BYTES + 2];
  attr_t look = i == s->at ? A_REVERSE : A_NORMAL;
  if (s->page == PAGE_THREADS) {
    view_thread(s->shown[i], text);
    look |= look_of(s->shown[i]);
  } else {
    view_object(s->page, list_item(view_objects(&s->now, s->page), i), text);
  }
  snprintf(marked, sizeof marked, "%c%s", i == s->at ? '>' : ' ', text);
  draw(y, marked, look);
}

/* Its title and some frames, so that there stay some lines of the table; 0: it is not shown, or there is no room. */
static int stack_lines(const struct screen *s) {
  int room = LINES - HEAD_LINES - 2 - ROWS_MIN;
  if (!s->stack || s->help || s->page != PAGE_THREADS || room < 2) return 0;
  return room < STACK_LINES ? room : STACK_LINES;
}

static void draw_stack(struct screen *s, int y, size_t lines) {
  char text[LINE_BYTES];
  json_object *thread = list_item(member(s->frames, "threads"), 0);
  json_object *stack = member(thread, "stack");
  size_t n = stack ? list_length(stack) : 0;
  if (n)
    snprintf(text, sizeof text, "-- stack of %s ", member_text(thread, "name"));
  else
    snprintf(text, sizeof text, "-- it has no stack now ");
  draw(y, text, A_BOLD);
  for (size_t i = 0; i < n && i < lines - 1; i++) {
    view_frame(list_item(stack, i), text);
    draw(y + 1 + (int)i, text, A_NORMAL);
  }
}

static const char *const help[] = {
    "up, down, page up, page down, home, end   choose",
    "return        the stack of the chosen thread, or not any more",
    "t  l  u       threads, locks that are waited for, queues",
    "c  i  n  s  w sort by CPU, id, name, state, how long it waits; once more: the other way round",
    "/             show threads only that contain a text; / and return: all again",
    "space         stop the display, and go on",
    "+  -          look less often, more often",
    "r             look now",
    "q             end",
};

static void draw_help(void) {
  for (int i = 0; i < (int)(sizeof help / sizeof *help); i++) draw(HEAD_LINES + 2 + i, help[i], A_NORMAL);
}

static void draw_bottom(const struct screen *s) {
  char text[LINE_BYTES];
  if (s->typing)
    snprintf(text, sizeof text, "filter: %s_", s->filter);
  else
    snprintf(text, sizeof text,
             "%s%s%s%s  %zu lines  every %.1f s   q quit  h help  / filter  return stack  t l u pages",
             s->paused ? "PAUSED " : "", *s->filter ? "filter: " : "", s->filter,
             s->reverse ? " reversed" : "", s->count, s->interval);
  draw(LINES - 1, text, A_REVERSE);
}

/* Lines of the table that there is room for. */
static int table_lines(const struct screen *s) {
  int lines = LINES - HEAD_LINES - 2 - stack_lines(s);
  return lines > 1 ? lines : 1;
}

static void draw_all(struct screen *s) {
  char text[LINE_BYTES], title[LINE_BYTES + 1];
  size_t lines = (size_t)table_lines(s);
  if (s->at < s->top) s->top = s->at;
  if (s->at >= s->top + lines) s->top = s->at - lines + 1;
  if (s->top + lines > s->count) s->top = s->count > lines ? s->count - lines : 0;
  erase();
  for (int i = 0; i < HEAD_LINES; i++) {
    view_head(&s->now, s->client, i, text);
    draw(i, text, i ? A_NORMAL : A_BOLD);
  }
  view_title(s->page, s->order, text);
  snprintf(title, sizeof title, " %s", text);
  draw(HEAD_LINES, title, A_UNDERLINE);
  for (size_t i = 0; !s->help && i < lines && s->top + i < s->count; i++)
    draw_line(s, HEAD_LINES + 1 + (int)i, s->top + i);
  if (s->help) draw_help();
  int stack = stack_lines(s);
  if (stack) draw_stack(s, LINES - 1 - stack, (size_t)stack);
  draw_bottom(s);
  refresh();
}

/* ---- Keys ---------------------------------------------------------------------------------------------------------- */

static void choose(struct screen *s, int64_t line) {
  if (line < 0) line = 0;
  s->at = (size_t)line;
  keep_in_bounds(s);
  fetch_stack(s);
}

static void sort_by(struct screen *s, enum order order) {
  s->reverse = s->order == order && !s->reverse;
  s->order = order;
  arrange(s);
}

static void show_page(struct screen *s, enum page page) {
  s->page = page;
  s->at = s->top = 0;
  arrange(s);
  fetch_stack(s);
}

static void change_interval(struct screen *s, double factor) {
  s->interval *= factor;
  if (s->interval < 0.1) s->interval = 0.1;
  if (s->interval > 60) s->interval = 60;
}

/* While a filter is typed. */
static void type(struct screen *s, int key) {
  size_t length = strlen(s->filter);
  if (key == '\n' || key == '\r' || key == KEY_ENTER) s->typing = false;
  if (key == KEY_ESCAPE) {
    s->typing = false;
    s->filter[0] = 0;
  }
  if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length) s->filter[length - 1] = 0;
  if (key >= ' ' && key < 127 && length + 1 < FILTER_MAX) {
    s->filter[length] = (char)key;
    s->filter[length + 1] = 0;
  }
  arrange(s);
}

static void begin_filter(struct screen *s) {
  s->filter[0] = 0;
  s->typing = true;
  if (s->page != PAGE_THREADS) show_page(s, PAGE_THREADS);
}

static bool move_by_key(struct screen *s, int key) {
  int64_t at = (int64_t)s->at, lines = table_lines(s);
  switch (key) {
  case KEY_UP:
  case 'k': choose(s, at - 1); return true;
  case KEY_DOWN:
  case 'j': choose(s, at + 1); return true;
  case KEY_PPAGE: choose(s, at - lines); return true;
  case KEY_NPAGE: choose(s, at + lines); return true;
  case KEY_HOME:
  case 'g': choose(s, 0); return true;
  case KEY_END:
  case 'G': choose(s, (int64_t)s->count); return true;
  default: return false;
  }
}

static bool sort_by_key(struct screen *s, int key) {
  static const char keys[ORDERS + 1] = {
      [BY_CPU] = 'c', [BY_ID] = 'i', [BY_NAME] = 'n', [BY_STATE] = 's', [BY_WAIT] = 'w'};
  const char *found = key > 0 && key < 127 ? strchr(keys, key) : NULL;
  if (found && *found) sort_by(s, (enum order)(found - keys));
  return found && *found;
}

/* True: the program is to be asked again now. */
static bool obey(struct screen *s, int key) {
  if (s->typing) return type(s, key), false;
  if (move_by_key(s, key) || sort_by_key(s, key)) return false;
  switch (key) {
  case 'q': s->quit = true; break;
  case 'h':
  case '?': s->help = !s->help; break;
  case 't': show_page(s, PAGE_THREADS); break;
  case 'l': show_page(s, PAGE_LOCKS); break;
  case 'u': show_page(s, PAGE_QUEUES); break;
  case '/': begin_filter(s); break;
  case ' ': s->paused = !s->paused; break;
  case '+': change_interval(s, 2); break;
  case '-': change_interval(s, 0.5); break;
  case 'r': return true;
  case '\n':
  case '\r':
  case KEY_ENTER:
    s->stack = !s->stack;
    fetch_stack(s);
    break;
  default: break;
  }
  return false;
}

/* ---- The loop ------------------------------------------------------------------------------------------------------- */

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Until a key asks for a look, or it is time for one. */
static void wait_for_look(struct screen *s, double until) {
  for (bool look = false; !look && !s->quit;) {
    double left = until - seconds_now();
    if (left <= 0 && !s->paused) return;
    draw_all(s);
    timeout(s->paused ? 1000 : (int)(left * 1000) + 1);
    int key = getch();
    if (key != ERR && key != KEY_RESIZE) look = obey(s, key);
  }
}

static int show_until_end(struct screen *s, const char **why) {
  while (!s->quit) {
    double began = seconds_now();
    if (refresh_contents(s, why) != STATUS_OK) return STATUS_FAILED;
    wait_for_look(s, began + s->interval);
  }
  return STATUS_OK;
}

static void begin_screen(void) {
  const char *no = getenv("NO_COLOR");
  initscr();
  cbreak();
  noecho();
  keypad(stdscr, TRUE);
  set_escdelay(50);
  curs_set(0);
  if (no && *no) return;
  start_color();
  use_default_colors();
  init_pair(COLOUR_RUNS, COLOR_GREEN, -1);
  init_pair(COLOUR_BLOCKED, COLOR_YELLOW, -1);
}

int screen_run(struct client *c, double interval, enum order order) {
  struct screen s = {.client = c, .interval = interval, .order = order};
  const char *why = "";
  begin_screen();
  int status = show_until_end(&s, &why);
  endwin();
  if (status != STATUS_OK) status = fail("%s (process %d): %s", c->name, (int)c->pid, why);
  forget_stack(&s);
  snapshot_free(&s.now);
  free(s.shown);
  return status;
}
