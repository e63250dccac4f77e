#include "ingest/stream_reply.h"

#include <capnp/message.h>

#include "shm/base/check.h"

namespace deja {

StreamReply::StreamReply()
    : scratch_(kScratchWords), frame_(kFrameHeaderBytes + std::size_t{kFrameBytesMax}) {}

template <typename Fill>
std::span<const std::uint8_t> StreamReply::build(Fill fill) {
  // Built in the scratch, which the builder leaves zeroed behind itself.
  capnp::MallocMessageBuilder message(
      kj::ArrayPtr<capnp::word>(reinterpret_cast<capnp::word*>(scratch_.data()), scratch_.size()));
  fill(message.initRoot<stream_schema::StreamMessage>());
  const auto segments = message.getSegmentsForOutput();
  CHECK(segments.size() == 1);
  const std::size_t words = segments[0].size();
  const auto start = frame_start(words);
  std::memcpy(frame_.data(), start.data(), sizeof start);
  std::memcpy(frame_.data() + sizeof start, segments[0].begin(), words * 8);
  return {frame_.data(), sizeof start + words * 8};
}

std::span<const std::uint8_t> StreamReply::hello(stream_schema::AckLevel level,
                                                 const char* appliance) {
  return build([&](stream_schema::StreamMessage::Builder message) {
    auto reply = message.initHelloReply();
    reply.setVersion(kStreamVersion);
    reply.setAckLevel(level);
    reply.setCreditEvents(kCreditEvents);
    reply.setCreditBytes(kCreditBytes);
    reply.setBatchEventsMax(kBatchEventsMax);
    reply.setFrameBytesMax(kFrameBytesMax);
    reply.setAppliance(appliance);
  });
}

std::span<const std::uint8_t> StreamReply::ack(std::uint64_t sequence,
                                               stream_schema::AckLevel level, const char* token,
                                               std::span<const StreamReject> rejects) {
  return build([&](stream_schema::StreamMessage::Builder message) {
    auto ack = message.initAck();
    ack.setSequence(sequence);
    ack.setAckLevel(level);
    if (*token != '\0') ack.setToken(token);
    if (rejects.empty()) return;
    auto list = ack.initRejects(static_cast<unsigned>(rejects.size()));
    for (unsigned at = 0; at < list.size(); ++at) {
      list[at].setIndex(rejects[at].index);
      list[at].setRetry(rejects[at].retry);
      list[at].setCode(rejects[at].refusal.code);
      list[at].setMessage(rejects[at].refusal.message);
      list[at].setPath(rejects[at].refusal.path);
    }
  });
}

std::span<const std::uint8_t> StreamReply::error(const char* error_code, const char* message) {
  return build([&](stream_schema::StreamMessage::Builder root) {
    auto error = root.initError();
    error.setCode(error_code);
    error.setMessage(message);
  });
}

}  // namespace deja
