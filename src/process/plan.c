/* Plans as messages. */
#define _GNU_SOURCE
#include <process/plan.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = sizeof(struct thrumi_plan_words) / sizeof(char *), VARIABLES_MOST = 1 << 20 };

/* ---- The text -------------------------------------------------------------------------------------------------------- */

struct text {
  char *at;
  size_t room, size; /* what there is, and what is needed */
};

static void put(struct text *t, const void *data, size_t size) {
  if (size && t->size + size <= t->room) memcpy(t->at + t->size, data, size);
  t->size += size;
}

static void put_string(struct text *t, const char *string) {
  put(t, string, strlen(string));
  put(t, "", 1);
}

static uint32_t put_variables(struct text *t, const char *const *environment) {
  uint32_t n = 0;
  for (; environment && environment[n] && n < VARIABLES_MOST; n++) put_string(t, environment[n]);
  return n;
}

/* As far as there is room. The input comes first: it has the best alignment there. */
static void write_text(struct text *t, struct thrumi_plan *plan) {
  const char *const *words = (const char *const *)&plan->words;
  t->size = 0;
  put(t, plan->input, plan->head.input_size);
  put(t, plan->affinity, plan->head.affinity_size);
  for (int i = 0; i < WORDS; i++) put_string(t, words[i] ? words[i] : "");
  plan->head.variables =
      put_variables(t, plan->environment ? plan->environment : (const char *const *)environ);
}

/* Another thread may set variables meanwhile: what was measured may have grown by the time that it is copied. (And `environ` may be
 * another array by the next time that the plan is sent.) */
static int make_text(struct text *t, struct thrumi_plan *plan) {
  for (write_text(t, plan); t->size > t->room; write_text(t, plan)) {
    if (t->at) thrumi_os.free(t->at);
    t->room = t->size;
    if (!(t->at = thrumi_os.allocate(t->room))) return -ENOMEM;
  }
  plan->head.text_size = t->size;
  return 0;
}

static const char *next_word(char **at, const char *end) {
  char *word = *at;
  size_t room = (size_t)(end - word), length = strnlen(word, room);
  if (length == room) return NULL;
  *at = word + length + 1;
  return word;
}

static int read_text(struct thrumi_plan *plan) {
  const struct thrumi_plan_head *h = &plan->head;
  char *at = plan->text, *end = at + h->text_size;
  if (h->input_size > h->text_size || h->affinity_size > h->text_size - h->input_size) return -EPROTO;
  plan->input = at;
  plan->affinity = at + h->input_size;
  at += h->input_size + h->affinity_size;
  const char **words = (const char **)&plan->words;
  for (int i = 0; i < WORDS; i++)
    if (!(words[i] = next_word(&at, end))) return -EPROTO;
  plan->variables = at;
  for (uint32_t i = 0; i < h->variables; i++)
    if (!next_word(&at, end)) return -EPROTO;
  return 0;
}

/* ---- Sending ----------------------------------------------------------------------------------------------------------- */

/* The last descriptor is the text's, or none. */
static int send_with(int channel, const struct thrumi_plan *plan, const char *text, int file) {
  int fds[THRUMI_PLAN_FDS_MAX + 1];
  size_t n = THRUMI_PLAN_FDS + plan->head.descriptors;
  memcpy(fds, plan->fds, n * sizeof *fds);
  if (file >= 0) fds[n++] = file;
  struct iovec pieces[] = {{(void *)(uintptr_t)&plan->head, sizeof plan->head},
                           {(void *)(uintptr_t)text, file >= 0 ? 0 : plan->head.text_size}};
  return thrumi_message_send(channel, pieces, 2, fds, n);
}

int thrumi_plan_send(int channel, struct thrumi_plan *plan) {
  plan->head.magic = THRUMI_PLAN_MAGIC;
  plan->head.size = sizeof plan->head;
  struct text text = {0};
  int file = -1, error = make_text(&text, plan);
  if (error) return error;
  if (text.size > THRUMI_MESSAGE_SHORT) {
    struct iovec whole = {text.at, text.size};
    file = thrumi_memory_file("thrum-input", &whole, 1);
    if (file < 0) error = file;
  }
  if (!error) error = send_with(channel, plan, text.at, file);
  if (file >= 0) close(file);
  thrumi_os.free(text.at);
  return error;
}

/* ---- Receiving ----------------------------------------------------------------------------------------------------------- */

static bool is_good(const struct thrumi_plan_head *h, size_t size, size_t fds) {
  if (size < sizeof *h || h->magic != THRUMI_PLAN_MAGIC || h->size != sizeof *h) return false;
  if (h->descriptors > THRUM_PROCESS_DESCRIPTORS_MAX || !h->text_size) return false;
  bool in_file = fds == THRUMI_PLAN_FDS + h->descriptors + 1;
  return in_file || (fds == THRUMI_PLAN_FDS + h->descriptors && size == sizeof *h + h->text_size);
}

int thrumi_plan_receive(int channel, struct thrumi_plan *plan) {
  struct {
    struct thrumi_plan_head head;
    char text[THRUMI_MESSAGE_SHORT];
  } buffer;
  int fds[THRUMI_MESSAGE_FDS];
  struct thrumi_message message = {&buffer, sizeof buffer, fds, THRUMI_MESSAGE_FDS};
  int error = thrumi_message_receive(channel, &message, true);
  if (error) return error;
  if (!is_good(&buffer.head, message.size, message.fd_count)) return -EPROTO;
  *plan = (struct thrumi_plan){.head = buffer.head};
  size_t n = THRUMI_PLAN_FDS + plan->head.descriptors;
  memcpy(plan->fds, fds, n * sizeof *fds);
  int file = message.fd_count > n ? fds[n] : -1;
  struct thrumi_bytes text = file >= 0 ? thrumi_bytes_receive(file, plan->head.text_size)
                                       : thrumi_bytes_copy(buffer.text, plan->head.text_size);
  plan->text = text.data;
  if (file >= 0) close(file);
  return plan->text ? read_text(plan) : -ENOMEM;
}
