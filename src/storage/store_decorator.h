#pragma once
// Base of the decorators: owns the store within and hands every call on to it. A decorator
// overrides what it adds to.

#include <memory>
#include <utility>

#include "storage/leftovers.h"
#include "storage/object_store.h"
#include "storage/thawing.h"
#include "storage/versioning.h"

namespace holdfast {

class StoreDecorator : public ObjectStore, public Thawing, public Versioning, public Leftovers {
 public:
  explicit StoreDecorator(std::unique_ptr<ObjectStore> inner) : inner_(std::move(inner)) {}

  PutOutcome put(const std::string& name, ByteView content, const PutOptions& options,
                 const std::stop_token& stop) override {
    return inner_->put(name, content, options, stop);
  }
  std::optional<Bytes> get(const std::string& name, const std::stop_token& stop) override {
    return inner_->get(name, stop);
  }
  bool get_range(const std::string& name, std::uint64_t offset, MutableByteView out,
                 const std::stop_token& stop) override {
    return inner_->get_range(name, offset, out, stop);
  }
  std::optional<ObjectInfo> head(const std::string& name, const std::stop_token& stop) override {
    return inner_->head(name, stop);
  }
  ListPage list(const ListRequest& request, const std::stop_token& stop) override {
    return inner_->list(request, stop);
  }
  void remove(const std::string& name, const std::stop_token& stop) override {
    inner_->remove(name, stop);
  }
  std::vector<RemoveFailure> remove_many(const std::vector<std::string>& names,
                                         const std::stop_token& stop) override {
    return inner_->remove_many(names, stop);
  }
  std::optional<ThawState> thaw_state(const std::string& name,
                                      const std::stop_token& stop) override {
    return holdfast::thaw_state(*inner_, name, stop);
  }
  ThawState request_thaw(const std::string& name, const ThawRequest& request,
                         const std::stop_token& stop) override {
    return holdfast::request_thaw(*inner_, name, request, stop);
  }
  VersioningState versioning_state(const std::stop_token& stop) override {
    return holdfast::versioning_state(*inner_, stop);
  }
  VersionsPage list_versions(const ListRequest& request, const std::stop_token& stop) override {
    return require_versioning(*inner_).list_versions(request, stop);
  }
  void remove_version(const std::string& name, const std::string& version,
                      const std::stop_token& stop) override {
    require_versioning(*inner_).remove_version(name, version, stop);
  }
  void copy_version(const std::string& name, const ObjectVersion& version,
                    const std::stop_token& stop) override {
    require_versioning(*inner_).copy_version(name, version, stop);
  }
  std::uint64_t remove_leftovers(const std::string& prefix, const std::stop_token& stop) override {
    return holdfast::remove_leftovers(*inner_, prefix, stop);
  }
  const Capabilities& capabilities() const override { return inner_->capabilities(); }
  Timestamp now(const std::stop_token& stop) override { return inner_->now(stop); }
  std::string describe() const override { return inner_->describe(); }

 protected:
  ObjectStore& inner() { return *inner_; }

 private:
  std::unique_ptr<ObjectStore> inner_;
};

}  // namespace holdfast
