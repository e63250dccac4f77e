#include "workers/journal/event_translation.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <cstring>

#include "ring/event_record.capnp.h"
#include "shm/catalog.capnp.h"

namespace deja {
namespace {

std::vector<capnp::word> aligned(std::string_view bytes) {
  std::vector<capnp::word> words(bytes.size() / sizeof(capnp::word));
  if (!words.empty()) {
    std::memcpy(words.data(), bytes.data(), words.size() * sizeof(capnp::word));
  }
  return words;
}

std::string_view view(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

}  // namespace

std::optional<EventTranslation> EventTranslation::between(std::string_view from,
                                                          std::string_view to) {
  try {
    const std::vector<capnp::word> from_words = aligned(from);
    const std::vector<capnp::word> to_words = aligned(to);
    capnp::FlatArrayMessageReader from_message({from_words.data(), from_words.size()});
    capnp::FlatArrayMessageReader to_message({to_words.data(), to_words.size()});
    const auto old_catalog = from_message.getRoot<schema::Catalog>();
    const auto new_catalog = to_message.getRoot<schema::Catalog>();
    // Read once: the library counts what is read of a message, and stops at what it takes for an
    // attack.
    std::vector<std::string_view> kinds;
    for (const auto kind : new_catalog.getEvents()) kinds.push_back(view(kind.getName()));
    std::vector<std::string_view> paths;
    for (const auto slot : new_catalog.getSlots()) paths.push_back(view(slot.getPath()));
    EventTranslation made;
    for (const auto old_kind : old_catalog.getEvents()) {
      std::uint64_t bits = 0;
      for (std::size_t at = 0; at < kinds.size() && at < 64; ++at) {
        if (kinds[at] == view(old_kind.getName())) bits |= std::uint64_t{1} << at;
      }
      made.kinds_.push_back(bits);
    }
    for (const auto old_slot : old_catalog.getSlots()) {
      const auto found = std::find(paths.begin(), paths.end(), view(old_slot.getPath()));
      made.slots_.push_back(
          found == paths.end() ? kNoSlot : static_cast<std::uint16_t>(found - paths.begin()));
    }
    return made;
  } catch (const kj::Exception&) {
    return std::nullopt;
  }
}

bool EventTranslation::translate(std::vector<std::uint64_t>& words) const {
  try {
    const kj::ArrayPtr<const capnp::word> segment(
        reinterpret_cast<const capnp::word*>(words.data()), words.size());
    const kj::ArrayPtr<const capnp::word> segments[] = {segment};
    capnp::SegmentArrayMessageReader message(segments);
    const auto event = message.getRoot<schema::EventRecord>();
    std::uint64_t kinds = 0;
    for (std::size_t at = 0; at < kinds_.size() && at < 64; ++at) {
      if ((event.getKinds() >> at & 1U) != 0) kinds |= kinds_[at];
    }
    if (kinds == 0) return false;
    std::vector<schema::EventRecord::Value::Reader> kept;
    for (const auto value : event.getValues()) {
      const std::uint16_t slot = value.getSlot();
      if (slot < slots_.size() && slots_[slot] != kNoSlot) kept.push_back(value);
    }
    capnp::MallocMessageBuilder builder(static_cast<unsigned>(words.size() + 64));
    auto made = builder.initRoot<schema::EventRecord>();
    made.setReceivedUs(event.getReceivedUs());
    made.setTimeUs(event.getTimeUs());
    made.setIdLow(event.getIdLow());
    made.setIdHigh(event.getIdHigh());
    made.setKinds(kinds);
    made.setShard(event.getShard());
    made.setKeyNamespace(event.getKeyNamespace());
    made.setKey(event.getKey());
    auto values = made.initValues(static_cast<unsigned>(kept.size()));
    for (unsigned at = 0; at < values.size(); ++at) {
      values[at].setNumber(kept[at].getNumber());
      values[at].setSlot(slots_[kept[at].getSlot()]);
      values[at].setElement(kept[at].getElement());
      values[at].setKind(kept[at].getKind());
      if (kept[at].hasText()) values[at].setText(kept[at].getText());
    }
    const auto made_segments = builder.getSegmentsForOutput();
    if (made_segments.size() != 1) return false;
    const auto bytes = made_segments[0].asBytes();
    words.resize(bytes.size() / 8);
    std::memcpy(words.data(), bytes.begin(), words.size() * 8);
    return true;
  } catch (const kj::Exception&) {
    return false;
  }
}

}  // namespace deja
