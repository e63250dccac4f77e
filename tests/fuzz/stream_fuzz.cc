// The stream: an input is what one client sends, frames and all. It is given to a handler whole,
// and again in pieces with the loop's passes in between: the answers must be the same. A third run
// meets rings that are full now and then.
//
// Whatever was sent: what comes back is whole frames that the Cap'n Proto library reads, an error
// is the last of them, acks come in the order of the batches, every event ends in one counter, and
// the workers understand every record.
#include <memory>
#include <string>
#include <vector>

#include "tests/fuzz/sink_world.h"
#include "tests/ingest/stream/stream_harness.h"

namespace deja::fuzz {
namespace {

constexpr std::uint32_t kPassesMax = 1000;
using Which = stream_schema::StreamMessage::Which;

void check_order(const std::vector<Answer>& answers) {
  std::uint64_t sequence = 0;
  bool any_ack = false;
  for (std::size_t at = 0; at < answers.size(); ++at) {
    const Answer& answer = answers[at];
    CHECK(answer.which == Which::HELLO_REPLY || answer.which == Which::ACK ||
          answer.which == Which::ERROR);
    CHECK((answer.which == Which::HELLO_REPLY) == (at == 0) || answer.which == Which::ERROR);
    CHECK(answer.which != Which::ERROR || at + 1 == answers.size());
    if (answer.which != Which::ACK) continue;
    CHECK(!any_ack || answer.sequence > sequence);
    any_ack = true;
    sequence = answer.sequence;
  }
}

/// Of a connection that ends in an error the acks that came before it depend on when it came.
std::vector<Answer> comparable(std::vector<Answer> answers) {
  if (!answers.empty() && answers.back().which == Which::ERROR) {
    std::erase_if(answers, [](const Answer& answer) { return answer.which == Which::ACK; });
  }
  return answers;
}

/// So do the credits: with acks in between more may be sent.
bool over_credit(const std::vector<Answer>& answers) {
  return !answers.empty() && answers.back().code == stream_error::kOverCredit;
}

bool same(const std::vector<Answer>& a, const std::vector<Answer>& b) {
  const auto same_reject = [](const SeenReject& one, const SeenReject& other) {
    return one.index == other.index && one.retry == other.retry && one.code == other.code &&
           one.path == other.path;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](const Answer& one, const Answer& other) {
                      return one.which == other.which && one.sequence == other.sequence &&
                             one.token.empty() == other.token.empty() && one.code == other.code &&
                             std::equal(one.rejects.begin(), one.rejects.end(),
                                        other.rejects.begin(), other.rejects.end(), same_reject);
                    });
}

class StreamWorld {
 public:
  explicit StreamWorld(std::uint64_t ring_bytes) : sink_(ring_bytes) {}

  /// `pieces`: cut where these dice say, else whole. `lazy`: workers take a pass off now and then,
  /// so that rings fill.
  std::vector<Answer> run(std::span<const std::uint8_t> bytes, Dice* pieces, bool lazy) {
    if (lazy) {
      factory_.reset();
      sink_.begin_anew();
    } else {
      sink_.begin();
    }
    if (factory_ == nullptr) factory_ = make_factory();
    const std::unique_ptr<ConnectionHandler> handler = factory_->make_handler();
    CollectedOutput output;
    handler->on_open(output);
    Next last = Next::kReceive;
    const auto closed = [&] { return last == Next::kClose || last == Next::kAbort; };
    std::int64_t now_us = kNowUs;
    const auto pass = [&] {
      if (lazy) {
        sink_.struggle(*pieces);
        now_us += pieces->below(20'000);
      } else {
        sink_.consume();
      }
      if (!closed() && handler->busy()) last = handler->on_pass(now_us);
    };
    const auto run_dry = [&] {
      for (std::uint32_t passes = 0; handler->busy() && !closed(); ++passes) {
        CHECK(passes < kPassesMax);
        pass();
      }
    };
    while (!bytes.empty() && !closed()) {
      std::size_t piece = bytes.size();
      if (pieces != nullptr) {
        const std::uint32_t longest = pieces->below(4) == 0 ? 4096 : 64;
        piece = std::min<std::size_t>(1 + pieces->below(longest), bytes.size());
      }
      last = handler->on_receive(bytes.first(piece), now_us);
      bytes = bytes.subspan(piece);
      if (pieces != nullptr && pieces->below(2) == 0) pass();
    }
    run_dry();
    if (!closed()) last = handler->on_end();
    run_dry();
    handler->on_close();
    sink_.consume();
    sink_.check_counters();
    std::vector<Answer> answers = output.answers();
    check_order(answers);
    return answers;
  }

 private:
  std::unique_ptr<StreamFactory> make_factory() {
    SinkAppliance& appliance = sink_.appliance();
    return std::move(*StreamFactory::make(appliance.segment(), appliance.sink(),
                                          appliance.process(), sink_.paths(), limits_));
  }

  SinkWorld sink_;
  IngestLimits limits_;
  std::unique_ptr<StreamFactory> factory_;
};

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deja::fuzz;
  static StreamWorld roomy(1U << 20U);
  static StreamWorld narrow(4096);
  const std::span<const std::uint8_t> bytes(data, size);
  Dice dice(bytes);
  const auto whole = roomy.run(bytes, nullptr, false);
  const auto in_pieces = roomy.run(bytes, &dice, false);
  CHECK(over_credit(whole) || same(comparable(whole), comparable(in_pieces)));
  if (dice.below(4) == 0) (void)narrow.run(bytes, &dice, true);
  return 0;
}
