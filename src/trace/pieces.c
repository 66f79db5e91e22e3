#include <sched/record.h>
#include <string.h>
#include <trace/pieces.h>

static struct thrumi_event piece_of(uint64_t thread, const char *text, int i) {
  struct thrumi_event piece = {.thread = thread, .kind = THRUMI_EVENT_NAME_PIECE, .worker = (uint16_t)i};
  memcpy(&piece.object, text + i * THRUMI_PIECE, sizeof piece.object);
  memcpy(&piece.detail, text + i * THRUMI_PIECE + sizeof piece.object, sizeof piece.detail);
  return piece;
}

int thrumi_pieces_make(uint64_t thread, struct thrumi_event *out) {
  struct thrumi_thread *t = thrumi_record((uint32_t)THRUMI_FLAGS(thread));
  if (!thrumi_load_relaxed(&t->extras) || !t->name) {
    *out = (struct thrumi_event){.thread = thread,
                                 .object = (uintptr_t)t->fn,
                                 .kind = THRUMI_EVENT_NAME,
                                 .worker = t->kind,
                                 .detail = t->number};
    return 1;
  }
  struct thrumi_name_parts parts;
  char text[THRUMI_PIECES * THRUMI_PIECE] = {0};
  thrumi_name_take(t, THRUMI_GENERATION(thrumi_load(&t->life)), &parts);
  memcpy(text, parts.given, strnlen(parts.given, sizeof parts.given - 1));
  int count = (int)(strlen(text) / THRUMI_PIECE) + 1;
  for (int i = 0; i < count; i++) out[i] = piece_of(thread, text, i);
  return count;
}

bool thrumi_pieces_add(struct thrumi_pieces *p, const struct thrumi_event *piece) {
  if (piece->worker == 0) *p = (struct thrumi_pieces){.thread = piece->thread};
  if (piece->thread != p->thread || piece->worker != p->count || p->count == THRUMI_PIECES) return false;
  char *at = p->text + p->count++ * THRUMI_PIECE;
  memcpy(at, &piece->object, sizeof piece->object);
  memcpy(at + sizeof piece->object, &piece->detail, sizeof piece->detail);
  return memchr(at, 0, THRUMI_PIECE) != NULL;
}
