/* Plain read-modify-writes of memory that other threads may use.
 *
 * Two kinds are found: one instruction that reads and writes a place without a lock (x86), and, within a basic block, a load from a
 * place, later a store to the same place of a value that depends on what was loaded. For that the values of registers are followed
 * through the block by name: two values are the same if the same computation of the same values made them. An address is such a
 * value and a distance.
 *
 * What is assumed, and said in the manual:
 *  - What lies on the function's own stack is its own, unless its address has been stored or was in a register of an argument at a
 *    call: then others may know it. Addresses relative to the stack or frame pointer are on the stack.
 *  - Any other address may be shared, but what is reached from the register that points to the kernel thread's own memory.
 *  - Stores to one place do not change others, and calls do not change pointers that lie in memory.
 *  - At a call the result depends on its arguments, and registers that calls may change are unknown afterwards.
 *
 * Not found: what begins in one basic block and ends in another one. Whether a lock guards the place is not known. */
#include "dis.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOADS = 64, CELLS = 1024, ESCAPES = 256 };

enum origin { ORIGIN_UNKNOWN, ORIGIN_STACK, ORIGIN_ABSOLUTE, ORIGIN_SYMBOL, ORIGIN_THREAD };

/* origin and id say which base, offset how far from it. Of a symbol whose address the loader has put somewhere, id is its name. */
struct value {
  enum origin origin;
  uint64_t id;
  int64_t offset;
  uint64_t depends; /* bit n: on what load n of this block got */
};

struct key {
  struct value base, index;
  int scale;
};

struct cell {
  struct key key;
  struct value value;
};

struct load {
  struct key key;
  size_t line;
};

struct state {
  struct listing *listing;
  const struct convention *convention;
  bool notes; /* the second round: the first one finds out whose addresses escape */
  struct value registers[REGISTERS];
  struct cell cells[CELLS];
  size_t cell_count;
  struct load loads[LOADS];
  unsigned load_count; /* since the block began */
  int64_t stack;       /* of the function's body, below where it was entered */
  bool entered;        /* that is known */
  struct value frame;
  bool has_frame;
  struct {
    int64_t offset;
    size_t line;
  } escaped[ESCAPES];
  size_t escape_count;
};

/* ---- Values ---------------------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t size) {
  const unsigned char *at = bytes;
  for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
  return hash;
}

static uint64_t mix_value(uint64_t hash, const struct value *v) {
  uint64_t parts[] = {v->origin, v->id, (uint64_t)v->offset};
  return mix(hash, parts, sizeof parts);
}

static struct value unknown(uint64_t a, uint64_t b) {
  uint64_t parts[] = {a, b};
  return (struct value){.origin = ORIGIN_UNKNOWN,
                        .id = mix(UINT64_C(0xcbf29ce484222325), parts, sizeof parts)};
}

static struct value plus(struct value v, int64_t distance) {
  v.offset = (int64_t)((uint64_t)v.offset + (uint64_t)distance);
  return v;
}

static bool same_value(const struct value *a, const struct value *b) {
  return a->origin == b->origin && a->id == b->id && a->offset == b->offset;
}

static bool same_key(const struct key *a, const struct key *b) {
  return a->scale == b->scale && same_value(&a->base, &b->base) && same_value(&a->index, &b->index);
}

static struct key key_of(const struct state *s, const struct access *access) {
  struct key key = {.base = {.origin = ORIGIN_ABSOLUTE}};
  if (access->base != NO_REGISTER) key.base = s->registers[access->base];
  key.base = plus(key.base, access->offset);
  key.base.depends = 0;
  if (access->index != NO_REGISTER) {
    key.index = s->registers[access->index];
    key.index.depends = 0;
    key.scale = access->scale;
  }
  return key;
}

/* ---- Memory ---------------------------------------------------------------------------------------------------------------- */

static struct cell *find_cell(struct state *s, const struct key *key) {
  for (size_t i = 0; i < s->cell_count; i++)
    if (same_key(&s->cells[i].key, key)) return &s->cells[i];
  return NULL;
}

