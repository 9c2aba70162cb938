#pragma once

/// Marks what libflashmask shows to its users; all else is hidden.
#define FLASHMASK_API __attribute__((visibility("default")))
