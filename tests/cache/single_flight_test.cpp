#include "cache/single_flight.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <latch>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace flashmask::cache {
namespace {

using namespace std::chrono_literals;

TEST(SingleFlight, SixtyFourThreadsRunTheFunctionOnce) {
  SingleFlight<std::shared_ptr<const int>> flights;
  std::atomic<int> runs = 0;
  std::latch start(64);
  std::vector<std::shared_ptr<const int>> values(64);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < values.size(); ++i)
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      values[i] = flights.run(digest_of("kernel"), [&] {
        ++runs;
        std::this_thread::sleep_for(20ms);
        return std::make_shared<const int>(7);
      });
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(runs, 1);
  for (const auto& value : values) EXPECT_EQ(value, values.front());
  EXPECT_EQ(flights.size(), 1u);
}

TEST(SingleFlight, HasAValueFromItsLandingUntilItIsForgotten) {
  SingleFlight<int> flights;
  const Digest digest = digest_of("kernel");
  EXPECT_FALSE(flights.has(digest));
  EXPECT_THROW(flights.run(digest, []() -> int { throw std::runtime_error("no compiler"); }), std::runtime_error);
  EXPECT_FALSE(flights.has(digest));
  flights.run(digest, [&] {
    EXPECT_FALSE(flights.has(digest));  // under way
    return 7;
  });
  EXPECT_TRUE(flights.has(digest));
  flights.forget(digest);
  EXPECT_FALSE(flights.has(digest));
}

TEST(SingleFlight, AFailureReachesAllWaitersAndTheNextCallTriesAgain) {
  SingleFlight<int> flights;
  std::atomic<int> runs = 0, failures = 0;
  std::latch entered(1), waiting(7);
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    try {
      flights.run(digest_of("kernel"), [&]() -> int {
        ++runs;
        entered.count_down();
        waiting.wait();
        std::this_thread::sleep_for(50ms);  // let the others block on the result
        throw std::runtime_error("no compiler");
      });
    } catch (const std::runtime_error&) {
      ++failures;
    }
  });
  entered.wait();
  for (int i = 0; i < 7; ++i)
    threads.emplace_back([&] {
      waiting.count_down();
      try {
        flights.run(digest_of("kernel"), [&]() -> int {
          ++runs;
          throw std::runtime_error("no compiler");
        });
      } catch (const std::runtime_error&) {
        ++failures;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 8);
  const int runs_before = runs;
  EXPECT_EQ(flights.size(), 0u);
  EXPECT_EQ(flights.run(digest_of("kernel"), [&] { return ++runs; }), runs_before + 1);
}

TEST(SingleFlight, DifferentDigestsFlyAtTheSameTime) {
  SingleFlight<int> flights;
  std::barrier both(2);
  // Either thread waits inside its function for the other: a shared lock would never let them meet.
  std::thread first([&] {
    flights.run(digest_of("a"), [&] {
      both.arrive_and_wait();
      return 1;
    });
  });
  flights.run(digest_of("b"), [&] {
    both.arrive_and_wait();
    return 2;
  });
  first.join();
  EXPECT_EQ(flights.size(), 2u);
}

TEST(SingleFlight, AValueIsKeptUntilItIsForgotten) {
  SingleFlight<int> flights;
  EXPECT_EQ(flights.run(digest_of("a"), [] { return 1; }), 1);
  EXPECT_EQ(flights.run(digest_of("a"), [] { return 2; }), 1);
  flights.forget(digest_of("a"));
  EXPECT_EQ(flights.run(digest_of("a"), [] { return 2; }), 2);
}

TEST(SingleFlight, AFailureAfterForgettingLeavesTheNextFlightAlone) {
  SingleFlight<int> flights;
  EXPECT_THROW(flights.run(digest_of("a"),
                           [&]() -> int {
                             flights.forget(digest_of("a"));
                             EXPECT_EQ(flights.run(digest_of("a"), [] { return 5; }), 5);
                             throw std::runtime_error("too late");
                           }),
               std::runtime_error);
  EXPECT_EQ(flights.run(digest_of("a"), [] { return 6; }), 5);
}

TEST(SingleFlight, AskingForItsOwnDigestIsAnErrorAndNoDeadlock) {
  SingleFlight<int> flights;
  EXPECT_THROW(flights.run(digest_of("a"), [&] { return flights.run(digest_of("a"), [] { return 1; }); }),
               std::logic_error);
  EXPECT_EQ(flights.run(digest_of("a"), [] { return 3; }), 3);
}

}  // namespace
}  // namespace flashmask::cache