static void set_cell(struct state *s, const struct key *key, struct value value) {
  struct cell *cell = find_cell(s, key);
  if (!cell && s->cell_count == CELLS) s->cell_count = 0;
  if (!cell) cell = &s->cells[s->cell_count++];
  *cell = (struct cell){*key, value};
}

/* ---- Whose memory it is ---------------------------------------------------------------------------------------------------- */

static void escape(struct state *s, size_t line, const struct value *v) {
  if (v->origin != ORIGIN_STACK || s->escape_count == ESCAPES || s->notes) return;
  for (size_t i = 0; i < s->escape_count; i++)
    if (s->escaped[i].offset == v->offset) return;
  s->escaped[s->escape_count].offset = v->offset;
  s->escaped[s->escape_count++].line = line;
}

/* The instruction at which the address went out, or NOWHERE. */
static long escaped_at(const struct state *s, const struct key *key) {
  for (size_t i = 0; i < s->escape_count; i++)
    if (s->escaped[i].offset == key->base.offset) return (long)s->escaped[i].line;
  return NOWHERE;
}

static bool may_be_shared(const struct state *s, const struct access *access, const struct key *key) {
  if (access->local || key->base.origin == ORIGIN_THREAD) return false;
  return key->base.origin != ORIGIN_STACK || escaped_at(s, key) != NOWHERE;
}

/* ---- What is said ------------------------------------------------------------------------------------------------------------- */

/* The operand in memory as it is written: 8(%rdi) or [x0, #8]. */
static char *operand_text(const struct line *line) {
  const char *open = strpbrk(line->text, "[("), *close = open ? strpbrk(open, "])") : NULL;
  if (!close) return format_text("memory");
  while (*open == '(' && open > line->text && !strchr(" ,*", open[-1])) open--;
  return format_text("%.*s", (int)(close - open + 1), open);
}

static char *symbol_text(const struct key *key) {
  const char *name = (const char *)(uintptr_t)key->base.id;
  return key->base.offset ? format_text("%s+%" PRId64, name, key->base.offset) : format_text("%s", name);
}

static char *describe(const struct state *s, const struct key *key, size_t i) {
  if (key->base.origin == ORIGIN_STACK)
    return format_text("a local whose address went out at +0x%" PRIx64,
                       listing_offset(s->listing, (size_t)escaped_at(s, key)));
  char *name = NULL;
  if (key->base.origin == ORIGIN_ABSOLUTE) name = listing_place_name(s->listing, (uint64_t)key->base.offset);
  if (key->base.origin == ORIGIN_SYMBOL) name = symbol_text(key);
  if (!name) return operand_text(&s->listing->lines[i]);
  if (key->scale == 0) return name;
  char *text = format_text("an element of %s", name);
  free(name);
  return text;
}

static bool parks(const struct line *line) {
  for (const struct note *n = line->notes; n; n = n->next)
    if (n->kind == NOTE_PARKS) return true;
  return false;
}

static void note_split(struct state *s, size_t load, size_t store, const struct key *key) {
  char *what = describe(s, key, load);
  uint64_t from = listing_offset(s->listing, load), to = listing_offset(s->listing, store);
  long between = NOWHERE;
  for (size_t i = load + 1; i < store && between == NOWHERE; i++)
    if (parks(&s->listing->lines[i])) between = (long)i;
  listing_note(s->listing, load, NOTE_SPLIT, (long)store,
               "loads %s, which is stored again at +0x%" PRIx64
               ": what others write in between is lost; by a switch here, and by other workers",
               what, to);
  listing_note(s->listing, store, NOTE_SPLIT, (long)load,
               "stores to %s what comes from the load at +0x%" PRIx64 "%s", what, from,
               between == NOWHERE ? "" : ": and the call in between may park");
  free(what);
}

static void note_shared(struct state *s, size_t i, const struct key *key) {
  char *what = describe(s, key, i);
  listing_note(s->listing, i, NOTE_SHARED, NOWHERE,
               "reads and writes %s in one plain instruction: no switch can split it, but another worker can",
               what);
  free(what);
}

