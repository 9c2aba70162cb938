#pragma once

// What the generator writes at the head of every kernel text, here with the values of one kernel (forward, bf16, head
// dim 128, no mask), so that editors and compilers can read the templates. It never enters a generated text itself.

namespace flashmask::config {

inline constexpr bool kIsBfloat16 = true;
inline constexpr int kHeadDimQk = 128;
inline constexpr int kHeadDimV = 128;
inline constexpr int kPaddedHeadDimQk = 128;  // to whole matrix operands of 16 columns
inline constexpr int kPaddedHeadDimV = 128;
inline constexpr bool kHasDiagonal = false;  // of plans alone
inline constexpr bool kBottomRight = true;   // of plans alone
inline constexpr int kVectors = 1;           // of mask builds alone
inline constexpr int kTileQ = 128;
inline constexpr int kTileK = 64;
inline constexpr int kWarps = 4;
inline constexpr int kThreads = 128;
inline constexpr int kStages = 2;
inline constexpr bool kQueryInRegisters = false;
inline constexpr bool kRegistersAreShort = true;  // for what could be kept from tile to tile
inline constexpr int kSharedBytes = 65536;
// Of forwards with wgmma alone:
inline constexpr bool kOverlaps = true;
inline constexpr bool kTakesTurns = true;
inline constexpr int kQuerySlots = 2;
inline constexpr int kProducerRegisters = 24;
inline constexpr int kConsumerRegisters = 240;
// Of the backward alone:
inline constexpr bool kDeterministic = false;
inline constexpr int kTurns = 1;                     // at adding to a tile of dQ: 1, or one of each warp
inline constexpr bool kTermsApart = false;           // of a query tile: first all shifts, then all deltas
inline constexpr bool kTakesTickets = false;         // CTAs take their work by tickets
inline constexpr bool kStagesSums = true;            // sums of dQ pass through shared memory
inline constexpr bool kHasVectorReductions = false;  // red.v4.f32
inline constexpr int kColumnWarps = 1;               // that share their keys
inline constexpr int kPassRows = 32;                 // whose scores a warp holds at a time
inline constexpr int kPrepareThreads = 256;
inline constexpr int kFinishThreads = 128;

}  // namespace flashmask::config
