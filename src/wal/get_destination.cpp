#include "wal/get_destination.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "core/fault_point.h"

namespace holdfast {

GetDestination::GetDestination(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.native() + ".holdfast") {}

GetDestination::~GetDestination() {
  if (fd_.valid()) ::unlink(temporary_.c_str());
}

void GetDestination::open() {
  fd_ = open_or_throw(temporary_, O_WRONLY | O_CREAT | O_TRUNC, 0600);
}

void GetDestination::write(ByteView piece) {
  if (!fd_.valid()) open();
  write_at(fd_.get(), written_, piece, temporary_.native());
  written_ += piece.size();
}

void GetDestination::extend(std::uint64_t bytes) const {
  if (bytes > written_) {
    const int done = ::fallocate(fd_.get(), 0, static_cast<off_t>(written_),
                                 static_cast<off_t>(bytes - written_));
    if (done != 0 && errno != EOPNOTSUPP) {
      throw_errno(errno, "reserve space for", temporary_.native());
    }
  }
  if (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) {
    throw_errno(errno, "set the size of", temporary_.native());
  }
}

void GetDestination::publish(std::uint64_t bytes) {
  if (!fd_.valid()) open();
  extend(bytes);
  if (::fsync(fd_.get()) != 0) throw_errno(errno, "sync", temporary_.native());
  fault_point("get.before_rename");
  rename_unsynced(temporary_, path_);
  fd_ = {};
}

}  // namespace holdfast
