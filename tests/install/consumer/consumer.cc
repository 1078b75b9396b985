// A program that knows symbiont only as installed: the public headers and the one library.
#include <cstdio>
#include <string>

#include <symbiont/symbiont.h>

int main() {
  symbiont::Slm slm;
  const auto catalog = symbiont::ModelCatalog::create(slm);
  std::printf("symbiont %s: %s\n", std::string(symbiont::kVersion).c_str(),
              catalog.has_value() ? "an empty catalogue" : catalog.error().message().c_str());
  return 0;
}
