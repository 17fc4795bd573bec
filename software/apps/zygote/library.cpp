#include "library.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstring>
#include <optional>
#include <span>

#include "device/mapped_file.hpp"

namespace cosoc {
namespace {

/// A file in memory as far as it is needed here. Positions come from the file, so they are checked.
class Image {
 public:
  explicit Image(std::span<const std::byte> bytes) : bytes_(bytes) {}

  /// `count` objects at a position; none when they are not inside.
  template <class Type>
  std::span<const Type> at(std::uint64_t offset, std::uint64_t count) const {
    if (offset > bytes_.size() || count > (bytes_.size() - offset) / sizeof(Type) || offset % alignof(Type) != 0) {
      return {};
    }
    return {reinterpret_cast<const Type*>(bytes_.data() + offset), static_cast<std::size_t>(count)};
  }

  std::span<const ElfW(Phdr)> segments() const {
    const auto header = at<ElfW(Ehdr)>(0, 1);
    if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0) return {};
    return at<ElfW(Phdr)>(header[0].e_phoff, header[0].e_phnum);
  }

  std::span<const ElfW(Dyn)> dynamic() const {
    for (const ElfW(Phdr) & segment : segments()) {
      if (segment.p_type == PT_DYNAMIC) return at<ElfW(Dyn)>(segment.p_offset, segment.p_filesz / sizeof(ElfW(Dyn)));
    }
    return {};
  }

  /// A text of the table of texts, which lies at this address when it is loaded.
  std::string text(std::uint64_t table, std::uint64_t index) const {
    for (const ElfW(Phdr) & segment : segments()) {
      if (segment.p_type != PT_LOAD || table < segment.p_vaddr || table - segment.p_vaddr >= segment.p_filesz) continue;
      const std::uint64_t offset = segment.p_offset + (table - segment.p_vaddr) + index;
      if (offset >= bytes_.size()) return {};
      const auto* begin = reinterpret_cast<const char*>(bytes_.data() + offset);
      return {begin, ::strnlen(begin, bytes_.size() - offset)};
    }
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
};

std::optional<std::uint64_t> value_of(std::span<const ElfW(Dyn)> entries, ElfW(Sxword) tag) {
  for (const ElfW(Dyn) & entry : entries) {
    if (entry.d_tag == tag) return entry.d_un.d_val;
  }
  return std::nullopt;
}

bool is_loaded(const std::string& name) {
  void* const library = ::dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (library != nullptr) ::dlclose(library);
  return library != nullptr;
}

bool is_silent(const Image& image) {
  const auto entries = image.dynamic();
  // With the compiler's start files, which `_init` tells of, the first constructor is theirs and does nothing here.
  const bool usual = value_of(entries, DT_INIT).has_value();
  const std::uint64_t constructors = value_of(entries, DT_INIT_ARRAYSZ).value_or(0) / sizeof(ElfW(Addr));
  if (entries.empty() || constructors > (usual ? 1 : 0)) return false;
  const std::uint64_t texts = value_of(entries, DT_STRTAB).value_or(0);
  for (const ElfW(Dyn) & entry : entries) {
    if (entry.d_tag == DT_NEEDED && !is_loaded(image.text(texts, entry.d_un.d_val))) return false;
  }
  return true;
}

}  // namespace

bool loads_silently(const std::string& path) {
  const auto file = MappedFile::open(path);
  return file && is_silent(Image(file->bytes()));
}

}  // namespace cosoc
