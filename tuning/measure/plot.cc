#include "tuning/measure/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace deja::tuning {
namespace {

constexpr int kWidth = 860;
constexpr int kPanelHeight = 330;
constexpr double kLeft = 76;
constexpr double kRight = 836;
constexpr double kTop = 48;
constexpr double kBottom = 270;
constexpr double kLowestNs = 1e3;
constexpr double kHighestNs = 1e8;
constexpr double kLeastShare = 1e-6;
// Told apart with any kind of colour vision (Okabe and Ito).
constexpr std::array<const char*, 4> kColours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7"};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '&')
      safe += "&amp;";
    else if (c == '"')
      safe += "&quot;";
    else
      safe += c;
  }
  return safe;
}

double x_of(double ns) {
  const double part = std::log10(std::clamp(ns, kLowestNs, kHighestNs) / kLowestNs) /
                      std::log10(kHighestNs / kLowestNs);
  return kLeft + part * (kRight - kLeft);
}

double y_of(double share) {
  const double part = std::log10(std::clamp(share, kLeastShare, 1.0)) / std::log10(kLeastShare);
  return kTop + part * (kBottom - kTop);
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\">" +
         escaped(text) + "</text>\n";
}

std::string grid() {
  constexpr std::array<const char*, 6> kTimes = {"1 µs", "10 µs", "100 µs",
                                                 "1 ms", "10 ms", "100 ms"};
  constexpr std::array<const char*, 7> kShares = {"all",       "1 in 10",    "1 in 100", "1 in 1 k",
                                                  "1 in 10 k", "1 in 100 k", "1 in 1 M"};
  std::string svg = "<g stroke=\"#dddddd\">\n";
  for (std::size_t at = 0; at < kTimes.size(); ++at) {
    const std::string x = number(x_of(kLowestNs * std::pow(10, at)));
    svg += "<path d=\"M" + x + " " + number(kTop) + "V" + number(kBottom) + "\"/>\n";
  }
  for (std::size_t at = 0; at < kShares.size(); ++at) {
    const std::string y = number(y_of(std::pow(10, -static_cast<double>(at))));
    svg += "<path d=\"M" + number(kLeft) + " " + y + "H" + number(kRight) + "\"/>\n";
  }
  svg += "</g>\n";
  for (std::size_t at = 0; at < kTimes.size(); ++at) {
    svg += text_at(x_of(kLowestNs * std::pow(10, at)), kBottom + 18, "middle", kTimes[at]);
  }
  for (std::size_t at = 0; at < kShares.size(); ++at) {
    svg += text_at(kLeft - 6, y_of(std::pow(10, -static_cast<double>(at))) + 4, "end", kShares[at]);
  }
  return svg;
}

/// Steps through the shares of values at least as long as each bucket.
std::string line_of(const HistogramCopy& histogram) {
  std::string path;
  std::uint64_t below = 0;
  for (std::uint32_t bucket = 0; bucket < histogram.counts.size(); ++bucket) {
    if (histogram.counts[bucket] == 0) continue;
    const double share = 1 - static_cast<double>(below) / static_cast<double>(histogram.count);
    const std::string x = number(x_of(static_cast<double>(histogram_lower_bound(bucket))));
    path += (path.empty() ? "M" : "H") + x + (path.empty() ? " " : "V") + number(y_of(share));
    below += histogram.counts[bucket];
  }
  if (!path.empty()) path += "H" + number(x_of(static_cast<double>(histogram.max)));
  return path;
}

std::string panel(const std::vector<Measurement>& measurements, Probe CoreMeasurement::*probe,
                  const std::string& title, double offset) {
  std::string svg = "<g transform=\"translate(0 " + number(offset) + ")\">\n";
  svg += "<text x=\"" + number(kLeft) + "\" y=\"24\" font-weight=\"bold\">" + escaped(title) +
         "</text>\n" + grid();
  for (std::size_t at = 0; at < measurements.size(); ++at) {
    const char* colour = kColours[at % kColours.size()];
    const HistogramCopy histogram = all_cores(measurements[at], probe);
    // At the bottom left, where no line comes: they fall to the right.
    const double y = kBottom - 10 - 18 * static_cast<double>(measurements.size() - 1 - at);
    svg += "<path fill=\"none\" stroke-width=\"2\" stroke=\"" + std::string(colour) + "\" d=\"" +
           line_of(histogram) + "\"><title>" + escaped(measurements[at].label) +
           "</title></path>\n";
    svg += "<path stroke-width=\"2\" stroke=\"" + std::string(colour) + "\" d=\"M" +
           number(kLeft + 12) + " " + number(y - 4) + "h24\"/>\n";
    svg += text_at(kLeft + 42, y, "start",
                   measurements[at].label + " (" + std::to_string(histogram.count) + ")");
  }
  return svg + "</g>\n";
}

}  // namespace

HistogramCopy all_cores(const Measurement& measurement, Probe CoreMeasurement::*probe) {
  HistogramCopy all;
  all.counts.resize(kHistogramBuckets);
  for (const CoreMeasurement& core : measurement.cores) {
    const HistogramCopy& one = (core.*probe).latency;
    all.count += one.count;
    all.sum += one.sum;
    all.max = std::max(all.max, one.max);
    for (std::size_t at = 0; at < one.counts.size(); ++at) all.counts[at] += one.counts[at];
  }
  return all;
}

std::string plot_svg(const std::vector<Measurement>& measurements) {
  const std::string size = "width=\"" + std::to_string(kWidth) + "\" height=\"" +
                           std::to_string(2 * kPanelHeight) + "\"";
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" " + size +
         " font-family=\"sans-serif\" font-size=\"12\" fill=\"#333333\">\n"
         "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n" +
         panel(measurements, &CoreMeasurement::wake, "Wake-ups later than", 0) +
         panel(measurements, &CoreMeasurement::jitter, "Interruptions longer than", kPanelHeight) +
         "</svg>\n";
}

}  // namespace deja::tuning
