#include "workers/features/definition_hash.h"

#include <algorithm>
#include <bit>
#include <string>
#include <string_view>
#include <vector>

#include "shm/columns/column_size.h"
#include "shm/columns/item_hash.h"

namespace deja {
namespace {

void add_number(std::string& bytes, std::uint64_t number) {
  for (unsigned shift = 0; shift < 64; shift += 8) {
    bytes += static_cast<char>((number >> shift) & 0xFFU);
  }
}

/// With its length, so that no two lists of texts look the same.
void add_text(std::string& bytes, std::string_view text) {
  add_number(bytes, text.size());
  bytes.append(text);
}

std::string_view view(capnp::Text::Reader text) {
  return {text.cStr(), text.size()};
}

bool in_name(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
         (letter >= '0' && letter <= '9') || letter == '_' || letter == '.';
}

/// True when `name` is a word of the expression. A word of a quoted text counts too: that keeps too
/// little, never the wrong thing.
bool mentions(std::string_view expression, std::string_view name) {
  for (std::size_t at = 0; at < expression.size();) {
    std::size_t end = at;
    while (end < expression.size() && in_name(expression[end])) ++end;
    if (end > at && expression.substr(at, end - at) == name) return true;
    at = end + 1;
  }
  return false;
}

std::string source_bytes(schema::Feature::Reader feature, schema::Feature::Source::Reader source,
                         schema::Catalog::Reader catalog) {
  std::string bytes;
  add_number(bytes, std::bit_cast<std::uint64_t>(source.getWeight()));
  if (source.getEvent() >= catalog.getEvents().size()) return bytes;
  const schema::EventKind::Reader kind = catalog.getEvents()[source.getEvent()];
  add_text(bytes, view(kind.getName()));
  add_number(bytes, static_cast<std::uint64_t>(kind.getCall()));
  add_text(bytes, view(kind.getMatch()));
  std::vector<std::string> fields;
  for (const schema::EventKind::Field::Reader field : kind.getFields()) {
    const std::string_view name = view(field.getName());
    if (!mentions(view(feature.getOf()), name) && !mentions(view(feature.getWhere()), name)) {
      continue;
    }
    std::string described;
    add_text(described, name);
    if (field.getSlot() < catalog.getSlots().size()) {
      add_text(described, view(catalog.getSlots()[field.getSlot()].getPath()));
    }
    fields.push_back(std::move(described));
  }
  std::sort(fields.begin(), fields.end());
  for (const std::string& field : fields) add_text(bytes, field);
  return bytes;
}

}  // namespace

std::uint64_t definition_hash(schema::Feature::Reader feature, schema::Catalog::Reader catalog) {
  std::string bytes;
  add_number(bytes, kColumnLayoutVersion);
  add_number(bytes, static_cast<std::uint64_t>(feature.getType()));
  add_number(bytes, static_cast<std::uint64_t>(feature.getWindowUs()));
  add_number(bytes, feature.getPanes());
  add_number(bytes, feature.getTumbling() ? 1 : 0);
  add_number(bytes, feature.getKeep());
  add_number(bytes, feature.getTrack());
  add_number(bytes, feature.getTextBytes());
  add_number(bytes, static_cast<std::uint64_t>(feature.getHalfLifeUs()));
  add_number(bytes, static_cast<std::uint64_t>(feature.getGapUs()));
  add_text(bytes, view(feature.getOf()));
  add_text(bytes, view(feature.getWhere()));
  std::vector<std::string> sources;
  for (const schema::Feature::Source::Reader source : feature.getSources()) {
    sources.push_back(source_bytes(feature, source, catalog));
  }
  std::sort(sources.begin(), sources.end());
  for (const std::string& source : sources) add_text(bytes, source);
  return columns::item_hash(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

}  // namespace deja
