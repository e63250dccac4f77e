#include "workers/journal/event_facts.h"

#include <capnp/message.h>

#include <cstring>

#include "ring/event_record.capnp.h"
#include "workers/event_record_view.h"

namespace deja {

namespace {

const char* checked(const EventFacts& facts, std::uint8_t name_space, std::uint32_t key_bytes_max) {
  if (facts.key.size == 0 || facts.key.size > key_bytes_max) return "a key of an impossible size";
  if (name_space > static_cast<std::uint8_t>(KeyNamespace::kAnonymous)) {
    return "an unknown key namespace";
  }
  return nullptr;
}

/// Cap'n Proto's own reader, which knows every layout, for five times the instructions.
const char* read_any_layout(const std::uint64_t* words, std::size_t count,
                            std::uint32_t key_bytes_max, EventFacts& facts) {
  const kj::ArrayPtr<const capnp::word> segment(reinterpret_cast<const capnp::word*>(words), count);
  const kj::ArrayPtr<const capnp::word> segments[] = {segment};
  try {
    capnp::SegmentArrayMessageReader message(segments);
    const auto event = message.getRoot<schema::EventRecord>();
    const auto bytes = event.getKey();
    facts.key = {static_cast<KeyNamespace>(event.getKeyNamespace()),
                 reinterpret_cast<const char*>(bytes.begin()),
                 static_cast<std::uint32_t>(bytes.size())};
    facts.id_low = event.getIdLow();
    facts.id_high = event.getIdHigh();
    facts.shard = event.getShard();
    return checked(facts, event.getKeyNamespace(), key_bytes_max);
  } catch (const kj::Exception&) {
    return "an event that is not an event record";
  }
}

}  // namespace

const char* read_event_facts(const std::uint64_t* words, std::size_t count,
                             std::uint32_t key_bytes_max, EventFacts& facts) {
  constexpr std::size_t kWordsMax = 1U << 28U;  // their bytes in 32 bits
  if (count >= kWordsMax) return "an event that is not an event record";
  const event_record::UsualLayout event(words, static_cast<std::uint32_t>(count * 8));
  if (!event.usual()) return read_any_layout(words, count, key_bytes_max, facts);
  const auto name_space = event.get<std::uint8_t>(event_record::kKeyNamespace);
  const capnp_view::Text key = event.key();
  facts.key = {static_cast<KeyNamespace>(name_space), key.data, key.size};
  facts.id_low = event.get<std::uint64_t>(event_record::kIdLow);
  facts.id_high = event.get<std::uint64_t>(event_record::kIdHigh);
  facts.shard = event.get<std::uint32_t>(event_record::kShard);
  return checked(facts, name_space, key_bytes_max);
}

bool move_event(std::vector<std::uint64_t>& words, std::uint32_t shard) {
  try {
    const kj::ArrayPtr<const capnp::word> segment(
        reinterpret_cast<const capnp::word*>(words.data()), words.size());
    const kj::ArrayPtr<const capnp::word> segments[] = {segment};
    capnp::SegmentArrayMessageReader message(segments);
    capnp::MallocMessageBuilder builder(static_cast<unsigned>(words.size() + 64));
    builder.setRoot(message.getRoot<schema::EventRecord>());
    builder.getRoot<schema::EventRecord>().setShard(shard);
    const auto moved = builder.getSegmentsForOutput();
    if (moved.size() != 1) return false;
    const auto bytes = moved[0].asBytes();
    words.resize(bytes.size() / 8);
    std::memcpy(words.data(), bytes.begin(), words.size() * 8);
    return true;
  } catch (const kj::Exception&) {
    return false;
  }
}

}  // namespace deja
