//! Answers that follow a JSON schema: which tokens may come next. The schema comes from a client and is hostile; what
//! llguidance cannot bound is bounded by the worker's own limits.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice;
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{json, Value};

/// Longest schema accepted, in bytes.
const MAX_SCHEMA_BYTES: usize = 256 << 10;

/// The tokens of one model.
pub struct Vocabulary {
    factory: ParserFactory,
    end: u32,
}

pub struct Constraint {
    matcher: Matcher,
    end: u32,
}

impl Vocabulary {
    fn new(pieces: &[Vec<u8>], end: u32) -> Result<Self, String> {
        let info = TokRxInfo::new(u32::try_from(pieces.len()).map_err(|error| error.to_string())?, end);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, pieces)));
        let mut factory = ParserFactory::new_simple(&env).map_err(|error| error.to_string())?;
        factory.quiet();
        Ok(Self { factory, end })
    }

    fn constrain(&self, schema: &str) -> Result<Constraint, String> {
        if schema.len() > MAX_SCHEMA_BYTES {
            return Err(format!("schema of {} bytes; at most {MAX_SCHEMA_BYTES} are accepted", schema.len()));
        }
        let mut schema: Value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
        if let Value::Object(members) = &mut schema {
            // A small model left free to would write white space for ever.
            members.insert(
                "x-guidance".into(),
                json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "}),
            );
        }
        let parser = self.factory.create_parser(TopLevelGrammar::from_json_schema(schema));
        let matcher = Matcher::new(parser);
        match matcher.get_error() {
            Some(error) => Err(error),
            None => Ok(Constraint { matcher, end: self.end }),
        }
    }
}

/// Runs `work`; a panic is an error like another.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the constraint engine failed".into()))
}

/// See textkit.h.
///
/// # Safety
/// `sizes` has `count` elements whose sum `bytes` has at least.
#[no_mangle]
pub unsafe extern "C" fn textkit_vocabulary_new(
    bytes: *const u8, sizes: *const u32, count: u32, end: u32,
) -> *mut Vocabulary {
    // SAFETY: the caller's promise above.
    let sizes = unsafe { slice::from_raw_parts(sizes, count as usize) };
    let total = sizes.iter().map(|size| *size as usize).sum();
    // SAFETY: as above.
    let mut rest = unsafe { slice::from_raw_parts(bytes, total) };
    let mut pieces = Vec::with_capacity(sizes.len());
    for size in sizes {
        let (piece, after) = rest.split_at(*size as usize);
        pieces.push(piece.to_vec());
        rest = after;
    }
    match guarded(|| Vocabulary::new(&pieces, end)) {
        Ok(vocabulary) => Box::into_raw(Box::new(vocabulary)),
        Err(_) => std::ptr::null_mut(),
    }
}

/// See textkit.h.
///
/// # Safety
/// `vocabulary` lives; `schema` has `size` bytes; `error` and `error_size` are writable.
#[no_mangle]
pub unsafe extern "C" fn textkit_constraint_new(
    vocabulary: *const Vocabulary, schema: *const u8, size: usize, error: *mut *mut u8, error_size: *mut usize,
) -> *mut Constraint {
    // SAFETY: the caller's promise above.
    let (vocabulary, schema) = unsafe { (&*vocabulary, crate::text(schema, size)) };
    let made = match schema {
        Some(schema) => guarded(|| vocabulary.constrain(schema)),
        None => Err("the schema is not UTF-8".into()),
    };
    match made {
        Ok(constraint) => Box::into_raw(Box::new(constraint)),
        Err(text) => {
            // SAFETY: the caller's promise above.
            unsafe { crate::hand_out(crate::bounded(text).into_bytes(), error, error_size) };
            std::ptr::null_mut()
        }
    }
}

/// See textkit.h.
///
/// # Safety
/// `constraint` lives; `words` has `count` elements.
#[no_mangle]
pub unsafe extern "C" fn textkit_constraint_mask(
    constraint: *mut Constraint, words: *mut u32, count: usize,
) -> i32 {
    // SAFETY: the caller's promise above.
    let (constraint, words) = unsafe { (&mut *constraint, slice::from_raw_parts_mut(words, count)) };
    match guarded(|| constraint.matcher.compute_mask_or_eos().map_err(|error| error.to_string())) {
        Ok(mask) => {
            let allowed = mask.as_slice();
            for (index, word) in words.iter_mut().enumerate() {
                *word = allowed.get(index).copied().unwrap_or(0);
            }
            0
        }
        Err(_) => -1,
    }
}

/// See textkit.h.
///
/// # Safety
/// `constraint` lives.
#[no_mangle]
pub unsafe extern "C" fn textkit_constraint_allows(constraint: *mut Constraint, token: u32) -> i32 {
    // SAFETY: the caller's promise above.
    let constraint = unsafe { &mut *constraint };
    if constraint.matcher.is_stopped() && !constraint.matcher.is_error() {
        return i32::from(token == constraint.end); // the answer is complete
    }
    match guarded(|| constraint.matcher.validate_tokens(&[token]).map_err(|error| error.to_string())) {
        Ok(valid) => i32::from(valid == 1),
        Err(_) => -1,
    }
}

/// See textkit.h.
///
/// # Safety
/// `constraint` lives.
#[no_mangle]
pub unsafe extern "C" fn textkit_constraint_accept(constraint: *mut Constraint, token: u32) -> i32 {
    // SAFETY: the caller's promise above.
    let constraint = unsafe { &mut *constraint };
    if constraint.matcher.is_stopped() && !constraint.matcher.is_error() {
        return if token == constraint.end { 0 } else { -1 };
    }
    match guarded(|| constraint.matcher.consume_token(token).map_err(|error| error.to_string())) {
        Ok(()) => 0,
        Err(_) => -1,
    }
}

/// See textkit.h.
///
/// # Safety
/// `constraint` came from textkit_constraint_new and is freed once.
#[no_mangle]
pub unsafe extern "C" fn textkit_constraint_free(constraint: *mut Constraint) {
    // SAFETY: the caller's promise above.
    drop(unsafe { Box::from_raw(constraint) });
}
