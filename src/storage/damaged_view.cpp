#include "storage/damaged_view.h"

#include "core/error.h"
#include "storage/store_decorator.h"

namespace holdfast {
namespace {

class DamagedView final : public StoreDecorator {
 public:
  DamagedView(std::unique_ptr<ObjectStore> inner, std::string object)
      : StoreDecorator(std::move(inner)), object_(std::move(object)) {}

  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    auto content = StoreDecorator::get(name, stop);
    if (content && name == object_) damage(0, *content);
    return content;
  }
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    const bool there = StoreDecorator::get_range(name, offset, out, stop);
    if (there && name == object_) damage(offset, out);
    return there;
  }

  PutOutcome put(const std::string& name, ByteView, const PutOptions&,
                 const std::stop_token&) override {
    refuse(name);
  }
  void remove(const std::string& name, const std::stop_token&) override { refuse(name); }
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token&) override {
    refuse(names.empty() ? "" : names.front());
  }
  ThawState request_thaw(const std::string& name, const ThawRequest& request,
                         const std::stop_token& stop) override {
    return StoreDecorator::request_thaw(name, request, stop);  // changes no content
  }
  void remove_version(const std::string& name, const std::string&,
                      const std::stop_token&) override {
    refuse(name);
  }
  void copy_version(const std::string& name, const ObjectVersion&,
                    const std::stop_token&) override {
    refuse(name);
  }
  std::uint64_t remove_leftovers(const std::string& prefix, const std::stop_token&) override {
    refuse(prefix);
  }

 private:
  static void damage(std::uint64_t offset, MutableByteView bytes) {
    const std::uint64_t first = (kDamagedEvery - offset % kDamagedEvery) % kDamagedEvery;
    for (std::uint64_t i = first; i < bytes.size(); i += kDamagedEvery) {
      bytes[i] ^= std::byte{1};
    }
  }

  [[noreturn]] static void refuse(const std::string& name) {
    throw Error(ErrorKind::kRefused, "a repository that is seen as damaged is only read",
                {.object = name});
  }

  const std::string object_;
};

}  // namespace

std::unique_ptr<ObjectStore> make_damaged_view(std::unique_ptr<ObjectStore> store,
                                               std::string object) {
  return std::make_unique<DamagedView>(std::move(store), std::move(object));
}

}  // namespace holdfast
