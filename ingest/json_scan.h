// A strict look at the structure of a JSON text: brackets, commas, colons, and where values begin
// and end. Scalars are only delimited here; what is inside of them is for the extractor
// (ingest/json_extractor.h) to judge, event by event. So a broken number costs its event, and a
// broken structure, which leaves no telling where an event ends, costs the whole document.
// Pure functions; no allocation, no recursion.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace deja {

/// Brackets that may be open at once anywhere in a document (events have kDepthMax).
inline constexpr std::uint32_t kScanDepthMax = 512;

struct JsonCursor {
  const char* at = nullptr;
  const char* end = nullptr;
  bool too_deep = false;  ///< why a scan ended: more than kScanDepthMax brackets are open

  void skip_space() {
    while (at != end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  }
  /// Skips white space, then takes `character` if it is next.
  [[nodiscard]] bool take(char character) {
    skip_space();
    if (at == end || *at != character) return false;
    ++at;
    return true;
  }
  [[nodiscard]] bool at_end() {
    skip_space();
    return at == end;
  }
};

/// Takes one value, of any kind; `value` is its text. False when there is none that is whole: the
/// cursor then stands at the fault.
[[nodiscard]] bool scan_value(JsonCursor& cursor, std::string_view& value);
/// The same; `member_count`: elements or members of the value itself.
[[nodiscard]] bool scan_value(JsonCursor& cursor, std::string_view& value,
                              std::uint32_t& member_count);
/// Takes a string; `content` is what is between the quotes, escapes and all.
[[nodiscard]] bool scan_string(JsonCursor& cursor, std::string_view& content);

/// The members of the outermost object that decide what is done with the rest.
struct JsonEnvelope {
  std::string_view batch;         ///< the array, brackets included; empty: there is none
  std::uint32_t batch_count = 0;  ///< its elements
  std::string_view write_key;     ///< content of the string, escapes and all; empty: none
  bool has_shared = false;        ///< it has members besides batch and writeKey
};

enum class ScanOutcome : std::uint8_t {
  kObject,     ///< `envelope` is filled
  kNotObject,  ///< valid structure, but no object
  kTooDeep,    ///< read as far as kScanDepthMax open brackets, and no further
  kBroken,
};

/// Scans a whole document. Of members named twice the last one counts.
[[nodiscard]] ScanOutcome scan_document(std::string_view document, JsonEnvelope& envelope);

}  // namespace deja
