#pragma once

#include <string>

namespace flashmask::tuning_report {

/// Whether it can be a duration.
bool is_time(double seconds);

// Numbers as a reader wants them. What is no number is "-".
std::string time_text(double seconds);     ///< "812.4 µs": four digits
std::string speedup_text(double speedup);  ///< "1.084×"
std::string percent_text(double share);    ///< "2.1 %"
std::string bytes_text(double bytes);      ///< "116.5 KiB"
std::string count_text(double count, const std::string& singular, const std::string& plural);  ///< "1 round"

}  // namespace flashmask::tuning_report