static void note_atomic(struct state *s, size_t i) {
  if (!s->notes) return;
  const char *text = s->listing->lines[i].effect.atomic == ATOMIC_EXCLUSIVE
                         ? "atomic: half of a pair whose store fails if anything came between, a switch too"
                         : "atomic: neither a switch nor another worker can split it";
  listing_note(s->listing, i, NOTE_ATOMIC, NOWHERE, "%s", text);
}

/* ---- An instruction --------------------------------------------------------------------------------------------------------------- */

/* The name of the symbol whose address the loader has put there, or NULL. */
static const char *symbol_behind(const struct state *s, const struct key *key) {
  bool fixed = key->base.origin == ORIGIN_ABSOLUTE && key->scale == 0;
  return fixed ? image_slot(s->listing->image, (uint64_t)key->base.offset) : NULL;
}

/* The value that is loaded. One that may be shared gets a number. */
static struct value do_load(struct state *s, size_t i, const struct key *key, bool shared) {
  const char *symbol = symbol_behind(s, key);
  if (symbol) return (struct value){.origin = ORIGIN_SYMBOL, .id = (uintptr_t)symbol};
  struct cell *cell = find_cell(s, key);
  struct value value = cell ? cell->value : unknown(i, 1);
  if (!shared) {
    if (!cell) set_cell(s, key, value);
    return value;
  }
  unsigned number = s->load_count++ % LOADS;
  uint64_t bit = UINT64_C(1) << number;
  if (s->load_count > LOADS) {
    for (int r = 0; r < REGISTERS; r++) s->registers[r].depends &= ~bit;
    for (size_t c = 0; c < s->cell_count; c++) s->cells[c].value.depends &= ~bit;
    value.depends &= ~bit;
  }
  s->loads[number] = (struct load){*key, i};
  value.depends |= bit;
  set_cell(s, key, value);
  return value;
}

static uint64_t depends_on(const struct state *s, const int *registers, int count) {
  uint64_t bits = 0;
  for (int k = 0; k < count; k++) bits |= s->registers[registers[k]].depends;
  return bits;
}

static void do_store(struct state *s, size_t i, const struct effect *e, const struct key *key, bool shared) {
  uint64_t depends = depends_on(s, e->stored, e->stores);
  long load = NOWHERE;
  for (unsigned n = 0; n < LOADS; n++)
    if ((depends >> n & 1) && same_key(&s->loads[n].key, key) && (long)s->loads[n].line > load)
      load = (long)s->loads[n].line;
  if (s->notes && shared && load != NOWHERE) note_split(s, (size_t)load, i, key);
  for (int k = 0; k < e->stores; k++) escape(s, i, &s->registers[e->stored[k]]);
  struct value value = e->stores > 0 ? s->registers[e->stored[0]] : unknown(i, 2);
  value.depends = depends;
  set_cell(s, key, value);
}

static bool reads_address_alone(const struct effect *e) {
  for (int k = 0; k < e->reads; k++)
    if (e->read[k] != e->access.base && e->read[k] != e->access.index) return false;
  return true;
}

/* What an instruction makes of what it reads: named by its bytes and by those values. */
static struct value computed(const struct state *s, const struct line *line, const struct value *loaded) {
  const struct effect *e = &line->effect;
  struct value value = {.origin = ORIGIN_UNKNOWN};
  value.id = mix(UINT64_C(0x84222325cbf29ce4), line->bytes, line->size);
  for (int k = 0; k < e->reads; k++) {
    value.id = mix_value(value.id, &s->registers[e->read[k]]);
    if (s->registers[e->read[k]].origin == ORIGIN_THREAD) value.origin = ORIGIN_THREAD;
  }
  if (loaded) value.id = mix_value(value.id, loaded);
  value.depends = depends_on(s, e->read, e->reads) | (loaded ? loaded->depends : 0);
  if (e->forgets) value.depends = 0;
  return value;
}

