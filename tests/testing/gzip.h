// Gzip files for tests.
#ifndef TANDEM_TESTS_TESTING_GZIP_H_
#define TANDEM_TESTS_TESTING_GZIP_H_

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <string>

namespace tandem::testing {

inline void WriteGzip(const std::filesystem::path& path,
                      const std::string& text) {
  const gzFile file = gzopen(path.c_str(), "wb1");
  EXPECT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())),
            static_cast<int>(text.size()));
  EXPECT_EQ(gzclose(file), Z_OK);
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_GZIP_H_
