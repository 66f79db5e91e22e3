#include <core/fatal.h>
#include <os/os.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 512 };

struct line {
  char text[LINE];
  size_t length;
};

void (*thrumi_log_function)(const char *, size_t);
void (*_Atomic thrumi_last_act)(bool);
static _Atomic(thrum_fatal_fn *) fatal_hook;

thrum_fatal_fn *thrum_on_fatal(thrum_fatal_fn *hook) { return atomic_exchange(&fatal_hook, hook); }

static void put(struct line *line, char c) {
  if (line->length < LINE - 2) line->text[line->length++] = c; /* room for the newline and the NUL */
}

static void put_text(struct line *line, const char *text) {
  for (text = text ? text : "(null)"; *text; text++) put(line, *text);
}

static void put_number(struct line *line, unsigned long value, unsigned base) {
  char digits[24];
  int n = 0;
  do digits[n++] = "0123456789abcdef"[value % base];
  while (value /= base);
  while (n) put(line, digits[--n]);
}

static void put_signed(struct line *line, long value) {
  if (value < 0) put(line, '-');
  put_number(line, value < 0 ? 0ul - (unsigned long)value : (unsigned long)value, 10);
}

/* One conversion; returns where the format goes on. */
static const char *convert(struct line *line, const char *f, va_list *args) {
  int longs = 0;
  while (*f == 'l' || *f == 'z') longs++, f++;
  switch (*f) {
  case 's': put_text(line, va_arg(*args, const char *)); break;
  case 'c': put(line, (char)va_arg(*args, int)); break;
  case 'd': put_signed(line, longs ? va_arg(*args, long) : va_arg(*args, int)); break;
  case 'u': put_number(line, longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned), 10); break;
  case 'x': put_number(line, longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned), 16); break;
  case 'p':
    put_text(line, "0x");
    put_number(line, (uintptr_t)va_arg(*args, void *), 16);
    break;
  case '%': put(line, '%'); break;
  default: abort(); /* a conversion that this formatter does not have: a bug of the caller */
  }
  return f + 1;
}

static void format_line(struct line *line, const char *format, va_list *args) {
  line->length = 0;
  put_text(line, "thrum: ");
  for (const char *f = format; *f;) {
    if (*f == '%')
      f = convert(line, f + 1, args);
    else
      put(line, *f++);
  }
  line->text[line->length++] = '\n';
  line->text[line->length] = 0;
}

void thrumi_log_write(const char *message, size_t length) {
  if (thrumi_log_function) {
    thrumi_log_function(message, length);
    return;
  }
  for (size_t done = 0; done < length;) {
    ssize_t n = write(STDERR_FILENO, message + done, length - done);
    if (n <= 0) return; /* nobody to tell */
    done += (size_t)n;
  }
}

/* acting: NOBODY; the id of the kernel thread that does the last act, by compare-and-swap from NOBODY; then ACTED, or NOBODY if there was
 * none to do, by the same one. */
enum { NOBODY = 0, ACTED = -1 };
#define PATIENCE THRUM_S(10)
static thrumi_futex acting;

/* Nobody waits for itself: it has crashed while it acted. */
void thrumi_await_last_act(void) {
  uint32_t who = atomic_load(&acting);
  if (who == NOBODY || who == (uint32_t)ACTED || who == (uint32_t)thrumi_os_tid()) return;
  int64_t end = thrumi_os.now() + PATIENCE;
  while (atomic_load(&acting) == who && thrumi_os.now() < end) thrumi_os.futex_wait(&acting, who, end);
}

void thrumi_last_act_fork(void) { atomic_store(&acting, NOBODY); }

void thrumi_act_last(bool in_handler) {
  uint32_t nobody = NOBODY;
  if (!atomic_compare_exchange_strong(&acting, &nobody, (uint32_t)thrumi_os_tid())) {
    thrumi_await_last_act();
    return;
  }
  void (*act)(bool) = atomic_exchange(&thrumi_last_act, NULL);
  if (act) act(in_handler);
  atomic_store(&acting, act ? (uint32_t)ACTED : NOBODY);
  thrumi_os.futex_wake(&acting, INT32_MAX);
}

void thrumi_log(const char *format, ...) {
  struct line line;
  va_list args;
  va_start(args, format);
  format_line(&line, format, &args);
  va_end(args);
  thrumi_log_write(line.text, line.length);
}

void thrumi_fatal(const char *format, ...) {
  struct line line;
  va_list args;
  va_start(args, format);
  format_line(&line, format, &args);
  va_end(args);
  thrum_fatal_fn *hook = atomic_exchange(&fatal_hook, NULL);
  if (hook) hook(line.text);
  thrumi_log_write(line.text, line.length);
  thrumi_act_last(true);
  abort();
}
