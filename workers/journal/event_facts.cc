#include "workers/journal/event_facts.h"

#include <capnp/message.h>

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

}  // namespace deja
