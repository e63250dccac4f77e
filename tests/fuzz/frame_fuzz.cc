// A feature's column: an input is a feature's settings, two columns' bytes as anybody could have
// stored them, and events, merges and reads upon them. Nothing reads or writes outside of the
// columns, and every value that comes out is finite and JSON, the same when asked again.
#include "tests/fuzz/feature_world.h"
#include "workers/features/column_apply.h"

namespace deja::fuzz {
namespace {

constexpr std::uint32_t kColumnBytesMax = 8192;
constexpr std::uint32_t kStepsMax = 256;

std::int64_t time_of(Input& input) {
  switch (input.take_below(4)) {
    case 0:
      return input.take<std::int64_t>();
    case 1:
      return input.take<std::uint16_t>();
    case 2:
      return columns::kInstantLimit - input.take<std::uint16_t>();
    default:
      return 1'700'000'000'000'000 + std::int64_t{input.take<std::int32_t>()} * 1000;
  }
}

std::int64_t duration_of(Input& input) {
  switch (input.take_below(4)) {
    case 0:
      return 0;
    case 1:
      return input.take<std::uint16_t>();
    case 2:
      return columns::kDurationMaxUs - input.take<std::uint16_t>();
    default:
      return std::int64_t{input.take<std::uint32_t>()} * 1000;
  }
}

FeatureSpec spec_of(Input& input) {
  FeatureSpec spec;
  spec.type = static_cast<FeatureType>(input.take_below(13));
  spec.window_us = duration_of(input);
  spec.panes = spec.window_us == 0 ? 1 : input.take_below(65);
  spec.tumbling = spec.panes == 1 && input.take_below(2) == 1;
  spec.keep = input.take_below(20);
  spec.track = spec.keep + input.take_below(20);
  spec.text_bytes = input.take_below(260);
  spec.half_life_us = duration_of(input);
  spec.gap_us = duration_of(input);
  return spec;
}

Value value_of(Input& input) {
  switch (input.take_below(5)) {
    case 0:
      return {};
    case 1:
      return {ValueKind::kNull, 0, nullptr, 0};
    case 2:
      return {ValueKind::kBool, input.take_below(2) == 0 ? 0.0 : 1.0, nullptr, 0};
    case 3: {
      const auto number = input.take<double>();
      return Value::of(std::isfinite(number) ? number : 1);
    }
    default: {
      const auto text = input.take_bytes(input.take<std::uint8_t>());
      return Value::of(reinterpret_cast<const char*>(text.data()),
                       static_cast<std::uint32_t>(text.size()));
    }
  }
}

void run(Input input) {
  FeatureSpec spec = spec_of(input);
  if (spec_fault(spec) != nullptr) return;
  spec.bytes = column_bytes(spec);
  if (spec.bytes > kColumnBytesMax) return;
  CHECK(column_fits(spec, spec.bytes));
  Frame ours(spec.bytes);
  Frame theirs(spec.bytes);
  if (input.take_below(2) == 1) ours.fill(input.take_bytes(spec.bytes));
  if (input.take_below(2) == 1) theirs.fill(input.take_bytes(spec.bytes));
  for (std::uint32_t step = 0; step < kStepsMax && !input.empty(); ++step) {
    switch (input.take_below(5)) {
      case 0:
        features::merge_column(spec, ours.data(), theirs.data());
        break;
      case 1:
        std::swap(ours, theirs);
        break;
      case 2:
        check_finished(spec, ours.data(), time_of(input));
        break;
      default: {
        features::Contribution contribution;
        contribution.time_us = time_of(input);
        const Value value = value_of(input);
        contribution.value = &value;
        contribution.weight = 0.25 * (1 + input.take_below(16));
        (void)features::apply_column(spec, ours.data(), contribution);
      }
    }
  }
  for (const std::int64_t at_us : {std::int64_t{0}, INT64_MIN, INT64_MAX, time_of(input)}) {
    check_finished(spec, ours.data(), at_us);
    check_finished(spec, theirs.data(), at_us);
  }
}

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  deja::fuzz::run({data, size});
  return 0;
}
