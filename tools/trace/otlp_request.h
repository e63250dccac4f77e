// Stories as the body of an OTLP/HTTP request: an ExportTraceServiceRequest in the JSON of
// OpenTelemetry's protocol 1.x (opentelemetry-proto, docs/specification.md, "JSON Protobuf
// Encoding": ids in hexadecimal, 64-bit integers as decimal strings, enumerations as numbers).
// Pure; any thread.
//
// An event is a trace of its own, or, where its client named one, a part of that: one span "event"
// from its receipt to the last that is known of it, child of the client's span, and a child of it
// for each stage, from the stage before to its own time.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "tools/trace/story.h"

namespace deja {

/// Who sends: resource attributes.
struct OtlpResource {
  std::string appliance;  ///< service.instance.id; service.name is "deja"
  std::string host;       ///< host.name
};

[[nodiscard]] std::string otlp_request(std::span<const Story> stories,
                                       const OtlpResource& resource);

/// How many spans a story makes in it.
[[nodiscard]] std::size_t span_count_of(const Story& story);

}  // namespace deja
