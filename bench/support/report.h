// What a benchmark found: figures, ratios with their targets, curves. Printed as it goes, for a
// person; written as one JSON object at the end (--json FILE), for bench/run, which draws and
// compares. One thread.
//
//   bench_X [--quick] [--json FILE] [NAME=VALUE…]
//
// --quick is the smoke run of the tests: everything once, on little; its figures mean nothing.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/samples.h"

namespace deja::bench {

class Report {
 public:
  Report(const char* benchmark, int argument_count, char** arguments) : benchmark_(benchmark) {
    for (int at = 1; at < argument_count; ++at) {
      const std::string argument = arguments[at];
      const std::size_t equals = argument.find('=');
      if (argument == "--quick") {
        quick_ = true;
      } else if (argument == "--json" && at + 1 < argument_count) {
        json_path_ = arguments[++at];
      } else if (equals != std::string::npos && argument[0] != '-') {
        options_[argument.substr(0, equals)] = argument.substr(equals + 1);
      } else {
        std::fprintf(stderr, "usage: bench_%s [--quick] [--json FILE] [NAME=VALUE…]\n", benchmark);
        std::exit(2);
      }
    }
    std::printf("%s%s\n", benchmark, quick_ ? " (a smoke run: the figures mean nothing)" : "");
    std::fflush(stdout);  // also before a child is forked, which would have it in its buffer
  }
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;
  ~Report() { write(); }

  [[nodiscard]] bool quick() const { return quick_; }
  /// `whole` in a measurement, `smoke` in a smoke run, or what NAME=VALUE says.
  [[nodiscard]] std::uint64_t count(const char* name, std::uint64_t whole,
                                    std::uint64_t smoke) const {
    const auto given = options_.find(name);
    if (given != options_.end()) return std::strtoull(given->second.c_str(), nullptr, 10);
    return quick_ ? smoke : whole;
  }

  /// A figure by itself: median and 5 … 95 % of the samples.
  void figure(const std::string& name, const char* unit, Samples& samples) {
    line(name, unit, samples, "");
    figures_.push_back(object(name, samples) + R"(,"unit":)" + text(unit) + "}");
  }
  /// One number that was counted, not sampled.
  void figure(const std::string& name, const char* unit, double value) {
    Samples one;
    one.add(value);
    figure(name, unit, one);
  }

  /// What was measured in each round, mostly a ratio, and what its median has to be.
  void at_least(const std::string& name, Samples& ratios, double target, const char* unit = "×") {
    ratio(name, unit, ratios, "at_least", target, ratios.median() >= target);
  }
  void at_most(const std::string& name, Samples& ratios, double target, const char* unit = "×") {
    ratio(name, unit, ratios, "at_most", target, ratios.median() <= target);
  }
  /// A ratio that has no target.
  void ratio(const std::string& name, Samples& ratios) {
    line(name, "×", ratios, "");
    ratios_.push_back(object(name, ratios) + R"(,"unit":"×"})");
  }

  /// A sentence that belongs to the figures: which of journal and write-behind ran, say.
  void note(const std::string& sentence) {
    std::printf("  %s\n", sentence.c_str());
    std::fflush(stdout);
    notes_.push_back(text(sentence));
  }

  /// A point of a curve in a plot; the axes are said once, by plot().
  void point(const std::string& plot, const std::string& curve, double x, double y) {
    plots_[plot].curves[curve].emplace_back(x, y);
  }
  /// `logarithmic`: which axes, "", "x", "y" or "xy".
  void plot(const std::string& name, const std::string& title, const std::string& x,
            const std::string& y, const std::string& logarithmic) {
    plots_[name].head = R"("title":)" + text(title) + R"(,"x":)" + text(x) + R"(,"y":)" + text(y) +
                        R"(,"log":)" + text(logarithmic);
  }

 private:
  struct Plot {
    std::string head;
    std::map<std::string, std::vector<std::pair<double, double>>> curves;
  };

  static std::string text(const std::string& plain) {
    std::string quoted = "\"";
    for (const char byte : plain) {
      if (byte == '"' || byte == '\\') quoted += '\\';
      quoted += byte;
    }
    return quoted + '"';
  }
  static std::string number(double value) {
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.6g", value);
    return digits;
  }
  static std::string object(const std::string& name, Samples& samples) {
    return R"({"name":)" + text(name) + R"(,"median":)" + number(samples.median()) + R"(,"low":)" +
           number(samples.quantile(0.05)) + R"(,"high":)" + number(samples.quantile(0.95)) +
           R"(,"samples":)" + std::to_string(samples.count());
  }
  static void line(const std::string& name, const char* unit, Samples& samples,
                   const std::string& remark) {
    // printf pads by bytes; names have signs of several.
    int width = 0;
    for (const char byte : name) width += (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
    std::printf("  %s%*s %11.4g %-5s (%.4g … %.4g)%s\n", name.c_str(), width < 64 ? 64 - width : 0,
                "", samples.median(), unit, samples.quantile(0.05), samples.quantile(0.95),
                remark.c_str());
    std::fflush(stdout);
  }
  void ratio(const std::string& name, const char* unit, Samples& ratios, const char* side,
             double target, bool met) {
    line(name, unit, ratios,
         std::string("  ") + (std::strcmp(side, "at_least") == 0 ? "≥ " : "≤ ") + number(target) +
             (quick_ ? ""
              : met  ? "  met"
                     : "  MISSED"));
    ratios_.push_back(object(name, ratios) + R"(,"unit":)" + text(unit) + ",\"" + side +
                      "\":" + number(target) + R"(,"met":)" + (met ? "true" : "false") + "}");
  }

  static std::string joined(const std::vector<std::string>& parts) {
    std::string all;
    for (const std::string& part : parts) all += (all.empty() ? "" : ",\n  ") + part;
    return all;
  }
  void write() const {
    if (json_path_.empty()) return;
    std::vector<std::string> plots;
    for (const auto& [name, plot] : plots_) {
      std::vector<std::string> curves;
      for (const auto& [curve, points] : plot.curves) {
        std::vector<std::string> pairs;
        for (const auto& [x, y] : points) pairs.push_back("[" + number(x) + "," + number(y) + "]");
        curves.push_back(text(curve) + ":[" + joined(pairs) + "]");
      }
      plots.push_back(R"({"name":)" + text(name) + "," + plot.head + R"(,"curves":{)" +
                      joined(curves) + "}}");
    }
    std::ofstream(json_path_) << R"({"benchmark":)" << text(benchmark_) << R"(,"quick":)"
                              << (quick_ ? "true" : "false") << ",\n \"figures\":["
                              << joined(figures_) << "],\n \"ratios\":[" << joined(ratios_)
                              << "],\n \"notes\":[" << joined(notes_) << "],\n \"plots\":["
                              << joined(plots) << "]}\n";
  }

  const std::string benchmark_;
  bool quick_ = false;
  std::string json_path_;
  std::map<std::string, std::string> options_;
  std::vector<std::string> figures_;
  std::vector<std::string> ratios_;
  std::vector<std::string> notes_;
  std::map<std::string, Plot> plots_;
};

}  // namespace deja::bench
