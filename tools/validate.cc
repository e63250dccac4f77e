#include "tools/validate.h"

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <vector>

#include "shm/json_text.h"
#include "tools/config/memory_plan.h"
#include "tools/config/run_tests.h"
#include "tools/config/segment_plan.h"

namespace deja {
namespace {

constexpr std::uint32_t kProfileBytesAdvised = 3 * 1024;

/// Everything that validate finds out; printed as text or as JSON.
struct Findings {
  std::vector<ConfigError> errors;
  std::vector<ConfigError> warnings;
  std::vector<TestOutcome> tests;
};

template <typename... Values>
std::string formatted(const char* format, Values... values) {
  std::vector<char> text(256);
  const int size = std::snprintf(text.data(), text.size(), format, values...);
  if (size >= static_cast<int>(text.size())) {
    text.resize(static_cast<std::size_t>(size) + 1);
    std::snprintf(text.data(), text.size(), format, values...);
  }
  return text.data();
}

// --- text
// -----------------------------------------------------------------------------------------
void print_profile(std::ostream& out, const Config& config, const MemoryPlan& plan) {
  std::size_t width = 8;
  for (const MemoryPlan::Column& column : plan.columns) {
    width = std::max(width, column.feature.size());
  }
  const auto row = [&](const std::string& name, const std::string& type, std::uint64_t bytes) {
    out << formatted("  %-*s  %-9s %8llu B\n", static_cast<int>(width), name.c_str(), type.c_str(),
                     static_cast<unsigned long long>(bytes));
  };
  out << "A profile:\n";
  for (const MemoryPlan::Column& column : plan.columns) {
    row(column.feature, column.type, column.bytes);
  }
  row("= frame", "", config.frame_bytes);
  row("+ key", "", plan.geometry.key_bytes);
  row("+ header", "", TableGeometry::kBlockHeaderBytes);
  row("= profile", "", plan.profile_bytes());
  out << formatted("  %s, %s the 3 KiB that we advise\n\n", size_text(plan.profile_bytes()).c_str(),
                   plan.profile_bytes() <= kProfileBytesAdvised ? "within" : "MORE than");
}

void print_memory(std::ostream& out, const Config& config, const MemoryPlan& plan) {
  const auto row = [&](const std::string& what, std::uint64_t bytes, const std::string& remark) {
    out << formatted("  %-30s %12s%s%s\n", what.c_str(), size_text(bytes).c_str(),
                     remark.empty() ? "" : "   ", remark.c_str());
  };
  out << formatted("Memory, for %llu profiles in %u shards, %zu worker%s, %zu ingest thread%s:\n",
                   static_cast<unsigned long long>(plan.profiles), plan.geometry.shard_count,
                   config.cpu.workers.size(), config.cpu.workers.size() == 1 ? "" : "s",
                   config.cpu.ingest.size(), config.cpu.ingest.size() == 1 ? "" : "s");
  row("profile table", plan.table_bytes,
      formatted("%.1f %% over profiles x (frame + key + header)", plan.overhead_percent()));
  for (const MemoryPlan::Files& files : plan.others) row(files.what, files.bytes, {});
  row("the whole", plan.whole_bytes,
      formatted("%.1f %% over them, in ", plan.whole_overhead_percent()) +
          config.appliance.directory);
  out << "\n";
}

void print_tests(std::ostream& out, const Config& config, const std::vector<TestOutcome>& tests) {
  if (tests.empty()) {
    out << "No [[test]] says what this config must mean.\n";
    return;
  }
  out << "Tests:\n";
  for (const TestOutcome& test : tests) {
    out << (test.passed() ? "  passed  " : "  FAILED  ") << test.name;
    if (!test.passed()) out << "  (" << config.file << ":" << test.line << ")";
    out << "\n";
    for (const TestMismatch& mismatch : test.mismatches) {
      out << "          " << mismatch.feature << ": expected " << mismatch.expected << "\n"
          << "          " << std::string(mismatch.feature.size(), ' ') << "      seen "
          << mismatch.seen << "\n";
    }
  }
}

// --- JSON
// -----------------------------------------------------------------------------------------
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_.append("{"); }
  void text(const char* key, const std::string& value) {
    name(key);
    append_json_text(out_, value);
  }
  void number(const char* key, double value) {
    name(key);
    append_json_number(out_, value);
  }
  void number(const char* key, std::uint64_t value) { raw(key, std::to_string(value)); }
  /// JSON as it is.
  void raw(const char* key, const std::string& json) {
    name(key);
    out_.append(json);
  }
  void truth(const char* key, bool value) { raw(key, value ? "true" : "false"); }
  template <typename List, typename Print>
  void list(const char* key, const List& values, Print print) {
    name(key);
    out_.append("[");
    bool is_first = true;
    for (const auto& value : values) {
      if (!is_first) out_.append(",");
      is_first = false;
      JsonObject object(out_);
      print(object, value);
      object.end();
    }
    out_.append("]");
  }
  void end() { out_.append("}"); }

