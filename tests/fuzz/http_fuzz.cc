// HTTP: an input is what one client sends. It is given to a connection whole, and again in pieces
// with the loop's passes in between: the answers must be the same. A third run meets rings that are
// full now and then, or an appliance that wants a write key.
//
// Whatever was sent: what comes back is whole answers of HTTP with JSON in them, every event ends
// in one counter, as many are rejected as are said to be, and the workers understand every record.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ingest/http_connection.h"
#include "ingest/refusal_codes.h"
#include "ingest/segment_api.h"
#include "tests/fuzz/is_json.h"
#include "tests/fuzz/sink_world.h"
#include "tests/ingest/http/http_client.h"

namespace deja::fuzz {
namespace {

constexpr std::uint32_t kPassesMax = 1000;

/// Reads answers, with no doubt left: all of `bytes` are whole ones.
std::vector<ReadAnswer> strictly_read(std::string_view bytes) {
  std::vector<ReadAnswer> answers;
  while (!bytes.empty()) {
    const std::size_t head = bytes.find("\r\n\r\n");
    CHECK(head != std::string_view::npos);
    const std::vector<ReadAnswer> one = read_answers(bytes.substr(0, head + 4), true);
    CHECK(one.size() == 1);
    ReadAnswer answer = one[0];
    CHECK(answer.status >= 100 && answer.status < 600);
    bytes.remove_prefix(head + 4);
    // A body is JSON, so that the one left out for HEAD is not taken for the answer behind it.
    if (answer.headers.contains("content-length") && bytes.starts_with("{")) {
      const auto length = std::stoul(answer.headers["content-length"]);
      CHECK(length <= bytes.size());
      answer.body = bytes.substr(0, length);
      bytes.remove_prefix(length);
      CHECK(is_json(answer.body));
    }
    answer.headers.erase("deja-token");  // names where in a ring the events lie
    if (answer.status == 100) continue;  // depends on what had arrived by then
    answers.push_back(std::move(answer));
  }
  return answers;
}

/// How many events these answers say were rejected.
std::uint64_t rejections_said(const std::vector<ReadAnswer>& answers) {
  std::uint64_t count = 0;
  for (const ReadAnswer& answer : answers) {
    const std::optional<TomlValue> body = parse_json(answer.body);
    if (!body) continue;
    const TomlValue* rejected = body->find("rejected");
    const TomlValue* error = body->find("error");
    if (rejected != nullptr) {
      count += rejected->elements.size();
    } else if (error != nullptr) {
      const std::string& code = error->find("code")->text;
      const bool of_an_event = std::find(std::begin(kIngestCodes), std::end(kIngestCodes), code) !=
                               std::end(kIngestCodes);
      count += of_an_event ? 1 : 0;
    }
  }
  return count;
}

bool same(const std::vector<ReadAnswer>& a, const std::vector<ReadAnswer>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const ReadAnswer& one, const ReadAnswer& other) {
        return one.status == other.status && one.body == other.body && one.headers == other.headers;
      });
}

class HttpWorld {
 public:
  explicit HttpWorld(std::uint64_t ring_bytes) : sink_(ring_bytes) {}

  enum class Ring { kHasRoom, kMayBeFull };
  enum class Key { kNone, kNeeded };

  /// `pieces`: cut where these dice say, else whole. In a ring that may be full the workers take a
  /// pass off now and then.
  std::vector<ReadAnswer> run(std::string_view bytes, Dice* pieces, Ring ring, Key key) {
    const bool lazy = ring == Ring::kMayBeFull;
    std::unique_ptr<SegmentApi>& api = key == Key::kNeeded ? keyed_ : open_;
    if (lazy) {
      api.reset();
      sink_.begin_anew();
    } else {
      sink_.begin();
    }
    if (api == nullptr) api = make_api(key);
    std::string sent;
    {
      HttpClient client(*api);
      std::int64_t now_us = kNowUs;
      const auto pass = [&] {
        if (lazy) {
          sink_.struggle(*pieces);
          now_us += pieces->below(20'000);
        } else {
          sink_.consume();
        }
        client.pass(now_us);
      };
      while (!bytes.empty() && !client.closed()) {
        std::size_t piece = bytes.size();
        if (pieces != nullptr) {
          const std::uint32_t longest = pieces->below(4) == 0 ? 4096 : 48;
          piece = std::min<std::size_t>(1 + pieces->below(longest), bytes.size());
        }
        (void)client.send(bytes.substr(0, piece));
        bytes.remove_prefix(piece);
        if (pieces != nullptr && pieces->below(2) == 0) pass();
      }
      for (std::uint32_t passes = 0; client.busy() && !client.closed(); ++passes) {
        CHECK(passes < kPassesMax);
        pass();
      }
      if (!client.closed()) (void)client.end();
      for (std::uint32_t passes = 0; client.busy() && !client.closed(); ++passes) {
        CHECK(passes < kPassesMax);
        pass();
      }
      sent = client.bytes();
    }
    sink_.consume();
    sink_.check_counters();
    std::vector<ReadAnswer> answers = strictly_read(sent);
    if (!lazy) CHECK(rejections_said(answers) == sink_.rejected());
    return answers;
  }

 private:
  std::unique_ptr<SegmentApi> make_api(Key key) {
    SegmentApiOptions options;
    options.sink = &sink_.appliance().sink();
    options.paths = &sink_.paths();
    options.process = &sink_.appliance().process();
    options.slot_count = sink_.appliance().segment().catalog().getSlots().size();
    options.key_bytes_max = 40;
    options.full_ring_wait_us = 50'000;
    if (key == Key::kNeeded) options.write_keys = {"key-1"};
    return std::make_unique<SegmentApi>(options);
  }

  SinkWorld sink_;
  std::unique_ptr<SegmentApi> open_;
  std::unique_ptr<SegmentApi> keyed_;
};

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deja::fuzz;
  static HttpWorld roomy(1U << 20U);
  static HttpWorld narrow(4096);
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Dice dice({data, size});
  using World = HttpWorld;
  const auto whole = roomy.run(bytes, nullptr, World::Ring::kHasRoom, World::Key::kNone);
  const auto in_pieces = roomy.run(bytes, &dice, World::Ring::kHasRoom, World::Key::kNone);
  CHECK(same(whole, in_pieces));
  if (dice.below(4) == 0) {
    (void)narrow.run(bytes, &dice, World::Ring::kMayBeFull, World::Key::kNone);
  } else {
    (void)roomy.run(bytes, &dice, World::Ring::kHasRoom, World::Key::kNeeded);
  }
  return 0;
}
