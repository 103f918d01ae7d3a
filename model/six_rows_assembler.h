// What the assembler of both product kernels shares: sums of six rows times two
// registers of columns stay in registers, and rows are addressed by two
// pointers and a stride.
#ifndef TANDEM_MODEL_SIX_ROWS_ASSEMBLER_H_
#define TANDEM_MODEL_SIX_ROWS_ASSEMBLER_H_

// row(address, low, high) for each of six rows: its element's address, and the
// names of its sums.
#define TANDEM_SIX_ROWS(row)                                                \
  row("%[row0]", "low0", "high0") row("%[row0],%[stride]", "low1", "high1") \
      row("%[row0],%[stride],2", "low2", "high2")                           \
          row("%[row3]", "low3", "high3")                                   \
              row("%[row3],%[stride]", "low4", "high4")                     \
                  row("%[row3],%[stride],2", "low5", "high5")

// The operands behind these names. `sums` has registers low[6] and high[6].
#define TANDEM_SIX_ROWS_OF(sums)                            \
  [low0] "+x"(sums.low[0]), [high0] "+x"(sums.high[0]),     \
      [low1] "+x"(sums.low[1]), [high1] "+x"(sums.high[1]), \
      [low2] "+x"(sums.low[2]), [high2] "+x"(sums.high[2]), \
      [low3] "+x"(sums.low[3]), [high3] "+x"(sums.high[3]), \
      [low4] "+x"(sums.low[4]), [high4] "+x"(sums.high[4]), \
      [low5] "+x"(sums.low[5]), [high5] "+x"(sums.high[5])
#define TANDEM_SIX_ROWS_AT(first, fourth, stride_bytes) \
  [row0] "r"(first), [row3] "r"(fourth), [stride] "r"(stride_bytes)

#endif  // TANDEM_MODEL_SIX_ROWS_ASSEMBLER_H_