 private:
  void name(const char* key) {
    if (!is_empty_) out_.append(",");
    is_empty_ = false;
    append_json_text(out_, key);
    out_.append(":");
  }

  std::string& out_;
  bool is_empty_ = true;
};

void put_complaint(JsonObject& object, const ConfigError& error) {
  object.text("file", error.file);
  object.number("line", std::uint64_t{error.line});
  object.number("column", std::uint64_t{error.column});
  object.text("where", error.where);
  object.text("found", error.found);
  object.text("right", error.right);
  object.text("message", error.message());
}

void put_memory(JsonObject& root, const Config& config, const MemoryPlan& plan) {
  root.list("columns", plan.columns, [](JsonObject& object, const MemoryPlan::Column& column) {
    object.text("feature", column.feature);
    object.text("type", column.type);
    object.number("bytes", std::uint64_t{column.bytes});
  });
  root.number("frame_bytes", std::uint64_t{config.frame_bytes});
  root.number("key_bytes", std::uint64_t{plan.geometry.key_bytes});
  root.number("header_bytes", std::uint64_t{TableGeometry::kBlockHeaderBytes});
  root.number("profile_bytes", std::uint64_t{plan.profile_bytes()});
  root.number("profiles", plan.profiles);
  root.number("table_bytes", plan.table_bytes);
  root.number("table_overhead_percent", plan.overhead_percent());
  root.list("others", plan.others, [](JsonObject& object, const MemoryPlan::Files& files) {
    object.text("what", files.what);
    object.number("bytes", files.bytes);
  });
  root.number("whole_bytes", plan.whole_bytes);
  root.number("whole_overhead_percent", plan.whole_overhead_percent());
}

void put_test(JsonObject& object, const TestOutcome& test) {
  object.text("name", test.name);
  object.number("line", std::uint64_t{test.line});
  object.truth("passed", test.passed());
  object.list("mismatches", test.mismatches, [](JsonObject& entry, const TestMismatch& mismatch) {
    entry.text("feature", mismatch.feature);
    entry.raw("expected", mismatch.expected);
    entry.raw("seen", mismatch.seen);
  });
}

std::string findings_json(const ValidateOptions& options, const Findings& findings, bool ok,
                          const Config* config, const MemoryPlan* plan) {
  std::string json;
  JsonObject root(json);
  root.text("config", options.config);
  root.truth("ok", ok);
  root.list("errors", findings.errors, put_complaint);
  root.list("warnings", findings.warnings, put_complaint);
  if (plan != nullptr) put_memory(root, *config, *plan);
  root.list("tests", findings.tests, put_test);
  root.end();
  return json;
}

int report_mistakes(const ValidateOptions& options, const std::vector<ConfigError>& errors,
                    std::ostream& out, std::ostream& err) {
  Findings findings;
  findings.errors = errors;
  if (options.json) {
    out << findings_json(options, findings, false, nullptr, nullptr) << "\n";
  } else {
    for (const ConfigError& error : errors) err << error.message() << "\n";
    if (errors.size() > 1) err << errors.size() << " mistakes\n";
  }
  // About the file as a whole: it could not even be read.
  return errors.front().line == 0 && errors.front().where.empty() ? 2 : 1;
}

}  // namespace

int run_validate(const ValidateOptions& options, std::ostream& out, std::ostream& err) {
  const auto loaded = load_config(options.config, options.load);
  if (const auto* errors = std::get_if<std::vector<ConfigError>>(&loaded)) {
    return report_mistakes(options, *errors, out, err);
  }
  const Config& config = std::get<Config>(loaded);
  Result<std::vector<TestOutcome>> tests = run_tests(config);
  if (!tests) {
    err << options.config << ": " << tests.error().message() << "\n";
    return 1;
  }
  Findings findings{{}, config.warnings, std::move(*tests)};
  const bool ok = std::all_of(findings.tests.begin(), findings.tests.end(),
                              [](const TestOutcome& test) { return test.passed(); });
  const MemoryPlan plan = plan_memory(config, segment_plan_of(config, config.redis.url));
  if (options.json) {
    out << findings_json(options, findings, ok, &config, &plan) << "\n";
    return ok ? 0 : 1;
  }
  for (const ConfigError& warning : config.warnings) {
    err << "warning: " << warning.message() << "\n";
  }
  print_profile(out, config, plan);
  print_memory(out, config, plan);
  print_tests(out, config, findings.tests);
  return ok ? 0 : 1;
}

}  // namespace deja
