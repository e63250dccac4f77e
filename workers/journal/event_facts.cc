#include "workers/journal/event_facts.h"

#include <capnp/message.h>

#include <cstring>

#include "ring/event_record.capnp.h"

namespace deja {

const char* read_event_facts(const std::uint64_t* words, std::size_t count,
                             std::uint32_t key_bytes_max, EventFacts& facts) {
  const kj::ArrayPtr<const capnp::word> segment(reinterpret_cast<const capnp::word*>(words), count);
  const kj::ArrayPtr<const capnp::word> segments[] = {segment};
  try {
    capnp::SegmentArrayMessageReader message(segments);
    const auto event = message.getRoot<schema::EventRecord>();
    const auto bytes = event.getKey();
    if (bytes.size() == 0 || bytes.size() > key_bytes_max) return "a key of an impossible size";
    if (event.getKeyNamespace() > static_cast<std::uint8_t>(KeyNamespace::kAnonymous)) {
      return "an unknown key namespace";
    }
    facts.key = {static_cast<KeyNamespace>(event.getKeyNamespace()),
                 reinterpret_cast<const char*>(bytes.begin()),
                 static_cast<std::uint32_t>(bytes.size())};
    facts.id_low = event.getIdLow();
    facts.id_high = event.getIdHigh();
    facts.shard = event.getShard();
    return nullptr;
  } catch (const kj::Exception&) {
    return "an event that is not an event record";
  }
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