static void do_registers(struct state *s, const struct line *line, const struct value *loaded) {
  const struct effect *e = &line->effect;
  struct value value = computed(s, line, loaded);
  bool moved = loaded && reads_address_alone(e);
  struct value first = moved ? *loaded : value;
  first.depends = value.depends;
  if (e->derivation == DERIVED_SUM) first = plus(s->registers[e->from], e->constant);
  if (e->derivation == DERIVED_THREAD) first = (struct value){.origin = ORIGIN_THREAD};
  if (e->derivation == DERIVED_CONSTANT)
    first = (struct value){.origin = ORIGIN_ABSOLUTE, .offset = e->constant};
  struct value base = e->adjusted ? plus(s->registers[e->adjusted], e->adjustment) : value;
  bool given = false;
  for (int k = 0; k < e->writes; k++) {
    int r = e->written[k];
    if (r == e->adjusted) continue;
    bool takes_first = e->derivation != DERIVED_OTHERWISE ? r == e->to : !given;
    s->registers[r] = takes_first ? first : plus(value, k + 1);
    given = given || takes_first;
  }
  if (e->adjusted) s->registers[e->adjusted] = base;
  if (e->derivation == DERIVED_SUM && e->to == s->convention->frame && first.origin == ORIGIN_STACK &&
      !s->has_frame) {
    s->frame = first;
    s->has_frame = true;
  }
}

static void do_call(struct state *s, size_t i) {
  const struct convention *c = s->convention;
  uint64_t depends = depends_on(s, c->arguments, c->argument_count);
  for (int k = 0; k < c->argument_count; k++) escape(s, i, &s->registers[c->arguments[k]]);
  for (int k = 0; k < c->clobbered_count; k++) {
    s->registers[c->clobbered[k]] = unknown(i, 1000 + (uint64_t)k);
    s->registers[c->clobbered[k]].depends = depends;
  }
}

static void do_instruction(struct state *s, size_t i) {
  const struct line *line = &s->listing->lines[i];
  const struct effect *e = &line->effect;
  if (e->atomic != ATOMIC_NOT) note_atomic(s, i);
  struct key key = e->access.mode ? key_of(s, &e->access) : (struct key){0};
  bool shared = e->access.mode && may_be_shared(s, &e->access, &key);
  struct value loaded = unknown(i, 3);
  bool both = e->access.mode == (ACCESS_LOAD | ACCESS_STORE), plain = e->atomic == ATOMIC_NOT;
  if (both && plain && shared && s->notes) note_shared(s, i, &key);
  if (e->access.mode == ACCESS_LOAD && plain) loaded = do_load(s, i, &key, shared);
  if (e->access.mode == ACCESS_STORE && plain) do_store(s, i, e, &key, shared);
  if (e->access.mode & ACCESS_STORE && (both || !plain)) set_cell(s, &key, unknown(i, 4));
  if (e->flow == FLOW_CALL)
    do_call(s, i);
  else
    do_registers(s, line, e->access.mode & ACCESS_LOAD ? &loaded : NULL);
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------------------------- */

static void begin_block(struct state *s, size_t i) {
  int stack = s->convention->stack, frame = s->convention->frame;
  if (i > 0 && !s->entered) {
    s->stack = s->registers[stack].origin == ORIGIN_STACK ? s->registers[stack].offset : 0;
    s->entered = true;
  }
  for (int r = 0; r < REGISTERS; r++) s->registers[r] = unknown(i, 2000 + (uint64_t)r);
  s->registers[stack] = (struct value){.origin = ORIGIN_STACK, .offset = i > 0 ? s->stack : 0};
  if (s->has_frame && i > 0) s->registers[frame] = s->frame;
  s->cell_count = 0;
  s->load_count = 0;
  memset(s->loads, 0, sizeof s->loads);
}

static void run_through(struct state *s, bool notes) {
  s->notes = notes;
  for (size_t i = 0; i < s->listing->count; i++) {
    if (i == 0 || s->listing->lines[i].leader) begin_block(s, i);
    if (s->listing->lines[i].cs)
      do_instruction(s, i);
    else if (s->listing->lines[i].effect.atomic != ATOMIC_NOT)
      note_atomic(s, i);
  }
}

void note_memory(struct listing *listing) {
  struct state *s = need_memory(calloc(1, sizeof *s));
  s->listing = listing;
  s->convention = machine_convention(listing->image);
  run_through(s, false);
  run_through(s, true);
  free(s);
}
