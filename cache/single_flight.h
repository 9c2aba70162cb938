#pragma once

#include <cstddef>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_map>
#include <utility>

#include "cache/digest.h"

namespace flashmask::cache {

/// Work done once per digest and process: the first caller runs the function, all others wait for its value.
/// A value stays until it is forgotten, so a caller that comes late, or raced past another memory of values, gets it
/// too and the function still ran once. A failure reaches everybody who waited and is then forgotten: the next call
/// tries again.
///
/// Thread-safe. The function runs without a lock, so flights of different digests run concurrently. `Value` is copied
/// to every caller: make it a shared pointer or something as cheap.
template <typename Value>
class SingleFlight {
 public:
  /// The value of `digest`, made by `make()` unless somebody has made or is making it. Rethrows what `make` threw.
  /// Throws std::logic_error if `make` asks for its own digest, which would otherwise wait for ever.
  template <typename Make>
  Value run(const Digest& digest, Make&& make) {
    std::shared_ptr<Flight> flight;
    {
      std::unique_lock lock(mutex_);
      auto [place, first] = flights_.try_emplace(digest);
      if (!first) {
        flight = place->second;
        if (!flight->landed && flight->pilot == std::this_thread::get_id())
          throw std::logic_error("single flight: the function asked for the digest that it is making: " + digest.hex());
        lock.unlock();
        return flight->result.get();
      }
      try {
        place->second = flight = std::make_shared<Flight>();
      } catch (...) {
        flights_.erase(place);
        throw;
      }
    }
    try {
      Value value = std::forward<Make>(make)();
      {
        std::lock_guard lock(mutex_);
        flight->landed = true;
      }
      flight->promise.set_value(value);
      return value;
    } catch (...) {
      {
        std::lock_guard lock(mutex_);
        flight->landed = true;
        // Forgotten before anybody is told, so that a waiter who tries again starts a new flight; and only our own, as
        // forget() may have made room for another.
        if (auto place = flights_.find(digest); place != flights_.end() && place->second == flight)
          flights_.erase(place);
      }
      flight->promise.set_exception(std::current_exception());
      throw;
    }
  }

  /// Drops the value of `digest`, if there is one. A flight under way still serves those who wait for it.
  void forget(const Digest& digest) {
    std::lock_guard lock(mutex_);
    flights_.erase(digest);
  }

  /// Whether the value of `digest` is there already; false while it is being made.
  bool has(const Digest& digest) const {
    std::lock_guard lock(mutex_);
    const auto place = flights_.find(digest);
    return place != flights_.end() && place->second->landed;
  }

  /// How many values are kept or under way.
  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return flights_.size();
  }

 private:
  struct Flight {
    std::promise<Value> promise;
    std::shared_future<Value> result = promise.get_future().share();
    std::thread::id pilot = std::this_thread::get_id();
    bool landed = false;  // guarded by mutex_
  };

  mutable std::mutex mutex_;
  std::unordered_map<Digest, std::shared_ptr<Flight>> flights_;
};

}  // namespace flashmask::cache
