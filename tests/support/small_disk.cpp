#include "support/small_disk.h"

#include <array>
#include <cerrno>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/process.h"
#include "support/temp_folder.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

void gain_right_to_mount() {
  static const bool tried = [] {
    const std::string own = fmt::format("{0} {0} 1\n", ::geteuid());
    const std::string group = fmt::format("{0} {0} 1\n", ::getegid());
    if (::geteuid() == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return true;
    write_text("/proc/self/setgroups", "deny");
    write_text("/proc/self/uid_map", own);
    write_text("/proc/self/gid_map", group);
    return true;
  }();
  static_cast<void>(tried);
}

}  // namespace

SmallDisk::SmallDisk(const fs::path& at, int megabytes) : path_(at) {
  fs::create_directory(path_);
  gain_right_to_mount();
  const std::string options = fmt::format("size={}m,mode=0777", megabytes);
  mounted_ = ::mount("none", path_.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

SmallDisk::~SmallDisk() {
  if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
}

fs::path SmallDisk::fill() const {
  fs::path file = path_ / "filler";
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) throw std::runtime_error("cannot make " + file.string());
  const std::array<char, 4096> zeros{};
  while (::write(fd, zeros.data(), zeros.size()) > 0) {
  }
  const bool full = errno == ENOSPC;
  ::close(fd);
  if (!full) throw std::runtime_error("cannot fill " + file.string());
  return file;
}

}  // namespace holdfast::test
