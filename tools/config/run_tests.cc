#include "tools/config/run_tests.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "shm/json_text.h"
#include "shm/value_json.h"
#include "tools/config/catalog_builder.h"
#include "tools/config/json_value.h"
#include "workers/features/feature_set.h"

namespace deja {
namespace {

bool matches(const TomlValue& expected, const TomlValue& seen);

bool is_number(const TomlValue& value) {
  return value.kind == TomlKind::kInteger || value.kind == TomlKind::kNumber;
}

bool is_text(const TomlValue& value) {
  return value.kind == TomlKind::kText || value.kind == TomlKind::kTime;
}

bool matches_table(const TomlValue& expected, const TomlValue& seen) {
  if (seen.kind != TomlKind::kTable || expected.entries.empty() != seen.entries.empty()) {
    return false;
  }
  return std::all_of(expected.entries.begin(), expected.entries.end(), [&](const TomlEntry& entry) {
    const TomlValue* member = seen.find(entry.key);
    return member != nullptr && matches(entry.value, *member);
  });
}

bool matches(const TomlValue& expected, const TomlValue& seen) {
  if (is_number(expected)) {
    const double scale = std::max({1.0, std::abs(expected.number), std::abs(seen.number)});
    return is_number(seen) && std::abs(expected.number - seen.number) <= 1e-9 * scale;
  }
  if (is_text(expected)) return is_text(seen) && expected.text == seen.text;
  if (expected.kind == TomlKind::kTable) return matches_table(expected, seen);
  if (expected.kind != seen.kind) return false;
  if (expected.kind == TomlKind::kBool) return expected.truth == seen.truth;
  return std::equal(expected.elements.begin(), expected.elements.end(), seen.elements.begin(),
                    seen.elements.end(), matches);
}

void append_json(std::string& out, const TomlValue& value) {
  switch (value.kind) {
    case TomlKind::kText:
    case TomlKind::kTime:
      append_json_text(out, value.text);
      break;
    case TomlKind::kInteger:
    case TomlKind::kNumber:
      append_json_number(out, value.number);
      break;
    case TomlKind::kBool:
      out.append(value.truth ? "true" : "false");
      break;
    case TomlKind::kArray:
      out.append("[");
      for (std::size_t at = 0; at < value.elements.size(); ++at) {
        out.append(at == 0 ? "" : ",");
        append_json(out, value.elements[at]);
      }
      out.append("]");
      break;
    case TomlKind::kTable:
      if (value.entries.empty()) {
        out.append("null");
        break;
      }
      for (std::size_t at = 0; at < value.entries.size(); ++at) {
        out.append(at == 0 ? "{" : ",");
        append_json_text(out, value.entries[at].key);
        out.append(":");
        append_json(out, value.entries[at].value);
      }
      out.append("}");
      break;
  }
}

/// Events and a frame in private memory, used again for each test.
class TestRunner {
 public:
  explicit TestRunner(const FeatureSet& features)
      : features_(features), event_(features.root_of_slot()) {}

  TestOutcome run(const Config& config, const TestConfig& test) {
    // Words, so that the frame is aligned; zero bytes are a new profile.
    frame_.assign(features_.frame_bytes() / sizeof(std::uint64_t) + 1, 0);
    auto* frame = reinterpret_cast<std::uint8_t*>(frame_.data());
    for (const SentEvent& sent : test.send) {
      if (sent.user != test.user) continue;  // another's profile: nothing is expected of it
      fill(sent, test.user);
      for (std::uint32_t times = 0; times < sent.count; ++times) {
        (void)features_.apply(event_, frame);
      }
    }
    TestOutcome outcome{test.name, test.place.line, {}};
    for (const ExpectedValue& expectation : test.expect) {
      const FeatureSpec& spec = features_.specs()[expectation.feature];
      std::string seen;
      append_feature_json(seen, spec, frame + spec.offset, test.at_us);
      if (matches_json(expectation.value, seen)) continue;
      outcome.mismatches.push_back(
          {config.features[expectation.feature].name, json_of(expectation.value), std::move(seen)});
    }
    return outcome;
  }

 private:
  void fill(const SentEvent& sent, const std::string& user) {
    event_.values.clear();
    event_.received_us = sent.at_us;
    event_.time_us = sent.at_us;
    event_.kinds = sent.kinds;
    event_.key = {KeyNamespace::kUser, user.data(), static_cast<std::uint32_t>(user.size())};
    for (const SentValue& from : sent.values) {
      const Value value{from.kind, from.number, from.text.data(),
                        static_cast<std::uint32_t>(from.text.size())};
      CHECK(event_.values.set(from.slot, from.element, value));  // checked when it was loaded
    }
  }

  const FeatureSet& features_;
  Event event_;
  std::vector<std::uint64_t> frame_;
};

}  // namespace

bool matches_json(const TomlValue& expected, const std::string& seen) {
  const std::optional<TomlValue> value = parse_json(seen);
  return value.has_value() && matches(expected, *value);
}

std::string json_of(const TomlValue& value) {
  std::string text;
  append_json(text, value);
  return text;
}

Result<std::vector<TestOutcome>> run_tests(const Config& config) {
  const kj::Array<capnp::word> words = build_catalog(config);
  capnp::FlatArrayMessageReader message(words.asPtr());
  const Result<FeatureSet> features = FeatureSet::compile(message.getRoot<schema::Catalog>());
  if (!features) return features.error();
  TestRunner runner(features.value());
  std::vector<TestOutcome> outcomes;
  for (const TestConfig& test : config.tests) outcomes.push_back(runner.run(config, test));
  return outcomes;
}

}  // namespace deja
