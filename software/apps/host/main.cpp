/// cosoc-host: runs a shared object that exports `main`, as CEDR's applications are built, in a process of its own.
///
/// It carries CEDR's calls, so the shared object need not be linked with them.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: cosoc-host app.so [arguments]\n");
    return 2;
  }
  // Without a directory, dlopen would look among the system's libraries.
  const std::string name = arguments[1];
  const std::string path = name.find('/') == std::string::npos ? "./" + name : name;
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    std::fprintf(stderr, "cosoc-host: %s\n", dlerror());
    return 127;
  }
  const auto entry = reinterpret_cast<int (*)(int, char**, char**)>(dlsym(library, "main"));
  if (entry == nullptr) {
    std::fprintf(stderr, "cosoc-host: %s has no main; link it with -shared from sources with a main\n", arguments[1]);
    return 127;
  }
  std::exit(entry(count - 1, arguments + 1, environ));
}
