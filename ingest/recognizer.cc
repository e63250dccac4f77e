#include "ingest/recognizer.h"

#include <bit>

namespace deja {
namespace {

constexpr std::size_t kKindsMax = 64;

CallType call_of(schema::Call call) {
  switch (call) {
    case schema::Call::TRACK:
      return CallType::kTrack;
    case schema::Call::PAGE:
      return CallType::kPage;
    case schema::Call::SCREEN:
      return CallType::kScreen;
    case schema::Call::GROUP:
      return CallType::kGroup;
    case schema::Call::IDENTIFY:
      return CallType::kIdentify;
  }
  return CallType::kNone;
}

}  // namespace

const char* call_name(CallType call) {
  switch (call) {
    case CallType::kTrack:
      return "track";
    case CallType::kPage:
      return "page";
    case CallType::kScreen:
      return "screen";
    case CallType::kGroup:
      return "group";
    case CallType::kIdentify:
      return "identify";
    case CallType::kAlias:
      return "alias";
    case CallType::kNone:
      break;
  }
  return "none";
}

Recognizer::Recognizer(schema::Catalog::Reader catalog) {
  const auto events = catalog.getEvents();
  const std::size_t count = events.size() < kKindsMax ? events.size() : kKindsMax;
  entries_.resize(std::bit_ceil(4 * count + 4));
  mask_ = entries_.size() - 1;
  kinds_of_slot_.resize(catalog.getSlots().size());
  const auto takes_any = [](schema::EventKind::Reader event) {
    return event.getCall() == schema::Call::IDENTIFY || event.getMatch() == "*";
  };
  for (std::uint32_t kind = 0; kind < count; ++kind) {
    const auto event = events[kind];
    const std::uint64_t bit = std::uint64_t{1} << kind;
    const CallType call = call_of(event.getCall());
    if (call != CallType::kNone && takes_any(event)) any_[static_cast<std::size_t>(call)] |= bit;
    for (const auto field : event.getFields()) {
      if (field.getSlot() < kinds_of_slot_.size()) kinds_of_slot_[field.getSlot()] |= bit;
    }
  }
  for (std::uint32_t kind = 0; kind < count; ++kind) {
    const auto event = events[kind];
    const CallType call = call_of(event.getCall());
    if (call == CallType::kNone || takes_any(event)) continue;
    add(call, {event.getMatch().begin(), event.getMatch().size()}, std::uint64_t{1} << kind);
  }
}

void Recognizer::add(CallType call, std::string_view name, std::uint64_t kind) {
  if (name.size() > name_bytes_max_) name_bytes_max_ = name.size();
  const std::uint64_t hash = hash_of(call, name);
  std::size_t at = hash & mask_;
  while (entries_[at].kinds != 0 && (entries_[at].call != call || entries_[at].name != name)) {
    at = (at + 1) & mask_;
  }
  Entry& entry = entries_[at];
  if (entry.kinds == 0) {
    entry.kinds = any_[static_cast<std::size_t>(call)];
    entry.hash = hash;
    entry.call = call;
    entry.name = name;
  }
  entry.kinds |= kind;
}

std::vector<std::string_view> Recognizer::names_of(CallType call) const {
  std::vector<std::string_view> names;
  for (const Entry& entry : entries_) {
    if (entry.kinds != 0 && entry.call == call) names.push_back(entry.name);
  }
  return names;
}

}  // namespace deja
