// From the JSON text of one event to an Extraction, in one strict pass (simdjson On-Demand; its
// home): every member is visited in document order, with the declared paths walked beside it, so a
// fault anywhere in an event refuses it, whether or not anybody wanted that member. One per ingest
// thread; that thread only. Allocates in the constructor alone.
//
// What JSON leaves open is decided as JavaScript's JSON.parse does: of members named twice the last
// one counts, with everything below it. Integers beyond 2^53 become the nearest double, except that
// an id keeps its digits.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/extraction.h"
#include "ingest/path_trie.h"

namespace deja {

/// Bytes that must be readable (not: meaningful) behind every text given to the extractor.
inline constexpr std::uint32_t kJsonPaddingBytes = 64;

/// Whether every byte of the text is part of valid UTF-8: simdjson's, which is the fastest for
/// whole bodies; utf8.h is for short texts.
[[nodiscard]] bool is_utf8_document(std::string_view text);

class JsonExtractor {
 public:
  /// `slot_count`, `key_bytes_max`: of the catalog. `paths` outlives the extractor.
  JsonExtractor(const PathTrie& paths, std::uint32_t slot_count, std::uint32_t key_bytes_max);
  ~JsonExtractor();

  /// Takes what a batch says for all its events: every member of `document` but batch and writeKey.
  /// `document` has passed scan_document(). False: `refusal` says why the batch can't be taken.
  /// `batch`: the batch's text where that is known, to be passed over without a look.
  [[nodiscard]] bool share(std::string_view document, Refusal& refusal,
                           std::string_view batch = {});
  /// The events that follow belong to no batch.
  void share_nothing();

  /// Fills `into` from one event, whose structure has passed scan_value(). `route` is what the URL
  /// says the event is; kNone: its own "type" does. Views are valid until the next call. False:
  /// `refusal` says why not.
  [[nodiscard]] bool extract(std::string_view event, CallType route, Extraction& into,
                             Refusal& refusal);

 private:
  struct Walk;
  std::unique_ptr<Walk> walk_;    // over an event
  std::unique_ptr<Walk> shared_;  // over the members of a batch that its events share
  std::unique_ptr<Extraction> shared_values_;
  std::string shared_text_;
  bool sharing_ = false;
  std::uint32_t key_bytes_max_;
  std::vector<std::uint32_t> slot_marks_;  // slot_marks_[s] == mark_: this event has slot s
  std::uint32_t mark_ = 0;
  std::array<std::array<char, 32>, 5> id_texts_;  // ids that were written as numbers
};

}  // namespace deja
