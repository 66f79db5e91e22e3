/* Debug info: from an address to a line of the program's own source.
 *
 * The line of an instruction is where the program has it. thrum's headers have inline paths: what lies in such a path, however
 * deep, counts for the line that calls it, and the function of thrum that was called is named. */
#include "dis.h"

#include <dwarf.h>
#include <string.h>

const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* ---- The unit and the function ------------------------------------------------------------------------------------------ */

static bool next_unit(Dwarf *dwarf, Dwarf_Off *offset, Dwarf_Die *unit) {
  Dwarf_Off next;
  size_t header;
  if (dwarf_nextcu(dwarf, *offset, &next, &header, NULL, NULL, NULL) != 0) return false;
  bool good = dwarf_offdie(dwarf, *offset + header, unit) != NULL;
  *offset = next;
  return good;
}

/* The function's tree below a unit, in C++ within namespaces and classes. */
static bool find_function(Dwarf_Die *parent, uint64_t address, Dwarf_Die *out, int depth) {
  Dwarf_Die child;
  if (depth > 16 || dwarf_child(parent, &child) != 0) return false;
  do {
    int tag = dwarf_tag(&child);
    if (tag == DW_TAG_subprogram) {
      if (dwarf_haspc(&child, address) != 1) continue;
      *out = child;
      return true;
    }
    bool may_hold = tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type;
    if (may_hold && find_function(&child, address, out, depth + 1)) return true;
  } while (dwarf_siblingof(&child, &child) == 0);
  return false;
}

/* Not by .debug_aranges, which clang does not write. */
void places_begin(struct place_finder *finder, const struct image *image, uint64_t address) {
  *finder = (struct place_finder){0};
  Dwarf_Off offset = 0;
  while (image->dwarf && !finder->has_unit && next_unit(image->dwarf, &offset, &finder->unit))
    finder->has_unit = dwarf_haspc(&finder->unit, address) == 1;
  if (finder->has_unit) finder->has_function = find_function(&finder->unit, address, &finder->function, 0);
}

const char *places_directory(struct place_finder *finder) {
  Dwarf_Attribute attribute;
  if (!finder->has_unit || !dwarf_attr(&finder->unit, DW_AT_comp_dir, &attribute)) return NULL;
  return dwarf_formstring(&attribute);
}

/* ---- Inlined functions ----------------------------------------------------------------------------------------------------- */

/* The child in which the address lies, of those that hold code. */
static bool step_down(Dwarf_Die *die, uint64_t address) {
  Dwarf_Die child;
  if (dwarf_child(die, &child) != 0) return false;
  do {
    int tag = dwarf_tag(&child);
    if ((tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) &&
        dwarf_haspc(&child, address) == 1) {
      *die = child;
      return true;
    }
  } while (dwarf_siblingof(&child, &child) == 0);
  return false;
}

static int number_of(Dwarf_Die *die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value;
  if (!dwarf_attr(die, name, &attribute) || dwarf_formudata(&attribute, &value) != 0) return 0;
  return value > INT32_MAX ? 0 : (int)value;
}

static const char *call_file(struct place_finder *finder, Dwarf_Die *die) {
  Dwarf_Files *files;
  size_t count;
  int number = number_of(die, DW_AT_call_file);
  if (dwarf_getsrcfiles(&finder->unit, &files, &count) != 0 || number < 0 || (size_t)number >= count)
    return NULL;
  return dwarf_filesrc(files, (size_t)number, NULL, NULL);
}

static const char *inlined_name(Dwarf_Die *die) {
  Dwarf_Attribute attribute;
  Dwarf_Die origin;
  if (!dwarf_attr_integrate(die, DW_AT_abstract_origin, &attribute)) return NULL;
  return dwarf_formref_die(&attribute, &origin) ? dwarf_diename(&origin) : NULL;
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* Follows the inlined calls down. The place becomes that of the outermost call of thrum's. */
static void look_into_inlined(struct place_finder *finder, uint64_t address, struct place *place) {
  Dwarf_Die die = finder->function;
  bool in_thrum = false;
  for (int depth = 0; depth < 64 && step_down(&die, address); depth++) {
    const char *name = dwarf_tag(&die) == DW_TAG_inlined_subroutine ? inlined_name(&die) : NULL;
    if (!name || (!begins(name, "thrum_") && !begins(name, "thrumi_"))) continue;
    if (!in_thrum) {
      place->file = call_file(finder, &die);
      place->line = number_of(&die, DW_AT_call_line);
      in_thrum = true;
    }
    if (!place->inlined && begins(name, "thrum_")) place->inlined = name;
  }
}

struct place places_at(struct place_finder *finder, uint64_t address) {
  struct place place = {0};
  if (!finder->has_unit) return place;
  Dwarf_Line *line = dwarf_getsrc_die(&finder->unit, address);
  if (line) {
    place.file = dwarf_linesrc(line, NULL, NULL);
    if (dwarf_lineno(line, &place.line) != 0) place.line = 0;
  }
  if (finder->has_function) look_into_inlined(finder, address, &place);
  return place;
}
