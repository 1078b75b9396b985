#include "worker/openmp.h"

#include <dlfcn.h>

#include <atomic>

#include <gtest/gtest.h>

// NOLINTBEGIN(readability-identifier-naming): libgomp's names
extern "C" {
void GOMP_parallel(void (*work)(void*), void* data, unsigned threads, unsigned flags);
int omp_get_num_threads();
}
// NOLINTEND(readability-identifier-naming)

namespace symbiont::worker {
namespace {

void count_members(void* data) {
  if (omp_get_num_threads() == 3) ++*static_cast<std::atomic<int>*>(data);
}

TEST(OpenMpTest, AParallelSectionIsDoneByTheTeam) {
  std::atomic<int> members = 0;
  GOMP_parallel(count_members, &members, 3, 0);
  EXPECT_EQ(members, 3);
  settle_openmp();
  members = 0;
  GOMP_parallel(count_members, &members, 5, 0);
  EXPECT_EQ(members, 3) << "no thread is added after settle_openmp()";
}

TEST(OpenMpTest, LibrariesFindTheProgramsFunctionsFirst) {
  for (const char* name : {"GOMP_parallel", "GOMP_barrier", "GOMP_single_start",
                           "omp_get_num_threads", "omp_get_thread_num"}) {
    Dl_info found{};
    ASSERT_NE(::dladdr(::dlsym(RTLD_DEFAULT, name), &found), 0) << name;
    EXPECT_STREQ(found.dli_fname, program_invocation_name) << name;
  }
}

}  // namespace
}  // namespace symbiont::worker
