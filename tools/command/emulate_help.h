#pragma once

namespace flashmask::command {

/// What --help of emulate says behind its options.
extern const char* const kEmulateHelp;
/// What --spec-help prints: the form of a launch spec.
extern const char* const kLaunchSpecHelp;

}  // namespace flashmask::command
