#ifndef SYMBIONT_WORKER_TEXTKIT_TEXTKIT_H_
#define SYMBIONT_WORKER_TEXTKIT_TEXTKIT_H_

// C interface of the Rust library textkit: chat templates under limits, answers that follow a JSON
// schema. Not thread-safe: one thread at a time for one object.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Results of textkit_render; src/lib.rs has the same list.
#define SYMBIONT_TEXTKIT_OK 0
#define SYMBIONT_TEXTKIT_TEMPLATE_INVALID 1
#define SYMBIONT_TEXTKIT_RAISED 2
#define SYMBIONT_TEXTKIT_OUT_OF_FUEL 3
#define SYMBIONT_TEXTKIT_OUTPUT_TOO_LARGE 4
#define SYMBIONT_TEXTKIT_CONTEXT_INVALID 5
#define SYMBIONT_TEXTKIT_PANICKED 6

/// Renders `template_text` (UTF-8, not terminated) with the members of the JSON object `context` as
/// variables, within `fuel` steps and `max_output` bytes. `*out` is the output, or an error text of
/// at most 512 bytes; both go to textkit_free(). The first call on a thread seeds its hash tables
/// from the kernel (getrandom); later calls need no system call but for memory.
int32_t textkit_render(const uint8_t* template_text,
                       size_t template_size,
                       const uint8_t* context,
                       size_t context_size,
                       uint64_t fuel,
                       size_t max_output,
                       uint8_t** out,
                       size_t* out_size);
void textkit_free(uint8_t* data, size_t size);

/// Panics are caught and reported as a status; after this they print nothing either.
void textkit_silence_panics(void);

/// The tokens of a model: `count` pieces of `sizes` bytes, one after the other. A control token's
/// piece begins with the byte 0xFF. `end` ends an answer. Never freed; null on failure.
typedef struct textkit_vocabulary textkit_vocabulary;  // NOLINT(modernize-use-using): also C
textkit_vocabulary* textkit_vocabulary_new(const uint8_t* bytes,
                                           const uint32_t* sizes,
                                           uint32_t count,
                                           uint32_t end);

/// What may still come so that the answer follows a JSON schema (UTF-8, at most 256 KiB). Null:
/// `*error` says why, at most 512 bytes that go to textkit_free().
typedef struct textkit_constraint textkit_constraint;  // NOLINT(modernize-use-using): also C
textkit_constraint* textkit_constraint_new(const textkit_vocabulary* vocabulary,
                                           const uint8_t* schema,
                                           size_t schema_size,
                                           uint8_t** error,
                                           size_t* error_size);
/// Sets bit `token % 32` of word `token / 32` for each token that may come next. Negative: failed.
int32_t textkit_constraint_mask(textkit_constraint* constraint, uint32_t* words, size_t count);
/// 1: `token` may come next, 0: not, negative: failed.
int32_t textkit_constraint_allows(textkit_constraint* constraint, uint32_t token);
/// Takes `token` in. Negative: it was not allowed.
int32_t textkit_constraint_accept(textkit_constraint* constraint, uint32_t token);
void textkit_constraint_free(textkit_constraint* constraint);

#ifdef __cplusplus
}
#endif

#endif  // SYMBIONT_WORKER_TEXTKIT_TEXTKIT_H_
