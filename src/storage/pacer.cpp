#include "storage/pacer.h"

#include <condition_variable>
#include <mutex>

#include "core/cancellation.h"

namespace holdfast {
namespace {

class SystemPacer final : public Pacer {
 public:
  TimePoint now() override { return std::chrono::steady_clock::now(); }
  void sleep(Duration duration, const std::stop_token& stop) override {
    std::mutex mutex;
    std::condition_variable_any never_notified;
    std::unique_lock lock(mutex);
    never_notified.wait_for(lock, stop, duration, [] { return false; });
    check_cancelled(stop);
  }
};

}  // namespace

Pacer& system_pacer() {
  static SystemPacer pacer;
  return pacer;
}

}  // namespace holdfast
