#include "suite.h"

#include <unistd.h>

namespace holdfast::test {
namespace {

std::unique_ptr<S3Server> running_server;

// Stops the server before static objects go.
class StopServer final : public testing::Environment {
 public:
  void TearDown() override { running_server.reset(); }
};

[[maybe_unused]] const testing::Environment* const kStopServer =
    testing::AddGlobalTestEnvironment(new StopServer);

}  // namespace

S3Server& shared_server() {
  if (!running_server) running_server = std::make_unique<S3Server>(S3ServerOptions{.tls = true});
  return *running_server;
}

std::string new_bucket_name() {
  static std::atomic<int> count = 0;
  return fmt::format("bucket-{}-{}", ::getpid(), ++count);
}

}  // namespace holdfast::test
